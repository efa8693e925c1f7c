// The random model of addresses: controllers that all believe they lead, each with the real planner and
// the real WorldKeeper, its own late watches and its own memory, write to one SimStore over a network
// that delays, loses answers and applies writes long after their sender gave up or died, while users
// create, delete, edit and restore Services and pools.
//
// Checked from outside, on what the store says: no address is shown by two Services (what a restored
// Service shows counts once it was adopted), and when faults stop everything settles.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sim {

// One rule of plan/allocate.hpp left out, in the shell that carries the plan out.
enum class Mutant : std::uint8_t {
  none,
  b1_take_without_swap,          // a taking is merged into whatever the block is now
  b2_service_without_version,    // patches of Services carry neither uid nor version
  b3_freeing_only_in_mind,       // `freeing` is not written before the Service is cleared
  b4_publish_without_read,       // the cached block passes for freshly read
  b5_remove_without_clear,       // the Service is not cleared before the address is free
  b5_clear_of_an_earlier_mark,   // a clearing counts for every later giving back, too
  b6_block_without_version,      // block writes carry no version
  b7_trust_cached_absence,       // a Service that the cache does not have is taken for gone
};
std::string_view to_string(Mutant mutant);

struct Outcome {
  std::string violation;           // empty: none
  std::vector<std::string> trace;  // if asked for
  std::uint64_t hash = 0;          // over all that happened: the same for the same seed
};

struct RunOptions {
  std::uint64_t seed = 0;
  Mutant mutant = Mutant::none;
  std::size_t steps = 400;
  bool settle = true;  // also stop the faults at the end, and demand that everything settles
  bool trace = false;
};
Outcome run_addresses(const RunOptions& options);

}  // namespace berth::sim
