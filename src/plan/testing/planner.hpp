// An AddressPlanner asked by tests: one process, and what it says in a line each.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plan/allocate.hpp"
#include "plan/testing/builders.hpp"

namespace berth::testing {

inline const Pool lan = pool("lan", "192.0.2.0/24", is_default);
inline const WallTime today{std::chrono::hours{24} * 20605};
inline const std::string wall = to_rfc3339(today);

// One process: its memory, and what it plans of the objects it is shown.
struct Process {
  AddressPlanner planner{{.quarantine = std::chrono::seconds{1}, .mark_prefix = "me"}};
  World known;
  AddressPlan plan(Objects objects, Instant now = at(Duration{})) {
    fill(known, std::move(objects));
    planner.plan(known, {now, today});
    return summary(planner, known, {now, today});
  }
};
inline AddressPlan plan(Objects objects) { return Process{}.plan(std::move(objects)); }

// Who is recorded where: "192.0.2.1 shop/web held".
inline std::vector<std::string> records(const AddressPlan& plan) {
  std::vector<std::string> out;
  for (const BlockWrite& write : plan.block_writes)
    for (const auto& [address, entry] : write.block.addresses) {
      if (entry.holders.empty()) out.push_back(address.to_string() + " reserved for " + entry.reserved_for);
      for (const Holder& holder : entry.holders)
        out.push_back(address.to_string() + " " + holder.service.to_string() + (holder.state == HolderState::held ? " held" : " freeing"));
    }
  return out;
}
using Lines = std::vector<std::string>;

inline bool is_idle(const AddressPlan& plan) {
  return plan.block_writes.empty() && plan.block_reads.empty() && plan.service_reads.empty() && plan.service_writes.empty() &&
         plan.pool_writes.empty();
}
inline std::string pending_reason(const AddressPlan& plan) {
  if (plan.pending.size() != 1) return std::to_string(plan.pending.size()) + " pending";
  return std::string{to_string(plan.pending[0].refusals.at(0).reason)};
}

}  // namespace berth::testing
