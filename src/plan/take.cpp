// Which address a Service takes, once it is known to need one: what it shows or once had, what is kept for
// it, what it may share, the next free one. Part of AddressPlanner.
#include <algorithm>

#include <fmt/format.h>

#include "plan/allocate.hpp"
#include "plan/sharing.hpp"

namespace berth {

std::optional<AddressPlanner::Taking> AddressPlanner::pick(const Service& service,
                                                           const Claim& claim,
                                                           const FamilyClaim& family,
                                                           const std::vector<Taking>& so_far,
                                                           std::vector<Refusal>& refusals) {
  PoolChoice choice = choose_pools(claim, family, service, *world_, options_.pools);
  std::vector<Refusal> own;
  std::optional<Taking> taking;
  if (family.wanted) {
    for (const Pool* pool : choice.pools) {
      auto refusal = refuse_wanted(service, claim, *pool, *family.wanted, so_far);
      if (!refusal) return Taking{*family.wanted, pool};
      own.push_back(std::move(*refusal));
    }
    // Not to be had: what it shows stays, if nobody else has it.
    taking = adopt(service, claim, family, false);
  } else {
    if ((taking = adopt(service, claim, family, true))) return taking;
    if ((taking = kept_for(service, claim, family))) return taking;
    std::vector<const Pool*> pools;
    for (const Pool* pool : choice.pools) {
      if (auto refusal = over_quota(service, *pool, so_far))
        own.push_back(std::move(*refusal));
      else
        pools.push_back(pool);
    }
    if ((taking = former(service, claim, family, pools))) return taking;
    if ((taking = share(service, claim, family, choice.pools))) return taking;
    for (const Pool* pool : pools) {
      if (const auto ip = next_free(service, family, *pool)) return Taking{*ip, pool};
      own.push_back(full(*pool));
    }
  }
  std::ranges::move(own, std::back_inserter(refusals));
  std::ranges::move(choice.refusals, std::back_inserter(refusals));
  return taking;
}

// Shown but recorded nowhere: OpenELB gave it, or the records were lost. Keep it, whatever pool the rules
// would choose now, if any pool has it and it does not contradict an explicit pool.
std::optional<AddressPlanner::Taking> AddressPlanner::adopt(const Service& service,
                                                            const Claim& claim,
                                                            const FamilyClaim& family,
                                                            bool obey_named_pools) const {
  for (const IpAddress& ip : index_.shown_by(service.name)) {
    if (ip.family != family.family || !may_adopt(service, ip)) continue;
    const Pool* chosen = nullptr;
    for (const auto& [name, pool] : world_->pools.rows()) {
      if (pool.deleting || !pool.contains(ip)) continue;
      if (obey_named_pools && !claim.pools.empty() && !claim.names_pool(name)) continue;
      if (chosen == nullptr || name == service.pool_label) chosen = &pool;
    }
    if (chosen != nullptr) return Taking{ip, chosen};
  }
  return std::nullopt;
}

// A pool's reservation is the administrator's word: it holds whatever pool the rules would choose.
std::optional<AddressPlanner::Taking> AddressPlanner::kept_for(const Service& service,
                                                               const Claim& claim,
                                                               const FamilyClaim& family) const {
  for (const IpAddress& ip : index_.reserved_by(service.name)) {
    if (ip.family != family.family || !may_take(service, ip)) continue;
    for (const auto& [name, pool] : world_->pools.rows()) {
      const auto reserved = pool.reservations.find(ip);
      if (reserved == pool.reservations.end() || reserved->second != service.name) continue;
      if (is_usable(pool, ip) && (claim.pools.empty() || claim.names_pool(name))) return Taking{ip, &pool};
    }
  }
  return std::nullopt;
}

bool AddressPlanner::is_usable(const Pool& pool, const IpAddress& ip) { return !pool.deleting && !pool.disabled && pool.offers(ip); }

// What our annotation says, what it held until just now, what OpenELB's `status.used` says: wishes, granted
// where the address is free.
std::optional<AddressPlanner::Taking> AddressPlanner::former(const Service& service,
                                                             const Claim& claim,
                                                             const FamilyClaim& family,
                                                             const std::vector<const Pool*>& pools) const {
  const auto in_chosen_pool = [&](const IpAddress& ip) -> std::optional<Taking> {
    if (ip.family != family.family || !may_take(service, ip)) return std::nullopt;
    for (const Pool* pool : pools)
      if (pool->offers(ip)) return Taking{ip, pool};
    return std::nullopt;
  };
  if (const auto noted = service.annotations.find(keys::allocated); noted != service.annotations.end()) {
    for (std::string_view rest = noted->second; !rest.empty();) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      const auto ip = IpAddress::parse(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!ip) continue;
      if (auto taking = in_chosen_pool(*ip)) return taking;
      // The rules may have changed since; an address that was given stays.
      if (!claim.pools.empty() || ip->family != family.family || !may_take(service, *ip)) continue;
      for (const auto& [name, pool] : world_->pools.rows()) {
        if (!is_usable(pool, *ip) || over_quota(service, pool, {})) continue;
        Claim naming = claim;
        naming.pools = {name};
        if (!choose_pools(naming, family, service, *world_, options_.pools).pools.empty()) return Taking{*ip, &pool};
      }
    }
  }
  const std::string name = service.name.to_string();
  for (const IpAddress& ip : index_.left_by(name))
    if (auto taking = in_chosen_pool(ip)) return taking;
  const auto [begin, end] = legacy_used_.equal_range(name);
  for (auto legacy = begin; legacy != end; ++legacy)
    if (auto taking = in_chosen_pool(legacy->second)) return taking;
  return std::nullopt;
}

