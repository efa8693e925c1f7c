#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "base/pace.hpp"
#include "base/result.hpp"
#include "base/task_group.hpp"
#include "base/testing/sim_timers.hpp"
#include "base/time.hpp"

namespace berth {
namespace {

asio::awaitable<void> count_rings(Bell& bell, int& count) {
  for (;;) {
    co_await bell.wait();
    ++count;
  }
}

TEST(Bell, ManyRingsWakeOnceAndNoneIsLost) {
  asio::io_context io{1};
  Bell bell{io.get_executor()};
  int count = 0;
  TaskGroup tasks{io.get_executor()};
  for (int i = 0; i < 1000; ++i) bell.ring();
  tasks.spawn("count", count_rings(bell, count));
  io.poll();
  EXPECT_EQ(count, 1);
  bell.ring();
  io.restart();
  io.poll();
  EXPECT_EQ(count, 2);
  tasks.cancel();
  io.restart();
  io.poll();
  EXPECT_EQ(tasks.size(), 0U);
}

TEST(TaskGroup, CancelEndsTasksAndRefusesNewOnes) {
  asio::io_context io{1};
  Bell bell{io.get_executor()};
  int count = 0;
  TaskGroup tasks{io.get_executor()};
  tasks.spawn("one", count_rings(bell, count));
  io.poll();
  EXPECT_EQ(tasks.size(), 1U);
  tasks.cancel();
  tasks.spawn("late", count_rings(bell, count));
  io.restart();
  io.poll();
  EXPECT_EQ(tasks.size(), 0U);
}

TEST(TaskGroup, ATaskMayEndBeforeACancellationFromOutsideTheLoopReachesIt) {
  asio::io_context io{1};
  Bell bell{io.get_executor()};
  TaskGroup tasks{io.get_executor()};
  const auto wait_once = [](Bell& b) -> asio::awaitable<void> { co_await b.wait(); };
  tasks.spawn("one", wait_once(bell));
  io.poll();
  bell.ring();     // the task will end by itself
  tasks.cancel();  // and its signal comes after
  io.restart();
  io.poll();
  EXPECT_EQ(tasks.size(), 0U);
}

TEST(Time, PrintsRfc3339) {
  EXPECT_EQ(to_rfc3339(WallTime{std::chrono::microseconds{0}}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339_micro(WallTime{std::chrono::microseconds{1'700'000'000'000'123}}), "2023-11-14T22:13:20.000123Z");
}

TEST(Result, AddsContextOnTheWayUp) {
  const Error error{ErrorCode::unavailable, "connection refused"};
  EXPECT_EQ(error.with("add peer 10.0.0.1").text, "add peer 10.0.0.1: connection refused");
}

class FixedRng : public Rng {
 public:
  std::uint64_t next() override { return 0; }
};

TEST(Backoff, DoublesToTheLimitAndStartsAgainAfterSuccess) {
  using namespace std::chrono_literals;
  FixedRng rng;
  Backoff backoff{{.initial = 100ms, .limit = 300ms}};
  EXPECT_EQ(backoff.next(rng), 50ms);
  EXPECT_EQ(backoff.next(rng), 100ms);
  EXPECT_EQ(backoff.next(rng), 150ms);
  EXPECT_EQ(backoff.next(rng), 150ms);
  backoff.succeeded();
  EXPECT_EQ(backoff.next(rng), 50ms);
}

TEST(Pace, AFewInARowAreFreeThenAShareOfTheTimeAndAPauseMakesThemFreeAgain) {
  using namespace std::chrono_literals;
  Pace pace{5, 3};
  Instant now{1h};
  for (int i = 0; i < 3; ++i) {
    EXPECT_LE(pace.next(now, 10ms), now + 10ms) << i;
    now = now + 10ms;
  }
  for (int i = 0; i < 3; ++i) {
    const Instant next = pace.next(now, 10ms);
    EXPECT_GT(next, now + 10ms) << i;
    now = next;
  }
  EXPECT_EQ(pace.next(now, 10ms), now + 50ms) << "a fifth of the time";
  now = now + 1h;
  EXPECT_LE(pace.next(now, 10ms), now + 10ms);
}

TEST(TaskGroup, CancelsATaskThatWaitsForABellOrATime) {
  asio::io_context context;
  testing::SimTimers timers{context};
  Bell bell{context.get_executor()};
  TaskGroup group{context.get_executor()};
  const auto wait = [](Bell& b, Timers& t) -> asio::awaitable<void> {
    co_await b.wait_until(t, t.now() + std::chrono::hours{1});
    ADD_FAILURE() << "it should have been cancelled";
  };
  group.spawn("wait", wait(bell, timers));
  context.poll();
  group.cancel();
  context.run();
  EXPECT_EQ(group.size(), 0U);
}

}  // namespace
}  // namespace berth
