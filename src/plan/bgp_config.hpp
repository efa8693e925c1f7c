// From BgpConf `default`, the BgpPeers and our own Node to what the engine is asked for. Pure. Every
// field is checked here; an object that breaks a rule is reported, and what it said before stays, so
// that a bad edit never takes a session down.
#pragma once

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

struct BgpConfiguration {
  std::optional<BgpGlobal> global;
  std::vector<BgpPeerConfig> peers;
  std::string policy;  // in the engine's language, not read here
  std::vector<BgpProblem> problems;
};

// `previous` is what was asked of the engine before.
BgpConfiguration plan_bgp_configuration(const World& world, const std::string& node, const BgpDesired& previous);

}  // namespace berth
