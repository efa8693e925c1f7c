// What routers without ADD-PATH may have got in the wrong order. Pure.
//
// gobgpd 4.8 sends together what waits to be sent to a router, and then in no order, but for the last change of each path. With ADD-PATH
// that is all the same. Without, two paths of one prefix that were the best one after the other may arrive the other way round; gobgpd
// takes the router to have the last one, and tells nothing when the path goes that the router really has: packets go on to a node that is
// no more. Of equal paths the newest is the best one, so two next hops of a new address are enough. Cure: when nothing waits to be sent,
// such routers are told everything once more, if something may have changed twice in one batch; and what is gone since, which gobgpd would
// not speak of, is added and withdrawn again in one breath.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "gobgp.pb.h"
#include "speak/bgp/diff.hpp"

namespace berth::gobgp {

class Doubts {
 public:
  using RouteSteps = std::vector<BgpSteps::RouteStep>;

  // gobgpd was given these.
  void changed(const RouteSteps& add, const RouteSteps& withdraw, Instant now);
  // A session began, or somebody was told everything again: all routes are on their way.
  void told_all(Instant now);

  // When look() is due.
  [[nodiscard]] std::optional<Instant> next_look() const { return look_at_; }
  struct Cure {
    std::vector<std::string> tell_again;  // addresses of peers
    std::vector<BgpRoute> withdraw_again;
  };
  // At the peers as gobgpd shows them now, and the routes that it has. What it returns is to be done at once.
  Cure look(const std::vector<api::Peer>& peers, const std::map<BgpRoute, BgpMirror::Path>& routes, Instant now);
  // That did not work.
  void not_cured(const Cure& cure, Instant now);

 private:
  using Prefixes = std::map<std::pair<IpAddress, int>, BgpRoute>;  // with one of its routes
  void look_in(Duration time, Instant now);

  bool single_ = true;      // there is a router without ADD-PATH, or may be
  Prefixes sent_;           // changed since nothing waited to be sent
  bool all_sent_ = false;   // so did every prefix
  Prefixes doubtful_;       // changed once more
  bool all_doubtful_ = false;
  bool urgent_ = false;  // a path is gone that a router may have
  std::optional<Instant> look_at_;
  Instant patient_until_;  // new paths alone can wait so long
};

}  // namespace berth::gobgp
