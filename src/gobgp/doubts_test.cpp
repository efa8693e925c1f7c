#include "gobgp/doubts.hpp"

#include <gtest/gtest.h>

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;
using Addresses = std::vector<std::string>;

const Instant start = Instant{} + 1h;

BgpRoute route(std::uint32_t number, std::uint32_t next_hop) {
  return {IpAddress::v4(0xCB007100U + number), IpAddress::v4(0x0A000000U + next_hop)};
}
using Steps = Mirror::RouteSteps;
Steps steps(std::initializer_list<BgpRoute> routes) {
  Steps out;
  for (const BgpRoute& one : routes) out.push_back({one, one.next_hop.number == 0x0A000001U ? 1U : 2U, {}});
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
// ADD-PATH for IPv4 alone.
api::Peer half(const std::string& address) {
  api::Peer out = peer(address, true);
  api::AfiSafi& six = *out.add_afi_safis();
  six.mutable_config()->mutable_family()->set_afi(2);
  six.mutable_config()->mutable_family()->set_safi(1);
  return out;
}
const std::vector<api::Peer> single{peer("192.0.2.1"), peer("192.0.2.2", true)};

// What the engine does with it.
struct Story {
  Story() {
    doubts.told_all(start - 1min);  // and it knows that there is such a router
    EXPECT_EQ(doubts.look(single, mirror, start - 59s).tell_again, Addresses{"192.0.2.1"}) << "who knows what changed as it came";
    EXPECT_TRUE(doubts.look(single, mirror, start - 58s).tell_again.empty());
    EXPECT_FALSE(doubts.next_look());
  }
  void change(const Steps& add, const Steps& withdraw, Instant now) {
    doubts.changed(mirror.changed(add, withdraw, doubts.any_concerned()), withdraw, now);
  }
  Doubts::Cure look(Instant now, const std::vector<api::Peer>& peers = single) { return doubts.look(peers, mirror, now); }
  bool tells_again(Instant now) { return !look(now).tell_again.empty(); }
  Mirror mirror;
  Doubts doubts;
};

TEST(Doubts, TwoNextHopsAtOnceAreToldOnceMoreToWhoHasNoAddPath) {
  Story story;
  story.change(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_EQ(story.doubts.next_look(), start + 50ms);
  EXPECT_FALSE(story.tells_again(start + 50ms)) << "there may be more of them";
  EXPECT_EQ(story.doubts.next_look(), start + 1s);
  const auto cure = story.look(start + 1s);
  EXPECT_EQ(cure.tell_again, Addresses{"192.0.2.1"});
  EXPECT_TRUE(cure.withdraw_again.empty());
  EXPECT_FALSE(story.tells_again(*story.doubts.next_look())) << "once is enough";
  EXPECT_FALSE(story.doubts.next_look());
}

TEST(Doubts, OneBestPathOfEachPrefixIsBeyondDoubt) {
  Story story;
  story.change(steps({route(1, 1), route(2, 1)}), {}, start);
  EXPECT_FALSE(story.tells_again(start + 50ms));
  story.change(steps({route(1, 2), route(2, 2)}), {}, start + 1s);
  EXPECT_FALSE(story.tells_again(start + 2s)) << "what was sent before has gone out";
  story.change({}, steps({route(1, 1)}), start + 3s);
  story.change({}, steps({route(1, 2)}), start + 3s);
  EXPECT_FALSE(story.tells_again(start + 4s)) << "it was not the best one that went first";
  story.change({}, steps({route(2, 2), route(2, 1)}), start + 5s);
  EXPECT_FALSE(story.tells_again(start + 6s)) << "the best one goes last";
}

TEST(Doubts, AfterEverythingWasToldOneMorePathIsTheSecond) {
  Story story;
  story.change(steps({route(1, 1)}), {}, start);
  EXPECT_FALSE(story.tells_again(start + 50ms));
  story.doubts.told_all(start + 1s);
  story.change(steps({route(1, 2)}), {}, start + 1s);
  EXPECT_TRUE(story.tells_again(start + 3s));
}

TEST(Doubts, NothingIsToldWhileSomethingWaitsToBeSent) {
  Story story;
  story.change(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_TRUE(story.look(start + 1s, {peer("192.0.2.1", false, 1)}).tell_again.empty());
  EXPECT_EQ(story.doubts.next_look(), start + 2s);
  EXPECT_TRUE(story.tells_again(start + 2s));
}

TEST(Doubts, AWithdrawalOfWhatIsDoubtfulIsUrgentNewPathsAreNot) {
  Story story;
  const auto add = [&](std::uint32_t number, Instant now) { story.change(steps({route(number, 1), route(number, 2)}), {}, now); };
  add(1, start);
  EXPECT_TRUE(story.tells_again(start + 1s));
  add(2, start + 2s);
  EXPECT_FALSE(story.tells_again(start + 3s)) << "all routes are a lot";
  EXPECT_EQ(story.doubts.next_look(), start + 6s);
  story.change({}, steps({route(2, 1)}), start + 4s);
  EXPECT_EQ(story.doubts.next_look(), start + 4s + 50ms);
  EXPECT_TRUE(story.tells_again(start + 4s + 50ms));
}

TEST(Doubts, AWithdrawalWaitsForWhatIsOnItsWay) {
  Story story;
  EXPECT_FALSE(story.doubts.may_wait(steps({route(1, 1)})));
  story.change(steps({route(1, 1)}), {}, start);
  EXPECT_TRUE(story.doubts.may_wait(steps({route(1, 1)})));
  EXPECT_FALSE(story.doubts.may_wait(steps({route(2, 1)})));
  EXPECT_FALSE(story.doubts.all_is_sent({peer("192.0.2.1", false, 1)}));
  EXPECT_TRUE(story.doubts.may_wait(steps({route(1, 1)})));
  EXPECT_TRUE(story.doubts.all_is_sent(single));
  EXPECT_FALSE(story.doubts.may_wait(steps({route(1, 1)})));
}

TEST(Doubts, WhatWentWithTwoOfItsPathsIsWithdrawnAgain) {
  Story story;
  story.change(steps({route(1, 1), route(1, 2), route(2, 1), route(2, 2)}), {}, start);
  story.change({}, steps({route(1, 1), route(1, 2)}), start + 10ms);
  const auto cure = story.look(start + 60ms);
  EXPECT_EQ(cure.withdraw_again, steps({route(1, 2)}));
  story.doubts.not_cured(cure, start + 60ms);
  Mirror::RouteSteps aggregate = steps({route(1, 1)});
  aggregate.front().route.prefix_length = 24;
  story.change(aggregate, {}, start + 70ms);
  EXPECT_EQ(story.look(start + 2s).withdraw_again, steps({route(1, 2)})) << "the prefix that is there is another one";
  story.change({}, steps({route(2, 1), route(2, 2)}), start + 10s);
  EXPECT_TRUE(story.look(start + 11s).withdraw_again.empty()) << "in a batch of its own it is just withdrawn";
}

TEST(Doubts, WhatFailedIsInDoubt) {
  Story story;
  story.doubts.failed(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_TRUE(story.doubts.may_wait(steps({route(1, 1)})));
  story.mirror.changed(steps({route(1, 1), route(1, 2)}), {}, false);  // as it was read back
  story.change({}, steps({route(1, 1), route(1, 2)}), start + 10ms);
  EXPECT_TRUE(story.doubts.any_gone());
  const auto cure = story.look(start + 60ms);
  EXPECT_EQ(cure.withdraw_again, steps({route(1, 2)}));
  EXPECT_EQ(cure.tell_again, Addresses{"192.0.2.1"});
  EXPECT_FALSE(story.doubts.any_gone());
}

TEST(Doubts, AddPathForOneFamilyIsNotEnough) {
  Story story;
  story.change(steps({route(1, 1), route(1, 2)}), {}, start);
  EXPECT_EQ(story.look(start + 1s, {half("192.0.2.3")}).tell_again, Addresses{"192.0.2.3"});
}

TEST(Doubts, WhereAllHaveAddPathThereAreNone) {
  Story story;
  EXPECT_TRUE(story.look(start, {peer("192.0.2.2", true)}).tell_again.empty());
  story.change(steps({route(1, 1), route(1, 2)}), {}, start + 2s);
  EXPECT_FALSE(story.doubts.next_look());
  EXPECT_FALSE(story.doubts.may_wait(steps({route(1, 1)})));
  story.doubts.seen({peer("192.0.2.2", true)}, start + 3s);
  EXPECT_FALSE(story.doubts.next_look());
  story.doubts.seen(single, start + 3s);
  EXPECT_TRUE(story.tells_again(start + 4s)) << "who knows what changed as it came";
}

}  // namespace
}  // namespace berth::gobgp
