// LateTimers: a machine that does not run for a while. The next sleep lasts longer than it was asked to.
#pragma once

#include <utility>

#include "base/testing/sim_timers.hpp"

namespace berth::testing {

class LateTimers final : public Timers {
 public:
  explicit LateTimers(SimTimers& timers) : timers_(timers) {}
  [[nodiscard]] Instant now() const override { return timers_.now(); }
  [[nodiscard]] WallTime wall_now() const override { return timers_.wall_now(); }
  asio::awaitable<void> sleep_until(Instant at) override { return timers_.sleep_until(at + std::exchange(late, Duration{})); }

  Duration late{};  // of the next sleep alone

 private:
  SimTimers& timers_;
};

}  // namespace berth::testing
