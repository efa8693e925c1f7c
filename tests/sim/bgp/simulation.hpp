// A speaker of Berth - the production BgpSpeaker and GobgpEngine - with simulated gobgpds, routers, users and faults, all drawn from a
// seed, in virtual time. What must hold is looked at from outside (truth.hpp). Now and then faults and users rest, and everything must
// settle within `bgp_settle_time`; at the end a quiet time changes nothing, and the node is drained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "flaws.hpp"

namespace berth::sim {

// gobgpd tries again to connect every 120 s where a BgpPeer says nothing else.
inline constexpr Duration bgp_settle_time = std::chrono::seconds{200};

struct BgpSimulationOptions {
  std::uint64_t seed = 0;
  BgpFlaw flaw = BgpFlaw::none;
  bool trace = false;
};

struct BgpSimulationOutcome {
  std::string violation;  // empty: none
  std::vector<std::string> trace;
  std::uint64_t hash = 0;  // the same for the same seed
  std::uint64_t deeds = 0;
  std::uint64_t faults = 0;
  std::uint64_t calls = 0;
  std::uint64_t sessions = 0;
  std::uint64_t starts = 0;  // of gobgpd
};

BgpSimulationOutcome run_bgp_simulation(const BgpSimulationOptions& options);

}  // namespace berth::sim
