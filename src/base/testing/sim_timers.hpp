// SimTimers: time that a test moves. Sleepers and calls wait in a heap; run_until() lets everything run
// that can, then jumps to the next deadline. A virtual day costs what happens in it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/timers.hpp"

namespace berth::testing {

class SimTimers final : public Timers {
 public:
  explicit SimTimers(asio::io_context& io) : io_(io) {}

  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] WallTime wall_now() const override { return {std::chrono::duration_cast<std::chrono::microseconds>(now_.since_start)}; }

  asio::awaitable<void> sleep_until(Instant at) override {
    if (at <= now_) co_return;
    asio::steady_timer alarm{io_, asio::steady_timer::time_point::max()};
    const Entry entry{waiting_, waiting_->emplace(at, Waiting{&alarm, {}})};
    // A cancelled task leaves by the exception of its second wait.
    while (now_ < at) co_await alarm.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  // Calls `what` when time comes to `at`, before anything that waits for later; at once if it has passed,
  // but never from here. What is due at one instant comes in the order in which it was asked for.
  void call_at(Instant at, std::function<void()> what) { waiting_->emplace(at, Waiting{nullptr, std::move(what)}); }

  void run_until(Instant end) {
    while (step(end)) {
    }
    now_ = std::max(now_, end);
  }
  void run_for(Duration time) { run_until(now_ + time); }

  // What can run now, and then whatever comes next until `end`; false if nothing does.
  bool step(Instant end) {
    io_.restart();
    io_.poll();
    if (waiting_->empty() || waiting_->begin()->first > end) return false;
    const auto first = waiting_->begin();
    now_ = std::max(now_, first->first);
    if (first->second.sleeper == nullptr) {
      const std::function<void()> call = std::move(first->second.call);
      waiting_->erase(first);
      call();
      return true;
    }
    for (auto it = first; it != waiting_->end() && it->first <= now_ && it->second.sleeper != nullptr; ++it) it->second.sleeper->cancel();
    return true;
  }

 private:
  struct Waiting {
    asio::steady_timer* sleeper = nullptr;
    std::function<void()> call;
  };
  using Heap = std::multimap<Instant, Waiting>;
  struct Entry {  // out of the heap whichever way the sleeper leaves
    std::shared_ptr<Heap> all;  // a task may outlive the test's clock, in the io_context
    Heap::iterator mine;
    ~Entry() { all->erase(mine); }
  };

  asio::io_context& io_;
  std::shared_ptr<Heap> waiting_ = std::make_shared<Heap>();
  Instant now_{std::chrono::hours{1}};
};

}  // namespace berth::testing
