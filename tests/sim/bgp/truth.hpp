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
  void all_marked();
  void settled();               // what must be there when nothing has happened for long enough

  [[nodiscard]] const std::string& violation() const { return violation_; }
  std::function<void(const std::string&)> say = [](const std::string&) {};

 private:
  // What stands, and what did a moment ago.
  template <class T>
  struct History {
    std::optional<T> now;
    std::vector<std::pair<T, Instant>> before;  // until when

    void note(std::optional<T> then, Instant at) {
      if (now && now != then) before.emplace_back(std::move(*now), at);
      now = std::move(then);
      std::erase_if(before, [at](const auto& one) { return at - one.second > hearing_time; });
    }
    // Absent: until now.
    [[nodiscard]] std::vector<std::pair<const T*, std::optional<Instant>>> all() const {
      std::vector<std::pair<const T*, std::optional<Instant>>> out;
      if (now) out.emplace_back(&*now, std::nullopt);
      for (const auto& [value, until] : before) out.emplace_back(&value, until);
      return out;
    }
  };
  struct Server {
    BgpConf conf;
    std::uint32_t as = 0;
    bool operator==(const Server&) const = default;
  };
  struct Seen {  // of one router
    std::map<std::pair<Prefix, RouteSeen>, std::optional<Instant>> may;  // until when; absent: still
    std::map<std::pair<Prefix, IpAddress>, Instant> sure_since;
    std::map<Prefix, Instant> prefix_sure_since;
    Wishes wishes;
    History<BgpPeer> peer;
    bool lost_by_router = false;  // the last loss of its session
    std::optional<Instant> lost_at;
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
  History<Server> server_;
  std::map<Prefix, Instant> meddled_;
  Instant trouble_from_, trouble_until_;
  bool sane_ = true;
  bool draining_ = false;
  std::string violation_;
};

}  // namespace berth::sim
