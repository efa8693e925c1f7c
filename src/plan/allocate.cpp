// What is decided about each Service. Which of them to look at: changes.cpp; which address one takes: take.cpp; how
// the record changes: record.cpp; what is written to it: publish.cpp; pools: pool_upkeep.cpp.
#include "plan/allocate.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
void AddressPlanner::plan(const World& world, const Moment& moment) {
  world_ = &world;
  moment_ = moment;
  if (!collect()) return;
  end_quarantines();
  undo({names_.begin(), names_.end()});
  look_at_the_hungry();

  serve();
  if (std::exchange(taken_, false) && !hungry_.empty() && fullness_changed()) {  // what is said of the pools is another
    retry_ = true;
    look_at_the_hungry();
    serve();
  }

  compose_blocks();
  upkeep_pools();
  for (const ObjectName& name : names_) changed_.push_back(name);
  names_.clear();
  touched_.clear();
  retry_ = false;
}

// In the order in which they are served: first those that show or once had an address, so that nobody
// takes it from them, then the oldest.
void AddressPlanner::serve() {
  struct InLine {
    bool history;
    const std::string* created;
    const ObjectName* name;
  };
  static const std::string unknown;
  std::vector<InLine> line;
  for (const ObjectName& name : names_) {
    const Service* service = world_->services.find(name);
    line.push_back({service != nullptr && has_history(*service), service == nullptr ? &unknown : &service->created, &name});
  }
  std::ranges::sort(line, [](const InLine& a, const InLine& b) {
    if (a.history != b.history) return a.history;
    return std::tie(*a.created, *a.name) < std::tie(*b.created, *b.name);
  });
  for (const InLine& one : line)
    if (!decisions_.contains(*one.name)) decide(*one.name);
}

bool AddressPlanner::fullness_changed() {
  bool changed = false;
  for (const auto& [name, pool] : world_->pools.rows()) {
    if (!pool.namespace_quotas.empty()) changed = true;
    if (full_.contains(name)) continue;
    const bool has_free = std::ranges::any_of(
        pool.offered, [&](const IpRange& range) { return index_.lowest_free(range, range.first, pool.avoid_buggy_ips).has_value(); });
    if (!has_free) changed = full_.insert(name).second;
  }
  return changed;
}

// -- what is held -----------------------------------------------------------------------------------

const BlockEntry* AddressPlanner::entry_at(const IpAddress& ip, const AddressBlock** in) const {
  const AddressBlock* block = world_->blocks.find(block_name(ip));
  if (in != nullptr) *in = block;
  if (block == nullptr) return nullptr;
  const auto found = block->addresses.find(ip);
  return found == block->addresses.end() ? nullptr : &found->second;
}

std::vector<AddressPlanner::Held> AddressPlanner::records_of(const ObjectName& name) const {
  std::vector<Held> out;
  for (const IpAddress& ip : index_.records_of(name)) {
    const AddressBlock* block = nullptr;
    const BlockEntry* entry = entry_at(ip, &block);
    if (entry == nullptr) continue;
    for (const Holder& holder : entry->holders)
      if (holder.service == name) out.push_back({ip, entry, &holder, block});
  }
  return out;
}

// The pool that the address is in now: the one that it was taken from, or if that has it no more, another.
const Pool* AddressPlanner::home_of(const IpAddress& ip, const BlockEntry& entry) const {
  const Pool* recorded = world_->pools.find(entry.pool);
  if (recorded != nullptr && (recorded->contains(ip) || !recorded->invalid.empty())) return recorded;
  const Pool* going = nullptr;
  for (const auto& [name, pool] : world_->pools.rows()) {
    if (!pool.contains(ip)) continue;
    if (!pool.deleting) return &pool;
    if (going == nullptr) going = &pool;
  }
  return going != nullptr ? going : recorded;
}

bool AddressPlanner::is_drained(const IpAddress& ip, const BlockEntry& entry) const {
  const Pool* pool = home_of(ip, entry);
  return pool != nullptr && pool->drain && pool->invalid.empty() && (pool->deleting || pool->disabled || !pool->offers(ip));
}

