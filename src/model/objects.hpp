// The nouns: what Berth keeps of each Kubernetes object. Values without behaviour; only the fields
// that a decision or a status reads. kube/ decodes them, plan/ decides by them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "model/bfd.hpp"
#include "model/ip_address.hpp"
#include "model/names.hpp"

namespace berth {

using Labels = std::map<std::string, std::string, std::less<>>;

enum class ServiceType : std::uint8_t { cluster_ip, node_port, load_balancer, external_name };
enum class TrafficPolicy : std::uint8_t { cluster, local };
enum class FamilyPolicy : std::uint8_t { single, prefer_dual, require_dual };  // KEP-563
enum class AllocationOrder : std::uint8_t { lowest, least_recently_used };
enum class Protocol : std::uint8_t { bgp, layer2, vip };
std::string_view to_string(Protocol protocol);
std::optional<Protocol> parse_protocol(std::string_view text);  // empty is bgp, as in OpenELB

struct LabelSelector {
  struct Expression {
    std::string key;
    std::string operation;  // In, NotIn, Exists, DoesNotExist
    std::vector<std::string> values;
    bool operator==(const Expression&) const = default;
  };
  Labels match_labels;
  std::vector<Expression> match_expressions;
  [[nodiscard]] bool matches(const Labels& labels) const;  // empty matches all; an unknown operation nothing
  bool operator==(const LabelSelector&) const = default;
};

// metav1.Condition, of a Service or of one of our own kinds.
struct Condition {
  std::string type;
  std::string status;  // True, False, Unknown
  std::string reason;  // CamelCase
  std::string message;
  std::string last_transition = {};  // RFC 3339
  std::int64_t observed_generation = 0;
  bool operator==(const Condition&) const = default;
  // The same but for the times: nothing that is worth a write.
  [[nodiscard]] bool says_as(const Condition& other) const {
    return type == other.type && status == other.status && reason == other.reason && message == other.message;
  }
};

struct ServicePort {
  std::string protocol;  // TCP, UDP, SCTP
  std::uint16_t port = 0;
  auto operator<=>(const ServicePort&) const = default;
};

struct IngressPort {  // others', kept
  std::string protocol;
  std::int64_t port = 0;
  std::string error = {};
  bool operator==(const IngressPort&) const = default;
};

struct Ingress {  // one entry of status.loadBalancer.ingress; ip or hostname may be empty
  std::string ip;
  std::string hostname = {};
  std::string ip_mode = {};  // VIP, Proxy; empty where the server does not know it (KEP-1860, before 1.30)
  std::vector<IngressPort> ports = {};
  bool operator==(const Ingress&) const = default;
};

struct Service {
  ObjectName name;
  Uid uid;
  ResourceVersion version;
  std::string created;  // RFC 3339 as the API server wrote it: sorts as text
  bool deleting = false;
  ServiceType type = ServiceType::cluster_ip;
  std::optional<std::string> load_balancer_class;
  std::string load_balancer_ip;  // deprecated since 1.24, still honoured
  TrafficPolicy external_traffic_policy = TrafficPolicy::cluster;
  FamilyPolicy family_policy = FamilyPolicy::single;
  std::vector<IpFamily> families;  // spec.ipFamilies, in order
  std::string selector;            // spec.selector as "key=value,..." in order of keys; kept only with policy local
  Labels labels;                   // all but keys::pool
  std::vector<ServicePort> ports;
  Labels annotations;       // those whose key contains "kubesphere.io/"
  std::string pool_label;   // value of the label keys::pool, or empty
  bool has_pool_label = false;
  std::vector<std::string> finalizers;  // all of them: a merge patch replaces the list
  std::vector<Ingress> ingress;
  std::vector<Condition> conditions;  // all of them: a merge patch replaces the list
  std::int64_t generation = 0;
  // When this version was heard, in the reader's own logical time (reconcile/world_keeper.hpp). Not decoded.
  std::uint64_t heard_at = 0;

  using Key = ObjectName;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const Service&) const = default;
};

