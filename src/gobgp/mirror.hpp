// What gobgpd has: as it was read back, and acknowledged since. Pure.
//
// gobgpd fills in defaults, and does not show all it was told. What it shows is compared with how it would show what we know; where that
// agrees, what we know stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gobgp.pb.h"
#include "gobgp/policies.hpp"
#include "speak/bgp/diff.hpp"

namespace berth::gobgp {

class Mirror {
 public:
  using RouteSteps = std::vector<BgpSteps::RouteStep>;

  [[nodiscard]] const BgpMirror& has() const { return has_; }
  // gobgpd's best path of the prefix of a route; absent: it has none.
  [[nodiscard]] std::optional<BgpRoute> best(const BgpRoute& of_its_prefix) const;
  // It runs BGP.
  [[nodiscard]] bool serves() const { return has_.global.has_value(); }

  // What was known is not true of the next process. The numbers of paths are kept: a router that still has them sees them refreshed
  // instead of replaced.
  void forget();
  // All that was read back. `desired`, if there is one, is what it may have been told.
  void take(const api::Global& global, const std::vector<api::Peer>& peers, const std::vector<api::Path>& paths, const BgpDesired* desired);

  // -- what was acknowledged

  void started(const BgpGlobal& global);  // with nothing in it
  void stopped() { has_.global.reset(); }
  void put(const BgpPeerConfig& peer);
  void erase(const IpAddress& neighbor) { has_.peers.erase(neighbor); }
  // What routers without ADD-PATH are told of it, in gobgpd's order: the best path of a prefix, when that is another one now. Nothing, if
  // nobody asks.
  struct Told {
    BgpSteps::RouteStep step;
    std::optional<BgpRoute> before;  // the best path until then
    bool gone = false;  // the prefix: it is withdrawn
  };
  std::vector<Told> changed(const RouteSteps& add, const RouteSteps& withdraw, bool ask);
  void withdrew_all();
  void put_policies(Audiences audiences, std::string users, std::vector<IpAddress> own_next_hops);
  void forget_policies() { has_.audiences.reset(); }

  // -- paths that are nothing we would add, left by somebody else or by a write of which nobody knows

  [[nodiscard]] std::size_t foreign() const { return foreign_.size(); }
  // What is to be sent for these steps, and to be rid of the foreign ones. Of the paths of a prefix gobgpd's best one is withdrawn last,
  // so that a router without ADD-PATH hears of one change (doubts.hpp).
  [[nodiscard]] std::vector<api::Path> messages(const RouteSteps& add, const RouteSteps& withdraw) const;
  [[nodiscard]] std::vector<api::Path> withdrawals_of_all() const;

  // -- peers

  // Their routers may hold what a former process told them; until they are added.
  void expect_back(const std::vector<BgpPeerConfig>& peers);
  [[nodiscard]] bool is_expected_back(const IpAddress& neighbor) const { return returning_.contains(neighbor); }
  // Sessions that ended because the router sent too much, and that nobody has been told of yet.
  std::vector<std::string> take_cut_off() { return std::exchange(cut_off_, {}); }

 private:
  void take_peers(const std::vector<api::Peer>& peers, const BgpDesired* desired);
  void take_paths(const std::vector<api::Path>& paths);
  [[nodiscard]] bool shows(const BgpPeerConfig& peer, const BgpPeerConfig& shown) const;

  // By which gobgpd prefers one of a prefix's paths, the greatest.
  using Rank = std::tuple<std::int64_t, std::int64_t, std::uint64_t>;
  [[nodiscard]] Rank rank(const BgpRoute& route) const;
  [[nodiscard]] RouteSteps worst_first(const RouteSteps& steps) const;

  BgpMirror has_;
  std::map<BgpRoute, std::uint64_t> ages_;  // of its routes: of equal paths the newest is gobgpd's best one
  std::uint64_t last_age_ = 0;
  std::vector<api::Path> foreign_;  // as withdrawals
  std::set<IpAddress> returning_;
  std::vector<std::string> cut_off_;
};

}  // namespace berth::gobgp