// Whether what is held is what the Service explicitly asks for. But for a drained pool, nothing else moves
// an address.
bool AddressPlanner::fits_wishes(const Held& held, const Claim& claim, const FamilyClaim& family) const {
  if (held.ip.family != family.family) return false;
  if (family.wanted && held.ip != *family.wanted) return false;
  if (claim.pools.empty() || claim.names_pool(held.entry->pool)) return true;
  return std::ranges::any_of(claim.pools, [&](const std::string& name) {
    const Pool* pool = world_->pools.find(name);
    return pool != nullptr && !pool->deleting && pool->contains(held.ip);
  });
}

// The pool that gave the address decides, whatever other pools have it too.
SharingConsent AddressPlanner::consent_at(const IpAddress& ip) const {
  const Pool* pool = nullptr;
  if (const BlockEntry* entry = entry_at(ip); entry != nullptr && !entry->holders.empty()) {
    pool = home_of(ip, *entry);
  } else if (const auto found = intents_.find(ip); found != intents_.end()) {
    const auto first = std::ranges::find_if(found->second, &Intent::takes);
    if (first != found->second.end()) pool = world_->pools.find(first->tags.pool);
  }
  return pool != nullptr && pool->implicit_sharing ? SharingConsent::implicit : SharingConsent::by_key;
}

// Sharers whose conditions changed: whoever changed them leaves, else whoever came later. Empty: all is well.
std::string AddressPlanner::sharing_conflict(const Held& held, const Service& service, const Claim& claim) const {
  const auto& holders = held.entry->holders;
  if (holders.size() < 2) return "";
  const SharingConsent consent = consent_at(held.ip);
  bool before = true;  // the other one
  for (const Holder& holder : holders) {
    if (&holder == held.holder) {
      before = false;
      continue;
    }
    const Service* other = world_->services.find(holder.service);
    if (holder.state != HolderState::held || other == nullptr || other->uid != holder.uid) continue;
    const auto verdict = judge(*other);
    const auto* theirs = std::get_if<Claim>(&verdict);
    if (theirs == nullptr) continue;
    const bool i_changed = claim.sharing_key != held.entry->sharing_key;
    const bool they_changed = theirs->sharing_key != held.entry->sharing_key;
    const bool i_leave = consent == SharingConsent::by_key && i_changed != they_changed ? i_changed : before;
    if (!i_leave) continue;
    if (std::string why = sharing_obstacle({service, claim}, {*other, *theirs}, consent); !why.empty()) return why;
  }
  return "";
}

// -- decisions --------------------------------------------------------------------------------------

void AddressPlanner::decide(const ObjectName& name) {
  Decision decision;
  const Service* service = world_->services.find(name);
  std::variant<Claim, SkipReason> verdict = SkipReason::deleting;
  if (service != nullptr) verdict = judge(*service);
  const auto* claim = std::get_if<Claim>(&verdict);
  std::vector<IpFamily> coming;  // families for which a record is about to go over to this Service
  const std::vector<Held> records = records_of(name);
  if (records.empty() && index_.left_by(name.to_string()).empty()) service_reads_.erase(name);
  for (const Held& held : records) check_holder(decision, held, records, service, claim, coming);
  if (claim != nullptr) {
    settle(decision, *service, *claim, records, coming);
  } else if (service != nullptr) {
    const SkipReason reason = std::get<SkipReason>(verdict);
    if (reason == SkipReason::unknown_opt_in_value) misaddressed(decision, *service);
    if (std::ranges::none_of(records, [&](const Held& held) { return held.holder->uid == service->uid; }))
      strip_leftovers(decision, *service, reason);
  }
  if (decision.is_waiting())
    waiting_since_.try_emplace(name, moment_.now);
  else if (!decision.write)
    waiting_since_.erase(name);
  if (decision.write)
    if (const auto since = waiting_since_.find(name); since != waiting_since_.end()) decision.write->since = since->second;
  if (decision.is_nothing()) return;
  for (const std::string& block : decision.block_reads) ++block_reads_[block];
  if (decision.hungry) {
    hungry_.insert(name);
    decision.sharing_key = claim->sharing_key;
    if (!claim->sharing_key.empty()) hungry_to_share_[claim->sharing_key].insert(name);
    for (const FamilyClaim& family : claim->families) {
      if (!family.wanted) continue;
      decision.wanted.push_back(*family.wanted);
      hungry_for_[*family.wanted].insert(name);
    }
  }
  decisions_.insert_or_assign(name, std::move(decision));
}

