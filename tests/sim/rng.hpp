// Chance from a seed, and what simulations draw from it.
#pragma once

#include <cstddef>

#include "base/testing/seeded_rng.hpp"

namespace berth::sim {

class SimRng final : public testing::SeededRng {
 public:
  using SeededRng::SeededRng;
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  bool chance(double probability) { return fraction() < probability; }
};

}  // namespace berth::sim
