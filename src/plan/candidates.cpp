#include "plan/candidates.hpp"

#include <algorithm>
#include <optional>

namespace berth {
namespace {

bool probes_work(const AnsweringNodes& answering) {
  return answering.size() < 2 || std::ranges::any_of(answering, [](const auto& item) { return item.second; });
}

std::optional<NodeExclusion> judge(const Node& node, std::optional<bool> answers) {
  if (node.deleting) return NodeExclusion::being_removed;
  if (node.labels.contains(keys::exclude_node)) return NodeExclusion::exclude_label;
  for (const std::string& taint : node.taints)
    if (taint == keys::autoscaler_taint || taint == keys::out_of_service_taint) return NodeExclusion::being_removed;
  if (node.network_unavailable) return NodeExclusion::network_unavailable;
  if (answers == false) return NodeExclusion::unreachable;
  if (!node.ready && !answers) return NodeExclusion::not_ready;
  return std::nullopt;
}

std::set<std::string> intersect(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::set<std::string> out;
  std::ranges::set_intersection(a, b, std::inserter(out, out.end()));
  return out;
}

std::set<std::string> without(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::set<std::string> out;
  std::ranges::set_difference(a, b, std::inserter(out, out.end()));
  return out;
}

}  // namespace

std::string_view to_string(NodeExclusion exclusion) {
  switch (exclusion) {
    case NodeExclusion::exclude_label: return "exclude_label";
    case NodeExclusion::being_removed: return "being_removed";
    case NodeExclusion::network_unavailable: return "network_unavailable";
    case NodeExclusion::not_ready: return "not_ready";
    case NodeExclusion::unreachable: return "unreachable";
  }
  return "unknown";
}

bool is_planned(NodeExclusion exclusion) { return exclusion == NodeExclusion::exclude_label || exclusion == NodeExclusion::being_removed; }

std::string_view to_string(CandidateReason reason) {
  switch (reason) {
    case CandidateReason::ok: return "ok";
    case CandidateReason::no_endpoints: return "no_endpoints";
    case CandidateReason::no_local_nodes: return "no_local_nodes";
    case CandidateReason::no_nodes: return "no_nodes";
  }
  return "unknown";
}

EligibleNodes eligible_nodes(const Table<Node>& nodes, const std::set<std::string>& last_good, const AnsweringNodes& answering) {
  EligibleNodes out;
  const bool trusted = probes_work(answering);
  for (const auto& [name, node] : nodes.rows()) {
    const auto answer = answering.find(name);
    const std::optional<bool> answers = trusted && answer != answering.end() ? std::optional{answer->second} : std::nullopt;
    if (const auto exclusion = judge(node, answers))
      out.excluded.emplace(name, *exclusion);
    else
      out.nodes.insert(name);
  }
  if (!out.nodes.empty() || nodes.rows().empty()) return out;
  // Everybody is excluded. What an operator asked for is obeyed all the same; suspicion is not.
  std::set<std::string> suspected;
  for (const auto& [name, exclusion] : out.excluded)
    if (exclusion == NodeExclusion::not_ready || exclusion == NodeExclusion::network_unavailable || exclusion == NodeExclusion::unreachable)
      suspected.insert(name);
  out.nodes = intersect(last_good, suspected);
  if (out.nodes.empty()) out.nodes = std::move(suspected);
  out.stale = !out.nodes.empty();
  return out;
}

void add_endpoints(const EndpointSlice& slice, ServiceEndpoints& to) {
  for (const Endpoint& endpoint : slice.endpoints) {
    to.ready = to.ready || endpoint.ready;
    to.serving = to.serving || endpoint.ready || endpoint.serving;
    if (endpoint.node.empty()) continue;  // can't make a node eligible
    if (endpoint.ready) to.ready_nodes.insert(endpoint.node);
    if (endpoint.ready || endpoint.serving) to.serving_nodes.insert(endpoint.node);
  }
}

Candidates candidates(const Service& service,
                      const ServiceEndpoints* endpoints,
                      const EligibleNodes& eligible,
                      const std::set<std::string>& fresh) {
  const auto opted = service.annotations.find(keys::without_endpoints);
  const bool without_endpoints = opted != service.annotations.end() && opted->second == "true";
  const bool serving = endpoints != nullptr && (endpoints->ready || endpoints->serving);
  if (eligible.nodes.empty()) return {{}, CandidateReason::no_nodes};
  if (service.external_traffic_policy == TrafficPolicy::cluster) {
    if (!serving && !without_endpoints) return {{}, CandidateReason::no_endpoints};
    return {eligible.nodes, CandidateReason::ok};
  }
  if (!serving) return {{}, CandidateReason::no_endpoints};
  const std::set<std::string> ready = intersect(endpoints->ready_nodes, eligible.nodes);
  std::set<std::string> nodes = without(ready, fresh);
  if (nodes.empty()) nodes = without(intersect(endpoints->serving_nodes, eligible.nodes), ready);
  if (nodes.empty()) nodes = ready;
  if (nodes.empty()) return {{}, CandidateReason::no_local_nodes};
  return {std::move(nodes), CandidateReason::ok};
}

}  // namespace berth
