#include "gobgp/doubts.hpp"

#include <gtest/gtest.h>

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;
using Addresses = std::vector<std::string>;
using Routes = std::map<BgpRoute, BgpMirror::Path>;

const Instant start{};

BgpRoute route(std::uint32_t number, std::uint32_t next_hop) {
  return {IpAddress::v4(0xCB007100U + number), IpAddress::v4(0x0A000000U + next_hop)};
}
Doubts::RouteSteps steps(std::initializer_list<BgpRoute> routes) {
  Doubts::RouteSteps out;
  for (const BgpRoute& one : routes) out.push_back({one, 1, {}});
  return out;
}

// A session that is up with a router of this address.
api::Peer peer(const std::string& address, bool add_path = false, std::uint32_t waiting = 0) {
  api::Peer out;
  out.mutable_conf()->set_neighbor_address(address);
  out.mutable_state()->set_session_state(6);
  out.mutable_state()->set_out_q(waiting);
  if (!add_path) return out;
  api::AfiSafi& family = *out.add_afi_safis();
  family.mutable_config()->mutable_family()->set_afi(1);
  family.mutable_config()->mutable_family()->set_safi(1);
  family.mutable_add_paths()->mutable_config()->set_send_max(10);
  auto& tuple = *out.mutable_state()->add_remote_cap()->mutable_add_path()->add_tuples();
  tuple.mutable_family()->set_afi(1);
  tuple.mutable_family()->set_safi(1);
  tuple.set_mode(1);
  return out;
}
const std::vector<api::Peer> single{peer("192.0.2.1"), peer("192.0.2.2", true)};
const Routes both{{route(1, 1), {}}, {route(1, 2), {}}};

// Nothing is doubtful, and it knows that there is such a router.
Doubts settled() {
  Doubts out;
  out.told_all(start - 1min);
  EXPECT_TRUE(out.look(single, {}, start - 59s).tell_again.empty());
  EXPECT_FALSE(out.next_look());
  return out;
}

TEST(Doubts, TwoNextHopsAtOnceAreToldOnceMoreToWhoHasNoAddPath) {
  Doubts doubts = settled();
  doubts.changed(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_EQ(doubts.next_look(), start + 1s);
  const auto cure = doubts.look(single, both, start + 1s);
  EXPECT_EQ(cure.tell_again, Addresses{"192.0.2.1"});
  EXPECT_TRUE(cure.withdraw_again.empty());
  EXPECT_TRUE(doubts.look(single, both, *doubts.next_look()).tell_again.empty()) << "once is enough";
  EXPECT_FALSE(doubts.next_look());
}

TEST(Doubts, OneChangeOfEachPrefixIsBeyondDoubt) {
  Doubts doubts = settled();
  doubts.changed(steps({route(1, 1), route(2, 1)}), steps({route(3, 1)}), start);
  EXPECT_TRUE(doubts.look(single, both, start + 1s).tell_again.empty());
  doubts.changed({}, steps({route(1, 1)}), start + 2s);
  EXPECT_TRUE(doubts.look(single, both, start + 3s).tell_again.empty()) << "what was sent before has gone out";
}

TEST(Doubts, NothingIsToldWhileSomethingWaitsToBeSent) {
  Doubts doubts = settled();
  doubts.changed(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_TRUE(doubts.look({peer("192.0.2.1", false, 1)}, both, start + 1s).tell_again.empty());
  EXPECT_EQ(doubts.next_look(), start + 2s);
  EXPECT_EQ(doubts.look(single, both, start + 2s).tell_again.size(), 1U);
}

TEST(Doubts, AWithdrawalOfWhatIsDoubtfulIsUrgentNewPathsAreNot) {
  Doubts doubts = settled();
  const auto add = [&](std::uint32_t number, Instant now) { doubts.changed(steps({route(number, 1), route(number, 2)}), {}, now); };
  add(1, start);
  EXPECT_FALSE(doubts.look(single, both, start + 1s).tell_again.empty());
  add(2, start + 2s);
  EXPECT_TRUE(doubts.look(single, both, start + 3s).tell_again.empty()) << "all routes are a lot";
  EXPECT_EQ(doubts.next_look(), start + 6s);
  doubts.changed({}, steps({route(2, 2)}), start + 4s);
  EXPECT_EQ(doubts.next_look(), start + 4s + 50ms);
  EXPECT_FALSE(doubts.look(single, both, start + 4s + 50ms).tell_again.empty());
}

TEST(Doubts, WhatIsGoneIsWithdrawnAgain) {
  Doubts doubts = settled();
  doubts.changed(steps({route(1, 1), route(1, 2)}), {}, start);
  doubts.changed({}, steps({route(1, 1), route(1, 2)}), start + 10ms);
  const auto cure = doubts.look(single, {{route(2, 1), {}}}, start + 60ms);
  EXPECT_EQ(cure.withdraw_again, std::vector<BgpRoute>{route(1, 2)});
  doubts.not_cured(cure, start + 60ms);
  EXPECT_EQ(doubts.look(single, {}, start + 2s).withdraw_again, std::vector<BgpRoute>{route(1, 2)});
}

TEST(Doubts, WhereAllHaveAddPathThereAreNone) {
  Doubts doubts;
  doubts.told_all(start);
  EXPECT_TRUE(doubts.look({peer("192.0.2.2", true)}, both, start + 1s).tell_again.empty());
  doubts.changed(steps({route(1, 1), route(1, 2)}), {}, start + 2s);
  EXPECT_FALSE(doubts.next_look());
  doubts.told_all(start + 3s);
  EXPECT_EQ(doubts.look(single, both, start + 4s).tell_again, Addresses{"192.0.2.1"}) << "who knows what changed as it came";
}

}  // namespace
}  // namespace berth::gobgp
