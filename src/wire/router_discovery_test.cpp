#include "wire/router_discovery.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace berth {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes advertisement(const Bytes& options = {}) {
  Bytes out(router_advertisement.begin(), router_advertisement.end());
  out.insert(out.end(), options.begin(), options.end());
  return out;
}

// RFC 4861 §4.2: type, code, checksum, hop limit, flags, lifetime, two timers.
TEST(RouterDiscovery, OursIsNoDefaultRouter) {
  EXPECT_EQ(advertisement(), (Bytes{134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(Bytes(router_solicitation.begin(), router_solicitation.end()), (Bytes{133, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(RouterDiscovery, WhatWeSendReadsBack) {
  EXPECT_EQ(parse_router_message(router_advertisement, 255), RouterMessage::advertisement);
  EXPECT_EQ(parse_router_message(router_solicitation, 255), RouterMessage::solicitation);
}

TEST(RouterDiscovery, OptionsAreSteppedOver) {
  EXPECT_TRUE(parse_router_message(advertisement({1, 1, 2, 0, 0, 0, 0, 1}), 255));
  EXPECT_TRUE(parse_router_message(advertisement({5, 1, 0, 0, 0, 0, 5, 0xDC, 200, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 255));
}

// RFC 4861 §6.1.2.
TEST(RouterDiscovery, WhatBreaksARuleIsDropped) {
  EXPECT_FALSE(parse_router_message(router_advertisement, 254)) << "a router forwarded it";
  EXPECT_FALSE(parse_router_message(router_advertisement, 0)) << "nobody knows";
  EXPECT_FALSE(parse_router_message(std::span{router_advertisement}.first(15), 255));
  EXPECT_FALSE(parse_router_message(std::span{router_solicitation}.first(7), 255));
  EXPECT_FALSE(parse_router_message({}, 255));
  Bytes code = advertisement();
  code[1] = 1;
  EXPECT_FALSE(parse_router_message(code, 255));
  Bytes other = advertisement();
  other[0] = 135;
  EXPECT_FALSE(parse_router_message(other, 255)) << "a neighbor solicitation";
  EXPECT_FALSE(parse_router_message(advertisement({1, 0, 2, 0, 0, 0, 0, 1}), 255)) << "an option of length 0";
  EXPECT_FALSE(parse_router_message(advertisement({1, 2, 2, 0, 0, 0, 0, 1}), 255)) << "an option that is longer than the message";
  EXPECT_FALSE(parse_router_message(advertisement({1}), 255));
}

}  // namespace
}  // namespace berth
