#include "plan/choose_pool.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

class Chooser {
 public:
  Chooser(const Claim& claim, const FamilyClaim& family, const Service& service, const World& world, const PoolRules& rules)
      : claim_(claim), family_(family), service_(service), world_(world), rules_(rules) {}

  PoolChoice choose() {
    if (!claim_.pools.empty())
      named();
    else if (family_.wanted)
      containing();
    else
      automatic();
    std::ranges::move(unbound_, std::back_inserter(choice_.refusals));
    return std::move(choice_);
  }

 private:
  void named() {
    std::vector<Refusal> outside;
    for (const std::string& name : claim_.pools) {
      const Pool* pool = world_.pools.find(name);
      if (pool == nullptr) {
        refuse(PendingReason::pool_missing,
               fmt::format("eip:{} does not exist: create it or correct annotation {}", clipped(name, 253), keys::pool));
      } else if (family_.wanted && pool->invalid.empty() && !pool->contains(*family_.wanted)) {
        outside.push_back({PendingReason::wanted_ip_outside,
                           fmt::format("the specified ip:{} is beyond the range of eip[{}:{}]: correct {}", family_.wanted->to_string(),
                                       pool->name, clipped(pool->address, 100), claim_.wanted_by)});
      } else if (bound_where_enforced(*pool)) {
        offer(*pool);
      }
    }
    std::ranges::move(outside, std::back_inserter(choice_.refusals));
  }

  void containing() {
    for (const auto& [name, pool] : world_.pools.rows())
      if (pool.contains(*family_.wanted) && bound_where_enforced(pool)) offer(pool);
    if (choice_.pools.empty() && choice_.refusals.empty() && unbound_.empty())
      refuse(PendingReason::wanted_ip_no_pool,
             fmt::format("no available eip was found containing the ip:[{}]: correct {}", family_.wanted->to_string(), claim_.wanted_by));
  }

  void automatic() {
    std::vector<const Pool*> bound;
    std::vector<const Pool*> defaults;
    for (const auto& [name, pool] : world_.pools.rows()) {
      const bool has_namespaces = binds_namespaces(pool);
      const bool namespace_fits = !has_namespaces || binds(pool);
      const bool selector_fits = !pool.service_selector || pool.service_selector->matches(service_.labels);
      if ((has_namespaces || pool.service_selector) && namespace_fits && selector_fits)
        bound.push_back(&pool);
      else if (pool.is_default && selector_fits)
        defaults.push_back(&pool);
      else if (!namespace_fits)
        unbound_.push_back({PendingReason::pool_not_bound, name + ": namespace not bound"});
      else if (!selector_fits)
        unbound_.push_back({PendingReason::pool_selector, name + ": its serviceSelector does not match"});
      else
        unbound_.push_back({PendingReason::pool_not_bound, name + ": neither bound to a namespace nor the default"});
    }
    for (std::vector<const Pool*>* group : {&bound, &defaults}) {
      std::ranges::sort(*group, {}, [](const Pool* pool) { return std::tie(pool->priority, pool->name); });
      for (const Pool* pool : *group) offer(*pool);
      if (!choice_.pools.empty()) return;
    }
    choice_.refusals.insert(
        choice_.refusals.begin(),
        {PendingReason::no_pool, fmt::format("no available default eip found: name a pool by annotation {}, bind one to namespace {} (Eip "
                                             "spec.namespaces) or make one the default (annotation {}: \"true\")",
                                             keys::pool, service_.name.space, keys::default_pool)});
  }

  // Naming a pool gets around its namespaces, as in OpenELB, unless that is switched off.
  bool bound_where_enforced(const Pool& pool) {
    if (!(pool.enforce_namespaces || rules_.enforce_namespaces) || !binds_namespaces(pool) || binds(pool)) return true;
    refuse(PendingReason::pool_not_bound,
           fmt::format("{}: namespace not bound, and its namespaces are enforced (Eip spec.namespaces, namespaceSelector)", pool.name));
    return false;
  }

  static bool binds_namespaces(const Pool& pool) { return !pool.namespaces.empty() || !pool.namespace_selector.empty(); }

  bool binds(const Pool& pool) const {
    if (std::ranges::find(pool.namespaces, service_.name.space) != pool.namespaces.end()) return true;
    if (pool.namespace_selector.empty()) return false;
    const Namespace* found = world_.namespaces.find(service_.name.space);
    return found != nullptr && LabelSelector{pool.namespace_selector, {}}.matches(found->labels);
  }

  void offer(const Pool& pool) {
    if (pool.deleting) return refuse(PendingReason::pool_deleting, fmt::format("eip:{} is deleting", pool.name));
    if (!pool.invalid.empty()) return refuse(PendingReason::pool_invalid, fmt::format("eip:{} can't be used: {}", pool.name, pool.invalid));
    if (pool.disabled)
      return refuse(PendingReason::pool_disabled,
                    fmt::format("eip:{} is disabled: set its spec.disable to false to allocate from it", pool.name));
    if (std::ranges::none_of(pool.ranges, [&](const IpRange& range) { return range.first.family == family_.family; }))
      return refuse(PendingReason::pool_family, fmt::format("{}: family (service can't use different family eip: it has no {} addresses)",
                                                            pool.name, to_string(family_.family)));
    choice_.pools.push_back(&pool);
  }

  void refuse(PendingReason reason, std::string text) { choice_.refusals.push_back({reason, std::move(text)}); }

  const Claim& claim_;
  const FamilyClaim& family_;
  const Service& service_;
  const World& world_;
  const PoolRules& rules_;
  PoolChoice choice_;
  std::vector<Refusal> unbound_;
};

}  // namespace

std::string_view to_string(PendingReason reason) {
  switch (reason) {
    case PendingReason::invalid_request: return "invalid_request";
    case PendingReason::pool_missing: return "pool_missing";
    case PendingReason::pool_invalid: return "pool_invalid";
    case PendingReason::pool_disabled: return "pool_disabled";
    case PendingReason::pool_deleting: return "pool_deleting";
    case PendingReason::pool_full: return "pool_full";
    case PendingReason::pool_family: return "pool_family";
    case PendingReason::pool_quota: return "pool_quota";
    case PendingReason::pool_not_bound: return "pool_not_bound";
    case PendingReason::pool_selector: return "pool_selector";
    case PendingReason::wanted_ip_outside: return "wanted_ip_outside";
    case PendingReason::wanted_ip_no_pool: return "wanted_ip_no_pool";
    case PendingReason::wanted_ip_not_given: return "wanted_ip_not_given";
    case PendingReason::wanted_ip_in_use: return "wanted_ip_in_use";
    case PendingReason::wanted_ip_reserved: return "wanted_ip_reserved";
    case PendingReason::no_pool: return "no_pool";
    case PendingReason::being_released: return "being_released";
  }
  return "unknown";
}

std::string condition_reason(PendingReason reason) {
  std::string out;
  bool upper = true;
  for (const char c : to_string(reason)) {
    if (c == '_')
      upper = true;
    else
      out += std::exchange(upper, false) ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

PoolChoice choose_pools(const Claim& claim, const FamilyClaim& family, const Service& service, const World& world, const PoolRules& rules) {
  return Chooser{claim, family, service, world, rules}.choose();
}

}  // namespace berth
