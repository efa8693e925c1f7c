// Which pools may serve a claim, best first: OpenELB's order (named pools; pools that contain the wanted
// address; pools bound to the Service, smaller priority first; default pools) made total, so that every
// replica decides alike. Only for new allocations: an address once given is never re-chosen.
#pragma once

#include <string>
#include <vector>

#include "model/world.hpp"
#include "plan/claim.hpp"

namespace berth {

enum class PendingReason : std::uint8_t {
  invalid_request,      // an annotation or field of the Service makes no sense
  pool_missing,         // the named pool does not exist
  pool_invalid,         // a field of it can't be read
  pool_disabled,
  pool_deleting,
  pool_full,
  pool_family,          // it has no addresses of the family
  pool_quota,           // the namespace has its quota of it
  pool_not_bound,       // bound to other namespaces
  pool_selector,        // its serviceSelector does not match
  wanted_ip_outside,    // not in the named pool
  wanted_ip_no_pool,    // in no pool
  wanted_ip_not_given,  // excluded, or avoided
  wanted_ip_in_use,     // another Service has it and does not share it, or they clash
  wanted_ip_reserved,   // for another Service
  no_pool,              // no pool is bound to the Service and none is the default
  being_released,       // its former address is still on the way back
};
std::string_view to_string(PendingReason reason);
// As a condition's reason: PoolFull.
std::string condition_reason(PendingReason reason);

struct Refusal {
  PendingReason reason = PendingReason::no_pool;
  std::string text;  // for people: names pool or field and the cure
  bool operator==(const Refusal&) const = default;
};

struct PoolChoice {
  std::vector<const Pool*> pools;  // usable ones, in the order to try
  std::vector<Refusal> refusals;   // why the others are not, or why there is none; the most telling first
};

struct PoolRules {
  bool enforce_namespaces = false;  // for every pool: naming it does not get around its namespaces
};

PoolChoice choose_pools(const Claim& claim, const FamilyClaim& family, const Service& service, const World& world, const PoolRules& rules);

}  // namespace berth
