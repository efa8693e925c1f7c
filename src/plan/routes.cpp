#include "plan/routes.hpp"

#include <algorithm>
#include <iterator>
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

bool RoutePlanner::update(const World& world, const AnsweringNodes& answering, Instant now) {
  if (!world.services.synced() || !world.blocks.synced() || !world.nodes.synced() || !world.endpoint_slices.synced()) return false;
  now_ = now;
  Frame frame = look_at_nodes(world, answering);
  const std::optional<RouteSources::Changes> changes = sources_.update(world);
  const bool aggregates = frame.conf &&
                          std::ranges::any_of(frame.conf->advertisements, [](const auto& a) { return !a.aggregates.empty(); });
  if (changes && planned_ && frame == frame_ && !aggregates) {
    plan_changes(world, *changes);
  } else {
    frame_ = std::move(frame);
    plan_everything(world);
  }
  for (const ObjectName& service : std::exchange(perhaps_without_, {}))
    if (!held_by_.contains(service)) ready_since_.erase(service);
  if (std::exchange(audiences_changed_, false) && plan_.advertising != advertiser_->numbered()) {
    plan_.advertising = advertiser_->numbered();
    ++plan_.routes_version;
  }
  plan_.wake_at.reset();
  if (!due_.empty()) plan_.wake_at = due_.begin()->first;
  for (const auto& [name, leaving] : leaving_)
    if (!plan_.wake_at || leaving.until < *plan_.wake_at) plan_.wake_at = leaving.until;
  return true;
}

void RoutePlanner::plan_changes(const World& world, const RouteSources::Changes& changes) {
  std::set<IpAddress> concerned = changes.addresses;
  for (const ObjectName& name : changes.services)
    if (const auto held = held_by_.find(name); held != held_by_.end()) concerned.insert(held->second.begin(), held->second.end());
  while (!due_.empty() && due_.begin()->first <= now_) {
    concerned.insert(due_.begin()->second);
    due_.erase(due_.begin());
  }
  for (const IpAddress& ip : concerned) plan_address(world, ip);
}

void RoutePlanner::plan_everything(const World& world) {
  const BgpRoutes routes = std::exchange(plan_.routes, {});
  const auto verdicts = std::exchange(plan_.verdicts, {});
  const auto versions = std::pair{plan_.routes_version, plan_.verdicts_version};
  advertiser_.emplace(frame_.conf ? &*frame_.conf : nullptr);
  paths_of_audience_.clear();
  held_by_.clear();
  due_.clear();
  for (const auto& [ip, blocks] : sources_.blocks()) plan_address(world, ip);
  std::erase_if(addresses_, [&](const auto& item) { return !sources_.blocks().contains(item.first); });
  std::erase_if(ready_since_, [&](const auto& item) { return !held_by_.contains(item.first); });
  plan_.routes_version = versions.first + (routes == plan_.routes ? 0 : 1);
  plan_.verdicts_version = versions.second + (verdicts == plan_.verdicts ? 0 : 1);
  changes_.everything();
  planned_ = true;
  audiences_changed_ = true;
}

// -- nodes ------------------------------------------------------------------------------------------

RoutePlanner::Frame RoutePlanner::look_at_nodes(const World& world, const AnsweringNodes& answering) {
  plan_.nodes = eligible_nodes(world.nodes, last_good_nodes_, answering);
  if (!plan_.nodes.stale) last_good_nodes_ = plan_.nodes.nodes;
  std::set<std::string> nodes = limit_to_rack(world);
  let_go(world, answering, nodes);
  plan_.next_hops.assign(nodes.begin(), nodes.end());
  Frame out;
  for (const std::string& name : nodes) {
    const auto leaving = leaving_.find(name);
    const Node* node = leaving != leaving_.end() ? &leaving->second.node : world.nodes.find(name);
    if (node != nullptr) out.hops.emplace(name, Hop{node->internal_ips, node->labels, leaving != leaving_.end()});
  }
  if (const BgpConf* conf = world.bgp_confs.find("default"); conf != nullptr) {
    out.conf = *conf;
    out.conf->version = {};
    out.conf->nodes_status.clear();
  }
  reachable_ = {.nodes = std::move(nodes), .excluded = {}, .stale = plan_.nodes.stale};
  return out;
}

// With a rack of our own, only its nodes are next hops (OpenELB's asPerRack).
std::set<std::string> RoutePlanner::limit_to_rack(const World& world) const {
  std::set<std::string> out = plan_.nodes.nodes;
  if (options_.only_self) {
    std::erase_if(out, [&](const std::string& name) { return name != options_.node; });
    return out;
  }
  const BgpConf* conf = world.bgp_confs.find("default");
  const Node* self = world.nodes.find(options_.node);
  if (conf == nullptr || self == nullptr || conf->as_per_rack.empty()) return out;
  const auto rack = self->labels.find(keys::rack);
  if (rack == self->labels.end()) return out;
  std::erase_if(out, [&](const std::string& name) {
    const Node* node = world.nodes.find(name);
    if (node == nullptr) return true;
    const auto theirs = node->labels.find(keys::rack);
    return theirs == node->labels.end() || theirs->second != rack->second;
  });
  return out;
}

