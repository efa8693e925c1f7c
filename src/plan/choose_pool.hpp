// Which pools may serve a claim, best first: OpenELB's order (named pool; pool that contains the wanted
// address; pools bound to the namespace, smaller priority first; the default pool) made total, so that
// every replica decides alike. Only for new allocations: an address once given is never re-chosen.
#pragma once

#include <string>
#include <vector>

#include "model/world.hpp"
#include "plan/claim.hpp"

namespace berth {

enum class PendingReason : std::uint8_t {
  pool_missing,          // the named pool does not exist
  pool_invalid,          // its spec.address can't be read
  pool_disabled,
  pool_deleting,
  pool_full,
  pool_family,           // its addresses are of a family that the Service does not have
  wanted_ip_invalid,     // the wanted IP is no IP address
  wanted_ip_outside,     // not in the named pool
  wanted_ip_no_pool,     // in no pool
  wanted_ip_in_use,      // another Service has it
  no_pool,               // no pool is bound to the namespace and none is the default
  being_released,        // its former address is still on the way back
};
std::string_view to_string(PendingReason reason);

struct Refusal {
  PendingReason reason = PendingReason::no_pool;
  std::string text;  // for people: names the field and the cure
  bool operator==(const Refusal&) const = default;
};

struct PoolChoice {
  std::vector<const Pool*> pools;   // usable ones, in the order to try
  std::vector<Refusal> refusals;    // why the others are not, or why there is none
};

PoolChoice choose_pools(const Claim& claim, const ObjectName& service, const World& world);

}  // namespace berth
