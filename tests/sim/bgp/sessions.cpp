// The sessions of SimulatedGobgpd, and the process that holds them.
#include <algorithm>

#include "gobgpd.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t idle = 1, active = 3, established = 6;
constexpr std::uint32_t hold_timer_expired = 2, notification_received = 4, read_failed = 5;
constexpr Duration first_attempt_least = 1500ms, first_attempt_most = 2s;  // gobgpd's own pause

}  // namespace

void SimulatedGobgpd::after(Duration time, std::function<void()> what) {
  time_.call_at(time_.now() + time, [this, weak = std::weak_ptr<int>{alive_}, what = std::move(what)]() mutable {
    if (weak.expired()) return;
    if (hangs_)
      held_.push_back(std::move(what));
    else
      what();
  });
}

// -- connecting -----------------------------------------------------------------------------------

void SimulatedGobgpd::begin(Peer& peer) {
  peer.state = peer.conf.conf().admin_down() ? idle : active;
  if (!peer.conf.conf().admin_down()) connect_in(peer, some(first_attempt_least, first_attempt_most));
}

void SimulatedGobgpd::connect_in(Peer& peer, Duration pause) {
  const std::uint64_t attempt = peer.attempt = ++attempts_;
  after(pause, [this, neighbor = peer.neighbor, attempt] {
    const auto found = peers_.find(neighbor);
    if (found != peers_.end() && found->second.attempt == attempt) connect(found->second);
  });
}

void SimulatedGobgpd::connect(Peer& peer) {
  const auto router = routers_.find(peer.neighbor);
  if (router != routers_.end() && router->second->accepts(open_of(peer))) return establish(peer, *router->second);
  // Passive: the router dials, again and again.
  const auto retry = std::chrono::seconds{std::max<std::uint64_t>(peer.conf.timers().config().connect_retry(), 2)};
  connect_in(peer, peer.conf.transport().passive_mode() ? some(1s, 5s) : some(retry * 3 / 4, retry));
}

Open SimulatedGobgpd::open_of(const Peer& peer) const {
  Open out;
  out.as = peer.conf.conf().local_asn();
  out.router_as = peer.conf.conf().peer_asn();
  out.password = peer.conf.conf().auth_password();
  out.hold_time_s = peer.conf.timers().config().hold_time();
  out.graceful_restart = peer.conf.graceful_restart().enabled();
  out.restart_time_s = peer.conf.graceful_restart().restart_time();
  out.forwarding = peer.restarting;
  for (const api::AfiSafi& family : peer.conf.afi_safis()) {
    const IpFamily which = family.config().family().afi() == 1 ? IpFamily::v4 : IpFamily::v6;
    out.families.insert(which);
    if (out.graceful_restart && family.mp_graceful_restart().config().enabled() && !peer.conf.graceful_restart().helper_only())
      out.restartable.insert(which);
    if (family.add_paths().config().send_max() > 0) out.several_paths.insert(which);
  }
  return out;
}