void AddressPlanner::check_holder(Decision& decision,
                                  const Held& held,
                                  const std::vector<Held>& records,
                                  const Service* service,
                                  const Claim* claim,
                                  std::vector<IpFamily>& coming) {
  if (held.holder->state == HolderState::freeing && is_cleared(held)) {
    intend(decision, held, Intent::Kind::remove);
    return;
  }
  if (service != nullptr && service->uid == held.holder->uid) {
    if (held.holder->state == HolderState::freeing)
      clear(decision, held, *service, records);
    else if (claim == nullptr)
      start_giving_back(decision, held, service);
    return;
  }
  if (!known_gone(held)) {
    decision.read_service = true;
    return;
  }
  if (held.holder->state == HolderState::freeing) {
    intend(decision, held, Intent::Kind::remove);
    return;
  }
  // Made anew under the same name: the address goes over to it, if it still fits.
  if (claim != nullptr && held.entry->holders.size() == 1 && claim->problem.empty() && !is_drained(held.ip, *held.entry)) {
    const auto family = std::ranges::find(claim->families, held.ip.family, &FamilyClaim::family);
    const bool has_one = std::ranges::any_of(records, [&](const Held& other) {
      return other.holder->uid == service->uid && other.holder->state == HolderState::held && other.ip.family == held.ip.family;
    });
    const bool has_one_coming = std::ranges::find(coming, held.ip.family) != coming.end();
    if (family != claim->families.end() && !has_one && !has_one_coming && fits_wishes(held, *claim, *family)) {
      hand_over(decision, held, *service, *claim);
      coming.push_back(held.ip.family);
      return;
    }
  }
  start_giving_back(decision, held, service);
}

// B7. The cache may be older or newer than the record; a read that began after this version of the
// block was heard can't be older than the record.
bool AddressPlanner::known_gone(const Held& held) const {
  const auto read = service_reads_.find(held.holder->service);
  return read != service_reads_.end() && read->second.read_at > held.block->heard_at && read->second.found != held.holder->uid;
}

// B3. The cache may be older than the record, and the Service may have asked for it since: only a deletion is
// for good, else a read that began after this version of the block was heard has to say so.
void AddressPlanner::start_giving_back(Decision& decision, const Held& held, const Service* service) {
  if (service != nullptr && service->uid == held.holder->uid && !service->deleting && !was_read_since(*service, *held.block))
    decision.read_service = true;
  else
    intend(decision, held, Intent::Kind::start_freeing);
}

bool AddressPlanner::was_read_since(const Service& service, const AddressBlock& block) const {
  const auto read = service_reads_.find(service.name);
  // A list that began before the read may have come after it.
  return read != service_reads_.end() && read->second.read_at > block.heard_at && read->second.found == service.uid &&
         !service.version.older_than(read->second.version);
}

// Somebody gave it back for a Service of this name: who takes it again has to know that the Service asks still, or
// two that see it differently would take and give back for ever.
bool AddressPlanner::was_given_back_since(const Service& service, const IpAddress& ip) const {
  const AddressBlock* block = nullptr;
  const BlockEntry* entry = entry_at(ip, &block);
  return entry != nullptr && entry->holders.empty() && entry->reserved_for == service.name.to_string() && !was_read_since(service, *block);
}

bool AddressPlanner::is_cleared(const Held& held) const {
  const auto cleared = cleared_.find({held.ip, held.holder->uid});
  return cleared != cleared_.end() && cleared->second == held.holder->mark;
}

