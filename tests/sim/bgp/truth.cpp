#include "truth.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

// How long a wish must stand before it can be held against anybody: old plans are carried out until then, at worst.
constexpr Duration long_wished = 60s;
// From a change of the cluster to the last router: hearing of it, a node's drain, gobgpd's deferral of updates after a start.
constexpr Duration change_time = 20s;
// After a fault: back-offs, and gobgpd is read back once a minute.
constexpr Duration repair_time = 90s;
constexpr std::uint32_t graceful_shutdown = 0xFFFF0000U;
constexpr Duration calm = 30s;
constexpr Duration load_patience = 20s;  // gobgp/engine's
// From the loss of a session until the peer is made anew: one call that met its deadline, and is done all the same.
constexpr Duration renewal_time = 10s;

// With ADD-PATH gobgpd takes back nothing from a router that the policy has left out since, and a change of ours may hide what a stranger
// did there from whoever reads back.
bool strangers(const Prefix& prefix, const RouteSeen& route) {
  return route.next_hop == *IpAddress::parse("10.9.9.9") && prefix.address.to_string().starts_with("203.0.113.");
}

std::string show(const Prefix& prefix) { return fmt::format("{}/{}", prefix.address.to_string(), prefix.length); }

}  // namespace

BgpTruth::BgpTruth(testing::SimTimers& time, const Routers& routers, const BgpUsers& users)
    : time_(time), routers_(routers), users_(users) {
  for (const auto& [address, router] : routers_) {
    seen_[address];
    SimulatedRouter* at = router.get();
    at->on_route = [this, at](const Prefix& prefix, const RouteSeen& seen) { route(*at, prefix, seen); };
    at->on_gone = [this, at](const Prefix& prefix, const RouteSeen& seen, Gone why) { gone(*at, prefix, seen, why); };
    at->on_end = [this, at](Ended how, bool by_router) { ended(*at, how, by_router); };
  }
}

void BgpTruth::violated(const SimulatedRouter& router, std::string what) {
  what = router.options().address.to_string() + ": " + what;
  if (violation_.empty()) violation_ = what;
  say("VIOLATION " + what);
}

void BgpTruth::trouble(Instant until) {
  if (calm_for(calm)) trouble_from_ = time_.now();
  trouble_until_ = std::max(trouble_until_, std::max(until, time_.now()));
}

void BgpTruth::meddled(const Prefix& prefix) { meddled_[prefix] = time_.now(); }

// -- wishes ---------------------------------------------------------------------------------------

void BgpTruth::intent_changed() {
  const Intent intent = users_.intent();
  const bool runs = intent.conf != nullptr && intent.as;
  server_.note(runs ? std::optional<Server>{{*intent.conf, *intent.as}} : std::nullopt, time_.now());
  for (auto& [address, seen] : seen_) {
    Wishes now = wishes_of(intent, address);
    for (auto& [key, until] : seen.may)
      if (!until && !now.may.contains(key)) until = time_.now();
    for (const auto& key : now.may) seen.may[key] = std::nullopt;
    mix(intent, address, seen);
    std::erase_if(seen.sure_since, [&](const auto& item) { return !now.sure.contains(item.first); });
    std::set<Prefix> prefixes;
    for (const auto& key : now.sure) {
      seen.sure_since.try_emplace(key, time_.now());
      seen.prefix_sure_since.try_emplace(key.first, time_.now());
      prefixes.insert(key.first);
    }
    std::erase_if(seen.prefix_sure_since, [&](const auto& item) { return !prefixes.contains(item.first); });
    seen.wishes = std::move(now);
  }
}

// What a speaker wishes that did not hear yet of the last settings of BGP, or of this router.
void BgpTruth::mix(const Intent& intent, const IpAddress& address, Seen& seen) {
  const auto peer = intent.peers.find(address);
  seen.peer.note(peer == intent.peers.end() ? std::optional<BgpPeer>{} : peer->second, time_.now());
  for (const auto& [server, server_until] : server_.all())
    for (const auto& [settings, peer_until] : seen.peer.all()) {
      if (!server_until && !peer_until) continue;  // what is wished now
      const Instant until = std::min(server_until.value_or(time_.now()), peer_until.value_or(time_.now()));
      Intent mixed = intent;
      mixed.conf = &server->conf;
      mixed.as = server->as;
      mixed.peers.insert_or_assign(address, *settings);
      for (const auto& key : wishes_of(mixed, address).may) {
        const auto [known, is_new] = seen.may.try_emplace(key, until);
        if (!is_new && known->second) known->second = std::max(*known->second, until);
      }
    }
}

