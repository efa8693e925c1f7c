#include "plan/choose_pool.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

std::optional<Refusal> unusable(const Pool& pool, const Claim& claim) {
  const auto say = [&](PendingReason reason, std::string text) { return Refusal{reason, std::move(text)}; };
  if (pool.deleting) return say(PendingReason::pool_deleting, fmt::format("eip:{} is deleting", pool.name));
  if (!pool.invalid.empty() || pool.ranges.empty())
    return say(PendingReason::pool_invalid,
               fmt::format("eip:{} can't be used: {}", pool.name, pool.invalid.empty() ? "spec.address is empty" : pool.invalid));
  if (pool.disabled)
    return say(PendingReason::pool_disabled,
               fmt::format("eip:{} is disabled: set its spec.disable to false to allocate from it", pool.name));
  const bool family_fits = std::ranges::any_of(
      pool.ranges, [&](const IpRange& range) { return std::ranges::find(claim.families, range.first.family) != claim.families.end(); });
  if (!family_fits)
    return say(PendingReason::pool_family, fmt::format("service can't use different family eip: {} is {}, spec.ipFamilies has not",
                                                       pool.name, to_string(pool.ranges.front().first.family)));
  return std::nullopt;
}

bool contains(const Pool& pool, const IpAddress& ip) {
  return std::ranges::any_of(pool.ranges, [&](const IpRange& range) { return range.contains(ip); });
}

bool bound_to(const Pool& pool, const std::string& space, const World& world) {
  if (std::ranges::find(pool.namespaces, space) != pool.namespaces.end()) return true;
  if (pool.namespace_selector.empty()) return false;
  const Namespace* found = world.namespaces.find(space);
  return found != nullptr && LabelSelector{pool.namespace_selector, {}}.matches(found->labels);
}

void offer(PoolChoice& choice, const Pool& pool, const Claim& claim) {
  if (auto refusal = unusable(pool, claim))
    choice.refusals.push_back(std::move(*refusal));
  else
    choice.pools.push_back(&pool);
}

}  // namespace

std::string_view to_string(PendingReason reason) {
  switch (reason) {
    case PendingReason::pool_missing: return "pool_missing";
    case PendingReason::pool_invalid: return "pool_invalid";
    case PendingReason::pool_disabled: return "pool_disabled";
    case PendingReason::pool_deleting: return "pool_deleting";
    case PendingReason::pool_full: return "pool_full";
    case PendingReason::pool_family: return "pool_family";
    case PendingReason::wanted_ip_invalid: return "wanted_ip_invalid";
    case PendingReason::wanted_ip_outside: return "wanted_ip_outside";
    case PendingReason::wanted_ip_no_pool: return "wanted_ip_no_pool";
    case PendingReason::wanted_ip_in_use: return "wanted_ip_in_use";
    case PendingReason::no_pool: return "no_pool";
    case PendingReason::being_released: return "being_released";
  }
  return "unknown";
}

PoolChoice choose_pools(const Claim& claim, const ObjectName& service, const World& world) {
  PoolChoice choice;
  if (!claim.wanted_text.empty() && !claim.wanted_ip) {
    choice.refusals.push_back(
        {PendingReason::wanted_ip_invalid, fmt::format("the wanted address \"{}\" is not an IP address: correct annotation {} "
                                                       "or spec.loadBalancerIP",
                                                       clipped(claim.wanted_text, 100), keys::wanted_ip)});
    return choice;
  }
  if (!claim.pool.empty()) {
    const Pool* pool = world.pools.find(claim.pool);
    if (pool == nullptr) {
      choice.refusals.push_back({PendingReason::pool_missing, fmt::format("eip:{} does not exist: create it or correct annotation {}",
                                                                          clipped(claim.pool, 253), keys::pool)});
      return choice;
    }
    if (claim.wanted_ip && pool->invalid.empty() && !contains(*pool, *claim.wanted_ip)) {
      choice.refusals.push_back({PendingReason::wanted_ip_outside, fmt::format("the specified ip:{} is beyond the range of eip[{}:{}]",
                                                                               claim.wanted_ip->to_string(), pool->name, pool->address)});
      return choice;
    }
    offer(choice, *pool, claim);
    return choice;
  }
  if (claim.wanted_ip) {
    for (const auto& [name, pool] : world.pools.rows())
      if (contains(pool, *claim.wanted_ip)) offer(choice, pool, claim);
    if (choice.pools.empty() && choice.refusals.empty())
      choice.refusals.push_back({PendingReason::wanted_ip_no_pool,
                                 fmt::format("no available eip was found containing the ip:[{}]", claim.wanted_ip->to_string())});
    return choice;
  }
  std::vector<const Pool*> bound;
  for (const auto& [name, pool] : world.pools.rows())
    if (bound_to(pool, service.space, world)) bound.push_back(&pool);
  std::ranges::sort(bound, {}, [](const Pool* pool) { return std::tie(pool->priority, pool->name); });
  for (const Pool* pool : bound) offer(choice, *pool, claim);
  if (!choice.pools.empty()) return choice;
  for (const auto& [name, pool] : world.pools.rows())
    if (pool.is_default) offer(choice, pool, claim);
  if (choice.pools.empty())
    choice.refusals.push_back(
        {PendingReason::no_pool, fmt::format("no available default eip found: name a pool by annotation {}, bind one to "
                                             "namespace {} (Eip spec.namespaces) or make one the default (annotation {}: \"true\")",
                                             keys::pool, service.space, keys::default_pool)});
  return choice;
}

}  // namespace berth