void AddressPlanner::settle(Decision& decision,
                            const Service& service,
                            const Claim& claim,
                            const std::vector<Held>& records,
                            const std::vector<IpFamily>& coming) {
  std::vector<Held> mine;
  for (const Held& held : records)
    if (held.holder->uid == service.uid && held.holder->state == HolderState::held) mine.push_back(held);

  std::vector<Held> keep;  // what it is to show: at most one for each family, in their order
  std::vector<const FamilyClaim*> missing;
  std::map<IpFamily, std::string> conflicts;
  std::vector<Refusal> refusals;
  for (const FamilyClaim& family : claim.families) {
    const Held* best = nullptr;
    int best_rank = 0;
    std::string conflict;
    for (const Held& held : mine) {
      if (held.ip.family != family.family) continue;
      std::string clash = sharing_conflict(held, service, claim);
      const bool fine = fits_wishes(held, claim, family) && clash.empty() && !is_drained(held.ip, *held.entry);
      const int rank = (fine ? 4 : 2) + (shows(service, held.ip) ? 1 : 0);
      if (rank <= best_rank) continue;
      best = &held;
      best_rank = rank;
      conflict = fits_wishes(held, claim, family) ? std::move(clash) : "";
    }
    if (best != nullptr) keep.push_back(*best);
    if (best_rank >= 4 || std::ranges::find(coming, family.family) != coming.end()) continue;
    if (!claim.problem.empty()) continue;
    missing.push_back(&family);
    if (!conflict.empty()) conflicts.emplace(family.family, best->ip.to_string() + " is " + conflict);
  }
  if (!claim.problem.empty()) refusals.push_back({PendingReason::invalid_request, claim.problem});
  if (keep.empty())  // an address of a family that it has no more is of no use to it
    for (const Held& held : mine) start_giving_back(decision, held, &service);

  bool outstanding = !coming.empty();
  bool waits = false;  // for an address of its own that is on the way back
  std::vector<Taking> takings;
  for (const FamilyClaim* family : missing) {
    const bool has_one = std::ranges::any_of(keep, [&](const Held& held) { return held.ip.family == family->family; });
    const bool one_is_freeing = std::ranges::any_of(records, [&](const Held& held) {
      return held.holder->uid == service.uid && held.holder->state == HolderState::freeing && held.ip.family == family->family;
    });
    if (!has_one && (one_is_freeing || decision.read_service)) {
      waits = true;
      continue;
    }
    const auto taking = pick(service, claim, *family, takings, refusals);
    if (taking && was_given_back_since(service, taking->ip)) {
      decision.read_service = true;
      waits = true;
    } else if (taking)
      takings.push_back(*taking);
    else if (const auto conflict = conflicts.find(family->family); conflict != conflicts.end())
      refusals.insert(refusals.begin(), {PendingReason::wanted_ip_in_use, conflict->second});
  }
  const bool shows_any = std::ranges::any_of(mine, [&](const Held& held) { return shows(service, held.ip); });
  const bool all = takings.size() == missing.size();
  if (claim.all_or_none && !all && !shows_any && !waits) {
    // Together or not at all: what it has of one family goes back.
    takings.clear();
    for (const Held& held : keep) start_giving_back(decision, held, &service);
    keep.clear();
  }
  for (const Taking& taking : takings) join(decision, service, claim, taking);
  outstanding = outstanding || !takings.empty();
  decision.taking = outstanding;
  decision.hungry = !all;

  if (waits) refusals.insert(refusals.begin(), {PendingReason::being_released, "its former address is still being released"});
  if (!refusals.empty()) decision.pending = {service.name, service.uid, std::move(refusals), !keep.empty() || !takings.empty()};
  for (const Held& held : keep) retag(decision, held, service, claim);

  const bool complete = keep.size() == claim.families.size();
  if (keep.empty()) {
    if (decision.pending && !decision.pending->holds && !waits) tell_why_not(decision, service, records);
  } else if (is_taking_what_it_shows(service)) {
    // Soon all that it shows is recorded again.
  } else if (shows_any || !claim.problem.empty() || (!outstanding && (complete || !claim.all_or_none))) {
    publish(decision, service, claim, keep);
    // The new ones are shown, so the old ones can go.
    if (shows_only(service, keep))
      for (const Held& held : mine)
        if (std::ranges::none_of(keep, [&](const Held& kept) { return kept.ip == held.ip; })) start_giving_back(decision, held, &service);
  }
}

