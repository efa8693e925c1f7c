// What changed since the last look, and which Services have to be looked at again for it. Part of AddressPlanner.
#include <algorithm>

#include "plan/allocate.hpp"

namespace berth {
namespace {

template <class Map, class Key>
void erase_from(Map& map, const Key& key, const ObjectName& name) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  found->second.erase(name);
  if (found->second.empty()) map.erase(found);
}

Pool without_status(const Pool& pool) {
  Pool out = pool;
  out.status = {};
  out.version = {};
  out.finalizers.clear();
  return out;
}

}  // namespace

bool AddressPlanner::collect() {
  const World& world = *world_;
  if (!world.services.synced() || !world.pools.synced() || !world.blocks.synced() || !world.namespaces.synced()) return false;
  std::set<std::string> pools;
  std::vector<ObjectName> services;
  std::set<std::string> blocks;
  bool partly = world.services.changes().read(services_read_, [&](const ObjectName& name) { services.push_back(name); });
  partly = world.blocks.changes().read(blocks_read_, [&](const std::string& name) { blocks.insert(name); }) && partly;
  partly = world.pools.changes().read(pools_read_, [&](const std::string& name) { pools.insert(name); }) && partly;
  bool spaces = false;
  spaces = !world.namespaces.changes().read(namespaces_read_, [&](const std::string&) { spaces = true; }) || spaces;
  for (const std::string& name : pools) {
    const Pool* pool = world.pools.find(name);
    const auto known = pools_.find(name);
    if (pool == nullptr || known == pools_.end() || !(without_status(*pool) == known->second)) partly = false;
    changed_pools_.insert(name);
  }
  retry_ = spaces;
  if (!partly) {
    start_over();
    return true;
  }
  for (const std::string& name : pools) {
    upkeep_.insert(name);
    if (!note_finalizer(name)) continue;
    for (const auto& [ip, intents] : intents_) touched_.emplace(block_name(ip), block_range(ip).first);
  }
  for (const std::string& name : blocks) take_in(name);
  for (const ObjectName& name : services) take_in(name);
  return true;
}

// A pool was edited, or so much happened that everything is to be looked at.
void AddressPlanner::start_over() {
  const World& world = *world_;
  for (const auto& [name, decision] : decisions_) names_.insert(name);
  index_ = {};
  decisions_.clear();
  hungry_.clear();
  hungry_for_.clear();
  hungry_to_share_.clear();
  intents_.clear();
  intended_.clear();
  cursors_.clear();
  expired_.clear();
  quarantine_ends_.clear();
  block_reads_.clear();
  about_to_share_.clear();
  unmarked_.clear();
  full_.clear();
  block_writes_.clear();
  pool_writes_.clear();
  pools_.clear();
  for (const auto& [name, pool] : world.pools.rows()) {
    pools_.emplace(name, without_status(pool));
    changed_pools_.insert(name);
    upkeep_.insert(name);
    note_finalizer(name);
  }
  for (const auto& [name, block] : world.blocks.rows()) take_in(name);
  for (const auto& [name, service] : world.services.rows()) take_in(name);
  index_.update_reservations(world.pools);
  std::erase_if(quarantines_, [&](const auto& item) { return !is_same_quarantine(item.first, item.second); });
  legacy_used_.clear();
  for (const auto& [name, pool] : world.pools.rows())
    for (const auto& [address, services] : pool.status.used)
      if (const auto ip = IpAddress::parse(address); ip && !index_.is(*ip, AddressIndex::Use::recorded))
        for (std::size_t begin = 0; begin <= services.size();) {
          const std::size_t end = std::min(services.find(';', begin), services.size());
          legacy_used_.emplace(services.substr(begin, end - begin), *ip);
          begin = end + 1;
        }
}

void AddressPlanner::take_in(const std::string& block_name) {
  const AddressBlock* block = world_->blocks.find(block_name);
  const auto range = block_range_of(block_name);
  if (!range) return;  // the name is none of ours
  const auto look_at_holders = [&] {
    for (ObjectName& name : index_.holders_in(block_name)) names_.insert(std::move(name));
  };
  look_at_holders();
  index_.update(block_name, block);
  look_at_holders();
  for (const ObjectName& name : index_.showing_in(*range)) names_.insert(name);
  if (block != nullptr)
    for (const auto& [ip, entry] : block->addresses) look_at_who_would_share(entry);
  for (auto at = hungry_for_.lower_bound(range->first); at != hungry_for_.end() && range->contains(at->first); ++at)
    names_.insert(at->second.begin(), at->second.end());
  for (auto at = intents_.lower_bound(range->first); at != intents_.end() && range->contains(at->first); ++at)
    for (const Intent& intent : at->second) names_.insert(intent.service);
  touched_.emplace(block_name, range->first);
  if (block != nullptr) absent_.erase(block_name);
  look_at_readers_of(block_name);
  watch_quarantines(*range, block);
  // Of every pool that has a part in this block, fewer or more addresses are free.
  for (const auto& [name, pool] : pools_)
    if (std::ranges::any_of(pool.ranges, [&](const IpRange& mine) { return mine.overlaps(*range); })) changed_pools_.insert(name);
  for (auto at = cleared_.lower_bound({range->first, {}}); at != cleared_.end() && range->contains(at->first.first);) {
    const BlockEntry* entry = entry_at(at->first.first);
    const bool under_way = entry != nullptr && std::ranges::any_of(entry->holders, [&](const Holder& holder) {
                             return holder.uid == at->first.second && holder.mark == at->second;
                           });
    at = under_way ? std::next(at) : cleared_.erase(at);
  }
}

