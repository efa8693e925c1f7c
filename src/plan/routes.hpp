// Which host routes this speaker announces, with which next hops, and for each address why. Pure.
// The source is the address blocks: `held` by a bgp pool is announced one write before the Service
// shows it; `freeing` is withdrawn one write before it is cleared.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "model/bgp.hpp"
#include "model/world.hpp"
#include "plan/candidates.hpp"

namespace berth {

enum class RouteReason : std::uint8_t {
  announced,
  no_endpoints,
  no_local_nodes,
  no_nodes,
  no_next_hop,        // candidates have no InternalIP of the address's family
  freeing,            // being given back
  not_published,      // the Service did not show the address in time: nothing would take the packets
  service_unknown,    // held for a Service that is not (yet) seen
  other_protocol,     // its pool is not announced by BGP
};
std::string_view to_string(RouteReason reason);

struct RouteVerdict {
  RouteReason reason = RouteReason::announced;
  ObjectName service;               // the first holder
  std::vector<std::string> nodes;   // next hops by node name, sorted
  bool operator==(const RouteVerdict&) const = default;
};

struct RouteOptions {
  std::string node;                       // the one we run on
  bool only_self = false;                 // a speaker on every node: each announces itself only
  Duration publication_deadline = std::chrono::seconds{1};
};

// What only this process knows: since when each record is held without the Service showing it, and
// the last set of nodes that the rules left.
struct RouteMemory {
  std::map<std::pair<IpAddress, Uid>, Instant> unpublished_since;
  std::set<std::string> last_good_nodes;
  std::set<std::string> draining;
  AnsweringNodes answering;  // by probes
};

struct RoutePlan {
  std::set<BgpRoute> routes;
  std::map<IpAddress, RouteVerdict> verdicts;
  EligibleNodes nodes;
  std::optional<Instant> wake_at;
};

// Nothing until services, blocks, nodes and endpoint slices have been listed once: then nullopt, and
// what is announced stays.
std::optional<RoutePlan> plan_routes(const World& world, RouteMemory& memory, const RouteOptions& options, Instant now);

}  // namespace berth