void SimulatedGobgpd::establish(Peer& peer, SimulatedRouter& router) {
  const Open open = open_of(peer);
  peer.connection = std::make_shared<Connection>();
  peer.connection->tell_speaker = [this, weak = std::weak_ptr<int>{alive_}, neighbor = peer.neighbor,
                                   connection = std::weak_ptr<Connection>{peer.connection}](Ended how) {
    if (weak.expired()) return;
    after(some(0ms, 5ms), [this, neighbor, connection, how] {
      if (const auto held = connection.lock()) ended(neighbor, *held, how);
    });
  };
  peer.connection->end_of_rib = [this, weak = std::weak_ptr<int>{alive_}, neighbor = peer.neighbor](IpFamily family) {
    if (!weak.expired()) after({}, [this, neighbor, family] { end_of_rib_from(neighbor, family); });
  };
  peer.connection->update_from_router = [this, weak = std::weak_ptr<int>{alive_}, neighbor = peer.neighbor](
                                            const Prefix& prefix, std::optional<RouteSeen> route) {
    if (!weak.expired()) after({}, [this, neighbor, prefix, route = std::move(route)] { update_from(neighbor, prefix, route); });
  };
  peer.state = established;
  ++peer.opens;
  peer.sent.clear();
  peer.waiting.clear();
  peer.graceful = open.graceful_restart && router.options().graceful_restart;
  peer.families = open.families;
  peer.several_paths = router.options().several_paths ? open.several_paths : std::set<IpFamily>{};
  peer.awaited = peer.graceful && router.options().names_families ? open.restartable : std::set<IpFamily>{};
  router.opened(peer.connection, open);
  tell_event(peer);
  if (!peer.restarting) return tell_all(peer, false);
  if (all_synced()) return finish_sync();
  const auto deferral = std::chrono::seconds{peer.conf.graceful_restart().deferral_time()};
  after(deferral, [this, neighbor = peer.neighbor, deferral] { deferral_is_over(neighbor, deferral); });
}

// The peer goes, or begins anew.
void SimulatedGobgpd::remove(Peer& peer, bool say_goodbye) {
  peer.attempt = 0;
  const auto connection = std::exchange(peer.connection, nullptr);
  if (!connection) return;
  peer.waiting.clear();
  connection->speaker_end = false;
  const Instant at = std::max(peer.said_until, time_.now() + some(0ms, 3ms));
  SimulatedRouter& router = *routers_.at(peer.neighbor);
  time_.call_at(at, [&router, connection, how = say_goodbye ? Ended::notification : Ended::lost] { router.ended(*connection, how); });
  peer.state = idle;
  tell_event(peer);
}

void SimulatedGobgpd::ended(const IpAddress& neighbor, const Connection& connection, Ended how) {
  const auto found = peers_.find(neighbor);
  if (found == peers_.end() || found->second.connection.get() != &connection) return;
  Peer& peer = found->second;
  peer.connection->speaker_end = false;
  peer.connection.reset();
  peer.sent.clear();
  peer.waiting.clear();
  peer.down_at = time_.now();
  ++peer.flaps;
  peer.state = active;
  peer.disconnect_reason = how == Ended::lost ? read_failed : how == Ended::hold_timer ? hold_timer_expired : notification_received;
  tell_event(peer);
  // What it told us goes; a restart of the router is nothing that Berth has to do with.
  for (auto& [prefix, destination] : table_)
    std::erase_if(destination, [&](const Path& path) { return path.source == neighbor.to_string(); });
  std::erase_if(table_, [](const auto& item) { return item.second.empty(); });
  connect_in(peer, some(first_attempt_least, first_attempt_most));
}

// -- restarting -----------------------------------------------------------------------------------

void SimulatedGobgpd::end_of_rib_from(const IpAddress& neighbor, IpFamily family) {
  const auto found = peers_.find(neighbor);
  if (found == peers_.end() || !found->second.connection) return;
  found->second.awaited.erase(family);
  if (found->second.restarting && all_synced()) finish_sync();
}

bool SimulatedGobgpd::all_synced() const {
  return std::ranges::all_of(peers_, [](const auto& item) {
    const Peer& peer = item.second;
    if (peer.connection) return peer.awaited.empty();
    return std::ranges::none_of(peer.conf.afi_safis(), [](const auto& f) { return f.mp_graceful_restart().config().enabled(); });
  });
}

void SimulatedGobgpd::finish_sync() {
  for (auto& [neighbor, peer] : peers_) {
    const bool was = std::exchange(peer.restarting, false);
    if (peer.connection && (was || peer.graceful)) tell_all(peer, false);
  }
}

void SimulatedGobgpd::deferral_is_over(const IpAddress& neighbor, Duration deferral) {
  const auto found = peers_.find(neighbor);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (peer.down_at && time_.now() - *peer.down_at < deferral) return;
  if (!peer.connection || !std::exchange(peer.restarting, false)) return;
  tell_all(peer, false);
}

