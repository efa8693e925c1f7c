#include "simulation.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <string_view>

#include "../seeds.hpp"

namespace berth::sim {
namespace {

void report(const BgpSimulationOptions& failed) {
  BgpSimulationOptions again = failed;
  again.trace = true;
  const BgpSimulationOutcome outcome = run_bgp_simulation(again);
  std::cout << "replay: BERTH_SIM_SEED=" << failed.seed << " bgp_sim_test --gtest_filter=Bgp.FreshSeeds\n" << outcome.violation << "\n";
  const std::size_t from = outcome.trace.size() > 100 && !from_environment("BERTH_SIM_SEED") ? outcome.trace.size() - 100 : 0;
  for (std::size_t i = from; i < outcome.trace.size(); ++i) std::cout << "  " << outcome.trace[i] << "\n";
}

TEST(Bgp, TheSameSeedGivesTheSameRun) {
  for (std::uint64_t seed = 0; seed < 5; ++seed)
    EXPECT_EQ(run_bgp_simulation({.seed = seed}).hash, run_bgp_simulation({.seed = seed, .trace = true}).hash) << seed;
  EXPECT_NE(run_bgp_simulation({.seed = 1}).hash, run_bgp_simulation({.seed = 2}).hash);
}

TEST(Bgp, FreshSeeds) {
  if (const auto seed = from_environment("BERTH_SIM_SEED")) {
    report({.seed = *seed});
    EXPECT_EQ(run_bgp_simulation({.seed = *seed}).violation, "");
    return;
  }
  const double limit = static_cast<double>(from_environment("BERTH_SIM_SECONDS").value_or(15));
  const std::uint64_t first = from_environment("BERTH_SIM_FIRST").value_or(1000);
  const std::uint64_t runs = from_environment("BERTH_SIM_RUNS").value_or(UINT64_MAX);
  const Stopwatch watch;
  std::uint64_t seed = first;
  BgpSimulationOutcome total;
  for (; (runs == UINT64_MAX ? watch.seconds() < limit : seed - first < runs); ++seed) {
    const BgpSimulationOutcome outcome = run_bgp_simulation({.seed = seed});
    total.deeds += outcome.deeds;
    total.faults += outcome.faults;
    total.calls += outcome.calls;
    total.sessions += outcome.sessions;
    total.starts += outcome.starts;
    if (outcome.violation.empty()) continue;
    ADD_FAILURE() << "seed " << seed << ": " << outcome.violation;
    report({.seed = seed});
    return;
  }
  std::cout << seed - first << " runs, " << static_cast<double>(seed - first) / watch.seconds() << " a second, with " << total.deeds
            << " deeds, " << total.faults << " faults, " << total.calls << " calls, " << total.sessions << " sessions, " << total.starts
            << " gobgpds\n";
}

}  // namespace
}  // namespace berth::sim
