// What each router must have, and what it may have, by the cluster as it is. The rules of docs/bgp.md once more, without a look at plan/:
// a checker that asked the planner would find it right always.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "model/probe.hpp"
#include "model/world.hpp"
#include "wire.hpp"

namespace berth::sim {

// Kinds of objects come to a speaker independently of one another: what changed within this time may be mixed with what was before. More
// than the simulation's longest lag.
constexpr Duration hearing_time = std::chrono::seconds{10};

struct Intent {
  const World& world;
  const BgpConf* conf = nullptr;           // absent: BGP is not to run
  std::optional<std::uint32_t> as;         // likewise
  std::map<IpAddress, BgpPeer> peers;      // as last written without a mistake
  AnsweringNodes answering;
  std::map<std::string, std::vector<IpAddress>> left;  // nodes that somebody took out a while ago at most
  // How it was with addresses that were given back or changed just now: a speaker may hear of other changes first.
  struct Before {
    IpAddress ip;
    std::string pool;
    Service service;
  };
  std::vector<Before> before;
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
