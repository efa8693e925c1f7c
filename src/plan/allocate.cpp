#include "plan/allocate.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

// One record of one Service, found in a block.
struct Held {
  IpAddress ip;
  const BlockEntry* entry = nullptr;
  const Holder* holder = nullptr;
  const AddressBlock* block = nullptr;
};

// The blocks of this pass: what is known, and copies of those that change.
class BlockEditor {
 public:
  explicit BlockEditor(const Table<AddressBlock>& known) : known_(known) {}

  [[nodiscard]] const BlockEntry* find(const IpAddress& ip) const {
    const AddressBlock* block = current(block_name(ip));
    if (block == nullptr) return nullptr;
    const auto found = block->addresses.find(ip);
    return found == block->addresses.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::size_t entries_of(const std::string& name) const {
    const AddressBlock* block = current(name);
    return block == nullptr ? 0 : block->addresses.size();
  }
  AddressBlock& edit(const IpAddress& ip) {
    const std::string name = block_name(ip);
    const auto found = edited_.find(name);
    if (found != edited_.end()) return found->second;
    AddressBlock copy;
    if (const AddressBlock* known = known_.find(name)) copy = *known;
    copy.name = name;
    return edited_.emplace(name, std::move(copy)).first->second;
  }
  [[nodiscard]] bool is_edited(const std::string& name) const { return edited_.contains(name); }
  std::map<std::string, AddressBlock>& edited() { return edited_; }

 private:
  [[nodiscard]] const AddressBlock* current(const std::string& name) const {
    const auto found = edited_.find(name);
    return found != edited_.end() ? &found->second : known_.find(name);
  }
  const Table<AddressBlock>& known_;
  std::map<std::string, AddressBlock> edited_;
};

class Planner {
 public:
  Planner(const World& world, AllocationMemory& memory, const AllocationOptions& options, Instant now)
      : world_(world), memory_(memory), options_(options), now_(now), blocks_(world.blocks) {}

  AddressPlan run() {
    index_records();
    for (const auto& [name, block] : world_.blocks.rows()) continue_block(block);
    const auto claims = judge_services();
    for (const auto& [service, claim] : claims) claiming_.insert(service);
    for (const auto& [service, claim] : claims) settle(*service, claim);
    for (auto& [name, block] : blocks_.edited()) plan_.block_writes.push_back({std::move(block)});
    upkeep_pools();
    forget_what_is_over();
    return std::move(plan_);
  }

