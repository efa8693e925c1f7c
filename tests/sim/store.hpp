// SimStore: the API server and its store, small and honest. Versions grow over all objects, writes
// check their preconditions, a patch that changes nothing makes no version, an object with finalizers
// stays until they are gone, and every change is an event in a log that watchers read at their own pace.
// History may be compacted, and all of it be restored from a backup: then versions go back.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "model/objects.hpp"
#include "model/service_patch.hpp"

namespace berth::sim {

template <class T>
struct Event {
  T row;
  bool deleted = false;
  ResourceVersion version;
  bool by_user = false;  // or by one of the processes under test
};
template <class T>
using EventLog = std::vector<Event<T>>;

// Of a Lease of coordination.k8s.io what leader election reads.
struct Lease {
  std::string name;
  ResourceVersion version;  // empty: create it
  std::string holder;
  std::uint64_t renewals = 0;

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const Lease&) const = default;
};

class SimStore {
 public:
  // Whether a write's preconditions are looked at; the mutants of the simulation leave them out.
  enum class Check { preconditions, nothing };

  [[nodiscard]] Result<Service> read_service(const ObjectName& name) const;
  Result<Service> patch_service(const ServicePatch& patch, Check check = Check::preconditions);
  [[nodiscard]] Result<AddressBlock> read_block(const std::string& name) const;
  Result<AddressBlock> write_block(AddressBlock block, Check check = Check::preconditions);
  Result<> delete_block(const AddressBlock& block, Check check = Check::preconditions);
  Result<Pool> patch_pool_finalizers(const Pool& pool, std::vector<std::string> finalizers);
  Result<Pool> patch_pool_status(const std::string& name, Pool::Status status);
  Result<BgpConf> patch_bgp_conf_finalizers(const BgpConf& conf, std::vector<std::string> finalizers);
  Result<BgpPeer> patch_bgp_peer_finalizers(const BgpPeer& peer, std::vector<std::string> finalizers);
  Result<> patch_bgp_conf_status(const std::string& name, const std::string& node, const std::optional<BgpConf::NodeStatus>& status);
  // Of a peer's status the model keeps only which nodes wrote one, and whose session is up.
  Result<> patch_bgp_peer_status(const std::string& name, const std::string& node, const std::optional<BgpPeerStatus>& status);
  Result<> patch_bgp_peer_sessions(const std::string& name, const BgpSessions& sessions);
  [[nodiscard]] Result<Lease> read_lease(const std::string& name) const;
  Result<Lease> write_lease(Lease lease);  // compare-and-swap, like blocks

  // What users do. An object without a version is created, with a uid of its own.
  void put(Service service);
  void put(Pool pool);
  void put(Namespace space);
  void put(BgpConf conf);
  void put(BgpPeer peer);
  void remove_service(const ObjectName& name);
  void remove_pool(const std::string& name);
  void remove_namespace(const std::string& name);
  void remove_bgp_conf(const std::string& name);
  void remove_bgp_peer(const std::string& name);

  template <class T>
  [[nodiscard]] const std::map<typename T::Key, T>& rows() const {
    return shelf<T>().rows;
  }
  template <class T>
  [[nodiscard]] const EventLog<T>& log() const {
    return shelf<T>().log;
  }
  [[nodiscard]] const std::map<ObjectName, Service>& services() const { return rows<Service>(); }
  [[nodiscard]] const std::map<std::string, AddressBlock>& blocks() const { return rows<AddressBlock>(); }
  [[nodiscard]] const std::map<std::string, Pool>& pools() const { return rows<Pool>(); }
  [[nodiscard]] const std::map<std::string, BgpConf>& bgp_confs() const { return rows<BgpConf>(); }
  [[nodiscard]] const std::map<std::string, BgpPeer>& bgp_peers() const { return rows<BgpPeer>(); }
  [[nodiscard]] const EventLog<Service>& service_log() const { return log<Service>(); }
  [[nodiscard]] const EventLog<AddressBlock>& block_log() const { return log<AddressBlock>(); }
  [[nodiscard]] const EventLog<Pool>& pool_log() const { return log<Pool>(); }

  // Counts every change. As a list's resourceVersion: that of the last change of whatever kind.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] ResourceVersion list_version() const { return {std::to_string(version_)}; }
  // Without the Leases', which never rest.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

  // Calls `heard` after each change of a T, for as long as what is returned lives.
  template <class T>
  [[nodiscard]] std::shared_ptr<void> on_change(std::function<void()> heard) {
    auto listener = std::make_shared<std::function<void()>>(std::move(heard));
    shelf<T>().listeners.push_back(listener);
    return listener;
  }

  // Watches that ask for what lies before now are told that it is gone (410).
  void compact() { compacted_ = version_; }
  [[nodiscard]] std::uint64_t compacted() const { return compacted_; }

  // A backup of the whole store, as etcd makes them. Between a backup and its being restored others write
  // much, so the versions after it are far above all that the restored store will give. That holds for
  // `backups_max` of them, of which the last one is restored.
  class Backup;
  Backup back_up();
  static constexpr int backups_max = 20;
  // Rings everybody: watches and requests under way are of API servers that are no more.
  void restore(const Backup& backup);
  [[nodiscard]] std::uint64_t restores() const { return restores_; }

 private:
  using Listener = std::function<void()>;
  template <class T>
  struct Shelf {
    std::map<typename T::Key, T> rows;
    EventLog<T> log;
    std::vector<std::weak_ptr<Listener>> listeners;
  };
  using Shelves =
      std::tuple<Shelf<Service>, Shelf<AddressBlock>, Shelf<Pool>, Shelf<Namespace>, Shelf<BgpConf>, Shelf<BgpPeer>, Shelf<Lease>>;

  template <class T>
  Shelf<T>& shelf() {
    return std::get<Shelf<T>>(shelves_);
  }
  template <class T>
  [[nodiscard]] const Shelf<T>& shelf() const {
    return std::get<Shelf<T>>(shelves_);
  }
  ResourceVersion next_version() { return {std::to_string(++version_)}; }
  Uid next_uid() { return {"u" + std::to_string(++uid_)}; }
  template <class T>
  void tell(Event<T> event);
  template <class T>
  static void ring(Shelf<T>& kind);
  template <class T>
  T stored(T row, bool by_user);
  template <class T>
  T ended(T row, bool by_user);
  template <class T>
  void create_or_replace(T row);
  template <class T>
  void remove(const typename T::Key& key);
  template <class T>
  Result<T> patch_finalizers(const T& seen, std::vector<std::string> finalizers);
  template <class T>
  Result<T> compare_and_swap(T row, Check check);

  std::uint64_t version_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t uid_ = 0;
  std::uint64_t compacted_ = 0;
  std::uint64_t apart_ = std::uint64_t{10'000} << (2 * backups_max);
  std::uint64_t restores_ = 0;
  Shelves shelves_;
};

class SimStore::Backup {
 private:
  friend class SimStore;
  std::uint64_t version_ = 0;
  std::uint64_t compacted_ = 0;
  Shelves shelves_;
};

}  // namespace berth::sim
