// ProcessTimers: one process's clock on the world's time. It may run fast or slow or jump ahead, and all
// that waits on it can be frozen, as by SIGSTOP: then time goes on without the process.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/testing/sim_timers.hpp"

namespace berth::sim {

class ProcessTimers final : public Timers {
 public:
  ProcessTimers(asio::io_context& io, testing::SimTimers& world) : io_(io), state_(std::make_shared<State>(world)) {}

  [[nodiscard]] Instant now() const override { return state_->now(); }
  [[nodiscard]] WallTime wall_now() const override {
    return {state_->world.wall_now().since_epoch + std::chrono::duration_cast<std::chrono::microseconds>(wall_offset)};
  }
  asio::awaitable<void> sleep_until(Instant at) override {
    if (at <= now()) co_return;
    asio::steady_timer alarm{io_, asio::steady_timer::time_point::max()};
    const Entry entry{state_, state_->sleepers.emplace(at, &alarm)};
    state_->arm();
    while (now() < at) co_await alarm.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  void freeze() { state_->frozen = true; }
  void thaw() {
    state_->frozen = false;
    state_->arm();
  }
  [[nodiscard]] bool frozen() const { return state_->frozen; }
  void jump(Duration ahead) {
    state_->rebase(ahead);
    state_->arm();
  }
  // How much faster than the world's time, in millionths.
  void rate(std::int64_t faster) {
    state_->rebase({});
    state_->faster = faster;
    state_->arm();
  }

  Duration wall_offset{};

 private:
  using Sleepers = std::multimap<Instant, asio::steady_timer*>;
  struct State : std::enable_shared_from_this<State> {
    explicit State(testing::SimTimers& w) : world(w), world_base(w.now()), base(w.now()) {}

    [[nodiscard]] Instant now() const {
      const Duration passed = world.now() - world_base;
      return base + passed + Duration{static_cast<Duration::rep>(static_cast<__int128>(passed.count()) * faster / 1'000'000)};
    }
    void rebase(Duration ahead) {
      const Instant moment = now() + ahead;
      world_base = world.now();
      base = moment;
    }
    // The world's time at which this clock shows `at`, or a little later.
    [[nodiscard]] Instant in_world(Instant at) const {
      const __int128 ahead = std::max<Duration::rep>((at - base).count(), 0);
      return world_base + Duration{static_cast<Duration::rep>(ahead * 1'000'000 / (1'000'000 + faster)) + 1};
    }

    // Has the world call when the first sleeper is due.
    void arm() {
      if (!frozen && !sleepers.empty()) arm_for(sleepers.begin()->first);
    }
    void arm_for(Instant at) {
      const Instant due = std::max(in_world(at), world.now());
      if (armed && *armed <= due) return;
      armed = due;
      world.call_at(due, [me = weak_from_this(), due] {
        if (const auto self = me.lock()) self->fire(due);
      });
    }
    void fire(Instant due) {
      if (armed != due) return;
      armed.reset();
      if (frozen) return;
      const Instant moment = now();
      for (auto it = sleepers.begin(); it != sleepers.end() && it->first <= moment; ++it) it->second->cancel();
      if (const auto next = sleepers.upper_bound(moment); next != sleepers.end()) arm_for(next->first);
    }

    testing::SimTimers& world;
    Instant world_base;
    Instant base;
    std::int64_t faster = 0;
    bool frozen = false;
    Sleepers sleepers;
    std::optional<Instant> armed;  // the call that counts
  };
  struct Entry {  // out of the list whichever way the sleeper leaves
    std::shared_ptr<State> state;
    Sleepers::iterator mine;
    ~Entry() { state->sleepers.erase(mine); }
  };

  asio::io_context& io_;
  std::shared_ptr<State> state_;
};

}  // namespace berth::sim
