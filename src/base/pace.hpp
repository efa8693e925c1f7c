// Pace: how often a loop may do what costs time, however often something rings: a share of the time on
// average. Some in a row are free, so that the steps of one single change follow one another at once.
#pragma once

#include <algorithm>

#include "base/time.hpp"

namespace berth {

class Pace {
 public:
  // The work takes 1/`share` of the time at most; `free_in_a_row` times after a pause nothing is waited for.
  explicit Pace(int share, int free_in_a_row = 5) : share_(share), free_in_a_row_(free_in_a_row) {}

  // When it may begin again, after it began at `begun` and took `took`; a time that has passed is now.
  Instant next(Instant begun, Duration took) {
    const Duration cost = took * share_;
    paid_until_ = std::max(paid_until_, begun - cost * free_in_a_row_) + cost;
    return paid_until_;
  }

 private:
  int share_;
  int free_in_a_row_;
  Instant paid_until_;
};

}  // namespace berth
