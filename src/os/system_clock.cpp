#include "os/system_clock.hpp"

#include <random>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth {
namespace {

class SystemTimers : public Timers {
 public:
  explicit SystemTimers(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  Instant now() const override { return {std::chrono::steady_clock::now().time_since_epoch()}; }

  WallTime wall_now() const override {
    return {std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())};
  }

  asio::awaitable<void> sleep_until(Instant at) override {
    if (at <= now()) co_return;
    asio::steady_timer timer{executor_, std::chrono::steady_clock::time_point{at.since_start}};
    co_await timer.async_wait(asio::use_awaitable);
  }

 private:
  asio::any_io_executor executor_;
};

class SystemRng : public Rng {
 public:
  SystemRng() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    engine_.seed(seed);
  }
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

std::unique_ptr<Timers> make_system_timers(asio::any_io_executor executor) { return std::make_unique<SystemTimers>(std::move(executor)); }
std::unique_ptr<Rng> make_system_rng() { return std::make_unique<SystemRng>(); }

}  // namespace berth
