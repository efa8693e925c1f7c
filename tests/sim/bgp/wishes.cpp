#include "wishes.hpp"

#include <algorithm>
#include <charconv>

namespace berth::sim {
namespace {

constexpr std::uint32_t graceful_shutdown = 0xFFFF0000U;

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == by)
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

// What is said of a route, as far as something is said.
struct Words {
  std::set<std::string> peers;
  std::vector<std::string> communities;
  std::optional<std::uint32_t> med, local_pref, prepend;
};

void add_community(const std::string& written, const BgpConf& conf, RouteSeen& to) {
  const auto named = conf.community_names.find(written);
  std::vector<std::uint32_t> numbers;
  for (const std::string& part : split(named != conf.community_names.end() ? named->second : written, ':')) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc{} || end != part.data() + part.size()) return;  // a mistake counts for nothing
    numbers.push_back(value);
  }
  if (numbers.size() == 2) to.communities.insert(numbers[0] << 16U | numbers[1]);
  if (numbers.size() == 3) to.large_communities.emplace(numbers[0], numbers[1], numbers[2]);
}

std::optional<std::uint32_t> number_in(const Labels& annotations, std::string_view key) {
  const auto found = annotations.find(key);
  if (found == annotations.end()) return std::nullopt;
  return static_cast<std::uint32_t>(std::stoul(found->second));
}

std::optional<Words> words_of(const Service& service) {
  Words out;
  bool any = false;
  if (const auto found = service.annotations.find(keys::bgp_peers); found != service.annotations.end()) {
    for (const std::string& name : split(found->second, ',')) out.peers.insert(name);
    any = true;
  }
  if (const auto found = service.annotations.find(keys::bgp_communities); found != service.annotations.end()) {
    out.communities = split(found->second, ',');
    any = true;
  }
  out.med = number_in(service.annotations, keys::bgp_med);
  out.local_pref = number_in(service.annotations, keys::bgp_local_pref);
  out.prepend = number_in(service.annotations, keys::bgp_as_path_prepend);
  if (!any && !out.med && !out.local_pref && !out.prepend) return std::nullopt;
  return out;
}

Words words_of(const BgpConf::Advertisement& advertisement) {
  Words out{{advertisement.peers.begin(), advertisement.peers.end()}, advertisement.communities, {}, {}, {}};
  if (advertisement.med && *advertisement.med >= 0) out.med = static_cast<std::uint32_t>(*advertisement.med);
  if (advertisement.local_pref) out.local_pref = static_cast<std::uint32_t>(*advertisement.local_pref);
  if (advertisement.as_path_prepend > 0) out.prepend = static_cast<std::uint32_t>(advertisement.as_path_prepend);
  return out;
}

// Absent: this router does not hear of it.
std::optional<RouteSeen> attributes(const BgpConf& conf,
                                    const std::string& pool,
                                    const Service& service,
                                    const BgpPeer& peer,
                                    bool internal) {
  std::vector<Words> said;
  if (auto own = words_of(service)) {
    if (!own->peers.empty() && !own->peers.contains(peer.name)) return std::nullopt;
    said.push_back(std::move(*own));
  }
  bool spoken_for = false, heard = false;
  for (const BgpConf::Advertisement& advertisement : conf.advertisements) {
    if (!advertisement.pools.empty() && std::ranges::find(advertisement.pools, pool) == advertisement.pools.end()) continue;
    spoken_for = true;
    Words words = words_of(advertisement);
    if (!words.peers.empty() && !words.peers.contains(peer.name)) continue;
    heard = true;
    said.push_back(std::move(words));
  }
  if (spoken_for && !heard) return std::nullopt;
  RouteSeen out;
  std::optional<std::uint32_t> prepend;
  for (const Words& words : said) {
    for (const std::string& community : words.communities) add_community(community, conf, out);
    if (!out.med) out.med = words.med;
    if (!out.local_pref) out.local_pref = words.local_pref;
    if (!prepend) prepend = words.prepend;
  }
  if (internal) {
    if (!out.local_pref) out.local_pref = 100;
  } else {
    out.local_pref.reset();
    out.prepended = prepend.value_or(0);
  }
  return out;
}

enum class Fitness : std::uint8_t { sure, by_probes, unfit };
Fitness fitness(const Intent& intent, const Node& node) {
  const auto answers = intent.answering.find(node.name);
  if (taken_out(node) || node.network_unavailable || (answers != intent.answering.end() && !answers->second)) return Fitness::unfit;
  if (node.ready) return Fitness::sure;
  return answers != intent.answering.end() ? Fitness::by_probes : Fitness::unfit;
}

struct Endpoints {
  std::set<std::string> ready, ending;
  bool any = false;
};
Endpoints endpoints_of(const World& world, const ObjectName& service) {
  Endpoints out;
  for (const auto& [name, slice] : world.endpoint_slices.rows()) {
    if (name.space != service.space || slice.service != service.name) continue;
    for (const Endpoint& endpoint : slice.endpoints) {
      out.any = out.any || endpoint.ready || endpoint.serving;
      if (endpoint.ready) out.ready.insert(endpoint.node);
      if (!endpoint.ready && endpoint.serving) out.ending.insert(endpoint.node);
    }
  }
  return out;
}

std::optional<IpAddress> next_hop(const std::vector<IpAddress>& addresses, IpFamily family) {
  const auto found = std::ranges::find(addresses, family, &IpAddress::family);
  if (found == addresses.end()) return std::nullopt;
  return *found;
}

