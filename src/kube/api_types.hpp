// The Kubernetes objects as they are on the wire, cut down to the members that Berth reads. Named as in
// the API reference; decode.hpp makes the model's nouns of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

namespace berth::kube::api {

using Strings = std::map<std::string, std::string, std::less<>>;

struct OwnerReference {
  std::string kind;
  std::string name;
  bool controller = false;
};
BOOST_DESCRIBE_STRUCT(OwnerReference, (), (kind, name, controller))

struct Metadata {
  std::string name;
  std::string namespace_;
  std::string uid;
  std::string resourceVersion;
  std::string creationTimestamp;
  std::string deletionTimestamp;
  std::int64_t generation = 0;
  Strings labels;
  Strings annotations;
  std::vector<std::string> finalizers;
  std::vector<OwnerReference> ownerReferences;
};
BOOST_DESCRIBE_STRUCT(Metadata,
                      (),
                      (name,
                       namespace_,
                       uid,
                       resourceVersion,
                       creationTimestamp,
                       deletionTimestamp,
                       generation,
                       labels,
                       annotations,
                       finalizers,
                       ownerReferences))

struct ListMetadata {
  std::string resourceVersion;
  std::string continue_;
};
BOOST_DESCRIBE_STRUCT(ListMetadata, (), (resourceVersion, continue_))

template <class T>
struct List {
  ListMetadata metadata;
  std::vector<T> items;
  BOOST_DESCRIBE_CLASS(List, (), (metadata, items), (), ())
};

struct StatusCause {
  std::string reason;
  std::string message;
  std::string field;
};
BOOST_DESCRIBE_STRUCT(StatusCause, (), (reason, message, field))
struct StatusDetails {
  std::vector<StatusCause> causes;
  std::int64_t retryAfterSeconds = 0;
};
BOOST_DESCRIBE_STRUCT(StatusDetails, (), (causes, retryAfterSeconds))
// What the API server answers instead of an object.
struct Status {
  std::int64_t code = 0;
  std::string reason;
  std::string message;
  StatusDetails details;
};
BOOST_DESCRIBE_STRUCT(Status, (), (code, reason, message, details))

template <class T>
struct WatchEvent {
  std::string type;  // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
  T object;
  BOOST_DESCRIBE_CLASS(WatchEvent, (), (type, object), (), ())
};

// metav1.Condition, of Services and of our own kinds.
struct Condition {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
  std::string lastTransitionTime;
  std::int64_t observedGeneration = 0;
};
BOOST_DESCRIBE_STRUCT(Condition, (), (type, status, reason, message, lastTransitionTime, observedGeneration))
struct SelectorRequirement {
  std::string key;
  std::string operator_;
  std::vector<std::string> values;
};
BOOST_DESCRIBE_STRUCT(SelectorRequirement, (), (key, operator_, values))
struct LabelSelector {
  Strings matchLabels;
  std::vector<SelectorRequirement> matchExpressions;
};
BOOST_DESCRIBE_STRUCT(LabelSelector, (), (matchLabels, matchExpressions))

struct ServicePort {
  std::string protocol;
  std::int64_t port = 0;
};
BOOST_DESCRIBE_STRUCT(ServicePort, (), (protocol, port))
struct ServiceSpec {
  std::string type;
  std::optional<std::string> loadBalancerClass;
  std::string loadBalancerIP;
  std::string externalTrafficPolicy;
  std::string ipFamilyPolicy;
  std::vector<std::string> ipFamilies;
  Strings selector;
  std::vector<ServicePort> ports;
};
BOOST_DESCRIBE_STRUCT(ServiceSpec,
                      (),
                      (type, loadBalancerClass, loadBalancerIP, externalTrafficPolicy, ipFamilyPolicy, ipFamilies, selector, ports))
struct IngressPort {
  std::string protocol;
  std::int64_t port = 0;
  std::string error;
};
BOOST_DESCRIBE_STRUCT(IngressPort, (), (protocol, port, error))
struct Ingress {
  std::string ip;
  std::string hostname;
  std::string ipMode;
  std::vector<IngressPort> ports;
};
BOOST_DESCRIBE_STRUCT(Ingress, (), (ip, hostname, ipMode, ports))
struct LoadBalancerStatus {
  std::vector<Ingress> ingress;
};
BOOST_DESCRIBE_STRUCT(LoadBalancerStatus, (), (ingress))
struct ServiceStatus {
  LoadBalancerStatus loadBalancer;
  std::vector<Condition> conditions;
};
BOOST_DESCRIBE_STRUCT(ServiceStatus, (), (loadBalancer, conditions))
struct Service {
  Metadata metadata;
  ServiceSpec spec;
  ServiceStatus status;
};
BOOST_DESCRIBE_STRUCT(Service, (), (metadata, spec, status))

struct NodeCondition {
  std::string type;
  std::string status;
};
BOOST_DESCRIBE_STRUCT(NodeCondition, (), (type, status))
struct Taint {
  std::string key;
};
BOOST_DESCRIBE_STRUCT(Taint, (), (key))
struct NodeSpec {
  std::vector<Taint> taints;
};
BOOST_DESCRIBE_STRUCT(NodeSpec, (), (taints))
struct NodeAddress {
  std::string type;
  std::string address;
};
BOOST_DESCRIBE_STRUCT(NodeAddress, (), (type, address))
struct NodeStatus {
  std::vector<NodeCondition> conditions;
  std::vector<NodeAddress> addresses;
};
BOOST_DESCRIBE_STRUCT(NodeStatus, (), (conditions, addresses))
struct Node {
  Metadata metadata;
  NodeSpec spec;
  NodeStatus status;
};
BOOST_DESCRIBE_STRUCT(Node, (), (metadata, spec, status))

struct EndpointConditions {
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
};
BOOST_DESCRIBE_STRUCT(EndpointConditions, (), (ready, serving, terminating))
struct Endpoint {
  std::string nodeName;
  EndpointConditions conditions;
};
BOOST_DESCRIBE_STRUCT(Endpoint, (), (nodeName, conditions))
struct EndpointSlice {
  Metadata metadata;
  std::vector<Endpoint> endpoints;
};
BOOST_DESCRIBE_STRUCT(EndpointSlice, (), (metadata, endpoints))

struct Namespace {
  Metadata metadata;
};
BOOST_DESCRIBE_STRUCT(Namespace, (), (metadata))

struct EipSpec {
  std::string address;
  std::string protocol;
  std::string interface;
  bool disable = false;
  std::int64_t priority = 0;
  std::vector<std::string> namespaces;
  Strings namespaceSelector;
  std::vector<std::string> exclude;
  bool avoidBuggyIPs = false;
  std::string allocationOrder;
  std::optional<std::int64_t> quarantineSeconds;
  std::optional<LabelSelector> serviceSelector;
  bool enforceNamespaces = false;
  bool implicitSharing = false;
  bool drain = false;
  std::map<std::string, std::int64_t> namespaceQuotas;
  std::map<std::string, std::string> reservations;
};
BOOST_DESCRIBE_STRUCT(EipSpec,
                      (),
                      (address,
                       protocol,
                       interface,
                       disable,
                       priority,
                       namespaces,
                       namespaceSelector,
                       exclude,
                       avoidBuggyIPs,
                       allocationOrder,
                       quarantineSeconds,
                       serviceSelector,
                       enforceNamespaces,
                       implicitSharing,
                       drain,
                       namespaceQuotas,
                       reservations))
struct EipStatus {
  bool occupied = false;
  std::int64_t usage = 0;
  std::int64_t poolSize = 0;
  std::map<std::string, std::string> used;
  std::string firstIP;
  std::string lastIP;
  bool ready = false;
  bool v4 = false;
  std::int64_t free = 0;
  std::vector<Condition> conditions;
};
BOOST_DESCRIBE_STRUCT(EipStatus, (), (occupied, usage, poolSize, used, firstIP, lastIP, ready, v4, free, conditions))
struct Eip {
  Metadata metadata;
  EipSpec spec;
  EipStatus status;
};
BOOST_DESCRIBE_STRUCT(Eip, (), (metadata, spec, status))

struct Holder {
  std::string service;  // namespace/name
  std::string uid;
  std::string state;    // held, freeing
  std::string mark;
};
BOOST_DESCRIBE_STRUCT(Holder, (), (service, uid, state, mark))
struct BlockEntry {
  std::string pool;
  std::string protocol;
  std::string interface;
  std::string sharingKey;
  std::string reservedFor;
  std::string freedAt;
  std::vector<Holder> holders;
};
BOOST_DESCRIBE_STRUCT(BlockEntry, (), (pool, protocol, interface, sharingKey, reservedFor, freedAt, holders))
struct AddressBlockSpec {
  std::map<std::string, std::string> addresses;  // each a BlockEntry as JSON: a value without structure is cheap for the API server
};
BOOST_DESCRIBE_STRUCT(AddressBlockSpec, (), (addresses))
struct AddressBlock {
  Metadata metadata;
  AddressBlockSpec spec;
};
BOOST_DESCRIBE_STRUCT(AddressBlock, (), (metadata, spec))

struct GracefulRestart {
  std::optional<bool> enabled;
  std::uint32_t restartTime = 0;
  bool helperOnly = false;
  std::uint32_t deferralTime = 0;
  bool notificationEnabled = false;
  bool longlivedEnabled = false;
  std::uint32_t staleRoutesTime = 0;
};
BOOST_DESCRIBE_STRUCT(GracefulRestart,
                      (),
                      (enabled, restartTime, helperOnly, deferralTime, notificationEnabled, longlivedEnabled, staleRoutesTime))
struct Advertisement {
  std::string name;
  std::vector<std::string> pools;
  std::vector<std::string> peers;
  std::vector<std::string> communities;
  std::optional<std::int64_t> localPref;
  std::optional<std::int64_t> med;
  std::int64_t asPathPrepend = 0;
  std::optional<LabelSelector> serviceSelector;
  std::optional<LabelSelector> nodeSelector;
  std::vector<std::string> aggregates;
};
BOOST_DESCRIBE_STRUCT(Advertisement,
                      (),
                      (name, pools, peers, communities, localPref, med, asPathPrepend, serviceSelector, nodeSelector, aggregates))
struct BgpConfSpec {
  std::uint32_t as = 0;
  std::map<std::string, std::uint32_t> asPerRack;
  std::string routerId;
  std::int32_t listenPort = 0;
  std::vector<std::string> listenAddresses;
  std::vector<std::uint32_t> families;
  bool useMultiplePaths = false;
  bool extendedNextHops = false;
  std::optional<GracefulRestart> gracefulRestart;
  std::string policy;
  std::vector<Advertisement> advertisements;
  std::map<std::string, std::string> communityNames;
};
BOOST_DESCRIBE_STRUCT(BgpConfSpec,
                      (),
                      (as,
                       asPerRack,
                       routerId,
                       listenPort,
                       listenAddresses,
                       families,
                       useMultiplePaths,
                       extendedNextHops,
                       gracefulRestart,
                       policy,
                       advertisements,
                       communityNames))
struct NodeConfStatus {
  std::string routerId;
  std::uint32_t as = 0;
  std::vector<std::string> nextHops;
};
BOOST_DESCRIBE_STRUCT(NodeConfStatus, (), (routerId, as, nextHops))
struct BgpConfStatus {
  std::map<std::string, NodeConfStatus> nodesConfStatus;
};
BOOST_DESCRIBE_STRUCT(BgpConfStatus, (), (nodesConfStatus))
struct BgpConf {
  Metadata metadata;
  BgpConfSpec spec;
  BgpConfStatus status;
};
BOOST_DESCRIBE_STRUCT(BgpConf, (), (metadata, spec, status))

struct PasswordSecretName {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(PasswordSecretName, (), (name))
struct PeerConf {
  std::string authPassword;
  std::optional<PasswordSecretName> passwordSecret;
  std::string description;
  std::uint32_t localAs = 0;
  std::string neighborAddress;
  std::string neighborAddressAnnotation;
  std::string neighborInterface;
  std::string peerGroup;
  std::uint32_t peerAs = 0;
  std::uint32_t maximumPrefixes = 0;
  bool adminDown = false;
  std::uint32_t allowOwnAs = 0;
  std::string removePrivateAs;
  bool replacePeerAs = false;
};
BOOST_DESCRIBE_STRUCT(PeerConf,
                      (),
                      (authPassword,
                       passwordSecret,
                       description,
                       localAs,
                       neighborAddress,
                       neighborAddressAnnotation,
                       neighborInterface,
                       peerGroup,
                       peerAs,
                       maximumPrefixes,
                       adminDown,
                       allowOwnAs,
                       removePrivateAs,
                       replacePeerAs))
struct EbgpMultihop {
  bool enabled = false;
  std::uint32_t multihopTtl = 0;
};
BOOST_DESCRIBE_STRUCT(EbgpMultihop, (), (enabled, multihopTtl))
struct TtlSecurity {
  bool enabled = false;
  std::int64_t minimumTtl = 255;
};
BOOST_DESCRIBE_STRUCT(TtlSecurity, (), (enabled, minimumTtl))
struct Bfd {
  std::int64_t minTxIntervalMs = 100;
  std::int64_t minRxIntervalMs = 100;
  std::int64_t detectMultiplier = 3;
  std::int64_t minimumTtl = 254;
  std::optional<bool> multihop;
  bool passive = false;
  bool strict = false;
};
BOOST_DESCRIBE_STRUCT(Bfd, (), (minTxIntervalMs, minRxIntervalMs, detectMultiplier, minimumTtl, multihop, passive, strict))
struct TimersConfig {
  std::string connectRetry;
  std::string holdTime;
  std::string keepaliveInterval;
  std::string minimumAdvertisementInterval;
};
BOOST_DESCRIBE_STRUCT(TimersConfig, (), (connectRetry, holdTime, keepaliveInterval, minimumAdvertisementInterval))
struct PeerTimers {
  TimersConfig config;
};
BOOST_DESCRIBE_STRUCT(PeerTimers, (), (config))
struct Transport {
  bool passiveMode = false;
  std::string remoteAddress;
  std::uint32_t remotePort = 0;
  std::uint32_t tcpMss = 0;
  bool mtuDiscovery = false;
  std::string localAddress;
  std::string bindInterface;
};
BOOST_DESCRIBE_STRUCT(Transport, (), (passiveMode, remoteAddress, remotePort, tcpMss, mtuDiscovery, localAddress, bindInterface))
struct FamilyName {
  std::string afi;
  std::string safi;
};
BOOST_DESCRIBE_STRUCT(FamilyName, (), (afi, safi))
struct AfiSafiConfig {
  FamilyName family;
  std::optional<bool> enabled;
};
BOOST_DESCRIBE_STRUCT(AfiSafiConfig, (), (family, enabled))
struct EnabledConfig {
  bool enabled = false;
};
BOOST_DESCRIBE_STRUCT(EnabledConfig, (), (enabled))
struct MpGracefulRestart {
  EnabledConfig config;
};
BOOST_DESCRIBE_STRUCT(MpGracefulRestart, (), (config))
struct AddPathsConfig {
  bool receive = false;
  std::uint32_t sendMax = 0;
};
BOOST_DESCRIBE_STRUCT(AddPathsConfig, (), (receive, sendMax))
struct AddPaths {
  AddPathsConfig config;
};
BOOST_DESCRIBE_STRUCT(AddPaths, (), (config))
struct AfiSafi {
  AfiSafiConfig config;
  MpGracefulRestart mpGracefulRestart;
  AddPaths addPaths;
};
BOOST_DESCRIBE_STRUCT(AfiSafi, (), (config, mpGracefulRestart, addPaths))
struct BgpPeerSpec {
  std::optional<PeerConf> conf;
  std::optional<EbgpMultihop> ebgpMultihop;
  std::optional<TtlSecurity> ttlSecurity;
  std::optional<PeerTimers> timers;
  std::optional<Transport> transport;
  std::optional<GracefulRestart> gracefulRestart;
  std::optional<Bfd> bfd;
  std::vector<AfiSafi> afiSafis;
  std::optional<LabelSelector> nodeSelector;
};
BOOST_DESCRIBE_STRUCT(BgpPeerSpec, (), (conf, ebgpMultihop, ttlSecurity, timers, transport, gracefulRestart, bfd, afiSafis, nodeSelector))
struct PeerState {
  std::string sessionState;
  std::uint32_t prefixes = 0;
};
BOOST_DESCRIBE_STRUCT(PeerState, (), (sessionState, prefixes))
struct TimersState {
  std::string uptime;
};
BOOST_DESCRIBE_STRUCT(TimersState, (), (uptime))
struct NodePeerStatus {
  PeerState peerState;
  TimersState timersState;
};
BOOST_DESCRIBE_STRUCT(NodePeerStatus, (), (peerState, timersState))
struct BgpPeerStatus {
  std::map<std::string, NodePeerStatus> nodesPeerStatus;
  std::string sessions;
  std::string since;
  std::uint32_t prefixes = 0;
};
BOOST_DESCRIBE_STRUCT(BgpPeerStatus, (), (nodesPeerStatus, sessions, since, prefixes))
struct BgpPeer {
  Metadata metadata;
  BgpPeerSpec spec;
  BgpPeerStatus status;
};
BOOST_DESCRIBE_STRUCT(BgpPeer, (), (metadata, spec, status))

struct PasswordData {
  std::string password;  // base64
};
BOOST_DESCRIBE_STRUCT(PasswordData, (), (password))
struct PasswordSecret {
  Metadata metadata;
  PasswordData data;
};
BOOST_DESCRIBE_STRUCT(PasswordSecret, (), (metadata, data))

struct PolicyConfigMap {
  Metadata metadata;
  std::map<std::string, std::string> data;
};
BOOST_DESCRIBE_STRUCT(PolicyConfigMap, (), (metadata, data))

struct LeaseSpec {
  std::string holderIdentity;
  std::int64_t leaseDurationSeconds = 0;
  std::string acquireTime;
  std::string renewTime;
  std::int64_t leaseTransitions = 0;
};
BOOST_DESCRIBE_STRUCT(LeaseSpec, (), (holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions))
struct Lease {
  Metadata metadata;
  LeaseSpec spec;
};
BOOST_DESCRIBE_STRUCT(Lease, (), (metadata, spec))

// Pod, ReplicaSet, Deployment, DaemonSet, Event: only what the end of a process and Events need.
struct WorkloadSpec {
  std::optional<std::int64_t> replicas;
};
BOOST_DESCRIBE_STRUCT(WorkloadSpec, (), (replicas))
struct Workload {
  Metadata metadata;
  WorkloadSpec spec;
};
BOOST_DESCRIBE_STRUCT(Workload, (), (metadata, spec))

}  // namespace berth::kube::api