// A node that somebody takes out, or whose Node is gone, works as before for what is under way. Its routes stay for a while, marked so
// that routers prefer others (RFC 8326), and then go. One that fails, or does not answer, has no such time.
void RoutePlanner::let_go(const World& world, const AnsweringNodes& answering, std::set<std::string>& nodes) {
  auto before = std::exchange(before_, {});
  for (const std::string& name : nodes)
    if (const Node* node = world.nodes.find(name); node != nullptr) before_.emplace(name, *node);
  for (auto& [name, node] : before) {
    if (nodes.contains(name) || !is_planned(world, name)) continue;
    leaving_.try_emplace(name, Leaving{std::move(node), now_ + options_.drain_wait});
  }
  std::erase_if(leaving_, [&](const auto& item) {
    const auto answers = answering.find(item.first);
    const bool dead = answers != answering.end() && !answers->second;
    return item.second.until <= now_ || nodes.contains(item.first) || !is_planned(world, item.first) || dead;
  });
  for (const auto& [name, leaving] : leaving_) nodes.insert(name);
}

bool RoutePlanner::is_planned(const World& world, const std::string& node) const {
  if (world.nodes.find(node) == nullptr) return true;
  const auto excluded = plan_.nodes.excluded.find(node);
  return excluded != plan_.nodes.excluded.end() && berth::is_planned(excluded->second);
}

// -- one address ------------------------------------------------------------------------------------

void RoutePlanner::plan_address(const World& world, const IpAddress& ip) {
  Address before;
  if (const auto known = addresses_.find(ip); known != addresses_.end()) {
    before = std::move(known->second);
    addresses_.erase(known);
  }
  if (before.due) due_.erase({*before.due, ip});
  for (const ObjectName& holder : before.holders)
    if (const auto held = held_by_.find(holder); held != held_by_.end() && held->second.erase(ip) > 0 && held->second.empty())
      held_by_.erase(held), perhaps_without_.insert(holder);
  BgpRoutes routes;
  std::optional<RouteVerdict> verdict;
  if (const BlockEntry* entry = sources_.held(world, ip); entry != nullptr) {
    Address& address = addresses_[ip];
    for (const Holder& holder : entry->holders) {
      address.holders.insert(holder.service);
      held_by_[holder.service].insert(ip);
    }
    judge(world, ip, *entry, before, routes, verdict.emplace());
  }
  put_routes(ip, std::move(routes));
  put_verdict(ip, std::move(verdict));
}

void RoutePlanner::judge(const World& world,
                         const IpAddress& ip,
                         const BlockEntry& entry,
                         const Address& before,
                         BgpRoutes& routes,
                         RouteVerdict& verdict) {
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
    const Service* service = world.services.find(holder.service);
    if (service == nullptr || service->uid != holder.uid) {
      if (nodes.empty()) verdict.reason = RouteReason::service_unknown;
      continue;
    }
    if (!publication_in_time(ip, holder, *service, before)) {
      if (nodes.empty()) verdict.reason = RouteReason::not_published;
      continue;
    }
    const ServiceEndpoints* endpoints = sources_.endpoints(holder.service);
    const Candidates chosen = candidates(*service, endpoints, reachable_, fresh_nodes(ip, *service, endpoints));
    if (nodes.empty()) verdict.reason = reason_of(chosen.reason);
    nodes.insert(chosen.nodes.begin(), chosen.nodes.end());
    services.push_back(service);
  }
  if (!nodes.empty()) announce(advertiser_->subject(ip, entry.pool, services, verdict.problem), nodes, routes, verdict);
}

// Early is fine, for no client knows the address yet; but if the Service never shows it, packets
// would only loop between node and router.
bool RoutePlanner::publication_in_time(const IpAddress& ip, const Holder& holder, const Service& service, const Address& before) {
  if (shows(service, ip)) return true;
  const auto known = before.unpublished_since.find(holder.uid);
  const Instant since = known == before.unpublished_since.end() ? now_ : known->second;
  addresses_[ip].unpublished_since.emplace(holder.uid, since);
  const Instant ends = since + options_.publication_deadline;
  if (ends <= now_) return false;
  wake(ip, ends);
  return true;
}

