// SimulatedRouter: the other end of a session. It keeps what it hears, helps a speaker that restarts (RFC 4724 §4.2), and goes away in
// all the ways that routers have.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "../rng.hpp"
#include "base/testing/sim_timers.hpp"
#include "wire.hpp"

namespace berth::sim {

// Why a route is no more in a router's table.
enum class Gone : std::uint8_t {
  withdrawn,    // the speaker said so
  replaced,     // another route came under its number
  swept,        // stale, and not told again before End-of-RIB
  not_kept,     // stale, and the speaker came back without the F bit
  expired,      // stale, and the speaker did not come back in time
  twice_stale,  // stale, and the session was lost once more before End-of-RIB
  session,      // with its session: the speaker ended it by a NOTIFICATION, or there is no graceful restart
  hold_timer,   // the speaker said nothing for too long
  router,       // the router itself ended the session, or was started anew
};
std::string_view to_string(Gone gone);

struct RouterOptions {
  IpAddress address;
  std::uint32_t as = 0;
  bool graceful_restart = true;
  bool names_families = true;  // in its own capability of graceful restart; a mere helper does not
  bool several_paths = true;   // ADD-PATH, to receive
};

class SimulatedRouter {
 public:
  SimulatedRouter(testing::SimTimers& time, SimRng& rng, RouterOptions options) : time_(time), rng_(rng), options_(std::move(options)) {}

  struct Entry {
    RouteSeen route;
    bool stale = false;
  };
  using Table = std::map<std::pair<Prefix, std::uint32_t>, Entry>;  // by prefix and path identifier

  // -- what the speaker's side does --
  // Whether a connection comes about, and the OPEN is taken.
  [[nodiscard]] bool accepts(const Open& open) const;
  void opened(const std::shared_ptr<Connection>& connection, const Open& open);
  void update(const Connection& connection, Prefix prefix, std::uint32_t id, std::optional<RouteSeen> route);
  void end_of_rib(const Connection& connection, IpFamily family);
  void ended(const Connection& connection, Ended how);

  // -- faults and settings --
  void cut(Duration away);      // the line breaks: both ends lose the connection, and none comes about until then
  void reset(Duration away);    // it ends the session by a NOTIFICATION
  void reboot(Duration away);   // and forgets everything
  void expire_hold_timer();
  void let_in() { away_until_ = {}; }
  void set_password(std::string password) { password_ = std::move(password); }
  void expect_as(std::uint32_t as) { speaker_as_ = as; }
  void tell_route(Prefix prefix, RouteSeen route);  // of its own, to the speaker

  [[nodiscard]] const RouterOptions& options() const { return options_; }
  [[nodiscard]] const Table& table() const { return table_; }
  [[nodiscard]] bool up() const { return connection_ != nullptr; }
  [[nodiscard]] bool away() const { return time_.now() < away_until_; }
  [[nodiscard]] bool restarting() const { return restart_ends_.has_value(); }
  [[nodiscard]] std::uint64_t hold_time_s() const { return hold_time_s_; }
  [[nodiscard]] std::uint64_t sessions() const { return sessions_; }
  [[nodiscard]] bool graceful() const { return graceful_; }  // negotiated, of this or the last session

  std::function<void(const Prefix&, const RouteSeen&, Gone)> on_gone = [](const Prefix&, const RouteSeen&, Gone) {};
  std::function<void(const Prefix&, const RouteSeen&)> on_route = [](const Prefix&, const RouteSeen&) {};
  std::function<void(Ended, bool by_router)> on_end = [](Ended, bool) {};

 private:
  void lose(Ended how, Gone why);
  void leave(Ended how, Gone why, Duration away);
  void drop(const std::function<bool(const Prefix&, const Entry&)>& which, Gone why);
  void drop_stale(std::optional<IpFamily> family, Gone why);

  testing::SimTimers& time_;
  SimRng& rng_;
  const RouterOptions options_;
  std::string password_;
  std::uint32_t speaker_as_ = 0;
  Instant away_until_;
  std::shared_ptr<Connection> connection_;
  Table table_;
  std::map<Prefix, RouteSeen> own_;
  bool graceful_ = false;
  std::set<IpFamily> restartable_;
  std::set<IpFamily> families_;
  std::uint32_t restart_time_s_ = 0;
  std::uint64_t hold_time_s_ = 0;
  std::uint64_t sessions_ = 0;
  std::optional<Instant> restart_ends_;
};

}  // namespace berth::sim
