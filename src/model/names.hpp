// Identities as types, so that one can't be taken for another.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth {

// A namespaced object's name, written `space/name`.
struct ObjectName {
  std::string space;
  std::string name;
  auto operator<=>(const ObjectName&) const = default;
  [[nodiscard]] std::string to_string() const { return space + "/" + name; }
};

struct Uid {
  std::string text;
  auto operator<=>(const Uid&) const = default;
};

// Opaque by contract, but from Kubernetes' etcd a growing number, which is used for one thing only:
// to keep an older view of an object from replacing a newer one (KEP-5504).
struct ResourceVersion {
  std::string text;
  bool operator==(const ResourceVersion&) const = default;
  [[nodiscard]] bool older_than(const ResourceVersion& other) const {
    std::uint64_t mine = 0;
    std::uint64_t theirs = 0;
    const auto read = [](const std::string& s, std::uint64_t& out) {
      const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
      return error == std::errc{} && end == s.data() + s.size();
    };
    return read(text, mine) && read(other.text, theirs) && mine < theirs;
  }
};

namespace keys {  // every key of OpenELB's that is on the wire, and ours
inline constexpr std::string_view opt_in = "lb.kubesphere.io/v1alpha1";                       // annotation
inline constexpr std::string_view opt_in_value = "openelb";
inline constexpr std::string_view pool = "eip.openelb.kubesphere.io/v1alpha2";                // annotation: wish; label: fact
inline constexpr std::string_view wanted_ip = "eip.openelb.kubesphere.io/v1alpha1";           // annotation
inline constexpr std::string_view default_pool = "eip.openelb.kubesphere.io/is-default-eip";  // Eip annotation
inline constexpr std::string_view rack = "openelb.kubesphere.io/rack";                        // Node label
inline constexpr std::string_view cni = "openelb.kubesphere.io/cni";                          // BgpConf, BgpPeer label
inline constexpr std::string_view node_proxy = "node-proxy.openelb.kubesphere.io/type";       // annotation
inline constexpr std::string_view service_finalizer = "finalizer.lb.kubesphere.io/v1alpha1";
inline constexpr std::string_view pool_finalizer = "finalizer.ipam.kubesphere.io/v1alpha1";
inline constexpr std::string_view load_balancer_class = "berth.kubesphere.io/lb";
inline constexpr std::string_view allocated = "berth.kubesphere.io/allocated";                // annotation: the address, for restores
inline constexpr std::string_view fence = "berth.kubesphere.io/fence";                        // annotation: see plan/allocate.hpp
inline constexpr std::string_view sharing_key = "berth.kubesphere.io/sharing-key";              // annotation: who has the same may share
inline constexpr std::string_view sharing_namespaces = "berth.kubesphere.io/sharing-namespaces";  // annotation: with whom, or *
inline constexpr std::string_view ip_mode = "berth.kubesphere.io/ip-mode";                     // annotation: VIP or Proxy (KEP-1860)
inline constexpr std::string_view allocated_condition = "berth.kubesphere.io/Allocated";       // condition of a Service
inline constexpr std::string_view without_endpoints = "berth.kubesphere.io/announce-without-endpoints";
inline constexpr std::string_view bgp_communities = "berth.kubesphere.io/bgp-communities";      // annotations of a Service
inline constexpr std::string_view bgp_local_pref = "berth.kubesphere.io/bgp-local-pref";
inline constexpr std::string_view bgp_med = "berth.kubesphere.io/bgp-med";
inline constexpr std::string_view bgp_as_path_prepend = "berth.kubesphere.io/bgp-as-path-prepend";
inline constexpr std::string_view bgp_peers = "berth.kubesphere.io/bgp-peers";
inline constexpr std::string_view exclude_node = "node.kubernetes.io/exclude-from-external-load-balancers";
inline constexpr std::string_view autoscaler_taint = "ToBeDeletedByClusterAutoscaler";
inline constexpr std::string_view out_of_service_taint = "node.kubernetes.io/out-of-service";
}  // namespace keys

}  // namespace berth
