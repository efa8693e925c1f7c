// What must hold at the routers, whatever happens. It sees the cluster as it is and the routers' tables, nothing of Berth or gobgpd.
//
//  - A router has no route that nobody wishes: of an address that no block holds, for a router that advertisements leave out, with
//    attributes that nobody asked for. While nothing is wrong, not for longer than a few seconds.
//  - A route that is wished all the time is never gone: not by a change of others, nor when gobgpd or Berth die and come back.
//  - A session ends only when its own settings or the server's changed, or a fault touched it. A planned end keeps the routes.
//  - When faults and users rest, routers have exactly what is wished, soon.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/sim_timers.hpp"
#include "router.hpp"
#include "users.hpp"
#include "wishes.hpp"

namespace berth::sim {

class BgpTruth {
 public:
  BgpTruth(testing::SimTimers& time, const Routers& routers, const BgpUsers& users);

  void intent_changed();        // after each change of the cluster
  void trouble(Instant until);  // a fault, and when it is over
  void meddled(const Prefix& prefix);  // a stranger did something to it in gobgpd
  void nothing_is_kept() { sane_ = false; }  // answers make no sense: only the end counts
  void berth_drains() { draining_ = true; }
  void look();                  // now and then: what is there for too long
  void settled();               // what must be there when nothing has happened for long enough

  [[nodiscard]] const std::string& violation() const { return violation_; }
  std::function<void(const std::string&)> say = [](const std::string&) {};

 private:
  struct Seen {  // of one router
    std::map<std::pair<Prefix, RouteSeen>, std::optional<Instant>> may;  // until when; absent: still
    std::map<std::pair<Prefix, IpAddress>, Instant> sure_since;
    std::map<Prefix, Instant> prefix_sure_since;
    Wishes wishes;
    struct Settings {  // with which it has routes to wish for
      BgpConf conf;
      std::uint32_t as = 0;
      BgpPeer peer;
      bool operator==(const Settings&) const = default;
    };
    std::optional<Settings> settings;
    std::vector<std::pair<Settings, Instant>> settings_before;  // until when they stood
    bool lost_by_router = false;  // the last loss of its session
    bool graceful = true;
  };

  void mix(const Intent& intent, const IpAddress& address, Seen& seen);
  void violated(const SimulatedRouter& router, std::string what);
  void route(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route);
  void gone(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Gone why);
  void missing(const SimulatedRouter& router, const Prefix& prefix, const IpAddress& next_hop, Gone why);
  [[nodiscard]] bool excused(const SimulatedRouter& router, Gone why) const;
  void ended(const SimulatedRouter& router, Ended how, bool by_router);
  [[nodiscard]] bool may_have(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Duration patience) const;
  [[nodiscard]] bool is_mixed(const SimulatedRouter& router, const Prefix& prefix, const RouteSeen& route, Duration patience) const;
  [[nodiscard]] bool calm_for(Duration time) const { return time_.now() - trouble_until_ >= time; }
  [[nodiscard]] bool touched(const SimulatedRouter& router) const;

  testing::SimTimers& time_;
  const Routers& routers_;
  const BgpUsers& users_;
  std::map<IpAddress, Seen> seen_;
  std::map<Prefix, Instant> meddled_;
  Instant trouble_from_, trouble_until_;
  bool sane_ = true;
  bool draining_ = false;
  std::string violation_;
};

}  // namespace berth::sim
