// What becomes of the pools themselves: finalizers, and the status that people read. Part of AddressPlanner.
#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text.hpp"
#include "plan/allocate.hpp"

namespace berth {
namespace {

constexpr std::size_t condition_message_max = 1024;
// Near etcd's limit of 1.5 MiB for one object, the view of a pool is cut short; allocation goes on.
constexpr std::size_t used_entries_max = 25'000;

bool has_finalizer(const Pool& pool) { return std::ranges::find(pool.finalizers, keys::pool_finalizer) != pool.finalizers.end(); }

}  // namespace

// Nothing is taken from a pool that could be deleted under its first Services: what is intended waits until the
// finalizer is on, as long as one write takes. Says whether that changed.
bool AddressPlanner::note_finalizer(const std::string& name) {
  const Pool* pool = world_->pools.find(name);
  const bool has_yet_to = pool != nullptr && !pool->deleting && !has_finalizer(*pool);
  return has_yet_to ? unmarked_.insert(name).second : unmarked_.erase(name) > 0;
}

void AddressPlanner::upkeep_pools() {
  for (const std::string& name : index_.take_changed_pools()) {
    changed_pools_.insert(name);
    upkeep_.insert(name);
  }
  for (const std::string& name : upkeep_) {
    pool_writes_.erase(name);
    const Pool* pool = world_->pools.find(name);
    if (pool == nullptr) continue;
    std::vector<std::string> finalizers = pool->finalizers;
    if (unmarked_.contains(name))
      finalizers.emplace_back(keys::pool_finalizer);
    else if (pool->deleting && has_finalizer(*pool) && !is_in_use(name))  // it waits for its last address
      std::erase(finalizers, std::string{keys::pool_finalizer});
    else
      continue;
    pool_writes_.emplace(name, PoolWrite{*pool, std::move(finalizers)});
  }
  upkeep_.clear();
}

bool AddressPlanner::is_in_use(const std::string& pool) const {
  if (index_.use_of(pool).held > 0) return true;
  const auto about = intended_.lower_bound({pool, ""});
  return about != intended_.end() && about->first.first == pool;
}

Pool::Status AddressPlanner::pool_status(const Pool& pool, const World& world, WallTime wall) const {
  Pool::Status out;
  out.pool_size = pool.size();
  out.ready = pool.invalid.empty();
  if (!pool.ranges.empty()) {
    out.first_ip = pool.ranges.front().first.to_string();
    out.last_ip = pool.ranges.back().last.to_string();
    out.v4 = pool.ranges.front().first.family == IpFamily::v4;
  }
  out.used = index_.used_of(pool.name);
  out.usage = static_cast<std::int64_t>(out.used.size());
  out.occupied = out.ready && out.usage >= out.pool_size;
  std::uint64_t taken = 0;
  for (const IpRange& range : pool.offered) taken += index_.taken_in(range, pool.avoid_buggy_ips);
  out.free = std::max<std::int64_t>(out.pool_size - static_cast<std::int64_t>(taken), 0);

  const auto say = [&](std::string type, bool is, std::string reason, std::string message) {
    Condition condition{std::move(type), is ? "True" : "False", std::move(reason), clipped(message, condition_message_max)};
    const auto known = std::ranges::find(pool.status.conditions, condition.type, &Condition::type);
    const bool as_before = known != pool.status.conditions.end() && known->status == condition.status;
    condition.last_transition = as_before ? known->last_transition : to_rfc3339(wall);
    const bool same = known != pool.status.conditions.end() && known->says_as(condition);
    condition.observed_generation = same ? known->observed_generation : pool.generation;
    out.conditions.push_back(std::move(condition));
  };
  if (!pool.invalid.empty())
    say("Ready", false, "Invalid", pool.invalid);
  else if (pool.deleting)
    say("Ready", false, "Deleting", out.used.empty() ? "" : fmt::format("waits for {} addresses in use", out.used.size()));
  else if (pool.disabled)
    say("Ready", false, "Disabled", "spec.disable is true: no new addresses are given out");
  else if (out.free == 0)
    say("Ready", false, "Full", fmt::format("all {} addresses are taken", out.pool_size));
  else
    say("Ready", true, "Ready", "");

  std::string overlapping;
  for (const auto& [name, other] : world.pools.rows()) {
    if (name == pool.name) continue;
    const bool overlaps = std::ranges::any_of(pool.ranges, [&](const IpRange& mine) {
      return std::ranges::any_of(other.ranges, [&](const IpRange& theirs) { return mine.overlaps(theirs); });
    });
    if (overlaps) overlapping += (overlapping.empty() ? "" : ", ") + name;
  }
  say("Overlapping", !overlapping.empty(), overlapping.empty() ? "NoOverlap" : "Overlap",
      overlapping.empty()
          ? ""
          : "eip address overlap with " + overlapping + ": no address is given twice, but whose it is depends on the order");

  std::size_t orphans = 0;
  std::string some;
  for (const auto& [address, services] : out.used) {
    const auto ip = IpAddress::parse(address);
    if (!ip || pool.offers(*ip)) continue;
    if (++orphans <= 3) some += fmt::format("{}{} ({})", some.empty() ? "" : ", ", address, services);
  }
  if (!pool.invalid.empty()) orphans = 0;
  say("Orphans", orphans > 0, orphans > 0 ? "InUseOutside" : "None",
      orphans == 0 ? ""
                   : fmt::format("{} addresses in use are not in the pool any more: {}; set spec.drain to true to move their Services",
                                 orphans, some));
  if (pool.is_default && !pool.deleting) {
    std::vector<const Pool*> defaults;  // in the order of choose_pools
    for (const auto& [name, other] : world.pools.rows())
      if (other.is_default && !other.deleting) defaults.push_back(&other);
    std::ranges::sort(defaults, {}, [](const Pool* one) { return std::tie(one->priority, one->name); });
    std::string names;
    for (const Pool* one : defaults) names += (names.empty() ? "" : ", ") + one->name;
    if (defaults.size() > 1)
      say("SeveralDefaults", true, "SecondDefault",
          fmt::format("{} are default pools: of these, Services get an address from the first that has one; take the annotation {} off "
                      "all but one",
                      clipped(names, 300), keys::default_pool));
  }
  const bool cut = out.used.size() > used_entries_max;
  if (cut) {
    out.used.erase(std::next(out.used.begin(), used_entries_max), out.used.end());
    say("UsedIsCut", true, "TooMany",
        fmt::format("status.used shows {} of {} addresses: more does not go into one object; all are recorded "
                    "in the AddressBlocks",
                    used_entries_max, out.usage));
  }
  return out;
}

}  // namespace berth
