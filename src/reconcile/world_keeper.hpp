// WorldKeeper: the one writer of World. Watches and the answers to our own writes come in here, get a
// logical time, and ring everybody who plans. It decides nothing.
//
// Logical time orders what this process heard and began: an object's `heard_at` is when this version
// arrived, a block's `read_at` when the fresh read or compare-and-swap began that showed it current
// (plan/allocate.hpp, rule B4).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/world.hpp"
#include "reconcile/cluster.hpp"

namespace berth {

class WorldKeeper {
 public:
  WorldKeeper();
  ~WorldKeeper();
  WorldKeeper(const WorldKeeper&) = delete;
  WorldKeeper& operator=(const WorldKeeper&) = delete;

  [[nodiscard]] const World& world() const { return world_; }
  // Called after every change; must only ring a bell.
  void on_change(std::function<void()> listener) { listeners_.push_back(std::move(listener)); }
  // A moment that lies after everything heard so far: take it when a read or write begins.
  std::uint64_t begin() { return ++clock_; }

  // Answers to our own reads and writes.
  void heard(Service service);
  void heard(Service service, std::uint64_t read_at);  // a fresh read that began then
  void heard(AddressBlock block, std::uint64_t read_at);
  void heard(Pool pool);
  // A read or deletion that began at this logical time found nothing there. What was heard since stays:
  // it may have been created meanwhile, and no watch would tell of it again.
  void gone(const ObjectName& service, std::uint64_t read_at);
  void block_gone(const std::string& name, std::uint64_t read_at);

  [[nodiscard]] TableFeed<Service>& services() const { return *services_; }
  [[nodiscard]] TableFeed<Pool>& pools() const { return *pools_; }
  [[nodiscard]] TableFeed<AddressBlock>& blocks() const { return *blocks_; }
  [[nodiscard]] TableFeed<Node>& nodes() const { return *nodes_; }
  [[nodiscard]] TableFeed<EndpointSlice>& endpoint_slices() const { return *endpoint_slices_; }
  [[nodiscard]] TableFeed<Namespace>& namespaces() const { return *namespaces_; }
  [[nodiscard]] TableFeed<BgpConf>& bgp_confs() const { return *bgp_confs_; }
  [[nodiscard]] TableFeed<BgpPeer>& bgp_peers() const { return *bgp_peers_; }
  [[nodiscard]] TableFeed<PasswordSecret>& password_secrets() const { return *password_secrets_; }
  [[nodiscard]] TableFeed<PolicyConfigMap>& policy_config_maps() const { return *policy_config_maps_; }

 private:
  template <class T>
  class Feed;

  void changed() const {
    for (const auto& listener : listeners_) listener();
  }

  World world_;
  std::uint64_t clock_ = 0;
  std::vector<std::function<void()>> listeners_;
  std::unique_ptr<TableFeed<Service>> services_;
  std::unique_ptr<TableFeed<Pool>> pools_;
  std::unique_ptr<TableFeed<AddressBlock>> blocks_;
  std::unique_ptr<TableFeed<Node>> nodes_;
  std::unique_ptr<TableFeed<EndpointSlice>> endpoint_slices_;
  std::unique_ptr<TableFeed<Namespace>> namespaces_;
  std::unique_ptr<TableFeed<BgpConf>> bgp_confs_;
  std::unique_ptr<TableFeed<BgpPeer>> bgp_peers_;
  std::unique_ptr<TableFeed<PasswordSecret>> password_secrets_;
  std::unique_ptr<TableFeed<PolicyConfigMap>> policy_config_maps_;
};

}  // namespace berth