bool has_family(const BgpPeer& peer, IpFamily family) {
  if (peer.families.empty()) return family == IpFamily::v4;
  return std::ranges::any_of(peer.families, [&](const auto& f) { return f.afi == (family == IpFamily::v4 ? "AFI_IP" : "AFI_IP6"); });
}

class Wisher {
 public:
  Wisher(const Intent& intent, const BgpConf& conf, const BgpPeer& peer)
      : intent_(intent), conf_(conf), peer_(peer), internal_((peer.local_as != 0 ? peer.local_as : *intent.as) == peer.peer_as) {}

  Wishes run() {
    for (const auto& [name, block] : intent_.world.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        if (has_family(peer_, ip.family) && entry.holders.size() == 1) judge(ip, entry);
    for (const Intent::Before& before : intent_.before)
      if (const auto how = attributes(conf_, before.pool, before.service, peer_, internal_); how && has_family(peer_, before.ip.family))
        allow_all(before.ip, *how);
    return std::move(out_);
  }

 private:
  void allow_all(const IpAddress& ip, const RouteSeen& how) {
    const auto allow = [&](const std::vector<IpAddress>& addresses, bool leaving) {
      const auto hop = next_hop(addresses, ip.family);
      if (!hop) return;
      RouteSeen route = how;
      route.next_hop = *hop;
      if (leaving) route.communities.insert(graceful_shutdown);
      out_.may.emplace(Prefix{ip, static_cast<std::uint32_t>(ip.bits())}, std::move(route));
    };
    for (const auto& [name, node] : intent_.world.nodes.rows())
      if (!taken_out(node)) allow(node.internal_ips, false);
    for (const auto& [name, addresses] : intent_.left) allow(addresses, true);
  }

  void judge(const IpAddress& ip, const BlockEntry& entry) {
    const Holder& holder = entry.holders.front();
    const Service* service = intent_.world.services.find(holder.service);
    if (holder.state != HolderState::held || service == nullptr || service->uid != holder.uid) return;
    const auto how = attributes(conf_, entry.pool, *service, peer_, internal_);
    if (!how) return;
    const Prefix prefix{ip, static_cast<std::uint32_t>(ip.bits())};
    allow_all(ip, *how);
    const bool published = std::ranges::any_of(service->ingress, [&](const Ingress& in) { return IpAddress::parse(in.ip) == ip; });
    if (!published) return;
    const auto [nodes, sure] = candidates_of(*service);
    for (const std::string& name : nodes)
      if (const auto hop = next_hop(intent_.world.nodes.find(name)->internal_ips, ip.family)) {
        RouteSeen& route = out_.routes[prefix][*hop] = *how;
        route.next_hop = *hop;
        if (sure && fitness(intent_, *intent_.world.nodes.find(name)) == Fitness::sure) out_.sure.emplace(prefix, *hop);
      }
  }

  // And whether every speaker chooses these: an endpoint that is ready on a node that is about to go is better, for as long as it is there,
  // than one that ends.
  std::pair<std::set<std::string>, bool> candidates_of(const Service& service) {
    const Endpoints endpoints = endpoints_of(intent_.world, service.name);
    if (!endpoints.any) return {{}, true};
    std::set<std::string> ready, ending, all;
    for (const auto& [name, node] : intent_.world.nodes.rows()) {
      if (fitness(intent_, node) == Fitness::unfit) continue;
      all.insert(name);
      if (endpoints.ready.contains(name)) ready.insert(name);
      if (endpoints.ending.contains(name)) ending.insert(name);
    }
    if (service.external_traffic_policy == TrafficPolicy::cluster) return {all, true};
    if (!ready.empty()) return {ready, true};
    return {ending, intent_.left.empty()};
  }

  const Intent& intent_;
  const BgpConf& conf_;
  const BgpPeer& peer_;
  const bool internal_;
  Wishes out_;
};

}  // namespace

bool taken_out(const Node& node) { return node.deleting || !node.taints.empty() || node.labels.contains(keys::exclude_node); }

bool wants_session(const Intent& intent, const IpAddress& router) {
  const auto peer = intent.peers.find(router);
  return intent.as && intent.conf != nullptr && peer != intent.peers.end() && !peer->second.admin_down;
}

bool wants_several_paths(const Intent& intent, const IpAddress& router, IpFamily family) {
  const auto found = intent.peers.find(router);
  if (found == intent.peers.end() || found->second.families.empty()) return true;
  return std::ranges::any_of(found->second.families, [&](const BgpPeer::Family& f) {
    return f.afi == (family == IpFamily::v4 ? "AFI_IP" : "AFI_IP6") && f.add_path_send_max > 0;
  });
}

bool wants_graceful_restart(const Intent& intent, const IpAddress& router) {
  const auto found = intent.peers.find(router);
  if (found == intent.peers.end()) return false;
  const auto& own = found->second.graceful_restart;
  return !own || own->enabled.value_or(true);
}

Wishes wishes_of(const Intent& intent, const IpAddress& router) {
  const auto peer = intent.peers.find(router);
  if (!intent.as || intent.conf == nullptr || peer == intent.peers.end()) return {};
  Wishes out = Wisher{intent, *intent.conf, peer->second}.run();
  // A session that is to be shut down may hear the latest before.
  if (peer->second.admin_down) return {{}, {}, std::move(out.may)};
  return out;
}

}  // namespace berth::sim