// Eip. `ranges` is empty and `invalid` says why when a field can't be read.
struct Pool {
  std::string name;
  Uid uid;
  ResourceVersion version;
  bool deleting = false;
  std::int64_t generation = 0;
  std::string address;           // spec.address as written
  std::vector<IpRange> ranges;   // of spec.address, in its order
  std::vector<IpRange> offered;  // ranges without spec.exclude: what is given out
  bool avoid_buggy_ips = false;  // nor IPv4 addresses that end in .0 or .255
  AllocationOrder order = AllocationOrder::lowest;
  std::optional<Duration> quarantine;  // before an address goes to another Service; absent: the flag's
  std::string invalid;
  Protocol protocol = Protocol::bgp;
  std::string interface;
  bool disabled = false;
  bool is_default = false;
  bool marked_default = false;  // the annotation says true in any case: is_default, or meant to be
  std::int64_t priority = 0;
  std::vector<std::string> namespaces;
  Labels namespace_selector;
  std::optional<LabelSelector> service_selector;  // absent: every Service
  bool enforce_namespaces = false;  // naming the pool or its address does not get around its namespaces
  bool implicit_sharing = false;    // OpenELB's way: asking for an address in use joins it
  bool drain = false;               // move addresses that the pool does not offer any more
  std::map<std::string, std::int64_t> namespace_quotas;  // namespace, or * for each that is not named -> addresses
  std::map<IpAddress, ObjectName> reservations;          // address -> the one Service that may have it
  std::vector<std::string> finalizers;

  // In spec.address, excluded or not.
  [[nodiscard]] bool contains(const IpAddress& ip) const;
  // May be given out.
  [[nodiscard]] bool offers(const IpAddress& ip) const;
  // How many are offered; beyond 2^63-1 it is 2^63-1.
  [[nodiscard]] std::int64_t size() const;

  struct Status {
    bool occupied = false;
    std::int64_t usage = 0;
    std::int64_t pool_size = 0;
    std::map<std::string, std::string> used;  // address text -> "ns/name" or "ns/a;ns/b"
    std::string first_ip;
    std::string last_ip;
    bool ready = false;
    bool v4 = false;
    std::int64_t free = 0;
    std::vector<Condition> conditions = {};
    bool operator==(const Status&) const = default;
  } status;

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const Pool&) const = default;
};

enum class HolderState : std::uint8_t { held, freeing };

struct Holder {
  ObjectName service;
  Uid uid;
  HolderState state = HolderState::held;
  std::string mark;  // identifies one giving back; set when freeing
  bool operator==(const Holder&) const = default;
};

struct BlockEntry {
  std::vector<Holder> holders;  // several when shared; none while in quarantine or reserved
  std::string pool;
  Protocol protocol = Protocol::bgp;
  std::string interface;
  std::string sharing_key;
  std::string reserved_for;  // "ns/name": the last holder, who may have it back at once
  std::string freed_at;      // RFC 3339; for people, nothing decides by it
  bool operator==(const BlockEntry&) const = default;
};

// The record of allocations of 64 aligned addresses (ARCHITECTURE.md, "take, publish, record").
struct AddressBlock {
  std::string name;
  Uid uid;
  ResourceVersion version;  // empty: the object does not exist yet
  std::map<IpAddress, BlockEntry> addresses;
  // Logical times of the reader, like Service::heard_at: when this version was heard, and when the
  // fresh read or compare-and-swap began that proved it current (0: only a watch told). Not decoded.
  std::uint64_t heard_at = 0;
  std::uint64_t read_at = 0;

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const AddressBlock&) const = default;
};

struct Node {
  std::string name;
  Uid uid;
  ResourceVersion version;
  bool deleting = false;
  bool ready = false;
  bool network_unavailable = false;
  Labels labels;
  std::vector<std::string> taints;        // keys
  std::vector<IpAddress> internal_ips;    // status.addresses of type InternalIP, in order
  std::map<std::string, std::string> annotations;  // those whose key has kubesphere.io/ in it

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const Node&) const = default;
};