bool AddressPlanner::is_taking_what_it_shows(const Service& service) const {
  return std::ranges::any_of(index_.shown_by(service.name), [&](const IpAddress& ip) {
    const auto found = intents_.find(ip);
    return found != intents_.end() &&
           std::ranges::any_of(found->second, [&](const Intent& intent) { return intent.takes() && intent.service == service.name; });
  });
}

bool AddressPlanner::has_history(const Service& service) const {
  return !service.ingress.empty() || service.annotations.contains(keys::allocated) || !index_.records_of(service.name).empty() ||
         legacy_used_.contains(service.name.to_string());
}

// -- asked by others --------------------------------------------------------------------------------

void AddressPlanner::was_cleared(const ObjectName& name, const GivingBack& step) {
  cleared_[{step.ip, step.uid}] = step.mark;
  names_.insert(name);
}

void AddressPlanner::block_was_absent(const std::string& name, std::uint64_t read_at) {
  constexpr std::size_t most = 4096;
  if (absent_.size() >= most) absent_.clear();  // then it is read again
  absent_[name] = read_at;
  look_at_readers_of(name);
}

void AddressPlanner::service_was_read(const ObjectName& name, std::uint64_t read_at, Uid found, ResourceVersion version) {
  service_reads_[name] = {read_at, std::move(found), std::move(version)};
  names_.insert(name);
}

const ServiceWrite* AddressPlanner::service_write(const ObjectName& name) const {
  const auto found = decisions_.find(name);
  return found == decisions_.end() || !found->second.write ? nullptr : &*found->second.write;
}

bool AddressPlanner::wants_read(const ObjectName& name) const {
  const auto found = decisions_.find(name);
  return found != decisions_.end() && found->second.read_service;
}

const Pending* AddressPlanner::pending(const ObjectName& name) const {
  const auto found = decisions_.find(name);
  return found == decisions_.end() || !found->second.pending ? nullptr : &*found->second.pending;
}

bool AddressPlanner::is_misaddressed(const ObjectName& name) const {
  const auto found = decisions_.find(name);
  return found != decisions_.end() && found->second.misaddressed;
}

std::vector<Pending> AddressPlanner::all_pending(bool misaddressed) const {
  std::vector<Pending> out;
  for (const auto& [name, decision] : decisions_)
    if (decision.pending && decision.misaddressed == misaddressed) out.push_back(*decision.pending);
  return out;
}

std::map<PendingReason, std::size_t> AddressPlanner::count_pending() const {
  std::map<PendingReason, std::size_t> out;
  for (const auto& [name, decision] : decisions_)
    if (decision.pending && !decision.misaddressed && !decision.pending->holds) ++out[decision.pending->refusals.front().reason];
  return out;
}

std::string Pending::text() const {
  constexpr std::size_t most = 900;
  std::string out;
  for (std::size_t i = 0; i < refusals.size(); ++i) {
    if (i > 0 && out.size() + refusals[i].text.size() > most) return out + fmt::format("; and {} more", refusals.size() - i);
    out += (i == 0 ? "" : "; ") + clipped(refusals[i].text, most);
  }
  return out;
}

AddressPlan summary(const AddressPlanner& planner, const World& world, const Moment& moment) {
  AddressPlan out;
  for (const auto& [name, write] : planner.block_writes()) out.block_writes.push_back(write);
  for (const auto& [name, count] : planner.block_reads()) out.block_reads.insert(name);
  for (const auto& [name, write] : planner.pool_writes()) out.pool_writes.push_back(write);
  planner.for_each_open([&](const ObjectName& name) {
    if (planner.wants_read(name)) out.service_reads.insert(name);
    if (const ServiceWrite* write = planner.service_write(name)) out.service_writes.push_back(*write);
  });
  out.pending = planner.all_pending(false);
  out.misaddressed = planner.all_pending(true);
  for (const auto& [name, pool] : world.pools.rows()) out.pool_status.emplace(name, planner.pool_status(pool, world, moment.wall));
  out.allocated = planner.allocated();
  out.wake_at = planner.wake_at();
  return out;
}

AddressPlan plan_addresses(const World& world, const Moment& moment, AllocationOptions options) {
  AddressPlanner planner{std::move(options)};
  planner.plan(world, moment);
  return summary(planner, world, moment);
}

}  // namespace berth
