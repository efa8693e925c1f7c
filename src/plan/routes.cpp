#include "plan/routes.hpp"

#include <algorithm>
#include <utility>

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
      : world_(world),
        memory_(memory),
        options_(options),
        now_(now),
        endpoints_(merge_endpoints(world.endpoint_slices)),
        advertiser_(world.bgp_confs.find("default")),
        extended_next_hops_(world.bgp_confs.find("default") != nullptr && world.bgp_confs.find("default")->extended_next_hops) {}

  RoutePlan run() {
    plan_.nodes = eligible_nodes(world_.nodes, memory_.last_good_nodes, memory_.answering);
    if (!plan_.nodes.stale) memory_.last_good_nodes = plan_.nodes.nodes;
    limit_to_rack();
    let_go();
    plan_.next_hops.assign(reachable_.nodes.begin(), reachable_.nodes.end());
    std::map<std::pair<IpAddress, Uid>, Instant> still_unpublished;
    for (const auto& [name, block] : world_.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        if (!entry.holders.empty()) judge(ip, entry, still_unpublished);
    memory_.unpublished_since = std::move(still_unpublished);
    memory_.ready_since = std::move(ready_since_);
    plan_.advertising = advertiser_.numbered();
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

  // A node that somebody takes out, or whose Node is gone, works as before for what is under way. Its routes stay for a while, marked so
  // that routers prefer others (RFC 8326), and then go. One that fails, or does not answer, has no such time.
  void let_go() {
    auto before = std::exchange(memory_.next_hops, {});
    for (const std::string& name : reachable_.nodes) {
      const Node* node = world_.nodes.find(name);
      if (node != nullptr) memory_.next_hops.emplace(name, *node);
    }
    for (auto& [name, node] : before) {
      if (reachable_.nodes.contains(name) || !is_planned(name)) continue;
      memory_.leaving.try_emplace(name, RouteMemory::Leaving{std::move(node), now_ + options_.drain_wait});
    }
    std::erase_if(memory_.leaving, [&](const auto& item) {
      const auto answers = memory_.answering.find(item.first);
      const bool dead = answers != memory_.answering.end() && !answers->second;
      return item.second.until <= now_ || reachable_.nodes.contains(item.first) || !is_planned(item.first) || dead;
    });
    for (const auto& [name, leaving] : memory_.leaving) {
      reachable_.nodes.insert(name);
      wake(leaving.until);
    }
  }

  [[nodiscard]] bool is_planned(const std::string& name) const {
    if (world_.nodes.find(name) == nullptr) return true;
    const auto excluded = plan_.nodes.excluded.find(name);
    return excluded != plan_.nodes.excluded.end() && berth::is_planned(excluded->second);
  }

  std::set<std::string> fresh_nodes(const Service& service, const ServiceEndpoints* endpoints) {
    if (service.external_traffic_policy != TrafficPolicy::local) return {};
    std::set<std::string> out;
    const auto known = memory_.ready_since.find(service.name);
    auto& now_ready = ready_since_[service.name];
    if (endpoints == nullptr) return out;
    for (const std::string& node : endpoints->ready_nodes) {
      Instant since = now_;
      if (known == memory_.ready_since.end())
        since = Instant{};
      else if (const auto before = known->second.find(node); before != known->second.end())
        since = before->second;
      now_ready.emplace(node, since);
      if (since + options_.endpoint_delay <= now_) continue;
      out.insert(node);
      wake(since + options_.endpoint_delay);
    }
    return out;
  }

  void wake(Instant when) {
    if (!plan_.wake_at || when < *plan_.wake_at) plan_.wake_at = when;
  }

  void judge(const IpAddress& ip, const BlockEntry& entry, std::map<std::pair<IpAddress, Uid>, Instant>& unpublished) {
    RouteVerdict& verdict = plan_.verdicts[ip];
    verdict.service = entry.holders.front().service;
    if (entry.protocol != Protocol::bgp) {
      verdict.reason = RouteReason::other_protocol;
      return;
    }
    std::set<std::string> nodes;
    std::vector<const Service*> services;
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
      const ServiceEndpoints* endpoints = found == endpoints_.end() ? nullptr : &found->second;
      const Candidates chosen = candidates(*service, endpoints, reachable_, fresh_nodes(*service, endpoints));
      if (nodes.empty()) verdict.reason = reason_of(chosen.reason);
      nodes.insert(chosen.nodes.begin(), chosen.nodes.end());
      services.push_back(service);
    }
    if (!nodes.empty()) announce(advertiser_.subject(ip, entry.pool, services, verdict.problem), nodes, verdict);
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
    wake(ends);
    return true;
  }

  // Its address of the same family, or by RFC 8950 an IPv6 one for IPv4.
  std::optional<IpAddress> next_hop(const std::vector<IpAddress>& addresses, IpFamily family) const {
    auto hop = std::ranges::find(addresses, family, &IpAddress::family);
    if (hop == addresses.end() && extended_next_hops_ && family == IpFamily::v4)
      hop = std::ranges::find(addresses, IpFamily::v6, &IpAddress::family);
    if (hop == addresses.end()) return std::nullopt;
    return *hop;
  }

  void announce(const Advertiser::Subject& subject, const std::set<std::string>& nodes, RouteVerdict& verdict) {
    bool reachable = false;
    for (const std::string& name : nodes) {
      const auto leaving = memory_.leaving.find(name);
      const Node* node = leaving != memory_.leaving.end() ? &leaving->second.node : world_.nodes.find(name);
      if (node == nullptr) continue;
      const auto hop = next_hop(node->internal_ips, subject.address.family);
      if (!hop) continue;
      reachable = true;
      const auto routes = advertiser_.judge(subject, *node);
      for (const Advertiser::Announced& route : routes) {
        // An aggregate is as the lowest address in it says.
        const auto [at, added] = plan_.routes.try_emplace({route.address, *hop, route.prefix_length}, route.path);
        if (added && leaving != memory_.leaving.end()) at->second.attributes.add(graceful_shutdown_community);
      }
      if (!routes.empty()) verdict.nodes.push_back(name);
    }
    verdict.reason = RouteReason::announced;
    if (verdict.nodes.empty()) verdict.reason = reachable ? RouteReason::not_advertised : RouteReason::no_next_hop;
  }

  const World& world_;
  RouteMemory& memory_;
  const RouteOptions& options_;
  const Instant now_;
  const std::map<ObjectName, ServiceEndpoints> endpoints_;
  Advertiser advertiser_;
  const bool extended_next_hops_;
  std::map<ObjectName, std::map<std::string, Instant>> ready_since_;
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
    case RouteReason::not_advertised: return "not_advertised";
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
