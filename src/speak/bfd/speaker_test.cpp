// The speaker with a transport that is a list, in virtual time.
#include "speak/bfd/speaker.hpp"

#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "base/testing/late_timers.hpp"
#include "base/testing/seeded_rng.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

class Wire final : public BfdTransport {
 public:
  Result<> open(std::function<void(const BfdDatagram&)> receiver) override {
    if (!free) return fail(ErrorCode::unavailable, "UDP port 3784 can't be had");
    take = std::move(receiver);
    return {};
  }
  Result<> send(const IpAddress& neighbor, bool, std::span<const std::uint8_t> bytes) override {
    const auto parsed = parse_bfd(bytes);
    if (const auto* packet = std::get_if<BfdPacket>(&parsed)) sent.emplace_back(neighbor, *packet);
    return {};
  }
  void forget(const IpAddress& neighbor, bool) override { forgotten.push_back(neighbor); }

  bool free = true;
  std::function<void(const BfdDatagram&)> take;
  std::vector<std::pair<IpAddress, BfdPacket>> sent;
  std::vector<IpAddress> forgotten;
};

const IpAddress router = IpAddress::v4(0xC0000201), other = IpAddress::v4(0xC0000202);

struct BfdSpeakerTest : ::testing::Test {
  asio::io_context io;
  testing::SimTimers timers{io};
  testing::LateTimers clock{timers};
  testing::SeededRng rng{1};
  Wire wire;
  BfdSpeaker speaker{io.get_executor(), clock, rng, wire};
  TaskGroup tasks{io.get_executor()};
  std::vector<BfdReport> reports;

