// What gobgpd has: as it was read back, and acknowledged since. Pure.
//
// gobgpd fills in defaults, and does not show all it was told. What it shows is compared with how it would show what we know; where that
// agrees, what we know stands.
#pragma once

#include <cstddef>
#include <set>
#include <string>
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
  void changed(const RouteSteps& add, const RouteSteps& withdraw);
  void withdrew_all();
  void put_policies(Audiences audiences, std::string users);
  void forget_policies() { has_.audiences.reset(); }

  // -- paths that are nothing we would add, left by somebody else or by a write of which nobody knows

  [[nodiscard]] std::size_t foreign() const { return foreign_.size(); }
  // What is to be sent for these steps, and to be rid of the foreign ones.
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

  BgpMirror has_;
  std::vector<api::Path> foreign_;  // as withdrawals
  std::set<IpAddress> returning_;
  std::vector<std::string> cut_off_;
};

}  // namespace berth::gobgp
