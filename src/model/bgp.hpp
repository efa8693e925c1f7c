// What a BGP engine is asked to do: plain values with units, already checked, so that an engine only
// translates. plan/bgp_config.hpp makes them from BgpConf, BgpPeers and Nodes.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/bfd.hpp"
#include "model/ip_address.hpp"

namespace berth {

// A host route (/32 or /128), or that of a whole prefix, with one next hop: of the same family, or IPv6 (RFC 8950).
struct BgpRoute {
  IpAddress address;
  IpAddress next_hop;
  std::uint8_t prefix_length = 0;  // 0: a host route
  [[nodiscard]] int length() const { return prefix_length == 0 ? address.bits() : prefix_length; }
  auto operator<=>(const BgpRoute&) const = default;
};

// Standard (RFC 1997: two halves of 16 bits) or large (RFC 8092: three of 32).
struct BgpCommunity {
  bool large = false;
  std::uint32_t a = 0, b = 0, c = 0;
  auto operator<=>(const BgpCommunity&) const = default;
};
std::string to_string(const BgpCommunity& community);  // as a BgpConf has it
inline constexpr BgpCommunity graceful_shutdown_community{false, 65535, 0, 0};  // RFC 8326

struct BgpAttributes {
  std::vector<BgpCommunity> communities;  // sorted, one each: add()
  std::optional<std::uint32_t> med;         // smaller is preferred, among routes of one AS
  std::optional<std::uint32_t> local_pref;  // larger is preferred; only routers of our own AS get it
  void add(const BgpCommunity& community);
  auto operator<=>(const BgpAttributes&) const = default;
};

// A route as some of the routers get it.
struct BgpOffer {
  std::set<IpAddress> peers;
  BgpAttributes attributes;
  std::uint32_t prepend = 0;     // so many times more is...
  std::uint32_t prepend_as = 0;  // ...this number in the AS path
  auto operator<=>(const BgpOffer&) const = default;
};

struct BgpPath {
  BgpAttributes attributes;
  // 0: every router gets the route, so. Otherwise those whom BgpDesired::audiences names get it, as is said there.
  std::uint32_t audience = 0;
  auto operator<=>(const BgpPath&) const = default;
};
using BgpRoutes = std::map<BgpRoute, BgpPath>;

// A change of any of these needs a restart of the BGP server, which is planned (graceful restart).
struct BgpGlobal {
  std::uint32_t as = 0;           // never 0
  std::string router_id;          // IPv4 notation
  std::int32_t listen_port = -1;  // -1: active only
  std::vector<std::string> listen_addresses;
  bool use_multiple_paths = false;
  bool operator==(const BgpGlobal&) const = default;
};

struct BgpPeerConfig {
  struct Family {
    IpFamily family = IpFamily::v4;
    bool graceful_restart = true;
    bool add_path_receive = false;
    std::uint32_t add_path_send_max = 10;  // 0: off
    std::uint32_t maximum_prefixes = 0;    // 0: no limit; a router that sends more is cut off
    bool operator==(const Family&) const = default;
  };
  std::string object;            // name of the BgpPeer, for status and messages
  IpAddress neighbor;            // the identity of a peer in the engine; a link-local one has a zone
  std::uint32_t peer_as = 0;     // never 0
  std::uint32_t local_as = 0;    // 0: the global one
  std::string auth_password;     // TCP MD5; never logged
  std::string description;
  std::string peer_group;  // name of the BgpPeer that had a part in this
  bool admin_down = false;
  std::optional<BfdPeer> bfd;  // no part of the session: same_session()
  bool bfd_strict = false;     // no session while BFD is not up
  std::uint32_t allow_own_as = 0;
  std::string remove_private_as;  // "", ALL or REPLACE
  bool replace_peer_as = false;
  std::uint32_t ebgp_multihop_ttl = 0;  // 0: off
  std::uint32_t minimum_ttl = 0;        // GTSM (RFC 5082): packets that came farther are dropped; 0: off
  std::uint64_t connect_retry_s = 5;    // at least 1
  std::uint64_t hold_time_s = 90;       // at least 3
  std::uint64_t keepalive_interval_s = 30;
  std::uint64_t minimum_advertisement_interval_s = 0;
  bool passive = false;
  std::string remote_address;     // transport address, when not the neighbour's
  std::string local_address;      // that the connection comes from; empty: the system's choice
  std::string bind_interface;     // that it goes through, or the VRF device; empty: the system's choice
  std::uint32_t remote_port = 0;  // 0: 179
  std::uint32_t tcp_mss = 0;
  bool mtu_discovery = false;
  bool graceful_restart = true;
  std::uint32_t restart_time_s = 120;
  std::uint32_t deferral_time_s = 5;  // GoBGP's own default, 360, silences healthy peers
  bool notification_enabled = false;  // RFC 8538
  bool long_lived_enabled = false;
  std::uint32_t stale_routes_time_s = 0;
  bool helper_only = false;
  std::vector<Family> families;
  bool operator==(const BgpPeerConfig&) const = default;
};

struct BgpDesired {
  std::optional<BgpGlobal> global;  // absent: BGP is not configured; no session, no route
  std::vector<BgpPeerConfig> peers;  // sorted by neighbour, one each
  BgpRoutes routes;
  std::map<std::uint32_t, std::vector<BgpOffer>> audiences;  // no router is in two offers of one
  std::string policy;  // what routes go through before they are sent, in the engine's language; empty: none
  std::vector<IpRange> ranges = {};  // machines that may connect, and are peers then
  // This node's. Peers with a link-local address get only routes by one of these, and with our own end of the session as next hop: nobody
  // knows a way to another one on that link.
  std::vector<IpAddress> own_next_hops = {};
  bool operator==(const BgpDesired&) const = default;
};

}  // namespace berth