// -- telling --------------------------------------------------------------------------------------

const SimulatedGobgpd::Path* SimulatedGobgpd::best(const Destination& destination) {
  const auto found = std::ranges::min_element(destination, {}, rank);
  return found == destination.end() ? nullptr : &*found;
}

// Absent: the export policy rejects it.
std::optional<RouteSeen> SimulatedGobgpd::as_sent(const Peer& peer, const Path& path) const {
  const bool internal = peer.conf.conf().peer_asn() == peer.conf.conf().local_asn();
  if (path.source == peer.neighbor.to_string() || (internal && !path.source.empty())) return std::nullopt;
  auto out = policies_.exported(peer.neighbor, path.source.empty(), path.route);
  if (!out) return std::nullopt;
  if (!internal) out->local_pref.reset();
  if (internal && !out->local_pref) out->local_pref = 100;
  return out;
}

void SimulatedGobgpd::tell_all(Peer& peer, bool withdraw_filtered) {
  for (const auto& [prefix, destination] : table_) {
    if (!peer.families.contains(prefix.address.family)) continue;
    const bool several = peer.several_paths.contains(prefix.address.family);
    for (const Path& path : destination) {
      if (!several && &path != best(destination)) continue;
      auto route = as_sent(peer, path);
      if (!route && !(withdraw_filtered && peer.sent[prefix].contains(several ? path.number : 0))) continue;
      if (several)
        say(peer, prefix, path.number, std::move(route));
      else
        say_best(peer, prefix, path.number, std::move(route));
    }
  }
  say_end_of_rib(peer);
}

// One change of the table, to each router.
void SimulatedGobgpd::propagate(const Prefix& prefix, const Path& path, bool withdrawn, const std::optional<Path>& old_best) {
  const Destination& destination = table_[prefix];
  for (auto& [neighbor, peer] : peers_) {
    if (!peer.connection || peer.restarting || !peer.families.contains(prefix.address.family)) continue;
    if (peer.several_paths.contains(prefix.address.family)) {
      // What the policy rejects is told nothing of, nor what was told of it before taken back.
      auto route = as_sent(peer, path);
      if (route) say(peer, prefix, path.number, withdrawn ? std::nullopt : std::move(route));
      continue;
    }
    const Path* now = best(destination);
    if (now == nullptr) {
      if (old_best && as_sent(peer, *old_best)) say_best(peer, prefix, old_best->number, {});
      continue;
    }
    if (old_best && now->number == old_best->number && now->route == old_best->route) continue;
    auto route = as_sent(peer, *now);
    if (route)
      say_best(peer, prefix, now->number, std::move(route));
    else if (old_best && as_sent(peer, *old_best))
      say_best(peer, prefix, old_best->number, {});
  }
}

void SimulatedGobgpd::say(Peer& peer, const Prefix& prefix, std::uint32_t id, std::optional<RouteSeen> route) {
  if (route)
    peer.sent[prefix].insert(id);
  else
    peer.sent[prefix].erase(id);
  ++peer.updates;
  post(peer, [prefix, id, route = std::move(route)](SimulatedRouter& router, Connection& connection) {
    router.update(connection, prefix, id, route);
  });
}

// It waits for a moment, or for longer if the router is slow to read. Not for longer than the engine is patient: docs/adr/0019-one-path.md
// tells what may become of a route then.
void SimulatedGobgpd::say_best(Peer& peer, const Prefix& prefix, std::uint32_t number, std::optional<RouteSeen> route) {
  if (peer.waiting.empty())
    after(rng_.chance(0.05) ? some(0ms, 150ms) : some(0ms, 1ms),
          [this, neighbor = peer.neighbor, connection = std::weak_ptr{peer.connection}] {
            const auto found = peers_.find(neighbor);
            if (found != peers_.end() && found->second.connection && found->second.connection == connection.lock())
              send_waiting(found->second);
          });
  peer.waiting.insert_or_assign({prefix, number}, std::move(route));
}

