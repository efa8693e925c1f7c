// How the record changes: what is intended for each address becomes a new version of its block; addresses
// without holders wait for the end of their quarantine. Part of AddressPlanner.
#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "plan/allocate.hpp"

namespace berth {

// -- intents ----------------------------------------------------------------------------------------

void AddressPlanner::intend(Decision& decision, const IpAddress& ip, Intent intent) {
  if (intent.takes()) {
    index_.assign(ip);
    taken_ = true;
    const BlockEntry* entry = intent.kind == Intent::Kind::hand_over ? entry_at(ip) : nullptr;
    intent.adds = entry == nullptr || entry->pool != intent.tags.pool;
    if (intent.adds) ++intended_[{intent.tags.pool, intent.service.space}];
    if (!intent.tags.sharing_key.empty()) about_to_share_[intent.tags.sharing_key].insert(ip);
  }
  intents_[ip].push_back(std::move(intent));
  decision.intents.push_back(ip);
  touched_.emplace(block_name(ip), block_range(ip).first);
}

void AddressPlanner::intend(Decision& decision, const Held& held, Intent::Kind kind) {
  intend(decision, held.ip, {.kind = kind, .service = held.holder->service, .uid = held.holder->uid});
}

BlockEntry AddressPlanner::tags_of(const Pool& pool, const Claim& claim) {
  BlockEntry out;
  out.pool = pool.name;
  out.protocol = pool.protocol;
  out.interface = pool.interface;
  out.sharing_key = claim.sharing_key;
  return out;
}

void AddressPlanner::join(Decision& decision, const Service& service, const Claim& claim, const Taking& taking) {
  intend(decision, taking.ip,
         {.kind = Intent::Kind::join, .service = service.name, .uid = service.uid, .tags = tags_of(*taking.pool, claim)});
}

void AddressPlanner::hand_over(Decision& decision, const Held& held, const Service& service, const Claim& claim) {
  const Pool* home = home_of(held.ip, *held.entry);
  BlockEntry tags = home == nullptr ? *held.entry : tags_of(*home, claim);
  intend(decision, held.ip,
         {.kind = Intent::Kind::hand_over, .service = service.name, .uid = held.holder->uid, .next = service.uid, .tags = std::move(tags)});
}

// Edits of the pool reach the record of what it gave before; so does the Service's sharing key.
void AddressPlanner::retag(Decision& decision, const Held& held, const Service& service, const Claim& claim) {
  const auto& holders = held.entry->holders;
  if (held.holder != &*std::ranges::find(holders, HolderState::held, &Holder::state)) return;  // the first one does it
  const Pool* home = home_of(held.ip, *held.entry);
  if (home == nullptr || !home->invalid.empty()) return;
  BlockEntry tags = tags_of(*home, claim);
  if (holders.size() > 1) tags.sharing_key = held.entry->sharing_key;
  const BlockEntry& now = *held.entry;
  if (std::tie(tags.pool, tags.protocol, tags.interface, tags.sharing_key) ==
      std::tie(now.pool, now.protocol, now.interface, now.sharing_key))
    return;
  if (tags.sharing_key != now.sharing_key && !was_read_since(service, *held.block)) {
    decision.read_service = true;  // or two that see the Service differently would write it in turn
    return;
  }
  intend(decision, held.ip,
         {.kind = Intent::Kind::retag, .service = held.holder->service, .uid = held.holder->uid, .tags = std::move(tags)});
}

// -- blocks -----------------------------------------------------------------------------------------

void AddressPlanner::compose_blocks() {
  for (const auto& [name, first] : touched_) {
    const AddressBlock* known = world_->blocks.find(name);
    AddressBlock draft;
    if (known != nullptr) draft = *known;
    draft.name = name;
    const IpRange range = block_range(first);
    for (auto at = expired_.lower_bound(range.first); at != expired_.end() && range.contains(*at); ++at) {
      const auto entry = draft.addresses.find(*at);
      if (entry != draft.addresses.end() && entry->second.holders.empty()) draft.addresses.erase(entry);
    }
    for (auto at = intents_.lower_bound(range.first); at != intents_.end() && range.contains(at->first); ++at)
      apply(at->second, draft.addresses[at->first]);
    std::erase_if(draft.addresses, [](const auto& item) { return item.second == BlockEntry{}; });
    if (known == nullptr ? draft.addresses.empty() : draft.addresses == known->addresses && !draft.addresses.empty())
      block_writes_.erase(name);
    else
      block_writes_.insert_or_assign(name, BlockWrite{std::move(draft)});
  }
}

void AddressPlanner::apply(const std::vector<Intent>& intents, BlockEntry& entry) const {
  const auto set_tags = [&](const BlockEntry& tags) {
    entry.pool = tags.pool;
    entry.protocol = tags.protocol;
    entry.interface = tags.interface;
    entry.sharing_key = tags.sharing_key;
  };
  bool waits = false;  // for the pool's finalizer; who was to join waits too
  for (const Intent& intent : intents) {
    const auto holder = std::ranges::find_if(entry.holders,
                                             [&](const Holder& one) { return one.service == intent.service && one.uid == intent.uid; });
    if (intent.kind != Intent::Kind::join && holder == entry.holders.end()) continue;
    waits |= intent.takes() && unmarked_.contains(intent.tags.pool);
    if (intent.takes() && waits) continue;
    switch (intent.kind) {
      case Intent::Kind::join:
        if (entry.holders.empty()) {
          entry = {};
          set_tags(intent.tags);
        }
        entry.holders.push_back({intent.service, intent.uid, HolderState::held, ""});
        break;
      case Intent::Kind::hand_over:
        *holder = {intent.service, intent.next, HolderState::held, ""};
        set_tags(intent.tags);
        break;
      case Intent::Kind::start_freeing:
        holder->state = HolderState::freeing;
        holder->mark = fmt::format("{}-{}", options_.mark_prefix, moment_.now.since_start.count());
        break;
      case Intent::Kind::remove:
        entry.holders.erase(holder);
        if (entry.holders.empty()) {
          entry.reserved_for = intent.service.to_string();
          entry.freed_at = to_rfc3339_micro(moment_.wall);
        }
        break;
      case Intent::Kind::retag: set_tags(intent.tags); break;
    }
  }
}

// -- quarantine -------------------------------------------------------------------------------------

Duration AddressPlanner::quarantine_of(const BlockEntry& entry) const {
  const Pool* pool = world_->pools.find(entry.pool);
  return pool == nullptr ? options_.quarantine : pool->quarantine.value_or(options_.quarantine);
}

// Where the least recently used address goes first, the block remembers when each was freed.
bool AddressPlanner::keeps_freed(const IpAddress& ip, const BlockEntry& entry) const {
  const Pool* pool = world_->pools.find(entry.pool);
  return pool != nullptr && !pool->deleting && pool->order == AllocationOrder::least_recently_used && pool->offers(ip);
}

bool AddressPlanner::quarantine_ended(const IpAddress& ip, const BlockEntry& entry) const {
  const auto known = quarantines_.find(ip);
  return known != quarantines_.end() && known->second.since + quarantine_of(entry) <= moment_.now;
}

// It may have been taken and freed again between two looks.
bool AddressPlanner::is_same_quarantine(const IpAddress& ip, const Quarantine& known) const {
  const BlockEntry* entry = entry_at(ip);
  return entry != nullptr && entry->holders.empty() && entry->freed_at == known.freed_at;
}

void AddressPlanner::watch_quarantines(const IpRange& range, const AddressBlock* block) {
  for (auto at = quarantines_.lower_bound(range.first); at != quarantines_.end() && range.contains(at->first);)
    at = is_same_quarantine(at->first, at->second) ? std::next(at) : quarantines_.erase(at);
  expired_.erase(expired_.lower_bound(range.first), expired_.upper_bound(range.last));
  if (block == nullptr) return;
  for (const auto& [ip, entry] : block->addresses) {
    if (!entry.holders.empty()) continue;
    const Instant since = quarantines_.try_emplace(ip, Quarantine{moment_.now, entry.freed_at}).first->second.since;
    quarantine_ends_.emplace(since + quarantine_of(entry), ip);
  }
}

void AddressPlanner::end_quarantines() {
  while (!quarantine_ends_.empty() && quarantine_ends_.begin()->first <= moment_.now) {
    const IpAddress ip = quarantine_ends_.begin()->second;
    quarantine_ends_.erase(quarantine_ends_.begin());
    const BlockEntry* entry = entry_at(ip);
    if (entry == nullptr || !entry->holders.empty() || !quarantine_ended(ip, *entry)) continue;
    retry_ = true;
    if (keeps_freed(ip, *entry)) continue;
    expired_.insert(ip);
    touched_.emplace(block_name(ip), block_range(ip).first);
    look_at_intents_on(ip);
  }
}

std::optional<Instant> AddressPlanner::wake_at() const {
  if (quarantine_ends_.empty()) return std::nullopt;
  return quarantine_ends_.begin()->first;
}

}  // namespace berth
