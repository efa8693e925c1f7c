// Builders for tests of plan/ and of what stands on it: a World in a few words. Every builder gives
// an ordinary, healthy object; a test then says what is special about its own.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/world.hpp"

namespace berth::testing {

inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
inline Instant at(Duration time) { return Instant{std::chrono::hours{1} + time}; }

template <class T>
T with(T value, auto... changes) {
  (changes(value), ...);
  return value;
}

// A LoadBalancer that asks Berth for an address by its class; heard at logical time 10.
inline Service service(std::string name, auto... changes) {
  Service out;
  out.name = {"shop", std::move(name)};
  out.uid = {out.name.name + "-uid"};
  out.version = {"1"};
  out.created = "2026-01-01T00:00:00Z";
  out.type = ServiceType::load_balancer;
  out.load_balancer_class = std::string{keys::load_balancer_class};
  out.families = {IpFamily::v4};
  out.ports = {{"TCP", 80}};
  out.heard_at = 10;
  (changes(out), ...);
  return out;
}
inline auto annotated(std::string_view key, std::string value) {
  return [=](Service& s) { s.annotations[std::string{key}] = value; };
}
inline auto created(std::string when) {
  return [=](Service& s) { s.created = when; };
}
inline auto shows(std::string address) {
  return [=](Service& s) { s.ingress.push_back({address, ""}); };
}
// As a Service looks when everything of ours is on it.
inline auto served(std::string pool, std::string address) {
  return [=](Service& s) {
    s.has_pool_label = true;
    s.pool_label = pool;
    s.annotations[std::string{keys::allocated}] = address;
    s.finalizers.emplace_back(keys::service_finalizer);
    s.ingress.push_back({address, ""});
    s.conditions = {{std::string{keys::allocated_condition}, "True", "Allocated", address + " from " + pool}};
  };
}
inline auto heard(std::uint64_t when) {
  return [=](auto& object) { object.heard_at = when; };
}

inline Pool pool(std::string name, std::string_view address, auto... changes) {
  Pool out;
  out.name = std::move(name);
  out.uid = {out.name + "-uid"};
  out.version = {"1"};
  out.address = std::string{address};
  if (auto ranges = parse_ip_ranges(address))
    out.ranges = out.offered = *ranges;
  else
    out.invalid = ranges.error().text;
  out.finalizers = {std::string{keys::pool_finalizer}};
  (changes(out), ...);
  return out;
}
inline void is_default(Pool& pool) { pool.is_default = true; }
inline void dual_stack(Service& s) {
  s.families = {IpFamily::v4, IpFamily::v6};
  s.family_policy = FamilyPolicy::prefer_dual;
}
inline void both_or_none(Service& s) {
  dual_stack(s);
  s.family_policy = FamilyPolicy::require_dual;
}
inline auto ports(std::vector<ServicePort> list) {
  return [=](Service& s) { s.ports = list; };
}
inline void disabled(Pool& pool) { pool.disabled = true; }
inline void deleting(auto& object) { object.deleting = true; }
inline auto priority(std::int64_t value) {
  return [=](Pool& pool) { pool.priority = value; };
}
inline auto for_namespace(std::string space) {
  return [=](Pool& pool) { pool.namespaces.push_back(space); };
}

inline BlockEntry held(const Service& by, std::string pool) {
  BlockEntry out;
  out.holders = {{by.name, by.uid, HolderState::held, ""}};
  out.pool = std::move(pool);
  return out;
}
inline BlockEntry freeing(const Service& by, std::string pool, std::string mark) {
  BlockEntry out = held(by, std::move(pool));
  out.holders.front().state = HolderState::freeing;
  out.holders.front().mark = std::move(mark);
  return out;
}
inline BlockEntry quarantined(const Service& last, std::string pool) {
  BlockEntry out;
  out.pool = std::move(pool);
  out.reserved_for = last.name.to_string();
  return out;
}
// Heard at 20, after every Service of `service()`, and read afresh at 40.
inline AddressBlock block(std::vector<std::pair<std::string, BlockEntry>> entries, auto... changes) {
  AddressBlock out;
  out.name = block_name(ip(entries.front().first));
  out.uid = {out.name + "-uid"};
  out.version = {"1"};
  for (auto& [address, entry] : entries) out.addresses.emplace(ip(address), std::move(entry));
  out.heard_at = 20;
  out.read_at = 40;
  (changes(out), ...);
  return out;
}

inline Node node(std::string name, std::string_view address, auto... changes) {
  Node out;
  out.name = std::move(name);
  out.uid = {out.name + "-uid"};
  out.version = {"1"};
  out.ready = true;
  out.internal_ips = {ip(address)};
  (changes(out), ...);
  return out;
}
inline void not_ready(Node& node) { node.ready = false; }
inline auto labelled(std::string_view key, std::string value) {
  return [=](auto& object) { object.labels[std::string{key}] = value; };
}

inline Endpoint ready_on(std::string node) { return {std::move(node), true, true, false}; }
inline Endpoint terminating_on(std::string node) { return {std::move(node), false, true, true}; }
inline Endpoint dead_on(std::string node) { return {std::move(node), false, false, false}; }
inline EndpointSlice slice(const Service& of, std::vector<Endpoint> endpoints, std::string suffix = "a") {
  EndpointSlice out;
  out.name = {of.name.space, of.name.name + "-" + suffix};
  out.version = {"1"};
  out.service = of.name.name;
  out.endpoints = std::move(endpoints);
  return out;
}

// A World in which every table has been listed.
struct Objects {
  std::vector<Service> services = {};
  std::vector<Pool> pools = {};
  std::vector<AddressBlock> blocks = {};
  std::vector<Node> nodes = {};
  std::vector<EndpointSlice> slices = {};
  std::vector<Namespace> namespaces = {};
  std::vector<BgpConf> confs = {};
  std::vector<BgpPeer> peers = {};
  std::vector<PasswordSecret> passwords = {};
};
inline void fill(World& out, Objects objects) {
  const ResourceVersion version{"1"};
  out.services.replace(std::move(objects.services), version, true);
  out.pools.replace(std::move(objects.pools), version, true);
  out.blocks.replace(std::move(objects.blocks), version, true);
  out.nodes.replace(std::move(objects.nodes), version, true);
  out.endpoint_slices.replace(std::move(objects.slices), version, true);
  out.namespaces.replace(std::move(objects.namespaces), version, true);
  out.bgp_confs.replace(std::move(objects.confs), version, true);
  out.bgp_peers.replace(std::move(objects.peers), version, true);
  out.password_secrets.replace(std::move(objects.passwords), version, true);
  out.policy_config_maps.replace({}, version, true);
}
inline World world(Objects objects) {
  World out;
  fill(out, std::move(objects));
  return out;
}

}  // namespace berth::testing
