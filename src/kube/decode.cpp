#include "kube/decode.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "kube/base64.hpp"
#include "kube/json_reader.hpp"

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

FamilyPolicy family_policy(const std::string& text) {
  if (text == "PreferDualStack") return FamilyPolicy::prefer_dual;
  if (text == "RequireDualStack") return FamilyPolicy::require_dual;
  return FamilyPolicy::single;
}

std::vector<Condition> to_model(std::vector<api::Condition> from) {
  std::vector<Condition> out;
  out.reserve(from.size());
  for (api::Condition& one : from)
    out.push_back({.type = std::move(one.type),
                   .status = std::move(one.status),
                   .reason = std::move(one.reason),
                   .message = std::move(one.message),
                   .last_transition = std::move(one.lastTransitionTime),
                   .observed_generation = one.observedGeneration});
  return out;
}

LabelSelector to_model(api::LabelSelector from) {
  LabelSelector out;
  out.match_labels = std::move(from.matchLabels);
  for (api::SelectorRequirement& one : from.matchExpressions)
    out.match_expressions.push_back({std::move(one.key), std::move(one.operator_), std::move(one.values)});
  return out;
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

// ---- the fields of an Eip that may be wrong; the CRD's schema has the same rules as far as it can

constexpr std::size_t max_pool_name = 63;  // it becomes the value of a label
constexpr std::size_t max_interface = 64;  // it is copied into every record of an address
constexpr std::size_t max_exclusions = 256;
constexpr std::size_t max_map = 1024;  // quotas, reservations
constexpr std::int64_t max_quarantine = 7 * 24 * 3600;

tl::unexpected<Error> refuse(std::string_view field, std::string_view value, std::string_view rule) {
  return fail(ErrorCode::invalid, fmt::format("{} is \"{}\": {}", field, clipped(value, 100), rule));
}

// RFC 1123: the name of a namespace or Service.
bool is_label(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && plain(text.front()) && plain(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return plain(c) || c == '-'; });
}

Result<> read_addresses(const api::EipSpec& spec, Pool& pool) {
  auto ranges = parse_ip_ranges(spec.address);
  if (!ranges) return fail(ranges.error());
  if (spec.exclude.size() > max_exclusions)
    return fail(ErrorCode::invalid, fmt::format("spec.exclude has {} entries: at most {}", spec.exclude.size(), max_exclusions));
  std::vector<IpRange> excluded;
  for (std::size_t i = 0; i < spec.exclude.size(); ++i) {
    auto range = parse_ip_range(spec.exclude[i], fmt::format("spec.exclude[{}]", i));
    if (!range) return fail(range.error());
    excluded.push_back(*range);
  }
  pool.ranges = std::move(*ranges);
  pool.offered = subtract(pool.ranges, std::move(excluded));
  pool.avoid_buggy_ips = spec.avoidBuggyIPs;
  return {};
}

Result<> read_reservations(const api::EipSpec& spec, Pool& pool) {
  if (spec.reservations.size() > max_map)
    return fail(ErrorCode::invalid, fmt::format("spec.reservations has {} entries: at most {}", spec.reservations.size(), max_map));
  for (const auto& [text, service] : spec.reservations) {
    const std::string field = fmt::format("spec.reservations[\"{}\"]", clipped(text, 60));
    const auto ip = IpAddress::parse(text);
    if (!ip) return fail(ErrorCode::invalid, field + ": the key is one IP address");
    if (!pool.contains(*ip)) return fail(ErrorCode::invalid, field + ": the address is not in spec.address");
    if (!pool.offers(*ip)) return fail(ErrorCode::invalid, field + ": spec.exclude or spec.avoidBuggyIPs keep the address from everybody");
    ObjectName name = parse_name(service);
    if (!is_label(name.space) || !is_label(name.name)) return refuse(field, service, "write the Service as namespace/name");
    if (!pool.reservations.emplace(*ip, std::move(name)).second) return fail(ErrorCode::invalid, field + ": the address is there twice");
  }
  return {};
}

