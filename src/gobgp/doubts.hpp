// What routers without ADD-PATH may have got in the wrong order. Pure.
//
// gobgpd 4.8 sends together what waits to be sent to a router, and then in no order, but for the last change of each path. With ADD-PATH
// that is all the same. Without, two paths of one prefix that were the best one after the other may arrive the other way round; gobgpd
// takes the router to have the last one, and tells nothing when the path goes that the router really has: packets go on to a node that is
// no more. Of equal paths the newest is the best one, so two next hops of a new address are enough. Cure: when nothing waits to be sent,
// such routers are told everything once more; and a prefix that went with two of its paths in one batch, of which gobgpd would not speak
// again, is added and withdrawn in one breath.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "gobgp.pb.h"
#include "gobgp/mirror.hpp"

namespace berth::gobgp {

class Doubts {
 public:
  // There is a router without ADD-PATH.
  [[nodiscard]] bool any_concerned() const { return single_; }
  // gobgpd was given this, and tells of it what Mirror::changed() said.
  void changed(const std::vector<Mirror::Told>& told, const Mirror::RouteSteps& withdrawn, Instant now);
  // Nobody knows what it did of these, and what it told.
  void failed(const Mirror::RouteSteps& add, const Mirror::RouteSteps& withdraw, Instant now);
  // A session began, or somebody was told everything again: all routes are on their way.
  void told_all(Instant now);
  // Peers as gobgpd shows them: so no session is missed whose beginning nobody told.
  void seen(const std::vector<api::Peer>& peers, Instant now);
  // Something of these prefixes may still wait to be sent: it is better to withdraw after that.
  [[nodiscard]] bool may_wait(const Mirror::RouteSteps& withdraw) const;

  // A prefix is to be withdrawn again, with the audience that it had.
  [[nodiscard]] bool any_gone() const { return !gone_.empty(); }

  // When look() is due.
  [[nodiscard]] std::optional<Instant> next_look() const { return look_at_; }
  struct Cure {
    std::vector<std::string> tell_again;  // addresses of peers
    Mirror::RouteSteps withdraw_again;    // as they were
  };
  // At the peers as gobgpd shows them now, and what it has. What it returns is to be done at once.
  Cure look(const std::vector<api::Peer>& peers, const Mirror& mirror, Instant now);
  // Only whether nothing waits.
  bool all_is_sent(const std::vector<api::Peer>& peers);
  void look_later(Instant now);
  // That did not work.
  void not_cured(const Cure& cure, Instant now);

 private:
  using Prefix = std::pair<IpAddress, int>;
  void look_in(Duration time, Instant now);

  bool single_ = false;
  std::vector<std::string> single_peers_;  // that are told what changes
  bool to_be_told_ = false;                // others will be told everything, when gobgpd's restart is over for them
  std::map<Prefix, std::set<BgpRoute>> sent_;  // told since nothing waited to be sent
  bool all_sent_ = false;                      // so was every prefix
  std::set<Prefix> doubtful_;                  // two of its paths, in one batch
  bool all_doubtful_ = false;
  std::map<Prefix, BgpSteps::RouteStep> gone_;  // and then the prefix went, in the same batch
  bool urgent_ = false;                         // a path is gone that a router may have
  std::optional<Instant> look_at_;
  Instant patient_until_;  // new paths alone can wait so long
};

}  // namespace berth::gobgp
