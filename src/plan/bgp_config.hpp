// From BgpConf `default`, the BgpPeers and our own Node to what the engine is asked for. Pure. Every
// field is checked here; an object that breaks a rule is reported, and what it said before stays, so
// that a bad edit never takes a session down.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/bgp.hpp"
#include "model/world.hpp"

namespace berth {

struct BgpProblem {
  std::string kind;  // BgpConf or BgpPeer
  std::string name;
  Uid uid;
  std::string text;  // names the field, the rule and the cure
  auto operator<=>(const BgpProblem&) const = default;
};

// A BgpPeer for routers that are not known by address: all of a range, who connect, or who advertises itself on a link.
struct BgpNeighborRange {
  std::string object;  // name of the BgpPeer
  std::string text;    // as it is written
  IpRange range;
  Zone zone = {};  // the link; empty: they connect
  [[nodiscard]] bool contains(const IpAddress& router) const { return router.zone == zone && range.contains(router); }
  bool operator==(const BgpNeighborRange&) const = default;
};

struct BgpConfiguration {
  std::optional<BgpGlobal> global;
  std::vector<BgpPeerConfig> peers;
  std::string policy;  // in the engine's language, not read here
  std::vector<BgpNeighborRange> ranges;  // by name of the BgpPeer
  std::vector<IpAddress> own_next_hops;  // as BgpDesired's
  std::vector<BgpProblem> problems;
};

// `previous` is what was asked of the engine before, `callers` are machines that connected, or routers that were heard on a link: those in
// a range are peers.
BgpConfiguration plan_bgp_configuration(const World& world,
                                        const std::string& node,
                                        const BgpDesired& previous,
                                        const std::set<IpAddress>& callers = {});

}  // namespace berth