Result<> read_quotas(api::EipSpec& spec, Pool& pool) {
  if (spec.namespaceQuotas.size() > max_map)
    return fail(ErrorCode::invalid, fmt::format("spec.namespaceQuotas has {} entries: at most {}", spec.namespaceQuotas.size(), max_map));
  for (const auto& [space, most] : spec.namespaceQuotas) {
    const std::string field = fmt::format("spec.namespaceQuotas[\"{}\"]", clipped(space, 80));
    if (space != "*" && !is_label(space))
      return fail(ErrorCode::invalid, field + ": the key is the name of a namespace, or * for each that is not named");
    if (most < 0) return refuse(field, std::to_string(most), "write 0 or more addresses");
  }
  pool.namespace_quotas = std::move(spec.namespaceQuotas);
  return {};
}

Result<> read_selector(api::EipSpec& spec, Pool& pool) {
  if (!spec.serviceSelector) return {};
  const auto& expressions = spec.serviceSelector->matchExpressions;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    const std::string field = fmt::format("spec.serviceSelector.matchExpressions[{}]", i);
    const std::string& operation = expressions[i].operator_;
    const bool of_values = operation == "In" || operation == "NotIn";
    if (!of_values && operation != "Exists" && operation != "DoesNotExist")
      return refuse(field + ".operator", operation, "write In, NotIn, Exists or DoesNotExist");
    if (of_values == expressions[i].values.empty())
      return fail(ErrorCode::invalid, field + ".values: In and NotIn need values, Exists and DoesNotExist have none");
  }
  pool.service_selector = to_model(std::move(*spec.serviceSelector));
  return {};
}

Result<> read_spec(api::EipSpec& spec, Pool& pool) {
  if (pool.name.size() > max_pool_name)
    return refuse("metadata.name", pool.name, "at most 63 characters, since Services get it as the value of a label");
  if (pool.interface.size() > max_interface)
    return refuse("spec.interface", pool.interface, fmt::format("at most {} characters", max_interface));
  const auto protocol = parse_protocol(spec.protocol);
  if (!protocol) return refuse("spec.protocol", spec.protocol, "write bgp, layer2 or vip");
  pool.protocol = *protocol;
  if (auto done = read_addresses(spec, pool); !done) return done;
  if (!spec.allocationOrder.empty() && spec.allocationOrder != "lowest" && spec.allocationOrder != "leastRecentlyUsed")
    return refuse("spec.allocationOrder", spec.allocationOrder, "write lowest or leastRecentlyUsed");
  if (spec.allocationOrder == "leastRecentlyUsed") pool.order = AllocationOrder::least_recently_used;
  if (const std::int64_t wait = spec.quarantineSeconds.value_or(0); wait < 0 || wait > max_quarantine)
    return refuse("spec.quarantineSeconds", std::to_string(wait), fmt::format("write a number from 0 to {}", max_quarantine));
  if (spec.quarantineSeconds) pool.quarantine = std::chrono::seconds{*spec.quarantineSeconds};
  if (auto done = read_selector(spec, pool); !done) return done;
  if (auto done = read_quotas(spec, pool); !done) return done;
  return read_reservations(spec, pool);
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
  service.family_policy = family_policy(object.spec.ipFamilyPolicy);
  for (const std::string& family : object.spec.ipFamilies) {
    if (family == "IPv4") service.families.push_back(IpFamily::v4);
    if (family == "IPv6") service.families.push_back(IpFamily::v6);
  }
  if (service.external_traffic_policy == TrafficPolicy::local)
    for (const auto& [key, value] : object.spec.selector) service.selector += (service.selector.empty() ? "" : ",") + key + "=" + value;
  for (api::ServicePort& port : object.spec.ports)
    service.ports.push_back({std::move(port.protocol), static_cast<std::uint16_t>(std::clamp<std::int64_t>(port.port, 0, 65535))});
  for (auto& [key, value] : object.metadata.annotations)
    if (key.find("kubesphere.io/") != std::string::npos) service.annotations.emplace(key, std::move(value));
  if (const auto label = object.metadata.labels.find(keys::pool); label != object.metadata.labels.end()) {
    service.has_pool_label = true;
    service.pool_label = std::move(label->second);
    object.metadata.labels.erase(label);
  }
  service.labels = std::move(object.metadata.labels);
  service.generation = object.metadata.generation;
  service.finalizers = std::move(object.metadata.finalizers);
  for (api::Ingress& ingress : object.status.loadBalancer.ingress) {
    std::vector<IngressPort> ports;
    for (api::IngressPort& port : ingress.ports) ports.push_back({std::move(port.protocol), port.port, std::move(port.error)});
    service.ingress.push_back({std::move(ingress.ip), std::move(ingress.hostname), std::move(ingress.ipMode), std::move(ports)});
  }
  service.conditions = to_model(std::move(object.status.conditions));
  return service;
}