// With a sharing key and no wish, an address of that key is joined where that is possible.
std::optional<AddressPlanner::Taking> AddressPlanner::share(const Service& service,
                                                            const Claim& claim,
                                                            const FamilyClaim& family,
                                                            const std::vector<const Pool*>& pools) const {
  if (claim.sharing_key.empty()) return std::nullopt;
  const auto joinable = [&](const IpAddress& ip) -> std::optional<Taking> {
    if (ip.family != family.family || !obstacle(service, claim, ip, SharingConsent::by_key).empty()) return std::nullopt;
    for (const Pool* pool : pools)
      if (pool->offers(ip)) return Taking{ip, pool};
    return std::nullopt;
  };
  for (const IpAddress& ip : index_.with_sharing_key(claim.sharing_key))
    if (auto taking = joinable(ip)) return taking;
  if (const auto found = about_to_share_.find(claim.sharing_key); found != about_to_share_.end())
    for (const IpAddress& ip : found->second)
      if (auto taking = joinable(ip)) return taking;
  return std::nullopt;
}

// Lowest first, .0 included, as OpenELB; or what was never used, then what was freed longest ago. A cursor
// for each range remembers below what nothing is free.
std::optional<IpAddress> AddressPlanner::next_free(const Service& service, const FamilyClaim& family, const Pool& pool) {
  for (std::size_t i = 0; i < pool.offered.size(); ++i) {
    const IpRange& range = pool.offered[i];
    if (range.first.family != family.family) continue;
    IpAddress& cursor = cursors_.try_emplace({pool.name, i}, range.first).first->second;
    const auto free = index_.lowest_free(range, cursor, pool.avoid_buggy_ips);
    cursor = free.value_or(range.last);
    if (free) return free;
  }
  // What blocks remember as freed: this pool's first, and those of others that have the address too.
  const auto longest_free = [&](const Pool& memory) -> std::optional<IpAddress> {
    if (memory.order != AllocationOrder::least_recently_used) return std::nullopt;
    for (const auto& [freed_at, ip] : index_.use_of(memory.name).freed)
      if (ip.family == family.family && pool.offers(ip) && may_take(service, ip)) return ip;
    return std::nullopt;
  };
  if (const auto ip = longest_free(pool)) return ip;
  for (const auto& [name, other] : world_->pools.rows())
    if (const auto ip = longest_free(other)) return ip;
  return std::nullopt;
}

std::optional<Refusal> AddressPlanner::refuse_wanted(const Service& service,
                                                     const Claim& claim,
                                                     const Pool& pool,
                                                     const IpAddress& ip,
                                                     const std::vector<Taking>& so_far) const {
  const std::string which = fmt::format("the specified ip:{} of eip:{} is ", ip.to_string(), pool.name);
  const std::string cure = ": ask for another, or remove " + claim.wanted_by;
  if (!pool.offers(ip))
    return Refusal{PendingReason::wanted_ip_not_given, which + "not given out (Eip spec.exclude, spec.avoidBuggyIPs)" + cure};
  if (may_take(service, ip)) return over_quota(service, pool, so_far);
  if (const ObjectName* keeper = index_.reserved_for(ip); keeper != nullptr && *keeper != service.name)
    return Refusal{PendingReason::wanted_ip_reserved,
                   which + fmt::format("reserved for {} (Eip spec.reservations)", keeper->to_string()) + cure};
  std::string why;
  const SharingConsent consent = consent_at(ip);
  if (consent == SharingConsent::implicit || !claim.sharing_key.empty())
    why = obstacle(service, claim, ip, consent);
  else
    why = "in use by " + user_of(ip, service);
  if (why.empty()) return std::nullopt;
  return Refusal{PendingReason::wanted_ip_in_use, which + why + cure};
}

// For people: who has it.
std::string AddressPlanner::user_of(const IpAddress& ip, const Service& asking) const {
  if (const BlockEntry* entry = entry_at(ip)) {
    for (const Holder& holder : entry->holders)
      if (holder.service != asking.name) return holder.service.to_string();
    if (entry->holders.empty()) return entry->reserved_for + " (just released)";
  }
  if (const auto found = intents_.find(ip); found != intents_.end())
    for (const Intent& intent : found->second)
      if (intent.takes()) return intent.service.to_string();
  for (const ObjectName& name : index_.showing(ip))
    if (name != asking.name) return name.to_string();
  return "another Service";
}

