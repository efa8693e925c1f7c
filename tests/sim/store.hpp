// SimStore: the API server and its store, small and honest. Versions grow over all objects, writes
// check their preconditions, a patch that changes nothing makes no version, an object with finalizers
// stays until they are gone, and every change is an event in a log that watchers read at their own pace.
#pragma once

#include <map>
#include <optional>
#include <string>
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
};
template <class T>
using EventLog = std::vector<Event<T>>;

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
  // Of a peer's status the model keeps only which nodes wrote one.
  Result<> patch_bgp_peer_status(const std::string& name, const std::string& node, const std::optional<BgpPeerStatus>& status);

  // What users do. An object without a version is created, with a uid of its own.
  void put(Service service);
  void put(Pool pool);
  void put(BgpConf conf);
  void put(BgpPeer peer);
  void remove_service(const ObjectName& name);
  void remove_pool(const std::string& name);
  void remove_bgp_conf(const std::string& name);
  void remove_bgp_peer(const std::string& name);

  [[nodiscard]] const std::map<ObjectName, Service>& services() const { return services_.rows; }
  [[nodiscard]] const std::map<std::string, AddressBlock>& blocks() const { return blocks_.rows; }
  [[nodiscard]] const std::map<std::string, Pool>& pools() const { return pools_.rows; }
  [[nodiscard]] const std::map<std::string, BgpConf>& bgp_confs() const { return bgp_confs_.rows; }
  [[nodiscard]] const std::map<std::string, BgpPeer>& bgp_peers() const { return bgp_peers_.rows; }
  [[nodiscard]] const EventLog<Service>& service_log() const { return services_.log; }
  [[nodiscard]] const EventLog<AddressBlock>& block_log() const { return blocks_.log; }
  [[nodiscard]] const EventLog<Pool>& pool_log() const { return pools_.log; }
  [[nodiscard]] const EventLog<BgpConf>& bgp_conf_log() const { return bgp_confs_.log; }
  [[nodiscard]] const EventLog<BgpPeer>& bgp_peer_log() const { return bgp_peers_.log; }
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  template <class T>
  struct Shelf {
    std::map<typename T::Key, T> rows;
    EventLog<T> log;
  };
  ResourceVersion next_version() { return {std::to_string(++version_)}; }
  Uid next_uid() { return {"u" + std::to_string(++uid_)}; }
  template <class T>
  T stored(Shelf<T>& shelf, T row);
  template <class T>
  void create_or_replace(Shelf<T>& shelf, T row);
  template <class T>
  void remove(Shelf<T>& shelf, const typename T::Key& key);
  template <class T>
  Result<T> patch_finalizers(Shelf<T>& shelf, const T& seen, std::vector<std::string> finalizers);

  std::uint64_t version_ = 0;
  std::uint64_t uid_ = 0;
  Shelf<Service> services_;
  Shelf<AddressBlock> blocks_;
  Shelf<Pool> pools_;
  Shelf<BgpConf> bgp_confs_;
  Shelf<BgpPeer> bgp_peers_;
};

}  // namespace berth::sim
