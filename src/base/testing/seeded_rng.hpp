// Chance from a seed: the same seed gives the same run, on every machine.
#pragma once

#include <cstdint>

#include "base/timers.hpp"

namespace berth::testing {

class SeededRng : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::uint64_t next() override {  // splitmix64
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace berth::testing