struct Endpoint {
  std::string node;  // empty where the slice has no nodeName
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  auto operator<=>(const Endpoint&) const = default;
};

struct EndpointSlice {
  ObjectName name;
  ResourceVersion version;
  std::string service;  // label kubernetes.io/service-name, same namespace
  std::vector<Endpoint> endpoints;  // one per distinct value: addresses are not kept

  using Key = ObjectName;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const EndpointSlice&) const = default;
};

struct Namespace {
  std::string name;
  ResourceVersion version;
  Labels labels;

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const Namespace&) const = default;
};

struct GracefulRestart {
  std::optional<bool> enabled;
  std::uint32_t restart_time_s = 0;   // 0: not set
  bool helper_only = false;
  std::uint32_t deferral_time_s = 0;
  bool notification_enabled = false;  // RFC 8538
  bool long_lived_enabled = false;
  std::uint32_t stale_routes_time_s = 0;
  bool operator==(const GracefulRestart&) const = default;
};

struct BgpConf {
  std::string name;
  Uid uid;
  ResourceVersion version;
  bool deleting = false;
  Labels labels;
  std::vector<std::string> finalizers;
  std::uint32_t as = 0;
  std::map<std::string, std::uint32_t> as_per_rack;
  std::string router_id;
  std::int32_t listen_port = 0;  // 0: not set
  std::vector<std::string> listen_addresses;
  std::vector<std::uint32_t> families;
  bool use_multiple_paths = false;
  bool extended_next_hops = false;  // RFC 8950
  std::optional<GracefulRestart> graceful_restart;
  std::string policy;
  struct Advertisement {
    std::string name = {};
    std::vector<std::string> pools = {}, peers = {};  // by name; empty: all
    std::vector<std::string> communities = {};        // as written
    std::optional<std::int64_t> local_pref = {}, med = {};
    std::int64_t as_path_prepend = 0;
    std::optional<LabelSelector> service_selector = {}, node_selector = {};  // absent: every one
    std::vector<std::string> aggregates = {};                                // prefixes, as written
    bool operator==(const Advertisement&) const = default;
  };
  std::vector<Advertisement> advertisements;
  std::map<std::string, std::string> community_names;

  struct NodeStatus {
    std::string router_id;
    std::uint32_t as = 0;
    std::vector<std::string> next_hops;  // nodes that this one announces, or would, sorted
    bool operator==(const NodeStatus&) const = default;
  };
  std::map<std::string, NodeStatus> nodes_status;  // status.nodesConfStatus

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const BgpConf&) const = default;
};

// One decimal counter set of status.nodesPeerStatus[].peerState.messages.
struct BgpMessageCounters {
  std::uint64_t notification = 0, update = 0, open = 0, keepalive = 0, refresh = 0, discarded = 0, total = 0, withdraw_update = 0,
                withdraw_prefix = 0;
  bool operator==(const BgpMessageCounters&) const = default;
};

enum class SessionState : std::uint8_t { unknown, idle, connect, active, open_sent, open_confirm, established };
std::string_view to_string(SessionState state);  // OpenELB's words: IDLE, OPENSENT, ...

// What the engine says of one session; also the source of OpenELB's nodesPeerStatus.
struct BgpPeerStatus {
  std::string neighbor_address;
  std::string description;
  std::uint32_t local_as = 0;
  std::uint32_t peer_as = 0;
  std::string peer_group;
  SessionState session_state = SessionState::unknown;
  bool admin_down = false;
  std::string router_id;       // the peer's
  std::uint32_t flaps = 0;     // OpenELB's `flops`
  std::uint32_t out_queue = 0;
  std::uint64_t connect_retry_s = 0, hold_time_s = 0, keepalive_interval_s = 0, negotiated_hold_time_s = 0,
                minimum_advertisement_interval_s = 0;
  std::string uptime;    // RFC 3339, empty when never up
  std::string downtime;
  BgpMessageCounters received, sent;
  std::string last_error;      // why it is down, in the engine's words
  bool add_path_send = false;  // negotiated: the router learns several next hops from one session
  bool graceful_restart = false;  // negotiated
  std::optional<BfdStatus> bfd;   // where it is asked for
  std::uint32_t prefixes = 0;     // that the router is told of
  bool operator==(const BgpPeerStatus&) const = default;
};