bool BgpTruth::may_have(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Duration patience) const {
  const Seen& seen = seen_.at(router.options().address);
  const auto known = seen.may.find({prefix, route});
  if (known != seen.may.end() && (!known->second || time_.now() - *known->second < patience)) return true;
  if (is_mixed(router, prefix, route, patience)) return true;
  // What Berth says when it drains its own node.
  RouteSeen plain = route;
  return draining_ && plain.communities.erase(graceful_shutdown) == 1 && may_have(router, prefix, plain, patience);
}

// Of two changes a speaker may hear the later one first: then each part of a route is what somebody wished, though nobody wished them
// together.
bool BgpTruth::is_mixed(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Duration patience) const {
  const auto& may = seen_.at(router.options().address).may;
  // In trouble a node that is on its way out may not be known as such when an address comes, or a router.
  bool hop = patience > repair_time && std::ranges::any_of(seen_, [&](const auto& of_router) {
               return std::ranges::any_of(of_router.second.may,
                                          [&](const auto& one) { return one.first.second.next_hop == route.next_hop; });
             });
  bool med = false, local_pref = false, prepended = false;
  RouteSeen rest = route;
  rest.communities.erase(graceful_shutdown);
  for (auto it = may.lower_bound({prefix, RouteSeen{}}); it != may.end() && it->first.first == prefix; ++it) {
    if (it->second && time_.now() - *it->second >= patience) continue;
    const RouteSeen& wished = it->first.second;
    hop = hop || wished.next_hop == route.next_hop;
    med = med || wished.med == route.med;
    local_pref = local_pref || wished.local_pref == route.local_pref;
    prepended = prepended || wished.prepended == route.prepended;
    for (const auto& community : wished.communities) rest.communities.erase(community);
    for (const auto& community : wished.large_communities) rest.large_communities.erase(community);
  }
  return hop && med && local_pref && prepended && rest.communities.empty() && rest.large_communities.empty();
}

// -- routes ---------------------------------------------------------------------------------------

void BgpTruth::route(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route) {
  say(fmt::format("  {}: {} {}", router.options().address.to_string(), show(prefix), show(route)));
  if (!sane_ || meddled_.contains(prefix)) return;
  constexpr Duration ever = std::chrono::hours{1000};
  const bool strict = calm_for(repair_time);
  if (!may_have(router, prefix, route, strict ? change_time : ever))
    violated(router, fmt::format("nobody wishes {} {}", show(prefix), show(route)));
}

void BgpTruth::gone(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Gone why) {
  say(fmt::format("  {}: {} via {} gone: {}", router.options().address.to_string(), show(prefix), route.next_hop.to_string(),
                  to_string(why)));
  // What replaces it may come with the same dump; a withdrawal comes after what replaces it.
  if (why == Gone::withdrawn) return missing(router, prefix, route.next_hop, why);
  time_.call_at(time_.now(), [this, &router, prefix, hop = route.next_hop, why] { missing(router, prefix, hop, why); });
}

void BgpTruth::missing(const SimulatedRouter& router, const Prefix& prefix, const IpAddress& next_hop, Gone why) {
  if (!sane_ || draining_ || meddled_.contains(prefix) || excused(router, why)) return;
  // Endpoints, policy and nodes may be mixed.
  if (time_.now() - users_.stirred(prefix.address) < hearing_time) return;
  const Seen& seen = seen_.at(router.options().address);
  bool any = false, same = false;
  for (const auto& [key, entry] : router.table()) {
    if (key.first != prefix) continue;
    any = true;
    same = same || entry.route.next_hop == next_hop;
  }
  const auto long_ago = [&](const auto& since, const auto& key) {
    const auto known = since.find(key);
    return known != since.end() && time_.now() - known->second >= long_wished;
  };
  const bool several = router.options().several_paths &&
                       wants_several_paths(users_.intent(), router.options().address, prefix.address.family);
  if (!any && long_ago(seen.prefix_sure_since, prefix))
    violated(router, fmt::format("{} is lost: {}", show(prefix), to_string(why)));
  else if (several && !same && long_ago(seen.sure_since, std::pair{prefix, next_hop}))
    violated(router, fmt::format("{} via {} is lost: {}", show(prefix), next_hop.to_string(), to_string(why)));
}

// Whose doing it was, other than Berth's.
bool BgpTruth::excused(const SimulatedRouter& router, Gone why) const {
  const Seen& seen = seen_.at(router.options().address);
  switch (why) {
    case Gone::swept:
      // What can't be loaded for so long is given up, so that the session is there for the rest.
      if (!calm_for(calm) && time_.now() - trouble_from_ > load_patience) return true;
      [[fallthrough]];
    case Gone::withdrawn:
    case Gone::replaced: return touched(router);  // the session begins anew
    case Gone::not_kept: return seen.lost_by_router || touched(router);  // gobgpd sets the F bit only after a start of its own
    case Gone::expired:
    case Gone::twice_stale: return seen.lost_by_router || !calm_for(calm) || touched(router);
    case Gone::session: return true;  // ended() judges
    case Gone::hold_timer: return router.hold_time_s() < 45;
    case Gone::router: return true;
  }
  return false;
}

