// SimTimers: time that a test moves. Sleepers wait in a heap; run_until() lets everything run that can,
// then jumps to the next deadline. A virtual day costs what happens in it.
#pragma once

#include <map>
#include <memory>

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
    const Entry entry{sleepers_, sleepers_->emplace(at, &alarm)};
    // A cancelled task leaves by the exception of its second wait.
    while (now_ < at) co_await alarm.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  void run_until(Instant end) {
    for (;;) {
      io_.restart();
      io_.poll();
      if (sleepers_->empty() || sleepers_->begin()->first > end) break;
      now_ = std::max(now_, sleepers_->begin()->first);
      for (auto it = sleepers_->begin(); it != sleepers_->end() && it->first <= now_; ++it) it->second->cancel();
    }
    now_ = end;
  }
  void run_for(Duration time) { run_until(now_ + time); }

 private:
  using Sleepers = std::multimap<Instant, asio::steady_timer*>;
  struct Entry {  // out of the heap whichever way the sleeper leaves
    std::shared_ptr<Sleepers> all;  // a task may outlive the test's clock, in the io_context
    Sleepers::iterator mine;
    ~Entry() { all->erase(mine); }
  };

  asio::io_context& io_;
  std::shared_ptr<Sleepers> sleepers_ = std::make_shared<Sleepers>();
  Instant now_{std::chrono::hours{1}};
};

}  // namespace berth::testing
