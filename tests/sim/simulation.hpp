// The first floor of the simulation: whole processes (process.hpp) in virtual time against a simulated API
// server (cluster.hpp, store.hpp), with users (users.hpp) and faults drawn from a seed. What must hold is
// looked at from outside (truth.hpp) at every change; now and then faults and users rest, and everything
// must settle within `settle_time`. At the end a quiet hour writes nothing, nor does a fresh start, and
// when all is deleted nothing is left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "cluster.hpp"

namespace berth::sim {

// After the last slow request or stalled watch of the faults came to its end: back-offs go up to 30 s, and a
// Lease has to run out first.
inline constexpr Duration settle_time = std::chrono::seconds{60};
inline constexpr Duration lease_takeover = std::chrono::seconds{20};

struct SimulationOptions {
  std::uint64_t seed = 0;
  Flaw flaw = Flaw::none;
  bool trace = false;
};

struct SimulationOutcome {
  std::string violation;  // empty: none
  std::vector<std::string> trace;
  std::uint64_t hash = 0;  // over every change in the store: the same for the same seed
  std::uint64_t deeds = 0;
  std::uint64_t faults = 0;
  std::uint64_t writes = 0;
  std::uint64_t plans = 0;
  Duration settled_in{};  // the longest
};

SimulationOutcome run_simulation(const SimulationOptions& options);

}  // namespace berth::sim