 private:
  void index_records() {
    for (const auto& [name, block] : world_.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        for (const Holder& holder : entry.holders) records_[holder.service].push_back({ip, &entry, &holder, &block});
    // Addresses that a Service shows are not given to others, recorded or not: an adoption may be due.
    for (const auto& [name, service] : world_.services.rows())
      for (const Ingress& ingress : service.ingress)
        if (const auto ip = IpAddress::parse(ingress.ip)) shown_.emplace(*ip, &service);
  }

  [[nodiscard]] std::vector<Held> records_of(const Service& service, HolderState state) const {
    std::vector<Held> out;
    const auto found = records_.find(service.name);
    if (found == records_.end()) return out;
    for (const Held& held : found->second)
      if (held.holder->uid == service.uid && held.holder->state == state) out.push_back(held);
    return out;
  }

  // -- giving back ------------------------------------------------------------------------------

  void continue_block(const AddressBlock& block) {
    for (const auto& [ip, entry] : block.addresses) {
      if (entry.holders.empty()) {
        end_quarantine(ip);
        continue;
      }
      memory_.quarantined_since.erase(ip);
      for (const Holder& holder : entry.holders) {
        if (holder.state == HolderState::freeing)
          continue_giving_back({ip, &entry, &holder, &block});
        else
          check_holder({ip, &entry, &holder, &block});
      }
    }
  }

  void end_quarantine(const IpAddress& ip) {
    const Instant since = memory_.quarantined_since.try_emplace(ip, now_).first->second;
    const Instant ends = since + options_.quarantine;
    if (ends > now_) {
      wake(ends);
      return;
    }
    blocks_.edit(ip).addresses.erase(ip);
    memory_.quarantined_since.erase(ip);
  }

  // A held record whose Service is gone, is another, or does not claim any more: start giving back.
  void check_holder(const Held& held) {
    const Service* service = world_.services.find(held.holder->service);
    if (service == nullptr || service->uid != held.holder->uid) {
      if (known_gone(held))
        start_giving_back(held);
      else
        plan_.service_reads.insert(held.holder->service);
      return;
    }
    if (std::holds_alternative<SkipReason>(judge_claim(*service))) start_giving_back(held);
  }

  // B7. The cache may be older or newer than the record; a read that began after this version of the
  // block was heard can't be older than the record.
  [[nodiscard]] bool known_gone(const Held& held) const {
    const auto read = memory_.gone.find(held.holder->service);
    return read != memory_.gone.end() && read->second.read_at > held.block->heard_at && read->second.found != held.holder->uid;
  }

  // B3.
  void start_giving_back(const Held& held) {
    for (Holder& holder : blocks_.edit(held.ip).addresses[held.ip].holders)
      if (holder == *held.holder) {
        holder.state = HolderState::freeing;
        holder.mark = fmt::format("{}-{}", options_.mark_prefix, now_.since_start.count());
      }
  }

  void continue_giving_back(const Held& held) {
    const GivingBack step{held.ip, held.holder->uid, held.holder->mark};
    if (memory_.cleared.contains(step)) {
      remove_holder(held);
      return;
    }
    const Service* service = world_.services.find(held.holder->service);
    if (service != nullptr && service->uid == held.holder->uid) {
      plan_.service_writes.push_back({ServiceWrite::Kind::clear, clear(*service, held), held.ip.to_string(), false, step});
      return;
    }
    if (known_gone(held))
      remove_holder(held);
    else
      plan_.service_reads.insert(held.holder->service);
  }

  void remove_holder(const Held& held) {
    BlockEntry& entry = blocks_.edit(held.ip).addresses[held.ip];
    std::erase(entry.holders, *held.holder);
    if (entry.holders.empty()) entry.reserved_for = held.holder->service.to_string();
  }

  // B5. Takes this address off; label and finalizer too, unless the Service keeps another record.
  [[nodiscard]] ServicePatch clear(const Service& service, const Held& held) const {
    ServicePatch patch{service.name, service.uid, service.version, {}, {}, {}, {}};
    const auto found = records_.find(service.name);
    const bool keeps_another = std::ranges::any_of(
        found->second, [&](const Held& other) { return other.holder->uid == service.uid && other.ip != held.ip; });
    if (!keeps_another) take_off_our_marks(service, patch);
    // A Service that is not LoadBalancer any more refuses any word about ingress; it has none.
    if (service.type == ServiceType::load_balancer) {
      std::vector<Ingress> rest = service.ingress;
      std::erase_if(rest, [&](const Ingress& entry) { return IpAddress::parse(entry.ip) == held.ip; });
      if (rest != service.ingress) patch.ingress = std::move(rest);
    }
    if (patch.changes_nothing()) patch.annotations[std::string{keys::fence}] = held.holder->mark;
    return patch;
  }

  static void take_off_our_marks(const Service& service, ServicePatch& patch) {
    if (service.has_pool_label) patch.labels[std::string{keys::pool}] = std::nullopt;
    if (service.annotations.contains(keys::allocated)) patch.annotations[std::string{keys::allocated}] = std::nullopt;
    std::vector<std::string> rest = service.finalizers;
    if (std::erase(rest, std::string{keys::service_finalizer}) > 0) patch.finalizers = std::move(rest);
  }

  // -- claims -----------------------------------------------------------------------------------

  // In the order in which they are served: first those that show or once had an address, so that
  // nobody takes it from them, then the oldest.
  std::vector<std::pair<const Service*, Claim>> judge_services() {
    std::vector<std::pair<const Service*, Claim>> claims;
    for (const auto& [name, service] : world_.services.rows()) {
      auto verdict = judge_claim(service);
      if (auto* claim = std::get_if<Claim>(&verdict)) {
        claims.emplace_back(&service, std::move(*claim));
        continue;
      }
      const SkipReason reason = std::get<SkipReason>(verdict);
      if (reason == SkipReason::unknown_opt_in_value)
        plan_.misaddressed.push_back(
            {name,
             service.uid,
             {{PendingReason::no_pool,
               fmt::format("annotation {} has the value \"{}\": only \"{}\" asks for an address; "
                           "the Service is left alone",
                           keys::opt_in, clipped(service.annotations.find(keys::opt_in)->second, 100), keys::opt_in_value)}}});
      strip_leftovers(service, reason);
    }
    const auto rank = [&](const auto& item) {
      const Service& s = *item.first;
      const bool has_history = !s.ingress.empty() || s.annotations.contains(keys::allocated);
      return std::tuple{has_history ? 0 : 1, std::cref(s.created), std::cref(s.name)};
    };
    std::ranges::sort(claims, [&](const auto& a, const auto& b) {
      const auto [ha, ca, na] = rank(a);
      const auto [hb, cb, nb] = rank(b);
      if (ha != hb) return ha < hb;
      if (ca.get() != cb.get()) return ca.get() < cb.get();
      return na.get() < nb.get();
    });
    return claims;
  }

  // Label, finalizer or address of ours on a Service that neither claims nor is recorded: left by a
  // crash, by OpenELB or by a restore. Without this its deletion would hang for ever.
  void strip_leftovers(const Service& service, SkipReason reason) {
    const bool finalizer = std::ranges::find(service.finalizers, keys::service_finalizer) != service.finalizers.end();
    if (!finalizer && !service.has_pool_label) return;
    const auto found = records_.find(service.name);
    if (found != records_.end() && std::ranges::any_of(found->second, [&](const Held& held) { return held.holder->uid == service.uid; }))
      return;  // giving back is under way
    ServicePatch patch{service.name, service.uid, service.version, {}, {}, {}, {}};
    take_off_our_marks(service, patch);
    if (service.type == ServiceType::load_balancer && reason != SkipReason::foreign_class) {
      std::vector<Ingress> rest = service.ingress;
      std::erase_if(rest, [](const Ingress& entry) { return !entry.ip.empty(); });
      if (rest != service.ingress) patch.ingress = std::move(rest);
    }
    plan_.service_writes.push_back({ServiceWrite::Kind::strip, std::move(patch), "", false, {}});
  }

  void settle(const Service& service, const Claim& claim) {
    const std::vector<Held> held = records_of(service, HolderState::held);
    if (held.empty()) {
      if (!records_of(service, HolderState::freeing).empty()) {
        pend(service, {{PendingReason::being_released, "its former address is still being released"}});
        return;
      }
      take(service, claim);
      return;
    }
    ++plan_.allocated;
    const Held* target = &held.front();
    for (const Held& candidate : held)
      if (satisfies(candidate, claim)) target = &candidate;
    if (!satisfies(*target, claim)) take(service, claim);  // asked for another: secure it first
    publish(service, *target);
    // The new one is shown, so the old one can go.
    if (shows_only(service, target->ip))
      for (const Held& other : held)
        if (other.ip != target->ip) start_giving_back(other);
  }

  // Whether what is held is what the Service explicitly asks for. Nothing else moves an address.
  static bool satisfies(const Held& held, const Claim& claim) {
    if (claim.wanted_ip) return held.ip == *claim.wanted_ip;
    if (!claim.pool.empty()) return held.entry->pool == claim.pool;
    return true;
  }

  static bool shows_only(const Service& service, const IpAddress& ip) {
    std::size_t addresses = 0;
    bool shown = false;
    for (const Ingress& entry : service.ingress) {
      if (entry.ip.empty()) continue;
      ++addresses;
      shown = shown || IpAddress::parse(entry.ip) == ip;
    }
    return shown && addresses == 1;
  }

  void publish(const Service& service, const Held& held) {
    ServicePatch patch{service.name, service.uid, service.version, {}, {}, {}, {}};
    const std::string ip = held.ip.to_string();
    if (!service.has_pool_label || service.pool_label != held.entry->pool) patch.labels[std::string{keys::pool}] = held.entry->pool;
    const auto allocated = service.annotations.find(keys::allocated);
    if (allocated == service.annotations.end() || allocated->second != ip) patch.annotations[std::string{keys::allocated}] = ip;
    if (std::ranges::find(service.finalizers, keys::service_finalizer) == service.finalizers.end()) {
      patch.finalizers = service.finalizers;
      patch.finalizers->emplace_back(keys::service_finalizer);
    }
    const bool newly = !shows_only(service, held.ip);
    if (newly) {
      std::vector<Ingress> ingress{{ip, ""}};
      for (const Ingress& entry : service.ingress)
        if (entry.ip.empty()) ingress.push_back(entry);  // host names are others'
      patch.ingress = std::move(ingress);
    }
    if (patch.changes_nothing()) return;
    if (service.annotations.contains(keys::fence)) patch.annotations[std::string{keys::fence}] = std::nullopt;
    // B4.
    if (held.block->read_at <= service.heard_at) {
      plan_.block_reads.insert(held.block->name);
      return;
    }
    plan_.service_writes.push_back({ServiceWrite::Kind::publish, std::move(patch), ip, newly, {}});
  }

  // -- taking -----------------------------------------------------------------------------------

  void take(const Service& service, const Claim& claim) {
    PoolChoice choice = choose_pools(claim, service.name, world_);
    if (!claim.wanted_ip && adopt(service, claim, choice)) return;
    for (const Pool* pool : choice.pools) {
      if (claim.wanted_ip) {
        if (auto refusal = refuse_wanted(service, *pool, *claim.wanted_ip))
          choice.refusals.insert(choice.refusals.begin(), std::move(*refusal));
        else
          return record(service, *pool, *claim.wanted_ip);
      } else if (const auto ip = former_address(service, claim, *pool)) {
        return record(service, *pool, *ip);
      } else if (const auto free = lowest_free(service, claim, *pool)) {
        return record(service, *pool, *free);
      } else {
        choice.refusals.insert(choice.refusals.begin(), full(*pool));
      }
    }
    pend(service, std::move(choice.refusals));
  }

  // Shown but recorded nowhere: OpenELB gave it, or the records were lost. Keep it, whatever pool the
  // rules would choose now, if any pool has it and it does not contradict an explicit pool.
  bool adopt(const Service& service, const Claim& claim, const PoolChoice&) {
    for (const Ingress& entry : service.ingress) {
      const auto ip = IpAddress::parse(entry.ip);
      if (!ip || !may_adopt(service, *ip)) continue;
      if (const Pool* pool = pool_of(*ip, service, claim)) {
        record(service, *pool, *ip);
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] const Pool* pool_of(const IpAddress& ip, const Service& service, const Claim& claim) const {
    const auto has = [&](const Pool* pool) {
      return pool != nullptr && !pool->deleting &&
             std::ranges::any_of(pool->ranges, [&](const IpRange& range) { return range.contains(ip); });
    };
    if (!claim.pool.empty()) {
      const Pool* named = world_.pools.find(claim.pool);
      return has(named) ? named : nullptr;
    }
    if (const Pool* labelled = world_.pools.find(service.pool_label); has(labelled)) return labelled;
    for (const auto& [name, pool] : world_.pools.rows())
      if (has(&pool)) return &pool;
    return nullptr;
  }

  // What our annotation or OpenELB's `status.used` says that it had, if the chosen pool has it free.
  std::optional<IpAddress> former_address(const Service& service, const Claim& claim, const Pool& pool) {
    const auto usable = [&](const std::optional<IpAddress>& ip) {
      return ip && fits(*ip, claim) && may_take(service, *ip) &&
             std::ranges::any_of(pool.ranges, [&](const IpRange& range) { return range.contains(*ip); });
    };
    if (const auto wish = service.annotations.find(keys::allocated); wish != service.annotations.end())
      if (const auto ip = IpAddress::parse(wish->second); usable(ip)) return ip;
    const auto recorded = used_by_service(pool).find(service.name.to_string());
    if (recorded != used_by_service(pool).end() && usable(recorded->second)) return recorded->second;
    return std::nullopt;
  }

  const std::map<std::string, IpAddress, std::less<>>& used_by_service(const Pool& pool) {
    auto [it, added] = used_.try_emplace(pool.name);
    if (!added) return it->second;
    for (const auto& [address, services] : pool.status.used)
      if (const auto ip = IpAddress::parse(address))
        for (std::size_t begin = 0; begin <= services.size();) {
          const std::size_t end = std::min(services.find(';', begin), services.size());
          it->second.emplace(services.substr(begin, end - begin), *ip);
          begin = end + 1;
        }
    return it->second;
  }

  static bool fits(const IpAddress& ip, const Claim& claim) { return std::ranges::find(claim.families, ip.family) != claim.families.end(); }

  // No holder, and not in another's quarantine.
  [[nodiscard]] bool unrecorded(const Service& service, const IpAddress& ip) const {
    const BlockEntry* entry = blocks_.find(ip);
    return entry == nullptr || (entry->holders.empty() && entry->reserved_for == service.name.to_string());
  }

  // Free for this Service: not recorded and not shown by another.
  [[nodiscard]] bool may_take(const Service& service, const IpAddress& ip) const {
    if (!unrecorded(service, ip)) return false;
    const auto [begin, end] = shown_.equal_range(ip);
    return std::all_of(begin, end, [&](const auto& item) { return item.second == &service; });
  }

  // Where several of ours show one address, the first in line keeps it and the others move; if nobody
  // might, all would.
  [[nodiscard]] bool may_adopt(const Service& service, const IpAddress& ip) const {
    if (!unrecorded(service, ip)) return false;
    const auto [begin, end] = shown_.equal_range(ip);
    return std::all_of(begin, end, [&](const auto& item) { return claiming_.contains(item.second); });
  }

  std::optional<Refusal> refuse_wanted(const Service& service, const Pool& pool, const IpAddress& ip) const {
    if (may_take(service, ip)) return std::nullopt;
    std::string by = "another Service";
    if (const BlockEntry* entry = blocks_.find(ip)) {
      if (!entry->holders.empty())
        by = entry->holders.front().service.to_string();
      else
        by = entry->reserved_for + " (just released)";
    } else if (const auto shown = shown_.find(ip); shown != shown_.end()) {
      by = shown->second->name.to_string();
    }
    return Refusal{
        PendingReason::wanted_ip_in_use,
        fmt::format("the specified ip:{} of eip:{} is in use by {}: ask for another or remove the wish", ip.to_string(), pool.name, by)};
  }

  // Lowest first, .0 included, as OpenELB. Within one pass nothing becomes free, so a cursor per pool
  // and family never has to go back; full blocks are stepped over whole.
  std::optional<IpAddress> lowest_free(const Service& service, const Claim& claim, const Pool& pool) {
    for (std::size_t i = 0; i < pool.ranges.size(); ++i) {
      const IpRange& range = pool.ranges[i];
      if (!fits(range.first, claim)) continue;
      auto [cursor, added] = cursors_.try_emplace({pool.name, i}, range.first);
      std::optional<IpAddress>& at = cursor->second;
      while (at) {
        const IpRange block = block_range(*at);
        if (*at == block.first && blocks_.entries_of(block_name(*at)) == block.size()) {
          at = next_after(block.last, range);
        } else if (may_take(service, *at)) {
          const IpAddress free = *at;
          at = next_after(free, range);
          return free;
        } else {
          at = next_after(*at, range);
        }
      }
    }
    return std::nullopt;
  }

  static std::optional<IpAddress> next_after(const IpAddress& ip, const IpRange& range) {
    if (ip >= range.last) return std::nullopt;
    return ip.plus(1);
  }

  void record(const Service& service, const Pool& pool, const IpAddress& ip) {
    BlockEntry& entry = blocks_.edit(ip).addresses[ip];
    entry = BlockEntry{};
    entry.holders.push_back({service.name, service.uid, HolderState::held, ""});
    entry.pool = pool.name;
    entry.protocol = pool.protocol;
    entry.interface = pool.interface;
    memory_.quarantined_since.erase(ip);
  }

  Refusal full(const Pool& pool) {
    std::uint64_t size = 0;
    for (const IpRange& range : pool.ranges) size = std::max(size, size + range.size());
    return {PendingReason::pool_full,
            fmt::format("no suitable ip to allocate: eip:{} is full ({} addresses): enlarge it or free some", pool.name, size)};
  }

  void pend(const Service& service, std::vector<Refusal> refusals) {
    plan_.pending.push_back({service.name, service.uid, std::move(refusals)});
  }

  // -- pools ------------------------------------------------------------------------------------

  void upkeep_pools() {
    std::map<std::string, Pool::Status> status;
    for (const auto& [name, pool] : world_.pools.rows()) {
      Pool::Status& s = status[name];
      std::uint64_t size = 0;
      for (const IpRange& range : pool.ranges) size = std::max(size + range.size(), size);
      s.pool_size = static_cast<std::int64_t>(std::min<std::uint64_t>(size, INT64_MAX));
      s.ready = pool.invalid.empty();
      if (!pool.ranges.empty()) {
        s.first_ip = pool.ranges.front().first.to_string();
        s.last_ip = pool.ranges.back().last.to_string();
        s.v4 = pool.ranges.front().first.family == IpFamily::v4;
      }
    }
    for (const auto& [block_key, block] : world_.blocks.rows())
      for (const auto& [ip, entry] : block.addresses) {
        const auto found = status.find(entry.pool);
        if (found == status.end() || entry.holders.empty()) continue;
        std::string& used = found->second.used[ip.to_string()];
        for (const Holder& holder : entry.holders) used += (used.empty() ? "" : ";") + holder.service.to_string();
      }
    for (auto& [name, s] : status) {
      s.usage = static_cast<std::int64_t>(s.used.size());
      s.occupied = s.ready && s.usage >= s.pool_size;
    }
    for (const auto& [name, pool] : world_.pools.rows()) upkeep_finalizer(pool, status[name].used.empty());
    plan_.pool_status = std::move(status);
  }

  // A pool in use waits for its last address, and an edit of this pass counts as use.
  void upkeep_finalizer(const Pool& pool, bool unused) {
    const bool has = std::ranges::find(pool.finalizers, keys::pool_finalizer) != pool.finalizers.end();
    std::vector<std::string> finalizers = pool.finalizers;
    if (!pool.deleting && !has) {
      finalizers.emplace_back(keys::pool_finalizer);
    } else if (pool.deleting && has && unused) {
      const bool being_taken = std::ranges::any_of(plan_.block_writes, [&](const BlockWrite& write) {
        return std::ranges::any_of(write.block.addresses,
                                   [&](const auto& item) { return item.second.pool == pool.name && !item.second.holders.empty(); });
      });
      if (being_taken) return;
      std::erase(finalizers, std::string{keys::pool_finalizer});
    } else {
      return;
    }
    plan_.pool_writes.push_back({pool, std::move(finalizers)});
  }

  // Keeps the memory as small as what is under way.
  void forget_what_is_over() {
    std::erase_if(memory_.gone, [&](const auto& item) { return !records_.contains(item.first); });
    std::set<GivingBack> under_way;
    for (const auto& [name, held] : records_)
      for (const Held& h : held)
        if (h.holder->state == HolderState::freeing) under_way.insert({h.ip, h.holder->uid, h.holder->mark});
    std::erase_if(memory_.cleared, [&](const GivingBack& step) { return !under_way.contains(step); });
    std::erase_if(memory_.quarantined_since, [&](const auto& item) {
      const AddressBlock* block = world_.blocks.find(block_name(item.first));
      return block == nullptr || !block->addresses.contains(item.first);
    });
  }

  void wake(Instant at) {
    if (!plan_.wake_at || at < *plan_.wake_at) plan_.wake_at = at;
  }

  const World& world_;
  AllocationMemory& memory_;
  const AllocationOptions& options_;
  const Instant now_;
  BlockEditor blocks_;
  AddressPlan plan_;
  std::map<ObjectName, std::vector<Held>> records_;
  std::multimap<IpAddress, const Service*> shown_;
  std::set<const Service*> claiming_;  // asked for membership only, so that its order tells nothing
  std::map<std::string, std::map<std::string, IpAddress, std::less<>>> used_;
  std::map<std::pair<std::string, std::size_t>, std::optional<IpAddress>> cursors_;
};

}  // namespace

std::string Pending::text() const {
  std::string out;
  for (const Refusal& refusal : refusals) out += (out.empty() ? "" : "; ") + refusal.text;
  return out;
}

AddressPlan plan_addresses(const World& world, AllocationMemory& memory, const AllocationOptions& options, Instant now) {
  if (!world.services.synced() || !world.pools.synced() || !world.blocks.synced() || !world.namespaces.synced()) return {};
  return Planner{world, memory, options, now}.run();
}

}  // namespace berth
