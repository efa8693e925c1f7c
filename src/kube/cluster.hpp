// The real body of the port Cluster: every write that Berth makes to the API server, but Events and Lease.
#pragma once

#include "kube/api_client.hpp"
#include "reconcile/cluster.hpp"

namespace berth::kube {

class ApiCluster final : public Cluster {
 public:
  explicit ApiCluster(ApiClient& client) : client_(client) {}

  asio::awaitable<Result<AddressBlock>> read_block(std::string name) override;
  asio::awaitable<Result<Service>> read_service(ObjectName name) override;
  asio::awaitable<Result<AddressBlock>> write_block(AddressBlock block) override;
  asio::awaitable<Result<>> delete_block(AddressBlock block) override;
  asio::awaitable<Result<Service>> patch_service(ServicePatch patch) override;
  asio::awaitable<Result<Pool>> patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) override;
  asio::awaitable<Result<Pool>> patch_pool_status(std::string name, Pool::Status status) override;
  asio::awaitable<Result<>> patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) override;
  asio::awaitable<Result<>> patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) override;
  asio::awaitable<Result<>> patch_bgp_conf_status(std::string name, std::string node, std::optional<BgpConf::NodeStatus> status) override;
  asio::awaitable<Result<>> patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) override;
  asio::awaitable<Result<>> patch_bgp_peer_sessions(std::string name, BgpSessions sessions) override;
  asio::awaitable<WorkloadFate> workload_fate(ObjectName pod) override;

 private:
  ApiClient& client_;
};

}  // namespace berth::kube
