// Backoff: how long to wait after a failure. Doubles from `initial` to `limit`, and takes a random
// part of it (50 to 100 %), so that many who failed together do not come back together.
#pragma once

#include <algorithm>

#include "base/timers.hpp"

namespace berth {

class Backoff {
 public:
  struct Limits {
    Duration initial = std::chrono::milliseconds{100};
    Duration limit = std::chrono::seconds{30};
  };
  explicit Backoff(Limits limits) : limits_(limits) {}

  // The wait after one more failure in a row.
  Duration next(Rng& rng) {
    delay_ = delay_ == Duration{} ? limits_.initial : std::min(delay_ * 2, limits_.limit);
    return Duration{static_cast<Duration::rep>(static_cast<double>(delay_.count()) * (0.5 + 0.5 * rng.fraction()))};
  }
  void succeeded() { delay_ = {}; }

 private:
  Limits limits_;
  Duration delay_{};
};

}  // namespace berth