// What people are shown of the sessions of all nodes with one router.
struct BgpSessions {
  std::string up;              // how many are, of how many: "2/3"; empty: nobody has counted yet
  std::string since;           // RFC 3339, when the latest of them came up; empty: none is up
  std::uint32_t prefixes = 0;  // that the router is told of, by the session that tells most
  bool operator==(const BgpSessions&) const = default;
};

struct BgpPeer {
  std::string name;
  Uid uid;
  ResourceVersion version;
  bool deleting = false;
  Labels labels;
  std::vector<std::string> finalizers;
  bool has_conf = false;  // OpenELB's speakers crash without spec.conf; here it is an event
  std::string auth_password;    // never logged, never in a status
  std::string password_secret;  // where it is instead: a PasswordSecret by name
  std::string description;
  std::uint32_t local_as = 0;
  std::string neighbor_address;
  std::string neighbor_annotation;  // of the Node, where the address is instead
  std::string neighbor_interface;   // of the node, with the router at its other end; only if there is no address
  std::string peer_group;           // name of the BgpPeer that has what is not said here
  std::uint32_t peer_as = 0;
  std::uint32_t maximum_prefixes = 0;  // 0: not said
  bool admin_down = false;
  std::uint32_t allow_own_as = 0;
  std::string remove_private_as;
  bool replace_peer_as = false;
  std::uint32_t ebgp_multihop_ttl = 0;  // 0: off
  std::optional<std::int64_t> minimum_ttl;  // spec.ttlSecurity
  struct Bfd {  // as written, checked in plan/
    std::int64_t min_tx_ms = 100;
    std::int64_t min_rx_ms = 100;
    std::int64_t multiplier = 3;
    std::int64_t min_ttl = 254;
    std::optional<bool> multihop = {};  // absent: as the BGP session
    bool passive = false;
    bool strict = false;
    bool operator==(const Bfd&) const = default;
  };
  std::optional<Bfd> bfd;  // absent: no BFD
  // spec.timers.config: strings of decimal seconds in OpenELB; as written, checked in plan/.
  std::string connect_retry, hold_time, keepalive_interval, minimum_advertisement_interval;
  bool passive = false;
  std::string remote_address;
  std::uint32_t remote_port = 0;
  std::uint32_t tcp_mss = 0;
  bool mtu_discovery = false;
  std::string local_address, bind_interface;
  std::optional<GracefulRestart> graceful_restart;
  struct Family {
    std::string afi;   // AFI_IP, AFI_IP6; empty: from the neighbour address
    std::string safi;  // SAFI_UNICAST
    bool enabled = true;
    bool graceful_restart = false;
    bool add_path_receive = false;
    std::uint32_t add_path_send_max = 0;
    bool operator==(const Family&) const = default;
  };
  std::vector<Family> families;
  std::optional<LabelSelector> node_selector;  // absent: every node
  struct NodeSession {
    bool established = false;
    std::string uptime;  // RFC 3339
    std::uint32_t prefixes = 0;
    bool operator==(const NodeSession&) const = default;
  };
  std::map<std::string, NodeSession> node_sessions;  // status.nodesPeerStatus, by node
  BgpSessions sessions;                              // beside it

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const BgpPeer&) const = default;
};

// A Secret of type kubernetes.io/basic-auth in Berth's namespace.
struct PasswordSecret {
  std::string name;
  ResourceVersion version;
  std::optional<std::string> password;  // absent: there is none in it that can be read. Never logged, never in a status

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const PasswordSecret&) const = default;
};

// A ConfigMap in Berth's namespace.
struct PolicyConfigMap {
  std::string name;
  ResourceVersion version;
  std::optional<std::string> text;  // of its key gobgp.conf

  using Key = std::string;
  [[nodiscard]] const Key& key() const { return name; }
  bool operator==(const PolicyConfigMap&) const = default;
};

}  // namespace berth
