// BgpSpeaker: makes the BGP engine announce what plan/ says. wake -> plan routes and configuration ->
// engine.apply() -> wait. It decides nothing: what to announce is plan/routes.hpp, how to speak BGP is
// plan/bgp_config.hpp, the difference to what is there is the engine's.
//
// Nothing is applied before every source has been listed once, so that a start never withdraws what a
// former process announced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "base/pace.hpp"
#include "model/world.hpp"
#include "plan/bfd_policy.hpp"
#include "plan/bgp_config.hpp"
#include "plan/routes.hpp"
#include "speak/bgp/callers.hpp"
#include "speak/bgp/engine.hpp"

namespace berth {

struct BgpSpeakerCounters {
  std::uint64_t plans = 0;
  std::uint64_t applies = 0;
  std::uint64_t failures = 0;
  double last_plan_seconds = 0;
  double last_apply_seconds = 0;
  std::uint64_t convergences = 0;   // how often what was wanted was in the engine again
  double convergence_seconds = 0;   // and for how long it was not until then, in sum, waits after failures included
};

class BgpSpeaker {
 public:
  BgpSpeaker(const asio::any_io_executor& executor, Timers& timers, Rng& rng, const World& world, BgpEngine& engine, RouteOptions options);

  asio::awaitable<void> run();  // until cancelled
  void look_again() { bell_.ring(); }
  void engine_changed();
  void bfd_changed(BfdReport report);
  // Called when the neighbours that BFD is asked for change.
  void on_bfd_wanted(std::function<void(std::vector<BfdPeer>)> listener) { bfd_wanted_ = std::move(listener); }
  // A router that advertised itself on a link, with the link's zone.
  void router_heard(const IpAddress& router);
  // Why nothing can be heard on a link, by its interface.
  void links_changed(std::map<Zone, std::string> problems);
  // Called when the interfaces change at whose other end there are routers.
  void on_links_wanted(std::function<void(std::set<Zone>)> listener) { links_wanted_ = std::move(listener); }
  void probes_changed(AnsweringNodes answering);
  // Called when the nodes to probe change: all next hops but our own.
  void on_probes_wanted(std::function<void(ProbeTargets)> listener) { probes_wanted_ = std::move(listener); }
  // Called after a plan, an apply or a change of a session: read what is below.
  void on_report(std::function<void()> listener) { report_ = std::move(listener); }

  // Ends in order, as BgpStop says. A drain first marks the routes with the community
  // GRACEFUL_SHUTDOWN (RFC 8326) and waits `notice`. run() must have been cancelled.
  asio::awaitable<void> stop(BgpStop how, Duration notice);

  [[nodiscard]] bool applied() const { return applied_ != nullptr; }  // at least once, and nothing failed since
  [[nodiscard]] const std::string& last_error() const { return last_error_; }
  [[nodiscard]] const BgpDesired& desired() const { return *desired_; }
  [[nodiscard]] const RoutePlan& route_plan() const { return routes_.plan(); }
  [[nodiscard]] const std::vector<BgpProblem>& problems() const { return problems_; }
  [[nodiscard]] const std::vector<BgpNeighborRange>& ranges() const { return ranges_; }
  [[nodiscard]] const std::vector<BgpPeerStatus>& sessions() const { return sessions_; }
  [[nodiscard]] const AnsweringNodes& answering() const { return answering_; }
  [[nodiscard]] const BfdReport& bfd() const { return bfd_; }
  [[nodiscard]] const BfdVerdict& bfd_verdict() const { return bfd_verdict_; }
  [[nodiscard]] const BgpSpeakerCounters& counters() const { return counters_; }

 private:
  bool plan();
  void want(BgpConfiguration configuration, std::vector<IpRange> ranges);
  bool has_references(Instant now);
  void look_who_called(Instant now);
  void want_links();
  void note_link_problems();
  void collect_problems();
  void want_probes();
  void consult_bfd(std::vector<BgpPeerConfig>& peers);
  asio::awaitable<void> apply();
  asio::awaitable<void> read_sessions();

  Timers& timers_;
  Rng& rng_;
  const World& world_;
  BgpEngine& engine_;
  Bell bell_;
  Pace pace_{10};
  std::function<void()> report_;
  std::function<void(std::vector<BfdPeer>)> bfd_wanted_;
  std::vector<BfdPeer> bfd_peers_;
  std::function<void(ProbeTargets)> probes_wanted_;
  ProbeTargets probe_targets_;
  BfdReport bfd_;
  BfdMemory bfd_memory_;
  BfdVerdict bfd_verdict_;
  AnsweringNodes answering_;
  RoutePlanner routes_;
  Callers callers_;
  std::set<IpAddress> heard_;  // since the last look
  std::function<void(std::set<Zone>)> links_wanted_;
  std::set<Zone> links_;
  std::map<Zone, std::string> link_problems_;
  std::vector<BgpNeighborRange> ranges_;
  BgpDesired configured_;  // without routes, and without what BFD says
  std::shared_ptr<const BgpDesired> desired_ = std::make_shared<BgpDesired>();
  // The same, and the one before, which nobody reads any more and the next one is made of: a copy of many routes takes long.
  struct Made {
    std::shared_ptr<BgpDesired> desired;
    RoutePlanner::Position position = 0;  // of its routes in the plan's
  };
  Made made_{}, made_before_{};
  std::uint64_t desired_version_ = 0;  // of the routes in desired_
  std::shared_ptr<const BgpDesired> applied_;
  std::shared_ptr<const BgpDesired> failed_;  // what could not be applied last
  std::vector<BgpProblem> configuration_problems_, problems_;  // without and with those of the engine
  std::vector<BgpPeerStatus> sessions_;
  std::optional<std::map<IpAddress, std::uint32_t>> prefixes_;  // how many each router is told of; absent: not counted since a change
  bool sessions_changed_ = true;
  Instant sessions_read_;
  Backoff backoff_{{.initial = std::chrono::milliseconds{50}, .limit = std::chrono::seconds{5}}};
  std::optional<Instant> retry_at_;
  std::optional<Instant> diverged_at_;  // since when something is wanted that is not applied
  std::optional<Instant> references_wanted_until_;
  std::string last_error_;
  BgpSpeakerCounters counters_;
};

}  // namespace berth
