// What has to be done to an engine so that it is as desired. Pure; the engine keeps the mirror (what it
// read back and what was acknowledged since) and carries the steps out in the order of the fields.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/bgp.hpp"

namespace berth {

// What is in an engine. A route's path is known by its address and a number, so that one address can
// have several next hops (ADD-PATH, RFC 7911).
struct BgpMirror {
  struct Path {
    std::uint32_t id = 0;
    BgpPath path;
    bool operator==(const Path&) const = default;
  };
  std::optional<BgpGlobal> global;
  std::map<IpAddress, BgpPeerConfig> peers;
  std::map<BgpRoute, Path> routes;
  std::map<BgpRoute, std::uint32_t> missed = {};  // numbers of routes that were in it and, as it says, are not: given to them again
  std::optional<std::map<std::uint32_t, std::vector<BgpOffer>>> audiences;  // absent: not known
  std::string policy;  // asked for with them
  std::vector<IpAddress> own_next_hops = {};  // the same
};

struct BgpSteps {
  struct RouteStep {
    BgpRoute route;
    std::uint32_t id = 0;
    BgpPath path = {};
    bool operator==(const RouteStep&) const = default;
  };
  bool stop_server = false;           // it runs and must not, or not so; then all else is as for an empty one
  bool start_server = false;
  std::vector<IpAddress> delete_peers;
  bool widen_audiences = false;       // those of the routes to come, beside those that are there
  bool tell_again = false;            // some routers are to lose or get what did not change: sessions are told all their routes again
  std::vector<RouteStep> add_routes;  // also those that only change their attributes
  std::vector<RouteStep> withdraw_routes;  // after the additions: a new next hop arrives before the old one goes
  bool narrow_audiences = false;      // to those that are wanted, once no route has another
  std::vector<BgpPeerConfig> update_peers;
  std::vector<BgpPeerConfig> add_peers;  // last: a session begins with the full table

  [[nodiscard]] std::size_t size() const {
    return (stop_server ? 1U : 0U) + (start_server ? 1U : 0U) + (widen_audiences ? 1U : 0U) + (narrow_audiences ? 1U : 0U) +
           delete_peers.size() + add_routes.size() + withdraw_routes.size() + update_peers.size() + add_peers.size();
  }
};

// Whether two configurations make the same session: object name, description, group and BFD play no part.
bool same_session(const BgpPeerConfig& a, const BgpPeerConfig& b);

// Path numbers of routes that stay are kept, also across a restart of the server, so that a router
// which kept them by graceful restart sees them refreshed; new ones get the lowest that is free.
BgpSteps diff(const BgpDesired& desired, const BgpMirror& mirror);

}  // namespace berth
