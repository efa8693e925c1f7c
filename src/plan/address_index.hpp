// What is in use, ready to be asked: kept up to date row by row, so that one more allocation costs the
// same whatever is there already. It decides nothing; plan/allocate.cpp asks it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "model/world.hpp"

namespace berth {

class AddressIndex {
 public:
  AddressIndex() = default;
  ~AddressIndex() = default;
  AddressIndex(const AddressIndex&) = delete;  // it points into itself, into nodes that move with it
  AddressIndex& operator=(const AddressIndex&) = delete;
  AddressIndex(AddressIndex&&) = default;
  AddressIndex& operator=(AddressIndex&&) = default;

  // Why an address is not simply free. Several may hold at once.
  enum class Use : std::uint8_t {
    recorded,  // it is in a block, with a holder or without
    assigned,  // a plan gives it to a Service; not written yet
    shown,     // a Service shows it, recorded or not: an adoption may be due
    reserved,  // a pool keeps it for one Service
  };
  struct PoolUse {
    std::size_t held = 0;                               // addresses with holders
    std::map<std::string, std::size_t> blocks;          // that have some of these -> how many
    std::map<std::string, std::int64_t> by_namespace;   // addresses
    std::set<std::pair<std::string, IpAddress>> freed;  // without holders: when freed, which
  };

  // A row as it is now; nullptr: it is gone.
  void update(const std::string& name, const AddressBlock* block);
  void update(const ObjectName& name, const Service* service);
  void update_reservations(const Table<Pool>& pools);

  void assign(const IpAddress& ip) { set(ip, Use::assigned); }
  void unassign(const IpAddress& ip) { clear(ip, Use::assigned); }

  [[nodiscard]] bool is_free(const IpAddress& ip) const;
  [[nodiscard]] bool is(const IpAddress& ip, Use use) const;
  // The lowest address of `range`, from `from` on, that nothing uses and `avoid` allows.
  [[nodiscard]] std::optional<IpAddress> lowest_free(const IpRange& range, const IpAddress& from, bool avoid_buggy) const;
  // How many of `range` are recorded or reserved.
  [[nodiscard]] std::uint64_t taken_in(const IpRange& range, bool avoid_buggy) const;

  // Addresses that Services of this name hold or held, by the blocks.
  [[nodiscard]] const std::vector<IpAddress>& records_of(const ObjectName& name) const;
  [[nodiscard]] std::size_t holder_names() const { return holder_names_; }
  // Names of the holders in a block.
  [[nodiscard]] std::vector<ObjectName> holders_in(const std::string& block) const;
  // Addresses whose last holder was this Service.
  [[nodiscard]] const std::set<IpAddress>& left_by(const std::string& service) const;
  [[nodiscard]] const std::set<IpAddress>& with_sharing_key(const std::string& key) const;
  [[nodiscard]] const std::vector<IpAddress>& shown_by(const ObjectName& name) const;
  [[nodiscard]] std::vector<ObjectName> showing(const IpAddress& ip) const { return showing_in({ip, ip}); }
  [[nodiscard]] std::vector<ObjectName> showing_in(const IpRange& range) const;
  // Nullptr: for nobody in particular.
  [[nodiscard]] const ObjectName* reserved_for(const IpAddress& ip) const;
  [[nodiscard]] const std::vector<IpAddress>& reserved_by(const ObjectName& name) const;
  [[nodiscard]] const PoolUse& use_of(const std::string& pool) const;
  // As Eip.status.used: address -> holders. Made when asked for; kept, it would be a copy of all there is.
  [[nodiscard]] std::map<std::string, std::string> used_of(const std::string& pool) const;

  // Addresses that nothing uses any more, and pools whose use changed, since the last call.
  std::vector<IpAddress> take_freed() { return std::exchange(freed_, {}); }
  std::set<std::string> take_changed_pools() { return std::exchange(changed_pools_, {}); }

 private:
  struct Cell {  // 64 aligned addresses, a bit each
    std::uint64_t bits[4] = {};
    [[nodiscard]] std::uint64_t any() const { return bits[0] | bits[1] | bits[2] | bits[3]; }
  };
  struct OfService {
    std::vector<IpAddress> records;
    std::vector<IpAddress> shown;
  };
  using Services = std::map<ObjectName, OfService>;
  // What was entered for one address of a block, to take it out again. There is one for every allocation: small.
  struct Entered {
    IpAddress ip;
    std::vector<Services::iterator> holders;
    std::string pool;
    std::string key;       // with holders: the sharing key; without: the last holder
    std::string freed_at;  // without holders
  };
  struct ShownFirst {
    using is_transparent = void;
    using Shown = std::pair<IpAddress, const ObjectName*>;
    bool operator()(const Shown& a, const Shown& b) const { return std::tie(a.first, *a.second) < std::tie(b.first, *b.second); }
    bool operator()(const Shown& a, const IpAddress& b) const { return a.first < b; }
    bool operator()(const IpAddress& a, const Shown& b) const { return a < b.first; }
  };
  void set(const IpAddress& ip, Use use);
  void clear(const IpAddress& ip, Use use);
  void enter(const std::string& block, const IpAddress& ip, const BlockEntry& entry, std::vector<Entered>& into);
  void take_out(const std::string& block, const Entered& entered);
  void forget_if_nothing(Services::iterator service);

  std::map<IpAddress, Cell> cells_;  // by the first address
  std::map<std::string, std::vector<Entered>> blocks_;
  Services services_;
  std::size_t holder_names_ = 0;  // those with records
  std::set<ShownFirst::Shown, ShownFirst> shown_;  // names are keys of services_
  std::map<std::string, std::set<IpAddress>> left_by_;
  std::map<std::string, std::set<IpAddress>> by_sharing_key_;
  std::map<IpAddress, ObjectName> reservations_;
  std::map<ObjectName, std::vector<IpAddress>> reserved_by_;
  std::map<std::string, PoolUse> pools_;
  std::vector<IpAddress> freed_;
  std::set<std::string> changed_pools_;
};

}  // namespace berth