void AddressPlanner::take_in(const ObjectName& name) {
  names_.insert(name);
  const Service* service = world_->services.find(name);
  const auto look_at_shown = [&] {
    for (const IpAddress& ip : index_.shown_by(name)) {
      look_at_intents_on(ip);
      look_at_who_wants(ip);
    }
  };
  look_at_shown();
  index_.update(name, service);
  look_at_shown();
  // The holder may have changed its mind about sharing.
  for (const IpAddress& ip : index_.records_of(name))
    if (const BlockEntry* entry = entry_at(ip)) {
      look_at_who_wants(ip);
      look_at_who_would_share(*entry);
    }
  // Who shares an address with it may have to leave, or may stay now.
  for (const IpAddress& ip : index_.records_of(name)) {
    const BlockEntry* entry = entry_at(ip);
    if (entry == nullptr || entry->holders.size() < 2) continue;
    for (const Holder& holder : entry->holders) names_.insert(holder.service);
    look_at_intents_on(ip);
  }
}

void AddressPlanner::look_at_intents_on(const IpAddress& ip) {
  if (const auto found = intents_.find(ip); found != intents_.end())
    for (const Intent& intent : found->second) names_.insert(intent.service);
}

// What was decided about them, and about those who were to share an address with them: these may not have it without.
void AddressPlanner::undo(std::vector<ObjectName> names) {
  while (!names.empty()) {
    const ObjectName name = std::move(names.back());
    names.pop_back();
    const auto decision = decisions_.find(name);
    if (decision == decisions_.end()) continue;
    for (const IpAddress& ip : decision->second.intents)
      if (const auto found = intents_.find(ip); found != intents_.end())
        for (const Intent& intent : found->second)
          if (intent.service != name) {
            names_.insert(intent.service);
            names.push_back(intent.service);
          }
    undo(name);
  }
}

void AddressPlanner::look_at_who_wants(const IpAddress& ip) {
  if (const auto found = hungry_for_.find(ip); found != hungry_for_.end()) names_.insert(found->second.begin(), found->second.end());
}

void AddressPlanner::look_at_who_would_share(const BlockEntry& entry) {
  if (const auto found = hungry_to_share_.find(entry.sharing_key); found != hungry_to_share_.end())
    names_.insert(found->second.begin(), found->second.end());
}

void AddressPlanner::look_at_readers_of(const std::string& block) {
  if (!block_reads_.contains(block)) return;
  for (const auto& [name, decision] : decisions_)
    if (std::ranges::find(decision.block_reads, block) != decision.block_reads.end()) names_.insert(name);
}

void AddressPlanner::undo(const ObjectName& name) {
  const auto found = decisions_.find(name);
  if (found == decisions_.end()) return;
  const Decision decision = std::move(found->second);
  decisions_.erase(found);
  if (decision.hungry) {
    hungry_.erase(name);
    for (const IpAddress& ip : decision.wanted) erase_from(hungry_for_, ip, name);
    erase_from(hungry_to_share_, decision.sharing_key, name);
  }
  for (const std::string& block : decision.block_reads)
    if (const auto count = block_reads_.find(block); --count->second == 0) block_reads_.erase(count);
  for (const IpAddress& ip : decision.intents) {
    const auto on = intents_.find(ip);
    if (on == intents_.end()) continue;
    for (const Intent& intent : on->second)
      if (intent.service == name && intent.takes()) {
        if (intent.adds) {
          const auto count = intended_.find({intent.tags.pool, name.space});
          if (--count->second == 0) intended_.erase(count);
        }
        upkeep_.insert(intent.tags.pool);
        if (const auto shared = about_to_share_.find(intent.tags.sharing_key); shared != about_to_share_.end()) {
          shared->second.erase(ip);
          if (shared->second.empty()) about_to_share_.erase(shared);
        }
      }
    std::erase_if(on->second, [&](const Intent& intent) { return intent.service == name; });
    if (std::ranges::none_of(on->second, &Intent::takes)) index_.unassign(ip);
    if (on->second.empty()) intents_.erase(on);
    touched_.emplace(block_name(ip), block_range(ip).first);
  }
}

// An address that became free, or pools that are other than they were, may serve who waits.
void AddressPlanner::look_at_the_hungry() {
  if (lower_cursors()) retry_ = true;
  if (!retry_) return;
  full_.clear();
  names_.insert(hungry_.begin(), hungry_.end());
  undo({hungry_.begin(), hungry_.end()});
  lower_cursors();  // for what they were about to take
}

bool AddressPlanner::lower_cursors() {
  bool any = false;
  for (const IpAddress& ip : index_.take_freed()) {
    if (!index_.is_free(ip)) continue;
    any = true;
    for (auto& [key, cursor] : cursors_) {
      const Pool* pool = world_->pools.find(key.first);
      if (pool != nullptr && key.second < pool->offered.size() && pool->offered[key.second].contains(ip)) cursor = std::min(cursor, ip);
    }
  }
  return any;
}

}  // namespace berth
