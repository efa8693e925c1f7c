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

// A BgpPeer for all routers of a range: they connect, nobody looks for them.
struct BgpNeighborRange {
  std::string object;  // name of the BgpPeer
  std::string text;    // as it is written
  IpRange range;
  bool operator==(const BgpNeighborRange&) const = default;
};

struct BgpConfiguration {
  std::optional<BgpGlobal> global;
  std::vector<BgpPeerConfig> peers;
  std::string policy;  // in the engine's language, not read here
  std::vector<BgpNeighborRange> ranges;  // by name of the BgpPeer
  std::vector<BgpProblem> problems;
};

// `previous` is what was asked of the engine before, `callers` are machines that connected: those in a range are peers.
BgpConfiguration plan_bgp_configuration(const World& world,
                                        const std::string& node,
                                        const BgpDesired& previous,
                                        const std::set<IpAddress>& callers = {});

}  // namespace berth
