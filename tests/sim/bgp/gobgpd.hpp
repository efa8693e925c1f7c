// SimulatedGobgpd: one process of gobgpd 4.8 with its sessions, as far as Berth relies on it. tests/conformance/bgp holds it and the real
// one to the same suite. Its habits that matter: it shows configurations with defaults filled in; after StopBgp it says "server stopped"
// for ever; a peer that is told `local_restarting` sends nothing until all routers have sent End-of-RIB or its deferral time is over,
// whatever changes meanwhile; with ADD-PATH, a route whom the export policy rejects is not withdrawn when it changes or goes, only by a
// soft reset while it is there; what waits for a router is sent together, the last change of each path only and in no order, which matters
// to routers without ADD-PATH; routes are numbered anew in each process.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "../rng.hpp"
#include "base/result.hpp"
#include "base/testing/sim_timers.hpp"
#include "gobgp.pb.h"
#include "policy.hpp"
#include "router.hpp"

namespace berth::sim {

using Routers = std::map<IpAddress, std::unique_ptr<SimulatedRouter>>;

class SimulatedGobgpd {
 public:
  SimulatedGobgpd(testing::SimTimers& time, SimRng& rng, const Routers& routers) : time_(time), rng_(rng), routers_(routers) {}
  ~SimulatedGobgpd() { kill(); }
  SimulatedGobgpd(const SimulatedGobgpd&) = delete;
  SimulatedGobgpd& operator=(const SimulatedGobgpd&) = delete;

  // -- the calls, carried out at once --
  Result<api::Global> get_bgp();
  Result<> start_bgp(const api::Global& global);
  Result<> stop_bgp(bool allow_graceful_restart);
  Result<> add_peer(const api::Peer& peer);
  Result<> update_peer(const api::Peer& peer);
  Result<> delete_peer(const std::string& address);
  Result<std::vector<api::Peer>> list_peers();
  Result<std::vector<api::Path>> list_paths(const api::Family& family);
  Result<> change_paths(const std::vector<api::Path>& paths);  // one message of a stream
  [[nodiscard]] static bool can_read(const api::Path& path);
  Result<> set_policy_assignment(const api::SetPolicyAssignmentRequest& request);
  Result<> set_policies(const api::SetPoliciesRequest& request);
  Result<> soft_reset_out(const std::string& address);  // or "all"
  std::function<void(const api::Peer&)> on_event = [](const api::Peer&) {};

  // -- the process --
  void terminate();  // SIGTERM: sessions end by a NOTIFICATION, unless StopBgp was called
  void kill();       // SIGKILL: connections break
  void hang();       // SIGSTOP; routers' hold timers run on
  void go_on();      // SIGCONT
  // Does it when it is due and the process runs; never, if it was killed.
  void after(Duration time, std::function<void()> what);
  void on_death(std::function<void()> listener) { mourners_.push_back(std::move(listener)); }
  Instant busy_until;  // one call after another
  [[nodiscard]] bool alive() const { return alive_ != nullptr; }
  [[nodiscard]] bool hangs() const { return hangs_; }

  [[nodiscard]] std::size_t paths() const;
  [[nodiscard]] std::size_t peers() const { return peers_.size(); }

 private:
  struct Path {
    std::string source;  // the router's address; empty: ours
    std::uint32_t identifier = 0;
    std::uint32_t number = 0;  // as routers with ADD-PATH get it
    RouteSeen route;
    api::Path message;
    std::uint64_t age = 0;  // of equal paths the newest is the best one
  };
  using Destination = std::vector<Path>;
  struct Peer {
    api::Peer conf;  // with defaults filled in
    IpAddress neighbor;
    std::uint32_t state = 0;
    bool restarting = false;
    std::shared_ptr<Connection> connection;
    std::uint64_t attempt = 0;  // to connect, the one that counts; no other peer, nor this one before, had the same
    bool graceful = false;      // negotiated
    std::set<IpFamily> families, several_paths, awaited;
    std::optional<Instant> down_at;
    std::map<Prefix, std::set<std::uint32_t>> sent;
    std::map<std::pair<Prefix, std::uint32_t>, std::optional<RouteSeen>> waiting;  // without ADD-PATH: the last change of each path
    Instant said_until;  // what was said last arrives then
    std::uint64_t opens = 0, updates = 0;
    std::uint32_t flaps = 0;
    std::uint32_t disconnect_reason = 0;
  };

  [[nodiscard]] Result<> serving() const;
  Result<Peer> completed(api::Peer conf) const;
  static bool other_session(const api::Peer& a, const api::Peer& b);
  void begin(Peer& peer);
  void connect_in(Peer& peer, Duration pause);
  void connect(Peer& peer);
  [[nodiscard]] Open open_of(const Peer& peer) const;
  void establish(Peer& peer, SimulatedRouter& router);
  void remove(Peer& peer, bool say_goodbye);
  void ended(const IpAddress& neighbor, const Connection& connection, Ended how);
  void end_of_rib_from(const IpAddress& neighbor, IpFamily family);
  void update_from(const IpAddress& neighbor, const Prefix& prefix, std::optional<RouteSeen> route);
  [[nodiscard]] bool all_synced() const;
  void finish_sync();
  void deferral_is_over(const IpAddress& neighbor, Duration deferral);
  void tell_all(Peer& peer, bool withdraw_filtered);
  [[nodiscard]] std::optional<RouteSeen> as_sent(const Peer& peer, const Path& path) const;
  // The least is the best path.
  using Rank = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;
  [[nodiscard]] static Rank rank(const Path& path) { return {~path.route.local_pref.value_or(100), path.route.med.value_or(0), ~path.age}; }
  [[nodiscard]] static const Path* best(const Destination& destination);
  void propagate(const Prefix& prefix, const Path& path, bool withdrawn, const std::optional<Path>& old_best);
  void say(Peer& peer, const Prefix& prefix, std::uint32_t id, std::optional<RouteSeen> route);
  void say_best(Peer& peer, const Prefix& prefix, std::uint32_t number, std::optional<RouteSeen> route);
  void send_waiting(Peer& peer);
  void say_end_of_rib(Peer& peer);
  void post(Peer& peer, std::function<void(SimulatedRouter&, Connection&)> what);
  void tell_event(const Peer& peer);
  [[nodiscard]] api::Peer shown(const Peer& peer) const;
  Duration some(Duration least, Duration most) {
    return least + Duration{static_cast<Duration::rep>(rng_.fraction() * static_cast<double>((most - least).count()))};
  }

  testing::SimTimers& time_;
  SimRng& rng_;
  const Routers& routers_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::uint64_t attempts_ = 0;
  std::uint64_t ages_ = 0;
  bool hangs_ = false;
  std::uint64_t hung_ = 0;  // how often
  bool stopped_ = false;
  std::vector<std::function<void()>> mourners_;
  std::vector<std::function<void()>> held_;  // what came due while it hung
  api::Global global_;
  SimulatedPolicies policies_;
  std::map<IpAddress, Peer> peers_;
  std::map<Prefix, Destination> table_;
};

}  // namespace berth::sim
