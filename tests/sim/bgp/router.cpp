#include "router.hpp"

namespace berth::sim {

using namespace std::chrono_literals;

std::string_view to_string(Gone gone) {
  switch (gone) {
    case Gone::withdrawn: return "withdrawn";
    case Gone::replaced: return "replaced by another";
    case Gone::swept: return "stale at End-of-RIB";
    case Gone::not_kept: return "stale, and the F bit was not set";
    case Gone::expired: return "stale for too long";
    case Gone::twice_stale: return "stale when its session was lost once more";
    case Gone::session: return "its session ended";
    case Gone::hold_timer: return "the hold timer expired";
    case Gone::router: return "the router's doing";
  }
  return "unknown";
}

bool SimulatedRouter::accepts(const Open& open) const {
  return !away() && open.password == password_ && open.router_as == options_.as && (speaker_as_ == 0 || open.as == speaker_as_);
}

void SimulatedRouter::opened(const std::shared_ptr<Connection>& connection, const Open& open) {
  // RFC 4724 §4.2: a new connection while the old one seems to stand means that the old one is lost.
  if (connection_) lose(Ended::lost, Gone::session);
  connection_ = connection;
  ++sessions_;
  restart_ends_.reset();
  // "If the Forwarding State bit [...] is not set [...], or if a specific address family is not included": at once.
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    if (!open.graceful_restart || !open.forwarding || !open.restartable.contains(family)) drop_stale(family, Gone::not_kept);
  graceful_ = options_.graceful_restart && open.graceful_restart;
  restartable_ = open.restartable;
  families_ = open.families;
  restart_time_s_ = open.restart_time_s;
  hold_time_s_ = open.hold_time_s;
  if (!options_.graceful_restart) drop_stale({}, Gone::session);
  const auto say = [this, weak = std::weak_ptr<Connection>{connection}](Duration after, auto what) {
    time_.call_at(time_.now() + after, [weak, what] {
      if (const auto open_now = weak.lock(); open_now && open_now->router_end && open_now->speaker_end) what(*open_now);
    });
  };
  const Duration pause = Duration{static_cast<Duration::rep>(rng_.fraction() * 300e6)};
  for (const auto& [prefix, route] : own_) say(pause, [prefix, route](const Connection& to) { to.update_from_router(prefix, route); });
  if (graceful_)
    for (const IpFamily family : families_) say(pause, [family](const Connection& to) { to.end_of_rib(family); });
}

void SimulatedRouter::update(const Connection& connection, Prefix prefix, std::uint32_t id, std::optional<RouteSeen> route) {
  if (connection_.get() != &connection) return;
  const auto known = table_.find({prefix, id});
  std::optional<RouteSeen> before;
  if (known != table_.end()) before = known->second.route;
  if (!route) {
    if (known != table_.end()) table_.erase(known);
    if (before) on_gone(prefix, *before, Gone::withdrawn);
    return;
  }
  table_.insert_or_assign({prefix, id}, Entry{*route, false});
  on_route(prefix, *route);
  if (before && before->next_hop != route->next_hop) on_gone(prefix, *before, Gone::replaced);
}

void SimulatedRouter::end_of_rib(const Connection& connection, IpFamily family) {
  if (connection_.get() == &connection) drop_stale(family, Gone::swept);
}

void SimulatedRouter::ended(const Connection& connection, Ended how) {
  if (connection_.get() == &connection) lose(how, Gone::session);
}

// The session is gone. What stays is stale, for as long as the speaker asked for.
void SimulatedRouter::lose(Ended how, Gone why) {
  connection_->router_end = false;
  connection_.reset();
  on_end(how, why == Gone::router || why == Gone::hold_timer);
  const bool keeps = graceful_ && how == Ended::lost;
  drop([&](const Prefix& prefix, const Entry&) { return !keeps || !restartable_.contains(prefix.address.family); }, why);
  if (!keeps) return;
  // "To deal with possible consecutive restarts, a route previously marked as stale MUST be deleted."
  drop_stale({}, Gone::twice_stale);
  for (auto& [key, entry] : table_) entry.stale = true;
  const Instant ends = time_.now() + std::chrono::seconds{restart_time_s_};
  restart_ends_ = ends;
  time_.call_at(ends, [this, ends] {
    if (restart_ends_ != ends) return;
    restart_ends_.reset();
    drop_stale({}, Gone::expired);
  });
}

void SimulatedRouter::leave(Ended how, Gone why, Duration away) {
  away_until_ = time_.now() + away;
  const auto connection = connection_;
  if (!connection) return;
  if (connection->speaker_end && connection->tell_speaker) connection->tell_speaker(how);
  lose(how, why);
}

void SimulatedRouter::cut(Duration away) { leave(Ended::lost, Gone::router, away); }

void SimulatedRouter::reset(Duration away) { leave(Ended::notification, Gone::router, away); }

void SimulatedRouter::reboot(Duration away) {
  leave(Ended::lost, Gone::router, away);
  restart_ends_.reset();
  drop([](const Prefix&, const Entry&) { return true; }, Gone::router);
}

void SimulatedRouter::expire_hold_timer() {
  if (connection_) leave(Ended::hold_timer, Gone::hold_timer, {});
}

void SimulatedRouter::tell_route(Prefix prefix, RouteSeen route) {
  own_.insert_or_assign(prefix, route);
  if (connection_ && connection_->speaker_end) connection_->update_from_router(prefix, std::move(route));
}

void SimulatedRouter::drop(const std::function<bool(const Prefix&, const Entry&)>& which, Gone why) {
  std::vector<std::pair<Prefix, RouteSeen>> gone;
  for (auto it = table_.begin(); it != table_.end();) {
    if (which(it->first.first, it->second)) {
      gone.emplace_back(it->first.first, it->second.route);
      it = table_.erase(it);
    } else {
      ++it;
    }
  }
  for (const auto& [prefix, route] : gone) on_gone(prefix, route, why);
}

void SimulatedRouter::drop_stale(std::optional<IpFamily> family, Gone why) {
  drop([&](const Prefix& prefix, const Entry& entry) { return entry.stale && (!family || prefix.address.family == *family); }, why);
}

}  // namespace berth::sim