  void SetUp() override {
    speaker.on_report([this](BfdReport report) { reports.push_back(std::move(report)); });
    tasks.spawn("bfd", speaker.run());
    speaker.configure({BfdPeer{.neighbor = router}});
    timers.run_for(1500ms);
  }
  void hear(BfdState state, std::uint32_t to, int ttl = 255, bool multihop = false, const IpAddress& from = router, bool final = false) {
    const auto bytes = to_bytes({.state = state,
                                 .final = final,
                                 .my_discriminator = 42,
                                 .your_discriminator = to,
                                 .desired_min_tx_us = 100'000,
                                 .required_min_rx_us = 100'000});
    wire.take({from, multihop, ttl, bytes});
  }
  std::uint32_t discriminator() { return wire.sent.back().second.my_discriminator; }
  BfdStatus status() { return speaker.state().sessions.at(0); }
  std::uint64_t drops(const std::string& reason) { return speaker.state().drops[reason]; }
  // As the process does, in order; what is sent then is in `wire.sent`.
  void end() {
    tasks.cancel();
    timers.run_for(0s);
    wire.sent.clear();
    TaskGroup ending{io.get_executor()};
    ending.spawn("end", speaker.end());
    timers.run_for(100ms);
  }
  void bring_up() {
    hear(BfdState::down, 0);
    hear(BfdState::init, discriminator());
    ASSERT_EQ(status().state, "Up");
  }
};

TEST_F(BfdSpeakerTest, BringsASessionUpAndTells) {
  ASSERT_FALSE(wire.sent.empty());
  bring_up();
  ASSERT_FALSE(reports.empty());
  EXPECT_TRUE(reports.back().sessions.at(0).up);
  EXPECT_EQ(status().detection_time, 300ms);
}

TEST_F(BfdSpeakerTest, SilenceIsDownAndTold) {
  bring_up();
  timers.run_for(299ms);
  EXPECT_TRUE(status().up);
  timers.run_for(2ms);
  EXPECT_FALSE(reports.back().sessions.at(0).up);
  EXPECT_EQ(reports.back().sessions.at(0).downs, 1U);
  EXPECT_NE(reports.back().sessions.at(0).last_down.find("nothing was heard"), std::string::npos);
}

TEST_F(BfdSpeakerTest, AMachineThatDidNotRunBlamesItself) {
  bring_up();
  timers.run_for(10ms);
  clock.late = 10s;
  hear(BfdState::up, discriminator());  // it looks once more, and then not for ten seconds
  timers.run_for(10s);
  EXPECT_TRUE(status().up);
  timers.run_for(200ms);
  EXPECT_TRUE(status().up) << "the neighbour has its detection time anew";
  EXPECT_EQ(status().stalls, 1U);
  timers.run_for(300ms);
  EXPECT_FALSE(status().up);
}

// RFC 5881 §5 (GTSM), RFC 5880 §6.3.
TEST_F(BfdSpeakerTest, WhatIsNotTheNeighboursIsDropped) {
  bring_up();
  hear(BfdState::down, discriminator(), 254);
  EXPECT_EQ(drops("ttl"), 1U);
  hear(BfdState::down, discriminator() + 1);
  EXPECT_EQ(drops("unknown_discriminator"), 1U);
  hear(BfdState::down, discriminator(), 255, false, other);
  EXPECT_EQ(drops("unknown_neighbor"), 1U);
  hear(BfdState::down, discriminator(), 255, true);
  EXPECT_EQ(drops("unknown_neighbor"), 2U) << "that is the other port";
  const std::uint8_t rubbish[] = {1, 2, 3};
  wire.take({router, false, 255, rubbish});
  EXPECT_EQ(drops("too_short"), 1U);
  EXPECT_TRUE(status().up) << "none of these changed anything";
}

TEST_F(BfdSpeakerTest, MultihopTakesAsManyHopsAsItIsTold) {
  speaker.configure({BfdPeer{.neighbor = router, .multihop = true, .min_ttl = 250}});
  timers.run_for(1500ms);
  hear(BfdState::down, 0, 249, true);
  EXPECT_EQ(drops("ttl"), 1U);
  hear(BfdState::down, 0, 250, true);
  EXPECT_EQ(status().state, "Init");
}

TEST_F(BfdSpeakerTest, ASessionThatIsNotWantedEndsAsAdminDown) {
  bring_up();
  speaker.configure({BfdPeer{.neighbor = other}});
  ASSERT_FALSE(wire.sent.empty());
  EXPECT_EQ(wire.sent.back().first, router);
  EXPECT_EQ(wire.sent.back().second.state, BfdState::admin_down);
  EXPECT_EQ(wire.forgotten, std::vector{router});
  timers.run_for(2s);
  EXPECT_EQ(wire.sent.back().first, other);
}

TEST_F(BfdSpeakerTest, TheEndIsToldSeveralTimes) {
  bring_up();
  end();
  ASSERT_EQ(wire.sent.size(), 3U);
  for (const auto& [to, packet] : wire.sent) EXPECT_EQ(packet.state, BfdState::admin_down);
}

TEST_F(BfdSpeakerTest, WhoWaitsForUsIsNotTold) {
  speaker.configure({BfdPeer{.neighbor = router, .restart_time = 120s}});
  bring_up();
  hear(BfdState::up, discriminator(), 255, false, router, true);
  wire.sent.clear();
  TaskGroup resting{io.get_executor()};
  resting.spawn("rest", speaker.rest());
  timers.run_for(150ms);
  ASSERT_FALSE(wire.sent.empty());
  EXPECT_TRUE(wire.sent.back().second.poll);
  EXPECT_EQ(wire.sent.back().second.desired_min_tx_us, 40'000'000U);
  hear(BfdState::up, discriminator(), 255, false, router, true);
  timers.run_for(10ms);
  end();
  EXPECT_TRUE(wire.sent.empty());
}

TEST_F(BfdSpeakerTest, WhoDoesNotAgreeToWaitIsToldTheEnd) {
  speaker.configure({BfdPeer{.neighbor = router, .restart_time = 120s}});
  bring_up();
  TaskGroup ending{io.get_executor()};
  ending.spawn("rest and end", [](BfdSpeakerTest& test) -> asio::awaitable<void> {
    co_await test.speaker.rest();
    test.tasks.cancel();
    test.wire.sent.clear();
    co_await test.speaker.end();
  }(*this));
  for (int i = 0; i < 12; ++i) {
    if (status().up) hear(BfdState::up, discriminator());
    timers.run_for(100ms);
  }
  ASSERT_EQ(wire.sent.size(), 3U);
  EXPECT_EQ(wire.sent.back().second.state, BfdState::admin_down);
}

TEST_F(BfdSpeakerTest, ASessionOfTheProcessBeforeIsTakenOn) {
  speaker.configure({BfdPeer{.neighbor = other}});
  wire.sent.clear();
  hear(BfdState::up, 1234, 255, false, other);
  EXPECT_TRUE(status().up);
  EXPECT_TRUE(status().resumed);
  EXPECT_EQ(discriminator(), 1234U);
}

TEST(BfdSpeaker, APortThatIsTakenIsToldAndTriedAgain) {
  asio::io_context io;
  testing::SimTimers timers{io};
  testing::SeededRng rng{1};
  Wire wire;
  wire.free = false;
  BfdSpeaker speaker{io.get_executor(), timers, rng, wire};
  TaskGroup tasks{io.get_executor()};
  tasks.spawn("bfd", speaker.run());
  timers.run_for(5s);
  EXPECT_EQ(speaker.state().trouble, "") << "nobody asks for BFD";
  speaker.configure({BfdPeer{.neighbor = router}});
  timers.run_for(5s);
  EXPECT_NE(speaker.state().trouble.find("3784"), std::string::npos);
  wire.free = true;
  timers.run_for(3s);
  EXPECT_EQ(speaker.state().trouble, "");
  EXPECT_FALSE(wire.sent.empty());
}

}  // namespace
}  // namespace berth
