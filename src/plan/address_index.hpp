// What is in use, ready to be asked: kept up to date row by row, so that one more allocation costs the
// same whatever is there already. It decides nothing; plan/allocate.cpp asks it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/world.hpp"

namespace berth {

class AddressIndex {
 public:
  // Why an address is not simply free. Several may hold at once.
  enum class Use : std::uint8_t {
    recorded,  // it is in a block, with a holder or without
    assigned,  // a plan gives it to a Service; not written yet
    shown,     // a Service shows it, recorded or not: an adoption may be due
    reserved,  // a pool keeps it for one Service
  };
  struct PoolUse {
    std::map<std::string, std::string> used;            // as Eip.status.used
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
  [[nodiscard]] std::size_t holder_names() const { return records_.size(); }
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

  // Addresses that nothing uses any more, and pools whose use changed, since the last call.
  std::vector<IpAddress> take_freed() { return std::exchange(freed_, {}); }
  std::set<std::string> take_changed_pools() { return std::exchange(changed_pools_, {}); }

 private:
  struct Cell {  // 64 aligned addresses, a bit each
    std::uint64_t bits[4] = {};
    [[nodiscard]] std::uint64_t any() const { return bits[0] | bits[1] | bits[2] | bits[3]; }
  };
  // What was entered for one address of a block, to take it out again.
  struct Entered {
    IpAddress ip;
    std::vector<ObjectName> holders;
    std::string pool;
    std::string sharing_key;
    std::string left_by;
    std::string freed_at;
  };
  void set(const IpAddress& ip, Use use);
  void clear(const IpAddress& ip, Use use);
  void enter(const IpAddress& ip, const BlockEntry& entry, std::vector<Entered>& into);
  void take_out(const Entered& entered);

  std::map<IpAddress, Cell> cells_;  // by the first address
  std::map<std::string, std::vector<Entered>> blocks_;
  std::map<ObjectName, std::vector<IpAddress>> records_;
  std::map<ObjectName, std::vector<IpAddress>> shown_by_;
  std::set<std::pair<IpAddress, ObjectName>> shown_;
  std::map<std::string, std::set<IpAddress>> left_by_;
  std::map<std::string, std::set<IpAddress>> by_sharing_key_;
  std::map<IpAddress, ObjectName> reservations_;
  std::map<ObjectName, std::vector<IpAddress>> reserved_by_;
  std::map<std::string, PoolUse> pools_;
  std::vector<IpAddress> freed_;
  std::set<std::string> changed_pools_;
};

}  // namespace berth
