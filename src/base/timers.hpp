// The ports to time and chance. Real bodies are in os/, the simulated ones in tests/sim. Nothing
// else in Berth reads a clock or a random device.
#pragma once

#include <cstdint>

#include "base/asio.hpp"
#include "base/time.hpp"

namespace berth {

class Timers {
 public:
  virtual ~Timers() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  // Returns at or after `at`; a time that has passed returns without delay.
  virtual asio::awaitable<void> sleep_until(Instant at) = 0;
  asio::awaitable<void> sleep_for(Duration time) { return sleep_until(now() + time); }
};

class Rng {
 public:
  virtual ~Rng() = default;
  virtual std::uint64_t next() = 0;  // uniform over all 64 bits
  // Uniform in [0, 1).
  double fraction() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

}  // namespace berth
