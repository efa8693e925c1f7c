#include "plan/address_index.hpp"

#include <algorithm>
#include <bit>

namespace berth {
namespace {

constexpr std::uint64_t all_bits = ~std::uint64_t{0};

IpAddress first_of(const IpAddress& ip) { return block_range(ip).first; }
unsigned place_of(const IpAddress& ip) { return static_cast<unsigned>(ip.number & 63); }
std::uint64_t bit_of(const IpAddress& ip) { return std::uint64_t{1} << place_of(ip); }

// The bits of the block at `first` that lie in `range`.
std::uint64_t bits_in(const IpAddress& first, const IpRange& range, bool avoid_buggy) {
  const IpRange block{first, first.plus(63)};
  if (!block.overlaps(range)) return 0;
  std::uint64_t out = all_bits;
  if (range.first > block.first) out &= all_bits << place_of(range.first);
  if (range.last < block.last) out &= all_bits >> (63 - place_of(range.last));
  if (avoid_buggy && first.family == IpFamily::v4) {
    if (first.number % 256 == 0) out &= ~std::uint64_t{1};
    if (first.number % 256 == 192) out &= all_bits >> 1;
  }
  return out;
}

template <class Map, class Key>
void erase_from(Map& map, const Key& key, const IpAddress& ip) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  found->second.erase(ip);
  if (found->second.empty()) map.erase(found);
}

}  // namespace

void AddressIndex::set(const IpAddress& ip, Use use) { cells_[first_of(ip)].bits[static_cast<std::size_t>(use)] |= bit_of(ip); }

void AddressIndex::clear(const IpAddress& ip, Use use) {
  const auto cell = cells_.find(first_of(ip));
  if (cell == cells_.end()) return;
  std::uint64_t& bits = cell->second.bits[static_cast<std::size_t>(use)];
  if ((bits & bit_of(ip)) == 0) return;
  bits &= ~bit_of(ip);
  if ((cell->second.any() & bit_of(ip)) == 0) freed_.push_back(ip);
  if (cell->second.any() == 0) cells_.erase(cell);
}

bool AddressIndex::is_free(const IpAddress& ip) const {
  const auto cell = cells_.find(first_of(ip));
  return cell == cells_.end() || (cell->second.any() & bit_of(ip)) == 0;
}

bool AddressIndex::is(const IpAddress& ip, Use use) const {
  const auto cell = cells_.find(first_of(ip));
  return cell != cells_.end() && (cell->second.bits[static_cast<std::size_t>(use)] & bit_of(ip)) != 0;
}

std::optional<IpAddress> AddressIndex::lowest_free(const IpRange& range, const IpAddress& from, bool avoid_buggy) const {
  if (from > range.last) return std::nullopt;
  const IpRange rest{std::max(from, range.first), range.last};
  auto cell = cells_.lower_bound(first_of(rest.first));
  for (IpAddress first = first_of(rest.first);; first = first.plus(64)) {
    std::uint64_t free = bits_in(first, rest, avoid_buggy);
    if (cell != cells_.end() && cell->first == first) free &= ~(cell++)->second.any();
    if (free != 0) return first.plus(static_cast<IpNumber>(std::countr_zero(free)));
    if (rest.last <= first.plus(63)) return std::nullopt;
  }
}

std::uint64_t AddressIndex::taken_in(const IpRange& range, bool avoid_buggy) const {
  std::uint64_t out = 0;
  for (auto cell = cells_.lower_bound(first_of(range.first)); cell != cells_.end() && cell->first <= range.last; ++cell) {
    if (cell->first.family != range.first.family) break;
    const std::uint64_t taken = cell->second.bits[static_cast<std::size_t>(Use::recorded)] |
                                cell->second.bits[static_cast<std::size_t>(Use::reserved)];
    out += static_cast<std::uint64_t>(std::popcount(taken & bits_in(cell->first, range, avoid_buggy)));
  }
  return out;
}

void AddressIndex::enter(const std::string& block, const IpAddress& ip, const BlockEntry& entry, std::vector<Entered>& into) {
  Entered entered{ip, {}, entry.pool, {}, {}};
  set(ip, Use::recorded);
  PoolUse& use = pools_[entry.pool];
  changed_pools_.insert(entry.pool);
  if (entry.holders.empty()) {
    entered.key = entry.reserved_for;
    entered.freed_at = entry.freed_at;
    left_by_[entry.reserved_for].insert(ip);
    use.freed.emplace(entry.freed_at, ip);
    into.push_back(std::move(entered));
    return;
  }
  ++use.held;
  ++use.blocks[block];
  std::set<std::string> spaces;
  for (const Holder& holder : entry.holders) {
    if (spaces.insert(holder.service.space).second) ++use.by_namespace[holder.service.space];
    const auto service = services_.try_emplace(holder.service).first;
    if (std::ranges::find(entered.holders, service) != entered.holders.end()) continue;
    entered.holders.push_back(service);
    if (service->second.records.empty()) ++holder_names_;
    service->second.records.push_back(ip);
  }
  if (!entry.sharing_key.empty()) {
    entered.key = entry.sharing_key;
    by_sharing_key_[entry.sharing_key].insert(ip);
  }
  into.push_back(std::move(entered));
}

