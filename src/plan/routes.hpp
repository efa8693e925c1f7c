// Which host routes this speaker announces, with which next hops, and for each address why. No I/O.
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
#include "plan/route_sources.hpp"

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

struct RoutePlan {
  BgpRoutes routes;
  AdvertisingByNumber advertising;
  std::map<IpAddress, RouteVerdict> verdicts;
  EligibleNodes nodes;
  std::vector<std::string> next_hops;  // nodes that are announced, or would be, those that are to leave too
  std::optional<Instant> wake_at;
  // Goes up with every change of the routes and of what they say, and with every change of the verdicts.
  std::uint64_t routes_version = 0, verdicts_version = 0;
};

// Keeps the plan. What concerns every address, nodes and the BgpConf, is looked at each time; while it stays, only those addresses are
// planned anew whose own objects changed or whose time has come, so that a change costs the same however many there are. Aggregates are
// made of many addresses: with these all is planned anew each time.
class RoutePlanner {
 public:
  explicit RoutePlanner(RouteOptions options) : options_(std::move(options)) {}

  // Always of the same world. `answering` is what probes say. Until services, blocks, nodes and endpoint slices have been listed once it is
  // false, and the plan stays.
  bool update(const World& world, const AnsweringNodes& answering, Instant now);
  [[nodiscard]] const RoutePlan& plan() const { return plan_; }
  using Position = ChangeLog<BgpRoute>::Position;
  // Makes `routes`, which were the plan's at a position (0: whatever they are), those of now: where it can by what changed since, which
  // costs the same however many there are.
  void bring_up_to_date(BgpRoutes& routes, Position& position) const;
  [[nodiscard]] const RouteOptions& options() const { return options_; }
  // The next update plans all anew, which makes no difference: for the test that says so.
  void plan_all_anew() { planned_ = false; }

 private:
  // What concerns every address.
  struct Hop {
    std::vector<IpAddress> addresses;
    Labels labels;
    bool leaving = false;
    bool operator==(const Hop&) const = default;
  };
  struct Frame {
    std::map<std::string, Hop> hops;  // by the node's name
    std::optional<BgpConf> conf;  // without what it tells of itself
    bool operator==(const Frame&) const = default;
  };
  struct Leaving {
    Node node;
    Instant until;
  };
  // What is kept of an address besides its verdict and its routes.
  struct Address {
    std::set<ObjectName> holders;
    std::optional<Instant> due;  // to be planned anew
    std::map<Uid, Instant> unpublished_since;  // since when it is held without the Service showing it
  };

  Frame look_at_nodes(const World& world, const AnsweringNodes& answering);
  std::set<std::string> limit_to_rack(const World& world) const;
  void let_go(const World& world, const AnsweringNodes& answering, std::set<std::string>& nodes);
  [[nodiscard]] bool is_planned(const World& world, const std::string& node) const;

  void plan_changes(const World& world, const RouteSources::Changes& changes);
  void plan_everything(const World& world);
  void plan_address(const World& world, const IpAddress& ip);
  void judge(const World& world,
             const IpAddress& ip,
             const BlockEntry& entry,
             const Address& before,
             BgpRoutes& routes,
             RouteVerdict& verdict);
  void announce(const Advertiser::Subject& subject, const std::set<std::string>& nodes, BgpRoutes& routes, RouteVerdict& verdict);
  bool publication_in_time(const IpAddress& ip, const Holder& holder, const Service& service, const Address& before);
  std::set<std::string> fresh_nodes(const IpAddress& ip, const Service& service, const ServiceEndpoints* endpoints);
  void wake(const IpAddress& ip, Instant when);
  void put_routes(const IpAddress& ip, BgpRoutes routes);
  void put_verdict(const IpAddress& ip, std::optional<RouteVerdict> verdict);
  void use(const BgpPath& path);
  void give_up(const BgpPath& path);

  const RouteOptions options_;
  Instant now_;
  RoutePlan plan_;
  bool planned_ = false;
  Frame frame_;
  EligibleNodes reachable_;
  std::optional<Advertiser> advertiser_;
  ChangeLog<BgpRoute> changes_;
  std::map<std::uint32_t, std::size_t> paths_of_audience_;
  bool audiences_changed_ = false;

  std::set<std::string> last_good_nodes_;
  std::map<std::string, Node> before_;  // nodes of the last plan, as they were
  std::map<std::string, Leaving> leaving_;  // nodes that are to leave, and whose routes are still there

  RouteSources sources_;
  std::map<ObjectName, std::set<IpAddress>> held_by_;
  std::set<ObjectName> perhaps_without_;  // held an address, and perhaps do not any more
  std::map<IpAddress, Address> addresses_;
  std::set<std::pair<Instant, IpAddress>> due_;
  // Nodes with a ready endpoint of each Service of policy Local that holds an address, and since when; those that were there at first,
  // since ever.
  std::map<ObjectName, std::map<std::string, Instant>> ready_since_;
};

}  // namespace berth