void SimulatedGobgpd::send_waiting(Peer& peer) {
  std::vector<std::pair<Prefix, RouteSeen>> announcements;
  for (auto& [path, route] : std::exchange(peer.waiting, {})) {
    if (route)
      announcements.emplace_back(path.first, std::move(*route));
    else
      say(peer, path.first, 0, {});
  }
  for (std::size_t i = announcements.size(); i > 1; --i) std::swap(announcements[i - 1], announcements[rng_.below(i)]);
  for (auto& [prefix, route] : announcements) say(peer, prefix, 0, std::move(route));
}

void SimulatedGobgpd::say_end_of_rib(Peer& peer) {
  send_waiting(peer);
  if (!peer.graceful) return;
  for (const IpFamily family : peer.families)
    post(peer, [family](SimulatedRouter& router, Connection& connection) { router.end_of_rib(connection, family); });
}

// In order. What is said at one time arrives at one time.
void SimulatedGobgpd::post(Peer& peer, std::function<void(SimulatedRouter&, Connection&)> what) {
  constexpr Duration under_way = 2ms;
  peer.said_until = std::max(peer.said_until, time_.now() + under_way);
  SimulatedRouter& router = *routers_.at(peer.neighbor);
  time_.call_at(peer.said_until, [&router, connection = peer.connection, what = std::move(what)] { what(router, *connection); });
}

void SimulatedGobgpd::update_from(const IpAddress& neighbor, const Prefix& prefix, std::optional<RouteSeen> route) {
  if (!peers_.contains(neighbor) || !peers_.at(neighbor).connection || !route || !policies_.imports(false)) return;
  Destination& destination = table_[prefix];
  std::optional<Path> old_best;
  if (const Path* before = best(destination)) old_best = *before;
  std::erase_if(destination, [&](const Path& path) { return path.source == neighbor.to_string(); });
  Path path{neighbor.to_string(), 0, 1, std::move(*route), {}};
  while (std::ranges::find(destination, path.number, &Path::number) != destination.end()) ++path.number;
  destination.push_back(path);
  propagate(prefix, path, false, old_best);
}

void SimulatedGobgpd::tell_event(const Peer& peer) { on_event(shown(peer)); }

// -- the process ----------------------------------------------------------------------------------

void SimulatedGobgpd::terminate() {
  if (!alive_) return;
  for (auto& [neighbor, peer] : peers_) remove(peer, true);
  kill();
}

void SimulatedGobgpd::kill() {
  if (!alive_) return;
  alive_.reset();
  on_event = [](const api::Peer&) {};
  for (auto& [neighbor, peer] : peers_) remove(peer, false);
  peers_.clear();
  held_.clear();
  for (const auto& mourner : std::exchange(mourners_, {})) mourner();
}

void SimulatedGobgpd::hang() {
  if (!alive_ || hangs_) return;
  hangs_ = true;
  const std::uint64_t times = ++hung_;
  for (auto& [neighbor, peer] : peers_) {
    if (!peer.connection) continue;
    SimulatedRouter& router = *routers_.at(neighbor);
    const auto hold = std::chrono::seconds{router.hold_time_s()};
    time_.call_at(time_.now() + hold, [this, weak = std::weak_ptr<int>{alive_}, times, &router, connection = peer.connection] {
      if (!weak.expired() && hangs_ && hung_ == times && connection->router_end) router.expire_hold_timer();
    });
  }
}

void SimulatedGobgpd::go_on() {
  if (!alive_ || !hangs_) return;
  hangs_ = false;
  const std::weak_ptr<int> weak = alive_;
  for (auto& what : std::exchange(held_, {}))
    if (!weak.expired()) what();
}

}  // namespace berth::sim
