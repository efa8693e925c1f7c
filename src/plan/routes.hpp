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
#include "plan/advertise.hpp"
#include "plan/candidates.hpp"

namespace berth {

enum class RouteReason : std::uint8_t {
  announced,
  no_endpoints,
  no_local_nodes,
  no_nodes,
  no_next_hop,        // candidates have no InternalIP of the address's family
  not_advertised,     // advertisements speak for it, but for none of these nodes
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
  std::string problem = {};         // what annotations of its Services say wrong
  bool operator==(const RouteVerdict&) const = default;
};

struct RouteOptions {
  std::string node;                       // the one we run on
  bool only_self = false;                 // a speaker on every node: each announces itself only
  Duration publication_deadline = std::chrono::seconds{1};
  // With policy Local: kube-proxy knows a new endpoint after a second at most (its minSyncPeriod), and needs time to write it.
  Duration endpoint_delay = std::chrono::seconds{2};
  Duration drain_wait = std::chrono::seconds{5};  // from GRACEFUL_SHUTDOWN to the withdrawal, when a node is to leave
};

// What only this process knows: since when each record is held without the Service showing it, and
// the last set of nodes that the rules left.
struct RouteMemory {
  std::map<std::pair<IpAddress, Uid>, Instant> unpublished_since;
  std::set<std::string> last_good_nodes;
  AnsweringNodes answering;  // by probes
  // Nodes with a ready endpoint of each Service of policy Local, and since when; those that were there at first, since ever.
  std::map<ObjectName, std::map<std::string, Instant>> ready_since;
  std::map<std::string, Node> next_hops;  // nodes of the last plan, as they were
  struct Leaving {
    Node node;
    Instant until;
  };
  std::map<std::string, Leaving> leaving;  // nodes that are to leave, and whose routes are still there
};

struct RoutePlan {
  BgpRoutes routes;
  AdvertisingByNumber advertising;
  std::map<IpAddress, RouteVerdict> verdicts;
  EligibleNodes nodes;
  std::vector<std::string> next_hops;  // nodes that are announced, or would be, those that are to leave too
  std::optional<Instant> wake_at;
};

// Nothing until services, blocks, nodes and endpoint slices have been listed once: then nullopt, and
// what is announced stays.
std::optional<RoutePlan> plan_routes(const World& world, RouteMemory& memory, const RouteOptions& options, Instant now);

}  // namespace berth
