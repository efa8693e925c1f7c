#include "kube/encode.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <fmt/format.h>

namespace berth::kube {
namespace {

namespace json = boost::json;

json::value nullable(const std::optional<std::string>& text) { return text ? json::value(*text) : json::value(nullptr); }
json::array strings(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}
json::object nullable_map(const std::map<std::string, std::optional<std::string>>& map) {
  json::object out;
  for (const auto& [key, value] : map) out[key] = nullable(value);
  return out;
}
json::object precondition(const Uid& uid, const ResourceVersion& version) { return {{"uid", uid.text}, {"resourceVersion", version.text}}; }
void set_if(json::object& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

json::array list_of(const std::vector<Condition>& conditions) {
  json::array out;
  for (const Condition& condition : conditions) {
    json::object to{{"type", condition.type},
                    {"status", condition.status},
                    {"reason", condition.reason},
                    {"message", condition.message},
                    {"lastTransitionTime", condition.last_transition}};
    if (condition.observed_generation != 0) to["observedGeneration"] = condition.observed_generation;
    out.emplace_back(std::move(to));
  }
  return out;
}
json::array list_of(const std::vector<IngressPort>& ports) {
  json::array out;
  for (const IngressPort& port : ports) {
    json::object to{{"port", port.port}, {"protocol", port.protocol}};
    set_if(to, "error", port.error);
    out.emplace_back(std::move(to));
  }
  return out;
}
// A merge patch takes a list away by null.
json::value null_if_empty(json::array list) { return list.empty() ? json::value(nullptr) : json::value(std::move(list)); }

// As protobuf's JSON writes 64-bit integers, which is what OpenELB shows.
std::string decimal(std::uint64_t value) { return fmt::format("{}", value); }

json::object messages(const BgpMessageCounters& m) {
  return {{"notification", decimal(m.notification)},
          {"update", decimal(m.update)},
          {"open", decimal(m.open)},
          {"keepalive", decimal(m.keepalive)},
          {"refresh", decimal(m.refresh)},
          {"discarded", decimal(m.discarded)},
          {"total", decimal(m.total)},
          {"withdrawUpdate", decimal(m.withdraw_update)},
          {"withdrawPrefix", decimal(m.withdraw_prefix)}};
}

}  // namespace

std::string encode(const AddressBlock& block) {
  json::object addresses;
  for (const auto& [address, entry] : block.addresses) {
    json::object to;
    set_if(to, "pool", entry.pool);
    to["protocol"] = to_string(entry.protocol);
    set_if(to, "interface", entry.interface);
    set_if(to, "sharingKey", entry.sharing_key);
    set_if(to, "reservedFor", entry.reserved_for);
    set_if(to, "freedAt", entry.freed_at);
    json::array holders;
    for (const Holder& holder : entry.holders) {
      json::object one{{"service", holder.service.to_string()},
                       {"uid", holder.uid.text},
                       {"state", holder.state == HolderState::held ? "held" : "freeing"}};
      set_if(one, "mark", holder.mark);
      holders.emplace_back(std::move(one));
    }
    to["holders"] = std::move(holders);
    addresses[address.to_string()] = json::serialize(to);
  }
  json::object metadata{{"name", block.name}};
  if (!block.version.text.empty()) {
    metadata["uid"] = block.uid.text;
    metadata["resourceVersion"] = block.version.text;
  }
  return json::serialize(json::object{{"apiVersion", "network.kubesphere.io/v1alpha2"},
                                      {"kind", "AddressBlock"},
                                      {"metadata", std::move(metadata)},
                                      {"spec", json::object{{"addresses", std::move(addresses)}}}});
}

std::string encode(const api::Lease& lease) {
  json::object metadata{{"name", lease.metadata.name}, {"namespace", lease.metadata.namespace_}};
  set_if(metadata, "uid", lease.metadata.uid);
  set_if(metadata, "resourceVersion", lease.metadata.resourceVersion);
  json::object spec{{"holderIdentity", lease.spec.holderIdentity},
                    {"leaseDurationSeconds", lease.spec.leaseDurationSeconds},
                    {"leaseTransitions", lease.spec.leaseTransitions}};
  set_if(spec, "acquireTime", lease.spec.acquireTime);
  set_if(spec, "renewTime", lease.spec.renewTime);
  return json::serialize(json::object{
      {"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}});
}

std::string merge_patch(const ServicePatch& patch) {
  json::object metadata = precondition(patch.uid, patch.version);
  if (!patch.labels.empty()) metadata["labels"] = nullable_map(patch.labels);
  if (!patch.annotations.empty()) metadata["annotations"] = nullable_map(patch.annotations);
  if (patch.finalizers) metadata["finalizers"] = strings(*patch.finalizers);
  json::object status;
  if (patch.ingress) {
    json::array ingress;
    for (const Ingress& entry : *patch.ingress) {
      json::object to;
      set_if(to, "ip", entry.ip);
      set_if(to, "hostname", entry.hostname);
      set_if(to, "ipMode", entry.ip_mode);
      if (!entry.ports.empty()) to["ports"] = list_of(entry.ports);
      ingress.emplace_back(std::move(to));
    }
    status["loadBalancer"] = json::object{{"ingress", null_if_empty(std::move(ingress))}};
  }
  if (patch.conditions) status["conditions"] = null_if_empty(list_of(*patch.conditions));
  json::object body{{"metadata", std::move(metadata)}};
  if (!status.empty()) body["status"] = std::move(status);
  return json::serialize(body);
}

std::string finalizers_patch(const Uid& uid, const ResourceVersion& version, const std::vector<std::string>& finalizers) {
  json::object metadata = precondition(uid, version);
  metadata["finalizers"] = strings(finalizers);
  return json::serialize(json::object{{"metadata", std::move(metadata)}});
}

std::string pool_status_patch(const Pool::Status& status) {
  json::object used;
  for (const auto& [address, services] : status.used) used[address] = services;
  json::object value{{"occupied", status.occupied}, {"usage", status.usage},    {"poolSize", status.pool_size}, {"used", std::move(used)},
                     {"firstIP", status.first_ip},  {"lastIP", status.last_ip}, {"ready", status.ready},        {"v4", status.v4},
                     {"free", status.free}};
  if (!status.conditions.empty()) value["conditions"] = list_of(status.conditions);
  return json::serialize(json::array{json::object{{"op", "add"}, {"path", "/status"}, {"value", std::move(value)}}});
}

std::string conf_status_patch(const std::string& node, const std::optional<BgpConf::NodeStatus>& status) {
  json::value entry = nullptr;
  if (status) entry = json::object{{"routerId", status->router_id}, {"as", status->as}, {"nextHops", json::value_from(status->next_hops)}};
  json::object nodes;
  nodes[node] = std::move(entry);
  return json::serialize(json::object{{"status", json::object{{"nodesConfStatus", std::move(nodes)}}}});
}

std::string peer_status_patch(const std::string& node, const std::optional<BgpPeerStatus>& status) {
  json::value entry = nullptr;
  if (status) {
    const BgpPeerStatus& s = *status;
    json::object peer{{"neighborAddress", s.neighbor_address},
                      {"localAs", s.local_as},
                      {"peerAs", s.peer_as},
                      {"sessionState", to_string(s.session_state)},
                      {"adminState", s.admin_down ? "DOWN" : "UP"},
                      {"flops", s.flaps},
                      {"outQ", s.out_queue},
                      {"prefixes", s.prefixes},
                      {"messages", json::object{{"received", messages(s.received)}, {"sent", messages(s.sent)}}}};
    set_if(peer, "description", s.description);
    set_if(peer, "peerGroup", s.peer_group);
    set_if(peer, "routerId", s.router_id);
    // A merge patch keeps what it does not name: absent times are taken out by null.
    const auto time = [](const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); };
    json::object timers{{"connectRetry", decimal(s.connect_retry_s)},
                        {"holdTime", decimal(s.hold_time_s)},
                        {"keepaliveInterval", decimal(s.keepalive_interval_s)},
                        {"negotiatedHoldTime", decimal(s.negotiated_hold_time_s)},
                        {"minimumAdvertisementInterval", decimal(s.minimum_advertisement_interval_s)},
                        {"uptime", time(s.uptime)},
                        {"downtime", time(s.downtime)}};
    json::value bfd = nullptr;
    if (s.bfd)
      bfd = json::object{{"state", s.bfd->state},
                         {"remoteState", s.bfd->remote_state},
                         {"lastDown", s.bfd->last_down},
                         {"detectionTimeMs", s.bfd->detection_time / std::chrono::milliseconds{1}},
                         {"downs", s.bfd->downs}};
    entry = json::object{{"peerState", std::move(peer)}, {"timersState", std::move(timers)}, {"bfdState", std::move(bfd)}};
  }
  json::object nodes;
  nodes[node] = std::move(entry);
  return json::serialize(json::object{{"status", json::object{{"nodesPeerStatus", std::move(nodes)}}}});
}

std::string peer_sessions_patch(const BgpSessions& sessions) {
  return json::serialize(
      json::object{{"status", json::object{{"sessions", sessions.up},
                                           {"since", sessions.since.empty() ? json::value(nullptr) : json::value(sessions.since)},
                                           {"prefixes", sessions.prefixes}}}});
}

std::string delete_options(const Uid& uid, const ResourceVersion& version) {
  return json::serialize(json::object{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"preconditions", precondition(uid, version)}});
}

std::string new_event(const EventRecord& event, const std::string& space, const std::string& name, WallTime now) {
  json::object involved{
      {"apiVersion", event.object.api_version}, {"kind", event.object.kind}, {"name", event.object.name}, {"uid", event.object.uid.text}};
  set_if(involved, "namespace", event.object.space);
  const std::string time = to_rfc3339(now);
  return json::serialize(json::object{{"apiVersion", "v1"},
                                      {"kind", "Event"},
                                      {"metadata", json::object{{"name", name}, {"namespace", space}}},
                                      {"involvedObject", std::move(involved)},
                                      {"reason", event.reason},
                                      {"message", event.message},
                                      {"type", event.warning ? "Warning" : "Normal"},
                                      {"source", json::object{{"component", event.component}}},
                                      {"firstTimestamp", time},
                                      {"lastTimestamp", time},
                                      {"count", 1}});
}

std::string repeated_event_patch(std::uint64_t count, WallTime now) {
  return json::serialize(json::object{{"count", count}, {"lastTimestamp", to_rfc3339(now)}});
}

}  // namespace berth::kube