Pool to_model(api::Eip object) {
  Pool pool;
  pool.name = std::move(object.metadata.name);
  pool.uid = {std::move(object.metadata.uid)};
  pool.version = {std::move(object.metadata.resourceVersion)};
  pool.deleting = !object.metadata.deletionTimestamp.empty();
  pool.generation = object.metadata.generation;
  pool.address = object.spec.address;
  pool.interface = std::move(object.spec.interface);
  pool.disabled = object.spec.disable;
  const auto is_default = object.metadata.annotations.find(keys::default_pool);
  pool.is_default = is_default != object.metadata.annotations.end() && is_default->second == "true";
  pool.marked_default = is_default != object.metadata.annotations.end() && same_letters(is_default->second, "true");
  pool.priority = object.spec.priority;
  pool.namespaces = std::move(object.spec.namespaces);
  pool.namespace_selector = std::move(object.spec.namespaceSelector);
  pool.enforce_namespaces = object.spec.enforceNamespaces;
  pool.implicit_sharing = object.spec.implicitSharing;
  pool.drain = object.spec.drain;
  if (auto read = read_spec(object.spec, pool); !read) {
    // Nothing is given out by half of what was meant, and nothing is moved.
    pool.invalid = read.error().text;
    pool.ranges.clear();
    pool.offered.clear();
    pool.reservations.clear();
    pool.drain = false;
  }
  pool.finalizers = std::move(object.metadata.finalizers);
  pool.status = {.occupied = object.status.occupied,
                 .usage = object.status.usage,
                 .pool_size = object.status.poolSize,
                 .used = std::move(object.status.used),
                 .first_ip = std::move(object.status.firstIP),
                 .last_ip = std::move(object.status.lastIP),
                 .ready = object.status.ready,
                 .v4 = object.status.v4,
                 .free = object.status.free,
                 .conditions = to_model(std::move(object.status.conditions))};
  return pool;
}

