#include "plan/routes.hpp"

#include <algorithm>

namespace berth {
namespace {

RouteReason reason_of(CandidateReason reason) {
  switch (reason) {
    case CandidateReason::ok: return RouteReason::announced;
    case CandidateReason::no_endpoints: return RouteReason::no_endpoints;
    case CandidateReason::no_local_nodes: return RouteReason::no_local_nodes;
    case CandidateReason::no_nodes: return RouteReason::no_nodes;
  }
  return RouteReason::no_nodes;
}

bool shows(const Service& service, const IpAddress& ip) {
  return std::ranges::any_of(service.ingress, [&](const Ingress& entry) { return IpAddress::parse(entry.ip) == ip; });
}

class RoutePlanner {
 public:
  RoutePlanner(const World& world, RouteMemory& memory, const RouteOptions& options, Instant now)
      : world_(world), memory_(memory), options_(options), now_(now), endpoints_(merge_endpoints(world.endpoint_slices)) {}

  RoutePlan run() {
    plan_.nodes = eligible_nodes(world_.nodes, memory_.last_good_nodes, memory_.draining, memory_.answering);
    if (!plan_.nodes.stale) memory_.last_good_nodes = plan_.nodes.nodes;
    limit_to_rack();
    std::map<std::pair<IpAddress, Uid>, Instant> still_unpublished;
    for (const auto& [name, block] : world_.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        if (!entry.holders.empty()) judge(ip, entry, still_unpublished);
    memory_.unpublished_since = std::move(still_unpublished);
    return std::move(plan_);
  }

 private:
  // With a rack of our own, only its nodes are next hops (OpenELB's asPerRack).
  void limit_to_rack() {
    reachable_ = plan_.nodes;
    if (options_.only_self) {
      std::erase_if(reachable_.nodes, [&](const std::string& name) { return name != options_.node; });
      return;
    }
    const BgpConf* conf = world_.bgp_confs.find("default");
    const Node* self = world_.nodes.find(options_.node);
    if (conf == nullptr || self == nullptr || conf->as_per_rack.empty()) return;
    const auto rack = self->labels.find(keys::rack);
    if (rack == self->labels.end()) return;
    std::erase_if(reachable_.nodes, [&](const std::string& name) {
      const Node* node = world_.nodes.find(name);
      const auto theirs = node->labels.find(keys::rack);
      return theirs == node->labels.end() || theirs->second != rack->second;
    });
  }

  void judge(const IpAddress& ip, const BlockEntry& entry, std::map<std::pair<IpAddress, Uid>, Instant>& unpublished) {
    RouteVerdict& verdict = plan_.verdicts[ip];
    verdict.service = entry.holders.front().service;
    if (entry.protocol != Protocol::bgp) {
      verdict.reason = RouteReason::other_protocol;
      return;
    }
    std::set<std::string> nodes;
    verdict.reason = RouteReason::freeing;
    for (const Holder& holder : entry.holders) {
      if (holder.state != HolderState::held) continue;
      const Service* service = world_.services.find(holder.service);
      if (service == nullptr || service->uid != holder.uid) {
        if (nodes.empty()) verdict.reason = RouteReason::service_unknown;
        continue;
      }
      if (!publication_in_time(ip, holder, *service, unpublished)) {
        if (nodes.empty()) verdict.reason = RouteReason::not_published;
        continue;
      }
      const auto found = endpoints_.find(holder.service);
      const Candidates chosen = candidates(*service, found == endpoints_.end() ? nullptr : &found->second, reachable_);
      if (nodes.empty()) verdict.reason = reason_of(chosen.reason);
      nodes.insert(chosen.nodes.begin(), chosen.nodes.end());
    }
    announce(ip, nodes, verdict);
  }

  // Early is fine, for no client knows the address yet; but if the Service never shows it, packets
  // would only loop between node and router.
  bool publication_in_time(const IpAddress& ip,
                           const Holder& holder,
                           const Service& service,
                           std::map<std::pair<IpAddress, Uid>, Instant>& unpublished) {
    if (shows(service, ip)) return true;
    const std::pair key{ip, holder.uid};
    const auto known = memory_.unpublished_since.find(key);
    const Instant since = known == memory_.unpublished_since.end() ? now_ : known->second;
    unpublished.emplace(key, since);
    const Instant ends = since + options_.publication_deadline;
    if (ends <= now_) return false;
    if (!plan_.wake_at || ends < *plan_.wake_at) plan_.wake_at = ends;
    return true;
  }

  void announce(const IpAddress& ip, const std::set<std::string>& nodes, RouteVerdict& verdict) {
    for (const std::string& name : nodes) {
      const Node* node = world_.nodes.find(name);
      if (node == nullptr) continue;
      const auto hop = std::ranges::find(node->internal_ips, ip.family, &IpAddress::family);
      if (hop == node->internal_ips.end()) continue;
      plan_.routes.insert({ip, *hop});
      verdict.nodes.push_back(name);
    }
    if (!verdict.nodes.empty())
      verdict.reason = RouteReason::announced;
    else if (!nodes.empty())
      verdict.reason = RouteReason::no_next_hop;
  }

  const World& world_;
  RouteMemory& memory_;
  const RouteOptions& options_;
  const Instant now_;
  const std::map<ObjectName, ServiceEndpoints> endpoints_;
  EligibleNodes reachable_;
  RoutePlan plan_;
};

}  // namespace

std::string_view to_string(RouteReason reason) {
  switch (reason) {
    case RouteReason::announced: return "announced";
    case RouteReason::no_endpoints: return "no_endpoints";
    case RouteReason::no_local_nodes: return "no_local_nodes";
    case RouteReason::no_nodes: return "no_nodes";
    case RouteReason::no_next_hop: return "no_next_hop";
    case RouteReason::freeing: return "freeing";
    case RouteReason::not_published: return "not_published";
    case RouteReason::service_unknown: return "service_unknown";
    case RouteReason::other_protocol: return "other_protocol";
  }
  return "unknown";
}

std::optional<RoutePlan> plan_routes(const World& world, RouteMemory& memory, const RouteOptions& options, Instant now) {
  if (!world.services.synced() || !world.blocks.synced() || !world.nodes.synced() || !world.endpoint_slices.synced()) return std::nullopt;
  return RoutePlanner{world, memory, options, now}.run();
}

}  // namespace berth
