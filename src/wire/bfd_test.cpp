#include "wire/bfd.hpp"

#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace berth {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Version 1, Up with no diagnostic, poll, multiplier 3, 24 bytes; discriminators, 50 ms, 300 ms, no echo.
Bytes golden() {
  return {0x20, 0xE0, 3, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x00, 0x00, 0xC3, 0x50, 0x00, 0x04, 0x93, 0xE0, 0, 0, 0, 0};
}
const BfdPacket as_packet{.state = BfdState::up,
                          .poll = true,
                          .detect_multiplier = 3,
                          .my_discriminator = 0x11223344,
                          .your_discriminator = 0x55667788,
                          .desired_min_tx_us = 50'000,
                          .required_min_rx_us = 300'000};

TEST(BfdWire, GoldenBytes) {
  const auto bytes = to_bytes(as_packet);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), golden());
  const auto parsed = parse_bfd(golden());
  ASSERT_TRUE(std::holds_alternative<BfdPacket>(parsed));
  EXPECT_EQ(std::get<BfdPacket>(parsed), as_packet);
}

TEST(BfdWire, WhatFollowsTheLengthIsIgnored) {
  Bytes bytes = golden();
  bytes.resize(100, 0xFF);
  EXPECT_TRUE(std::holds_alternative<BfdPacket>(parse_bfd(bytes)));
}

// RFC 5880 §6.8.6.
TEST(BfdWire, EachRuleDrops) {
  const auto changed = [](std::size_t at, std::uint8_t to) {
    Bytes bytes = golden();
    bytes[at] = to;
    return bytes;
  };
  Bytes none = golden();
  std::fill(none.begin() + 8, none.begin() + 12, std::uint8_t{0});
  Bytes nobody = golden();
  std::fill(nobody.begin() + 4, nobody.begin() + 8, std::uint8_t{0});
  Bytes authenticated = changed(1, 0xC4);
  authenticated[3] = 26;
  authenticated.resize(26);
  Bytes cut = golden();
  cut.pop_back();
  const std::vector<std::pair<Bytes, BfdDrop>> rows{
      {{}, BfdDrop::too_short},
      {cut, BfdDrop::too_short},
      {changed(0, 0x00), BfdDrop::bad_version},
      {changed(0, 0x40), BfdDrop::bad_version},
      {changed(3, 23), BfdDrop::bad_length},
      {changed(3, 25), BfdDrop::bad_length},
      {changed(1, 0xC4), BfdDrop::bad_length},  // authentication takes two bytes at least
      {changed(2, 0), BfdDrop::zero_multiplier},
      {changed(1, 0xC1), BfdDrop::multipoint},
      {nobody, BfdDrop::zero_discriminator},
      {none, BfdDrop::no_discriminator},
      {authenticated, BfdDrop::authenticated},
  };
  for (const auto& [bytes, drop] : rows) {
    const auto parsed = parse_bfd(bytes);
    ASSERT_TRUE(std::holds_alternative<BfdDrop>(parsed)) << to_string(drop);
    EXPECT_EQ(to_string(std::get<BfdDrop>(parsed)), to_string(drop));
  }
  none[1] = 0x40;  // Down needs no discriminator of ours
  EXPECT_TRUE(std::holds_alternative<BfdPacket>(parse_bfd(none)));
  none[1] = 0x00;
  EXPECT_TRUE(std::holds_alternative<BfdPacket>(parse_bfd(none)));
}

RC_GTEST_PROP(BfdWire, WhatIsTakenIsWrittenAsItCame, (Bytes bytes)) {
  bytes.resize(bfd_packet_size);
  bytes[0] = static_cast<std::uint8_t>(0x20 | (bytes[0] & 0x1F));
  bytes[3] = bfd_packet_size;
  const auto parsed = parse_bfd(bytes);
  if (!std::holds_alternative<BfdPacket>(parsed)) return;
  const auto again = to_bytes(std::get<BfdPacket>(parsed));
  RC_ASSERT(Bytes(again.begin(), again.end()) == bytes);
}

}  // namespace
}  // namespace berth
