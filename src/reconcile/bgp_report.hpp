// BgpReport: tells people what this node's BGP does. Its own entry of BgpConf's and BgpPeers' status in
// OpenELB's schema, and Events for what is wrong in these objects and for sessions that come and go. Written on a change of state, at
// most once in two seconds per object; counters at most every five minutes.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "base/backoff.hpp"
#include "base/timers.hpp"
#include "plan/bgp_config.hpp"
#include "plan/routes.hpp"
#include "reconcile/cluster.hpp"

namespace berth {

// What there is to tell.
struct BgpSituation {
  std::optional<BgpConf::NodeStatus> server;  // absent: BGP is not configured on this node
  std::vector<std::pair<std::string, BgpPeerStatus>> sessions;  // by name of the BgpPeer; several of one that is for a range
  std::vector<BgpProblem> problems;
};

class BgpReport {
 public:
  BgpReport(const asio::any_io_executor& executor,
            Timers& timers,
            Rng& rng,
            Cluster& cluster,
            EventSink& events,
            const World& world,
            std::string node);
  void update(BgpSituation situation);
  asio::awaitable<void> run();  // until cancelled
  // After the end of the sessions and of run(): says so in our entries, since nobody else would if we do not come back here.
  asio::awaitable<void> say_sessions_ended();

 private:
  struct Written {
    BgpPeerStatus status;
    Instant at;
  };
  struct Seen {
    bool established = false;
    std::uint64_t bfd_ups = 0;
    std::uint64_t bfd_downs = 0;
    std::optional<Instant> down_since;
    std::set<std::string> told;  // since then
  };
  void tell_problems();
  void tell_sessions();
  void tell_why_down(const std::string& name, const BgpPeerStatus& status, Seen& seen);
  void tell_peer(const std::string& name, bool warning, std::string reason, const std::string& text);
  asio::awaitable<void> write_server();
  asio::awaitable<void> write_sessions();
  void failed(const std::string& what, const Error& error);

  Timers& timers_;
  Rng& rng_;
  Cluster& cluster_;
  EventSink& events_;
  const World& world_;
  const std::string node_;
  Bell bell_;
  BgpSituation situation_;
  std::set<BgpProblem> told_;
  std::map<std::string, Written> written_;
  std::map<std::pair<std::string, std::string>, Seen> seen_;  // by name of the BgpPeer, and address
  Backoff backoff_{{.initial = std::chrono::seconds{1}, .limit = std::chrono::seconds{60}}};
  std::optional<Instant> wake_at_;
  std::optional<Instant> retry_at_;  // after a failure, nothing is written before
};

// Events SetBalancer and DelBalancer of OpenELB: which nodes an address got as next hops. Sent by one
// process only, and only for changes that it saw itself. That there are none is told when it has lasted
// for some seconds: a Service is often made before its pods.
class RouteEvents {
 public:
  RouteEvents(EventSink& events, const World& world) : events_(events), world_(world) {}
  void update(const RoutePlan& plan, bool speak, Instant now);

 private:
  struct Trouble {
    RouteReason reason;
    Instant since;
    bool told = false;
  };
  void note(const IpAddress& ip, const RouteVerdict* before, const RouteVerdict& verdict, bool tell, Instant now);
  void post(const RouteVerdict& verdict, bool warning, std::string reason, std::string text);

  EventSink& events_;
  const World& world_;
  std::optional<std::uint64_t> version_;  // of the verdicts below; absent: nothing was seen yet
  std::map<IpAddress, RouteVerdict> before_;
  std::map<IpAddress, Trouble> troubles_;
};

}  // namespace berth
