// What each router must have, and what it may have, by the cluster as it is. The rules of docs/bgp.md once more, without a look at plan/:
// a checker that asked the planner would find it right always.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/probe.hpp"
#include "model/world.hpp"
#include "wire.hpp"

namespace berth::sim {

struct Intent {
  const World& world;
  std::optional<std::uint32_t> as;         // of BGP; absent: it is not to run
  std::map<IpAddress, BgpPeer> peers;      // as last written without a mistake
  AnsweringNodes answering;
  std::map<std::string, std::vector<IpAddress>> left;  // nodes that somebody took out a while ago at most
};

struct Wishes {
  std::map<Prefix, std::map<IpAddress, RouteSeen>> routes;  // when all has settled, by next hop
  // Those of them that every speaker wants at any time. One that has just begun knows nothing of probes, and does without a node that is
  // NotReady though it answers.
  std::set<std::pair<Prefix, IpAddress>> sure;
  std::set<std::pair<Prefix, RouteSeen>> may;  // those too
};

Wishes wishes_of(const Intent& intent, const IpAddress& router);
bool wants_session(const Intent& intent, const IpAddress& router);
// One of all next hops, or each by its own path.
bool wants_several_paths(const Intent& intent, const IpAddress& router, IpFamily family);
bool wants_graceful_restart(const Intent& intent, const IpAddress& router);
bool taken_out(const Node& node);

}  // namespace berth::sim
