#include "kube/cluster.hpp"

#include <algorithm>
#include <utility>

#include "kube/api_types.hpp"
#include "kube/decode.hpp"
#include "kube/encode.hpp"

namespace berth::kube {
namespace {

const std::string group = "/apis/network.kubesphere.io/v1alpha2/";

std::string service_path(const ObjectName& name) { return "/api/v1/namespaces/" + name.space + "/services/" + name.name; }
std::string block_path(const std::string& name) { return group + "addressblocks/" + name; }

template <class Wire>
auto modelled(Result<Wire> object) -> Result<decltype(to_model(std::move(*object)))> {
  if (!object) return fail(object.error());
  return to_model(std::move(*object));
}

const api::OwnerReference* controller_of(const api::Metadata& metadata) {
  const auto found = std::ranges::find_if(metadata.ownerReferences, &api::OwnerReference::controller);
  return found == metadata.ownerReferences.end() ? nullptr : &*found;
}

}  // namespace

asio::awaitable<Result<AddressBlock>> ApiCluster::read_block(std::string name) {
  co_return modelled(co_await client_.get<api::AddressBlock>(block_path(name)));
}

asio::awaitable<Result<Service>> ApiCluster::read_service(ObjectName name) {
  co_return modelled(co_await client_.get<api::Service>(service_path(name)));
}

asio::awaitable<Result<AddressBlock>> ApiCluster::write_block(AddressBlock block) {
  std::string body = encode(block);
  if (block.version.text.empty()) co_return modelled(co_await client_.create<api::AddressBlock>(group + "addressblocks", std::move(body)));
  co_return modelled(co_await client_.replace<api::AddressBlock>(block_path(block.name), std::move(body)));
}

asio::awaitable<Result<>> ApiCluster::delete_block(AddressBlock block) {
  co_return co_await client_.remove(block_path(block.name), delete_options(block.uid, block.version));
}

asio::awaitable<Result<Service>> ApiCluster::patch_service(ServicePatch patch) {
  co_return modelled(co_await client_.patch<api::Service>(PatchKind::merge, service_path(patch.name) + "/status", merge_patch(patch)));
}

asio::awaitable<Result<Pool>> ApiCluster::patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) {
  co_return modelled(co_await client_.patch<api::Eip>(PatchKind::merge, group + "eips/" + pool.name,
                                                      finalizers_patch(pool.uid, pool.version, finalizers)));
}

asio::awaitable<Result<Pool>> ApiCluster::patch_pool_status(std::string name, Pool::Status status) {
  co_return modelled(co_await client_.patch<api::Eip>(PatchKind::json, group + "eips/" + name + "/status", pool_status_patch(status)));
}

asio::awaitable<Result<>> ApiCluster::patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) {
  co_return co_await client_.patch_only(PatchKind::merge, group + "bgpconfs/" + conf.name,
                                        finalizers_patch(conf.uid, conf.version, finalizers));
}

asio::awaitable<Result<>> ApiCluster::patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) {
  co_return co_await client_.patch_only(PatchKind::merge, group + "bgppeers/" + peer.name,
                                        finalizers_patch(peer.uid, peer.version, finalizers));
}

asio::awaitable<Result<>> ApiCluster::patch_bgp_conf_status(std::string name, std::string node, std::optional<BgpConf::NodeStatus> status) {
  co_return co_await client_.patch_only(PatchKind::merge, group + "bgpconfs/" + name + "/status", conf_status_patch(node, status));
}

asio::awaitable<Result<>> ApiCluster::patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) {
  co_return co_await client_.patch_only(PatchKind::merge, group + "bgppeers/" + name + "/status", peer_status_patch(node, status));
}

asio::awaitable<Result<>> ApiCluster::patch_bgp_peer_sessions(std::string name, BgpSessions sessions) {
  co_return co_await client_.patch_only(PatchKind::merge, group + "bgppeers/" + name + "/status", peer_sessions_patch(sessions));
}

asio::awaitable<Cluster::WorkloadFate> ApiCluster::workload_fate(ObjectName pod) {
  const std::string apps = "/apis/apps/v1/namespaces/" + pod.space + "/";
  auto object = co_await client_.get<api::Workload>("/api/v1/namespaces/" + pod.space + "/pods/" + pod.name);
  // From the pod up to whoever made it: a Deployment by way of a ReplicaSet, a DaemonSet or a StatefulSet.
  for (int level = 0; level < 3; ++level) {
    if (!object) co_return level > 0 && object.error().code == ErrorCode::not_found ? WorkloadFate::goes : WorkloadFate::unknown;
    const api::OwnerReference* owner = controller_of(object->metadata);
    if (level > 0) {
      if (!object->metadata.deletionTimestamp.empty()) co_return WorkloadFate::goes;
      if (owner == nullptr) co_return object->spec.replicas == 0 ? WorkloadFate::goes : WorkloadFate::stays;
    } else if (owner == nullptr) {
      co_return WorkloadFate::goes;  // a bare pod does not come back
    }
    std::string_view kind;
    if (owner->kind == "ReplicaSet") kind = "replicasets/";
    if (owner->kind == "Deployment") kind = "deployments/";
    if (owner->kind == "DaemonSet") kind = "daemonsets/";
    if (owner->kind == "StatefulSet") kind = "statefulsets/";
    if (kind.empty()) co_return WorkloadFate::unknown;
    const std::string path = apps + std::string{kind} + owner->name;
    object = co_await client_.get<api::Workload>(path);
  }
  co_return WorkloadFate::unknown;
}

}  // namespace berth::kube
