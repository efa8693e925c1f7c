#include "plan/bfd_policy.hpp"

#include <gtest/gtest.h>

namespace berth {
namespace {

using namespace std::chrono_literals;

const IpAddress router = IpAddress::v4(0xC0000201);

struct BfdPolicy : ::testing::Test {
  std::vector<BgpPeerConfig> peers{with_bfd()};
  BfdReport report{{BfdStatus{.neighbor = router, .up = true, .state = "Up"}}, {}, {}};
  BfdMemory memory;
  Instant now{1h};

  static BgpPeerConfig with_bfd() {
    BgpPeerConfig out;
    out.neighbor = router;
    out.bfd = BfdPeer{.neighbor = router};
    return out;
  }
  BfdStatus& status() { return report.sessions.front(); }
  BfdVerdict judge() { return judge_bfd(peers, report, memory, now); }
  void goes_down() {
    status().up = false;
    status().state = "Down";
    status().last_down = "nothing was heard";
    ++status().downs;
  }
};

TEST_F(BfdPolicy, UpHoldsNobody) { EXPECT_TRUE(judge().held.empty()); }

TEST_F(BfdPolicy, DownHoldsForASecond) {
  judge();
  goes_down();
  const BfdVerdict verdict = judge();
  ASSERT_EQ(verdict.held.size(), 1U);
  EXPECT_EQ(verdict.held.at(router), "BFD went down: nothing was heard");
  EXPECT_EQ(verdict.wake_at, now + 1s);
  now = now + 1s;
  EXPECT_TRUE(judge().held.empty()) << "the router may have lost its BFD only";
}

TEST_F(BfdPolicy, WhatCameUpAgainIsStillHeld) {
  judge();
  goes_down();
  status().up = true;  // between two looks
  EXPECT_EQ(judge().held.size(), 1U);
}

TEST_F(BfdPolicy, FlappingIsHeldTwiceAsLongEachTime) {
  judge();
  for (const Duration expected : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    goes_down();
    EXPECT_EQ(judge().wake_at, now + expected);
    now = now + expected + 1s;
    EXPECT_TRUE(judge().held.empty());
  }
  now = now + 2min;
  goes_down();
  EXPECT_EQ(judge().wake_at, now + 1s) << "after a calm it is forgotten";
}

TEST_F(BfdPolicy, StrictWaitsUntilItIsUp) {
  peers.front().bfd_strict = true;
  goes_down();
  judge();
  now = now + 1h;
  EXPECT_EQ(judge().held.size(), 1U);
  EXPECT_FALSE(judge().wake_at);
  status().up = true;
  EXPECT_TRUE(judge().held.empty());
  report.sessions.clear();
  EXPECT_EQ(judge().held.size(), 1U) << "it has not begun";
}

TEST_F(BfdPolicy, AdminDownIsNoFailure) {
  peers.front().bfd_strict = true;
  judge();
  goes_down();
  status().remote_admin_down = true;
  EXPECT_TRUE(judge().held.empty());
}

TEST_F(BfdPolicy, APeerWithoutBfdIsForgotten) {
  goes_down();
  judge();
  peers.front().bfd.reset();
  EXPECT_TRUE(judge().held.empty());
  EXPECT_TRUE(memory.neighbors.empty());
}

}  // namespace
}  // namespace berth