std::set<std::string> RoutePlanner::fresh_nodes(const IpAddress& ip, const Service& service, const ServiceEndpoints* endpoints) {
  if (service.external_traffic_policy != TrafficPolicy::local) {
    ready_since_.erase(service.name);
    return {};
  }
  const auto [at, is_new] = ready_since_.try_emplace(service.name);
  const std::map<std::string, Instant> known = std::exchange(at->second, {});
  std::set<std::string> out;
  if (endpoints == nullptr) return out;
  for (const std::string& node : endpoints->ready_nodes) {
    Instant since = now_;
    if (is_new)
      since = Instant{};
    else if (const auto before = known.find(node); before != known.end())
      since = before->second;
    at->second.emplace(node, since);
    if (since + options_.endpoint_delay <= now_) continue;
    out.insert(node);
    wake(ip, since + options_.endpoint_delay);
  }
  return out;
}

void RoutePlanner::announce(const Advertiser::Subject& subject,
                            const std::set<std::string>& nodes,
                            BgpRoutes& routes,
                            RouteVerdict& verdict) {
  // Its address of the same family, or by RFC 8950 an IPv6 one for IPv4.
  const auto next_hop = [&](const std::vector<IpAddress>& addresses) {
    auto hop = std::ranges::find(addresses, subject.address.family, &IpAddress::family);
    if (hop == addresses.end() && frame_.conf && frame_.conf->extended_next_hops && subject.address.family == IpFamily::v4)
      hop = std::ranges::find(addresses, IpFamily::v6, &IpAddress::family);
    return hop == addresses.end() ? std::nullopt : std::optional{*hop};
  };
  bool reachable = false;
  for (const std::string& name : nodes) {
    const auto node = frame_.hops.find(name);
    if (node == frame_.hops.end()) continue;
    const auto hop = next_hop(node->second.addresses);
    if (!hop) continue;
    reachable = true;
    const auto announced = advertiser_->judge(subject, node->second.labels);
    for (const Advertiser::Announced& route : announced) {
      const auto [at, added] = routes.try_emplace({route.address, *hop, route.prefix_length}, route.path);
      if (added && node->second.leaving) at->second.attributes.add(graceful_shutdown_community);
    }
    if (!announced.empty()) verdict.nodes.push_back(name);
  }
  verdict.reason = RouteReason::announced;
  if (verdict.nodes.empty()) verdict.reason = reachable ? RouteReason::not_advertised : RouteReason::no_next_hop;
}

void RoutePlanner::wake(const IpAddress& ip, Instant when) {
  std::optional<Instant>& due = addresses_[ip].due;
  if (due && *due <= when) return;
  if (due) due_.erase({*due, ip});
  due = when;
  due_.emplace(when, ip);
}

// -- the plan ---------------------------------------------------------------------------------------

void RoutePlanner::put_routes(const IpAddress& ip, BgpRoutes routes) {
  for (const auto& [route, path] : routes) use(path);  // before anything is given up
  auto at = plan_.routes.lower_bound({ip, {}});
  const auto is_its = [&] { return at != plan_.routes.end() && at->first.address == ip && at->first.prefix_length == 0; };
  bool same = true;
  for (auto it = routes.begin(); it != routes.end() || is_its();) {
    if (it == routes.end() || (is_its() && at->first < it->first)) {
      give_up(at->second);
      changes_.add(at->first);
      at = plan_.routes.erase(at);
      same = false;
    } else if (!is_its() || it->first < at->first) {
      // An aggregate is as the lowest address in it says.
      if (plan_.routes.try_emplace(it->first, it->second).second) {
        changes_.add(it->first);
        same = false;
      } else {
        give_up(it->second);
      }
      ++it;
    } else {
      give_up(at->second);
      if (at->second != it->second) {
        at->second = std::move(it->second);
        changes_.add(at->first);
        same = false;
      }
      ++it, ++at;
    }
  }
  if (!same) ++plan_.routes_version;
}

void RoutePlanner::bring_up_to_date(BgpRoutes& routes, Position& position) const {
  const auto take = [&](const BgpRoute& route) {
    if (const auto is = plan_.routes.find(route); is != plan_.routes.end())
      routes.insert_or_assign(route, is->second);
    else
      routes.erase(route);
  };
  if (!changes_.read(position, take)) routes = plan_.routes;
}

void RoutePlanner::put_verdict(const IpAddress& ip, std::optional<RouteVerdict> verdict) {
  const auto at = plan_.verdicts.find(ip);
  const bool there = at != plan_.verdicts.end();
  if (there == verdict.has_value() && (!there || at->second == *verdict)) return;
  if (verdict)
    plan_.verdicts.insert_or_assign(ip, std::move(*verdict));
  else
    plan_.verdicts.erase(at);
  ++plan_.verdicts_version;
}

void RoutePlanner::use(const BgpPath& path) {
  if (path.audience != 0 && ++paths_of_audience_[path.audience] == 1) audiences_changed_ = true;
}

void RoutePlanner::give_up(const BgpPath& path) {
  if (path.audience == 0) return;
  const auto uses = paths_of_audience_.find(path.audience);
  if (uses == paths_of_audience_.end() || --uses->second > 0) return;
  paths_of_audience_.erase(uses);
  advertiser_->forget(path.audience);
  audiences_changed_ = true;
}

}  // namespace berth