std::optional<Refusal> AddressPlanner::over_quota(const Service& service, const Pool& pool, const std::vector<Taking>& so_far) const {
  if (pool.namespace_quotas.empty()) return std::nullopt;
  const std::string& space = service.name.space;
  auto quota = pool.namespace_quotas.find(space);
  if (quota == pool.namespace_quotas.end()) quota = pool.namespace_quotas.find("*");
  if (quota == pool.namespace_quotas.end()) return std::nullopt;
  const auto& held = index_.use_of(pool.name).by_namespace;
  std::int64_t used = std::ranges::count(so_far, &pool, &Taking::pool);
  if (const auto found = held.find(space); found != held.end()) used += found->second;
  if (const auto about = intended_.find({pool.name, space}); about != intended_.end()) used += about->second;
  if (used < quota->second) return std::nullopt;
  return Refusal{PendingReason::pool_quota,
                 fmt::format("{}: quota of namespace {} used up ({}; Eip spec.namespaceQuotas)", pool.name, space, quota->second)};
}

// Free for this Service: not recorded, not about to be, not shown by another, not kept for another.
bool AddressPlanner::may_take(const Service& service, const IpAddress& ip) const {
  if (index_.is_free(ip)) return true;
  if (!is_unrecorded_for(service, ip)) return false;
  return std::ranges::all_of(index_.showing(ip), [&](const ObjectName& name) { return name == service.name; });
}

// Where several of ours show one address, the first in line keeps it and the others move; if nobody
// might, all would.
bool AddressPlanner::may_adopt(const Service& service, const IpAddress& ip) const {
  if (!is_unrecorded_for(service, ip)) return false;
  return std::ranges::all_of(index_.showing(ip), [&](const ObjectName& name) {
    const Service* other = world_->services.find(name);
    return other == nullptr || std::holds_alternative<Claim>(judge(*other));
  });
}

// No holder, not in another's quarantine, not about to be taken, not kept for another.
bool AddressPlanner::is_unrecorded_for(const Service& service, const IpAddress& ip) const {
  if (index_.is(ip, AddressIndex::Use::assigned)) return false;
  if (const ObjectName* keeper = index_.reserved_for(ip); keeper != nullptr && *keeper != service.name) return false;
  const BlockEntry* entry = entry_at(ip);
  if (entry == nullptr) return true;
  if (!entry->holders.empty()) return false;
  return entry->reserved_for == service.name.to_string() || quarantine_ended(ip, *entry);
}

// Why this Service can't share the address with those that have it or are about to take it; empty: it can.
std::string AddressPlanner::obstacle(const Service& service, const Claim& claim, const IpAddress& ip, SharingConsent consent) const {
  const auto judge_one = [&](const ObjectName& name, const Uid& uid) -> std::string {
    if (name == service.name) return "";
    const Service* other = world_->services.find(name);
    const auto verdict = other == nullptr ? SkipReason::deleting : judge(*other);
    const auto* theirs = std::get_if<Claim>(&verdict);
    if (other == nullptr || other->uid != uid || theirs == nullptr) return "in use by " + name.to_string() + ", which is going";
    return sharing_obstacle({service, claim}, {*other, *theirs}, consent);
  };
  const BlockEntry* entry = entry_at(ip);
  bool anybody = false;
  if (entry != nullptr)
    for (const Holder& holder : entry->holders) {
      anybody = true;
      if (holder.state == HolderState::freeing) return "being released by " + holder.service.to_string();
      if (holder.uid == service.uid) return "in use by the Service itself, which has to leave it";
      if (std::string why = judge_one(holder.service, holder.uid); !why.empty()) return why;
    }
  // Whoever joined would be moved at once.
  if (anybody && is_drained(ip, *entry))
    return fmt::format("in use by {}, and its eip {} is drained", user_of(ip, service), home_of(ip, *entry)->name);
  if (const auto found = intents_.find(ip); found != intents_.end())
    for (const Intent& intent : found->second) {
      if (intent.kind == Intent::Kind::start_freeing) return "about to be released by " + intent.service.to_string();
      if (!intent.takes()) continue;
      anybody = true;
      if (std::string why = judge_one(intent.service, intent.kind == Intent::Kind::join ? intent.uid : intent.next); !why.empty())
        return why;
    }
  for (const ObjectName& name : index_.showing(ip)) {
    const bool recorded = entry != nullptr && std::ranges::find(entry->holders, name, &Holder::service) != entry->holders.end();
    if (name != service.name && !recorded) return "shown by " + name.to_string();
  }
  return anybody ? "" : "in use by " + user_of(ip, service);
}

Refusal AddressPlanner::full(const Pool& pool) {
  return {PendingReason::pool_full, fmt::format("no suitable ip to allocate: {0}: full ({1}/{1})", pool.name, pool.size())};
}

}  // namespace berth