void AddressIndex::take_out(const std::string& block, const Entered& entered) {
  PoolUse& use = pools_[entered.pool];
  changed_pools_.insert(entered.pool);
  if (entered.holders.empty()) {
    erase_from(left_by_, entered.key, entered.ip);
    use.freed.erase({entered.freed_at, entered.ip});
  } else {
    --use.held;
    if (const auto count = use.blocks.find(block); --count->second == 0) use.blocks.erase(count);
    std::set<std::string> spaces;
    for (const auto& service : entered.holders) {
      const std::string& space = service->first.space;
      if (spaces.insert(space).second && --use.by_namespace[space] == 0) use.by_namespace.erase(space);
      std::erase(service->second.records, entered.ip);
      if (service->second.records.empty()) --holder_names_;
      forget_if_nothing(service);
    }
    if (!entered.key.empty()) erase_from(by_sharing_key_, entered.key, entered.ip);
  }
  if (use.held == 0 && use.freed.empty()) pools_.erase(entered.pool);
}

void AddressIndex::forget_if_nothing(Services::iterator service) {
  if (service->second.records.empty() && service->second.shown.empty()) services_.erase(service);
}

void AddressIndex::update(const std::string& name, const AddressBlock* block) {
  std::vector<Entered> before;
  if (const auto known = blocks_.find(name); known != blocks_.end()) {
    before = std::move(known->second);
    blocks_.erase(known);
  }
  for (const Entered& entered : before) take_out(name, entered);
  if (block != nullptr && !block->addresses.empty()) {
    std::vector<Entered>& now = blocks_[name];
    now.reserve(block->addresses.size());
    for (const auto& [ip, entry] : block->addresses) enter(name, ip, entry, now);
  }
  for (const Entered& entered : before)
    if (block == nullptr || !block->addresses.contains(entered.ip)) clear(entered.ip, Use::recorded);
}

void AddressIndex::update(const ObjectName& name, const Service* service) {
  std::vector<IpAddress> now;
  if (service != nullptr)
    for (const Ingress& ingress : service->ingress)
      if (const auto ip = IpAddress::parse(ingress.ip)) now.push_back(*ip);
  if (now.empty() && !services_.contains(name)) return;
  const auto known = services_.try_emplace(name).first;
  if (known->second.shown == now) return;
  const std::vector<IpAddress> before = std::exchange(known->second.shown, now);
  for (const IpAddress& ip : before) shown_.erase({ip, &known->first});
  for (const IpAddress& ip : now) {
    shown_.emplace(ip, &known->first);
    set(ip, Use::shown);
  }
  for (const IpAddress& ip : before)
    if (showing(ip).empty()) clear(ip, Use::shown);
  forget_if_nothing(known);
}

void AddressIndex::update_reservations(const Table<Pool>& pools) {
  const std::map<IpAddress, ObjectName> before = std::exchange(reservations_, {});
  reserved_by_.clear();
  for (const auto& [name, pool] : pools.rows())
    for (const auto& [ip, service] : pool.reservations) {
      if (!reservations_.emplace(ip, service).second) continue;  // where pools overlap, the first by name has it
      reserved_by_[service].push_back(ip);
      set(ip, Use::reserved);
    }
  for (const auto& [ip, service] : before)
    if (!reservations_.contains(ip)) clear(ip, Use::reserved);
}

const std::vector<IpAddress>& AddressIndex::records_of(const ObjectName& name) const {
  static const std::vector<IpAddress> none;
  const auto found = services_.find(name);
  return found == services_.end() ? none : found->second.records;
}

std::vector<ObjectName> AddressIndex::holders_in(const std::string& block) const {
  std::vector<ObjectName> out;
  const auto found = blocks_.find(block);
  if (found == blocks_.end()) return out;
  for (const Entered& entered : found->second)
    for (const auto& service : entered.holders) out.push_back(service->first);
  return out;
}

const std::set<IpAddress>& AddressIndex::left_by(const std::string& service) const {
  static const std::set<IpAddress> none;
  const auto found = left_by_.find(service);
  return found == left_by_.end() ? none : found->second;
}

const std::set<IpAddress>& AddressIndex::with_sharing_key(const std::string& key) const {
  static const std::set<IpAddress> none;
  const auto found = by_sharing_key_.find(key);
  return found == by_sharing_key_.end() ? none : found->second;
}

const std::vector<IpAddress>& AddressIndex::shown_by(const ObjectName& name) const {
  static const std::vector<IpAddress> none;
  const auto found = services_.find(name);
  return found == services_.end() ? none : found->second.shown;
}

std::vector<ObjectName> AddressIndex::showing_in(const IpRange& range) const {
  std::vector<ObjectName> out;
  for (auto at = shown_.lower_bound(range.first); at != shown_.end() && range.contains(at->first); ++at) out.push_back(*at->second);
  return out;
}

const ObjectName* AddressIndex::reserved_for(const IpAddress& ip) const {
  const auto found = reservations_.find(ip);
  return found == reservations_.end() ? nullptr : &found->second;
}

const std::vector<IpAddress>& AddressIndex::reserved_by(const ObjectName& name) const {
  static const std::vector<IpAddress> none;
  const auto found = reserved_by_.find(name);
  return found == reserved_by_.end() ? none : found->second;
}

const AddressIndex::PoolUse& AddressIndex::use_of(const std::string& pool) const {
  static const PoolUse none;
  const auto found = pools_.find(pool);
  return found == pools_.end() ? none : found->second;
}

std::map<std::string, std::string> AddressIndex::used_of(const std::string& pool) const {
  std::map<std::string, std::string> out;
  for (const auto& [block, count] : use_of(pool).blocks)
    for (const Entered& entered : blocks_.find(block)->second) {
      if (entered.pool != pool || entered.holders.empty()) continue;
      std::string& used = out[entered.ip.to_string()];
      for (const auto& service : entered.holders) used += (used.empty() ? "" : ";") + service->first.to_string();
    }
  return out;
}

}  // namespace berth
