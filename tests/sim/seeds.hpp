// Where a test's seeds come from.
//   BERTH_SIM_SEED=n     that one alone, and all that happened in it
//   BERTH_SIM_FIRST=n    fresh seeds from n on
//   BERTH_SIM_SECONDS=n  for how long; BERTH_SIM_RUNS=n: how many
//   BERTH_SIM_SEARCH=1   which seed shows each mutant, after the model changed
#pragma once

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <optional>

namespace berth::sim {

inline std::optional<std::uint64_t> from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// Counts the time of the processor, not that on the wall: a busy machine makes no shorter test.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

}  // namespace berth::sim