AddressBlock to_model(api::AddressBlock object) {
  AddressBlock block;
  block.name = std::move(object.metadata.name);
  block.uid = {std::move(object.metadata.uid)};
  block.version = {std::move(object.metadata.resourceVersion)};
  for (const auto& [text, written] : object.spec.addresses) {
    const auto address = IpAddress::parse(text);
    auto read = read_json<api::BlockEntry>(written);
    if (!address || !read || !read->problem.empty()) continue;  // the CRD's schema refuses it
    api::BlockEntry& from = read->value;
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
  for (const api::NodeCondition& condition : object.status.conditions) {
    if (condition.type == "Ready") node.ready = condition.status == "True";
    if (condition.type == "NetworkUnavailable") node.network_unavailable = condition.status == "True";
  }
  node.labels = std::move(object.metadata.labels);
  for (api::Taint& taint : object.spec.taints) node.taints.push_back(std::move(taint.key));
  for (const api::NodeAddress& address : object.status.addresses)
    if (address.type == "InternalIP")
      if (const auto ip = IpAddress::parse(address.address)) node.internal_ips.push_back(*ip);
  for (auto& [key, value] : object.metadata.annotations)
    if (key.find("kubesphere.io/") != std::string::npos) node.annotations.emplace(key, std::move(value));
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
  conf.extended_next_hops = object.spec.extendedNextHops;
  if (object.spec.gracefulRestart) conf.graceful_restart = to_model(*object.spec.gracefulRestart);
  conf.policy = std::move(object.spec.policy);
  for (api::Advertisement& from : object.spec.advertisements) {
    BgpConf::Advertisement& to = conf.advertisements.emplace_back();
    to = {std::move(from.name), std::move(from.pools), std::move(from.peers), std::move(from.communities), from.localPref, from.med,
          from.asPathPrepend};
    if (from.serviceSelector) to.service_selector = to_model(std::move(*from.serviceSelector));
    if (from.nodeSelector) to.node_selector = to_model(std::move(*from.nodeSelector));
    to.aggregates = std::move(from.aggregates);
  }
  conf.community_names = std::move(object.spec.communityNames);
  for (auto& [node, status] : object.status.nodesConfStatus)
    conf.nodes_status.emplace(node, BgpConf::NodeStatus{std::move(status.routerId), status.as, std::move(status.nextHops)});
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
    if (spec.conf->passwordSecret) peer.password_secret = std::move(spec.conf->passwordSecret->name);
    peer.description = std::move(spec.conf->description);
    peer.local_as = spec.conf->localAs;
    peer.neighbor_address = std::move(spec.conf->neighborAddress);
    peer.neighbor_annotation = std::move(spec.conf->neighborAddressAnnotation);
    peer.neighbor_interface = std::move(spec.conf->neighborInterface);
    peer.peer_group = std::move(spec.conf->peerGroup);
    peer.peer_as = spec.conf->peerAs;
    peer.maximum_prefixes = spec.conf->maximumPrefixes;
    peer.admin_down = spec.conf->adminDown;
    peer.allow_own_as = spec.conf->allowOwnAs;
    peer.remove_private_as = std::move(spec.conf->removePrivateAs);
    peer.replace_peer_as = spec.conf->replacePeerAs;
  }
  if (spec.ebgpMultihop && spec.ebgpMultihop->enabled)
    peer.ebgp_multihop_ttl = spec.ebgpMultihop->multihopTtl == 0 ? 255 : spec.ebgpMultihop->multihopTtl;
  if (spec.ttlSecurity && spec.ttlSecurity->enabled) peer.minimum_ttl = spec.ttlSecurity->minimumTtl;
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
    peer.local_address = std::move(spec.transport->localAddress);
    peer.bind_interface = std::move(spec.transport->bindInterface);
  }
  if (spec.gracefulRestart) peer.graceful_restart = to_model(*spec.gracefulRestart);
  if (spec.bfd)
    peer.bfd = {.min_tx_ms = spec.bfd->minTxIntervalMs,
                .min_rx_ms = spec.bfd->minRxIntervalMs,
                .multiplier = spec.bfd->detectMultiplier,
                .min_ttl = spec.bfd->minimumTtl,
                .multihop = spec.bfd->multihop,
                .passive = spec.bfd->passive,
                .strict = spec.bfd->strict};
  for (api::AfiSafi& from : spec.afiSafis)
    peer.families.push_back({.afi = std::move(from.config.family.afi),
                             .safi = std::move(from.config.family.safi),
                             .enabled = from.config.enabled.value_or(true),
                             .graceful_restart = from.mpGracefulRestart.config.enabled,
                             .add_path_receive = from.addPaths.config.receive,
                             .add_path_send_max = from.addPaths.config.sendMax});
  if (spec.nodeSelector) peer.node_selector = to_model(std::move(*spec.nodeSelector));
  for (auto& [node, status] : object.status.nodesPeerStatus)
    peer.node_sessions[node] = {status.peerState.sessionState == to_string(SessionState::established), std::move(status.timersState.uptime),
                                status.peerState.prefixes};
  peer.sessions = {std::move(object.status.sessions), std::move(object.status.since), object.status.prefixes};
  return peer;
}

PasswordSecret to_model(api::PasswordSecret object) {
  PasswordSecret out{.name = std::move(object.metadata.name), .version = {std::move(object.metadata.resourceVersion)}, .password = {}};
  if (auto password = from_base64(object.data.password); password && !password->empty()) out.password = std::move(*password);
  return out;
}

PolicyConfigMap to_model(api::PolicyConfigMap object) {
  PolicyConfigMap out{.name = std::move(object.metadata.name), .version = {std::move(object.metadata.resourceVersion)}, .text = {}};
  if (const auto text = object.data.find("gobgp.conf"); text != object.data.end()) out.text = std::move(text->second);
  return out;
}

}  // namespace berth::kube
