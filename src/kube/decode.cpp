#include "kube/decode.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace berth::kube {
namespace {

ObjectName name_of(const api::Metadata& metadata) { return {metadata.namespace_, metadata.name}; }

ObjectName parse_name(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return {"", text};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

ServiceType service_type(const std::string& text) {
  if (text == "LoadBalancer") return ServiceType::load_balancer;
  if (text == "NodePort") return ServiceType::node_port;
  if (text == "ExternalName") return ServiceType::external_name;
  return ServiceType::cluster_ip;
}

GracefulRestart to_model(const api::GracefulRestart& from) {
  return {.enabled = from.enabled,
          .restart_time_s = from.restartTime,
          .helper_only = from.helperOnly,
          .deferral_time_s = from.deferralTime,
          .notification_enabled = from.notificationEnabled,
          .long_lived_enabled = from.longlivedEnabled,
          .stale_routes_time_s = from.staleRoutesTime};
}

}  // namespace

Service to_model(api::Service object) {
  Service service;
  service.name = name_of(object.metadata);
  service.uid = {std::move(object.metadata.uid)};
  service.version = {std::move(object.metadata.resourceVersion)};
  service.created = std::move(object.metadata.creationTimestamp);
  service.deleting = !object.metadata.deletionTimestamp.empty();
  service.type = service_type(object.spec.type);
  service.load_balancer_class = std::move(object.spec.loadBalancerClass);
  service.load_balancer_ip = std::move(object.spec.loadBalancerIP);
  if (object.spec.externalTrafficPolicy == "Local") service.external_traffic_policy = TrafficPolicy::local;
  for (const std::string& family : object.spec.ipFamilies) {
    if (family == "IPv4") service.families.push_back(IpFamily::v4);
    if (family == "IPv6") service.families.push_back(IpFamily::v6);
  }
  for (api::ServicePort& port : object.spec.ports)
    service.ports.push_back({std::move(port.protocol), static_cast<std::uint16_t>(std::clamp<std::int64_t>(port.port, 0, 65535))});
  for (auto& [key, value] : object.metadata.annotations)
    if (key.find("kubesphere.io/") != std::string::npos) service.annotations.emplace(key, std::move(value));
  if (const auto label = object.metadata.labels.find(keys::pool); label != object.metadata.labels.end()) {
    service.has_pool_label = true;
    service.pool_label = std::move(label->second);
  }
  service.finalizers = std::move(object.metadata.finalizers);
  for (api::Ingress& ingress : object.status.loadBalancer.ingress)
    service.ingress.push_back({std::move(ingress.ip), std::move(ingress.hostname)});
  return service;
}

Pool to_model(api::Eip object) {
  Pool pool;
  pool.name = std::move(object.metadata.name);
  pool.uid = {std::move(object.metadata.uid)};
  pool.version = {std::move(object.metadata.resourceVersion)};
  pool.deleting = !object.metadata.deletionTimestamp.empty();
  pool.address = std::move(object.spec.address);
  if (auto ranges = parse_ip_ranges(pool.address)) {
    pool.ranges = std::move(*ranges);
  } else {
    pool.invalid = ranges.error().text;
  }
  if (const auto protocol = parse_protocol(object.spec.protocol)) {
    pool.protocol = *protocol;
  } else {
    pool.invalid = "spec.protocol is \"" + clipped(object.spec.protocol, 40) + "\": write bgp, layer2 or vip";
    pool.ranges.clear();
  }
  pool.offered = pool.ranges;
  pool.interface = std::move(object.spec.interface);
  pool.disabled = object.spec.disable;
  const auto is_default = object.metadata.annotations.find(keys::default_pool);
  pool.is_default = is_default != object.metadata.annotations.end() && is_default->second == "true";
  pool.marked_default = is_default != object.metadata.annotations.end() && same_letters(is_default->second, "true");
  pool.priority = object.spec.priority;
  pool.namespaces = std::move(object.spec.namespaces);
  pool.namespace_selector = std::move(object.spec.namespaceSelector);
  pool.finalizers = std::move(object.metadata.finalizers);
  pool.status = {.occupied = object.status.occupied,
                 .usage = object.status.usage,
                 .pool_size = object.status.poolSize,
                 .used = std::move(object.status.used),
                 .first_ip = std::move(object.status.firstIP),
                 .last_ip = std::move(object.status.lastIP),
                 .ready = object.status.ready,
                 .v4 = object.status.v4,
                 .free = 0,
                 .conditions = {}};
  return pool;
}

AddressBlock to_model(api::AddressBlock object) {
  AddressBlock block;
  block.name = std::move(object.metadata.name);
  block.uid = {std::move(object.metadata.uid)};
  block.version = {std::move(object.metadata.resourceVersion)};
  for (auto& [text, from] : object.spec.addresses) {
    const auto address = IpAddress::parse(text);
    if (!address) continue;  // the CRD's schema refuses it
    BlockEntry entry;
    entry.pool = std::move(from.pool);
    entry.protocol = parse_protocol(from.protocol).value_or(Protocol::bgp);
    entry.interface = std::move(from.interface);
    entry.sharing_key = std::move(from.sharingKey);
    entry.reserved_for = std::move(from.reservedFor);
    entry.freed_at = std::move(from.freedAt);
    for (api::Holder& holder : from.holders)
      entry.holders.push_back({.service = parse_name(holder.service),
                               .uid = {std::move(holder.uid)},
                               .state = holder.state == "freeing" ? HolderState::freeing : HolderState::held,
                               .mark = std::move(holder.mark)});
    block.addresses.emplace(*address, std::move(entry));
  }
  return block;
}

Node to_model(api::Node object) {
  Node node;
  node.name = std::move(object.metadata.name);
  node.uid = {std::move(object.metadata.uid)};
  node.version = {std::move(object.metadata.resourceVersion)};
  node.deleting = !object.metadata.deletionTimestamp.empty();
  for (const api::Condition& condition : object.status.conditions) {
    if (condition.type == "Ready") node.ready = condition.status == "True";
    if (condition.type == "NetworkUnavailable") node.network_unavailable = condition.status == "True";
  }
  node.labels = std::move(object.metadata.labels);
  for (api::Taint& taint : object.spec.taints) node.taints.push_back(std::move(taint.key));
  for (const api::NodeAddress& address : object.status.addresses)
    if (address.type == "InternalIP")
      if (const auto ip = IpAddress::parse(address.address)) node.internal_ips.push_back(*ip);
  return node;
}

EndpointSlice to_model(api::EndpointSlice object) {
  EndpointSlice slice;
  slice.name = name_of(object.metadata);
  slice.version = {std::move(object.metadata.resourceVersion)};
  if (const auto label = object.metadata.labels.find("kubernetes.io/service-name"); label != object.metadata.labels.end())
    slice.service = label->second;
  for (api::Endpoint& from : object.endpoints) {
    Endpoint endpoint;
    endpoint.node = std::move(from.nodeName);
    endpoint.ready = from.conditions.ready.value_or(true);  // nil is to be read as true
    endpoint.serving = from.conditions.serving.value_or(endpoint.ready);
    endpoint.terminating = from.conditions.terminating.value_or(false);
    slice.endpoints.push_back(std::move(endpoint));
  }
  std::ranges::sort(slice.endpoints);
  const auto repeated = std::ranges::unique(slice.endpoints);
  slice.endpoints.erase(repeated.begin(), repeated.end());
  slice.endpoints.shrink_to_fit();
  return slice;
}

Namespace to_model(api::Namespace object) {
  return {.name = std::move(object.metadata.name),
          .version = {std::move(object.metadata.resourceVersion)},
          .labels = std::move(object.metadata.labels)};
}

BgpConf to_model(api::BgpConf object) {
  BgpConf conf;
  conf.name = std::move(object.metadata.name);
  conf.uid = {std::move(object.metadata.uid)};
  conf.version = {std::move(object.metadata.resourceVersion)};
  conf.deleting = !object.metadata.deletionTimestamp.empty();
  conf.labels = std::move(object.metadata.labels);
  conf.finalizers = std::move(object.metadata.finalizers);
  conf.as = object.spec.as;
  conf.as_per_rack = std::move(object.spec.asPerRack);
  conf.router_id = std::move(object.spec.routerId);
  conf.listen_port = object.spec.listenPort;
  conf.listen_addresses = std::move(object.spec.listenAddresses);
  conf.families = std::move(object.spec.families);
  conf.use_multiple_paths = object.spec.useMultiplePaths;
  if (object.spec.gracefulRestart) conf.graceful_restart = to_model(*object.spec.gracefulRestart);
  conf.policy = std::move(object.spec.policy);
  for (auto& [node, status] : object.status.nodesConfStatus)
    conf.nodes_status.emplace(node, BgpConf::NodeStatus{std::move(status.routerId), status.as});
  return conf;
}

BgpPeer to_model(api::BgpPeer object) {
  BgpPeer peer;
  peer.name = std::move(object.metadata.name);
  peer.uid = {std::move(object.metadata.uid)};
  peer.version = {std::move(object.metadata.resourceVersion)};
  peer.deleting = !object.metadata.deletionTimestamp.empty();
  peer.labels = std::move(object.metadata.labels);
  peer.finalizers = std::move(object.metadata.finalizers);
  api::BgpPeerSpec& spec = object.spec;
  if (spec.conf) {
    peer.has_conf = true;
    peer.auth_password = std::move(spec.conf->authPassword);
    peer.description = std::move(spec.conf->description);
    peer.local_as = spec.conf->localAs;
    peer.neighbor_address = std::move(spec.conf->neighborAddress);
    peer.peer_as = spec.conf->peerAs;
    peer.admin_down = spec.conf->adminDown;
    peer.allow_own_as = spec.conf->allowOwnAs;
    peer.remove_private_as = std::move(spec.conf->removePrivateAs);
    peer.replace_peer_as = spec.conf->replacePeerAs;
  }
  if (spec.ebgpMultihop && spec.ebgpMultihop->enabled)
    peer.ebgp_multihop_ttl = spec.ebgpMultihop->multihopTtl == 0 ? 255 : spec.ebgpMultihop->multihopTtl;
  if (spec.timers) {
    api::TimersConfig& timers = spec.timers->config;
    peer.connect_retry = std::move(timers.connectRetry);
    peer.hold_time = std::move(timers.holdTime);
    peer.keepalive_interval = std::move(timers.keepaliveInterval);
    peer.minimum_advertisement_interval = std::move(timers.minimumAdvertisementInterval);
  }
  if (spec.transport) {
    peer.passive = spec.transport->passiveMode;
    peer.remote_address = std::move(spec.transport->remoteAddress);
    peer.remote_port = spec.transport->remotePort;
    peer.tcp_mss = spec.transport->tcpMss;
    peer.mtu_discovery = spec.transport->mtuDiscovery;
  }
  if (spec.gracefulRestart) peer.graceful_restart = to_model(*spec.gracefulRestart);
  for (api::AfiSafi& from : spec.afiSafis)
    peer.families.push_back({.afi = std::move(from.config.family.afi),
                             .safi = std::move(from.config.family.safi),
                             .enabled = from.config.enabled.value_or(true),
                             .graceful_restart = from.mpGracefulRestart.config.enabled,
                             .add_path_receive = from.addPaths.config.receive,
                             .add_path_send_max = from.addPaths.config.sendMax});
  if (spec.nodeSelector) {
    LabelSelector selector;
    selector.match_labels = std::move(spec.nodeSelector->matchLabels);
    for (api::SelectorRequirement& requirement : spec.nodeSelector->matchExpressions)
      selector.match_expressions.push_back({std::move(requirement.key), std::move(requirement.operator_), std::move(requirement.values)});
    peer.node_selector = std::move(selector);
  }
  for (const auto& [node, status] : object.status.nodesPeerStatus) peer.status_nodes.push_back(node);
  return peer;
}

}  // namespace berth::kube