// -- sessions -------------------------------------------------------------------------------------

// Whether its users did something to it lately, or before trouble that is not long over.
bool BgpTruth::touched(const SimulatedRouter& router) const {
  const Instant since = calm_for(repair_time) ? time_.now() : trouble_from_;
  return std::max(users_.touched(router.options().address), users_.touched_server()) + long_wished >= since;
}

void BgpTruth::ended(const SimulatedRouter& router, Ended how, bool by_router) {
  Seen& seen = seen_.at(router.options().address);
  seen.lost_by_router = by_router;
  if (by_router || how == Ended::lost) seen.lost_at = time_.now();
  say(fmt::format("  {}: session ended {}by {}", router.options().address.to_string(),
                  how == Ended::lost ? "" : (how == Ended::hold_timer ? "by the hold timer, " : "with a NOTIFICATION, "),
                  by_router ? "the router" : "the speaker"));
  if (!sane_ || draining_ || !wants_session(users_.intent(), router.options().address)) return;
  if (by_router) {
    if (how == Ended::hold_timer && calm_for(calm)) violated(router, "its session fell silent for no reason");
    return;
  }
  // Where there is no graceful restart, a planned end of the process is as bad as any.
  const bool goodbye = how == Ended::notification && router.graceful();
  if (!goodbye && !touched(router) && calm_for(calm)) violated(router, "its session ended for no reason");
  const bool renewed = seen.lost_at && !calm_for(calm) && time_.now() - *seen.lost_at < renewal_time;
  if (goodbye && !renewed && !touched(router)) violated(router, "its session was ended for no reason");
  // A new server needs a new process, but no goodbye; that is for sessions that are to be others.
  const auto lately = [&](Instant when) { return when + long_wished > time_.now(); };
  const bool only_server = lately(users_.touched_server()) && !lately(users_.touched(router.options().address)) && calm_for(calm);
  if (goodbye && only_server) violated(router, "a planned restart said goodbye");
}

// -- looking --------------------------------------------------------------------------------------

void BgpTruth::look() {
  std::erase_if(meddled_, [&](const auto& item) { return time_.now() - item.second > repair_time && calm_for(repair_time); });
  if (!calm_for(repair_time)) return;
  for (const auto& [address, router] : routers_)
    for (const auto& [key, entry] : router->table())
      if (!entry.stale && !strangers(key.first, entry.route) && !meddled_.contains(key.first) &&
          !may_have(*router, key.first, entry.route, repair_time))
        violated(*router, fmt::format("nobody wishes {} {} any more", show(key.first), show(entry.route)));
}

// Before a drain withdraws them (RFC 8326).
void BgpTruth::all_marked() {
  for (const auto& [address, router] : routers_)
    for (const auto& [key, entry] : router->table())
      if (!entry.route.communities.contains(graceful_shutdown) && !strangers(key.first, entry.route))
        violated(*router, fmt::format("{} {} is not marked before it is withdrawn", show(key.first), show(entry.route)));
}

void BgpTruth::settled() {
  const Intent intent = users_.intent();
  for (const auto& [address, router] : routers_) {
    const Seen& seen = seen_.at(address);
    if (wants_session(intent, address) != router->up()) {
      violated(*router, router->up() ? "does not settle: a session that is not wished" : "does not settle: no session");
      continue;
    }
    std::map<Prefix, std::map<IpAddress, RouteSeen>> there;
    for (const auto& [key, entry] : router->table()) {
      if (!seen.wishes.routes.contains(key.first) && strangers(key.first, entry.route)) continue;
      there[key.first][entry.route.next_hop] = entry.route;
      if (entry.stale) violated(*router, "does not settle: " + show(key.first) + " is stale");
    }
    for (const auto& [prefix, by_hop] : seen.wishes.routes) {
      const auto found = there.find(prefix);
      if (found == there.end()) {
        violated(*router, "does not settle: no " + show(prefix));
        continue;
      }
      const bool several = router->options().several_paths && wants_several_paths(intent, address, prefix.address.family);
      if (several ? found->second != by_hop : found->second.size() != 1)
        violated(*router, "does not settle: other next hops or attributes of " + show(prefix));
      for (const auto& [hop, route] : found->second)
        if (const auto wished = by_hop.find(hop); !several && (wished == by_hop.end() || wished->second != route))
          violated(*router, fmt::format("does not settle: {} {}", show(prefix), show(route)));
    }
    for (const auto& [prefix, by_hop] : there)
      if (!seen.wishes.routes.contains(prefix)) violated(*router, "does not settle: still " + show(prefix));
  }
}

}  // namespace berth::sim
