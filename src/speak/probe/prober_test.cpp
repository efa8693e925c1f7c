#include "speak/probe/prober.hpp"

#include <set>

#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "base/testing/late_timers.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

const IpAddress first = IpAddress::v4(0xC0000201), second = IpAddress::v4(0xC0000202);

class Wire final : public ProbeTransport {
 public:
  explicit Wire(testing::SimTimers& timers) : timers_(timers) {}
  void on_answer(std::function<void(const IpAddress&)> listener) override { listener_ = std::move(listener); }
  void ask(const IpAddress& ip) override {
    ++asked;
    if (alive.contains(ip)) timers_.call_at(timers_.now() + 1ms, [this, ip] { listener_(ip); });
  }
  void forget(const IpAddress& ip) override { forgotten.insert(ip); }

  std::set<IpAddress> alive, forgotten;
  int asked = 0;

 private:
  testing::SimTimers& timers_;
  std::function<void(const IpAddress&)> listener_;
};

struct Prober : ::testing::Test {
  asio::io_context io;
  testing::SimTimers timers{io};
  Wire wire{timers};
  testing::LateTimers clock{timers};
  NodeProber prober{io.get_executor(), clock, wire};
  std::vector<std::pair<Instant, AnsweringNodes>> told;
  TaskGroup tasks{io.get_executor()};

  void SetUp() override {
    wire.alive = {first, second};
    prober.on_change([this](AnsweringNodes nodes) { told.emplace_back(timers.now(), std::move(nodes)); });
    tasks.spawn("probe", prober.run());
    prober.configure({{"node1", first}, {"node2", second}});
    timers.run_for(1s);
  }
};

TEST_F(Prober, WhoAnswersIsKnown) { EXPECT_EQ(prober.answering(), (AnsweringNodes{{"node1", true}, {"node2", true}})); }

TEST_F(Prober, SilenceOfThreeIntervalsIsNoAnswer) {
  wire.alive.erase(second);
  const Instant died = timers.now();
  timers.run_for(1s);
  ASSERT_EQ(told.back().second, (AnsweringNodes{{"node1", true}, {"node2", false}}));
  EXPECT_LE(told.back().first - died, 400ms);
  EXPECT_GE(told.back().first - died, 200ms);
}

TEST_F(Prober, OneLostAnswerIsNothing) {
  const auto before = told.size();
  for (int i = 0; i < 10; ++i) {
    wire.alive.erase(second);
    timers.run_for(150ms);
    wire.alive.insert(second);
    timers.run_for(150ms);
  }
  EXPECT_EQ(told.size(), before);
}

TEST_F(Prober, ItIsBackAfterThreeAnswersAndASecond) {
  wire.alive.erase(second);
  timers.run_for(500ms);
  const Instant lost = told.back().first;
  wire.alive.insert(second);
  timers.run_for(5s);
  ASSERT_EQ(told.back().second.at("node2"), true);
  EXPECT_GE(told.back().first - lost, 1s);
  EXPECT_LE(told.back().first - lost, 1200ms);
}

TEST_F(Prober, AMachineThatDidNotRunBlamesItself) {
  const auto before = told.size();
  clock.late = 10s;
  timers.run_for(12s);
  EXPECT_EQ(told.size(), before);
}

TEST_F(Prober, WhoNeverAnsweredIsUnknown) {
  wire.alive.clear();
  prober.configure({{"node3", IpAddress::v4(0xC0000203)}});
  timers.run_for(10s);
  EXPECT_EQ(prober.answering(), AnsweringNodes{});
  EXPECT_EQ(wire.forgotten, (std::set{first, second}));
}

TEST_F(Prober, OfManyEachIsAskedLessOften) {
  for (const std::uint32_t count : {250U, 2000U}) {
    ProbeTargets many;
    for (std::uint32_t i = 0; i < count; ++i) many.emplace("node-" + std::to_string(i), IpAddress::v4(0x0A000000 + i));
    prober.configure(many);
    timers.run_for(3s);
    wire.asked = 0;
    timers.run_for(20s);
    EXPECT_LE(wire.asked, 20'000) << count;
    EXPECT_GE(wire.asked, 18'000) << count;
  }
}

}  // namespace
}  // namespace berth
