#include "plan/routes.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;
using Routes = std::set<BgpRoute>;

Routes routes_of(const RoutePlan& plan) {
  Routes out;
  for (const auto& [route, path] : plan.routes) out.insert(route);
  return out;
}

BgpRoute route(std::string_view address, std::string_view next_hop) { return {ip(address), ip(next_hop)}; }

// Two nodes and one Service that holds, shows and serves 192.0.2.1 from node a.
Objects ordinary() {
  const Service web = service("web", served("lan", "192.0.2.1"));
  return {.services = {web},
          .blocks = {block({{"192.0.2.1", held(web, "lan")}})},
          .nodes = {node("a", "10.0.0.1"), node("b", "10.0.0.2")},
          .slices = {slice(web, {ready_on("a")})}};
}

RoutePlan plan(const Objects& objects, RouteOptions options = {.node = "a"}, Instant now = at(0s)) {
  RouteMemory memory;
  return plan_routes(world(objects), memory, options, now).value();
}
RouteReason reason_of(const RoutePlan& plan, std::string_view address = "192.0.2.1") { return plan.verdicts.at(ip(address)).reason; }

TEST(Routes, NothingIsDecidedBeforeEverySourceWasListed) {
  const ResourceVersion version{"1"};
  for (int missing = 0; missing < 4; ++missing) {
    World partly;
    if (missing != 0) partly.services.replace({}, version, true);
    if (missing != 1) partly.blocks.replace({}, version, true);
    if (missing != 2) partly.nodes.replace({}, version, true);
    if (missing != 3) partly.endpoint_slices.replace({}, version, true);
    RouteMemory memory;
    EXPECT_FALSE(plan_routes(partly, memory, {}, at(0s)).has_value()) << missing;
  }
}

TEST(Routes, ClusterPolicyAnnouncesEveryNodeLocalOnlyThoseWithEndpoints) {
  Objects objects = ordinary();
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.1"), route("192.0.2.1", "10.0.0.2")}));
  objects.services[0].external_traffic_policy = TrafficPolicy::local;
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.1")}));
  EXPECT_EQ(plan(objects).verdicts.at(ip("192.0.2.1")).nodes, std::vector<std::string>{"a"});
}

TEST(Routes, ASpeakerOnEveryNodeAnnouncesItselfOnly) {
  EXPECT_EQ(routes_of(plan(ordinary(), {.node = "b", .only_self = true})), (Routes{route("192.0.2.1", "10.0.0.2")}));
}

TEST(Routes, FreeingIsWithdrawnAtOnce) {
  Objects objects = ordinary();
  objects.blocks = {block({{"192.0.2.1", freeing(objects.services[0], "lan", "m")}})};
  const RoutePlan out = plan(objects);
  EXPECT_EQ(routes_of(out), Routes{});
  EXPECT_EQ(reason_of(out), RouteReason::freeing);
}

TEST(Routes, TheNextHopsOfASharedAddressAreThoseOfAllThatHoldIt) {
  const auto local = [](Service& s) { s.external_traffic_policy = TrafficPolicy::local; };
  const Service web = service("web", served("lan", "192.0.2.1"), local);
  const Service dns = service("dns", served("lan", "192.0.2.1"), local);
  BlockEntry shared = held(web, "lan");
  shared.holders.push_back(held(dns, "lan").holders.front());
  Objects objects{.services = {web, dns},
                  .blocks = {block({{"192.0.2.1", shared}})},
                  .nodes = {node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.3")},
                  .slices = {slice(web, {ready_on("a")}), slice(dns, {ready_on("b")})}};
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.1"), route("192.0.2.1", "10.0.0.2")}));
  objects.blocks[0].addresses.at(ip("192.0.2.1")).holders[0].state = HolderState::freeing;
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.2")})) << "one that leaves takes only its own along";
}

TEST(Routes, QuarantineIsNotAnnounced) {
  Objects objects = ordinary();
  objects.blocks = {block({{"192.0.2.1", quarantined(objects.services[0], "lan")}})};
  EXPECT_EQ(routes_of(plan(objects)), Routes{});
}

TEST(Routes, HeldIsAnnouncedOneWriteEarlyButNotForEver) {
  Objects objects = ordinary();
  objects.services[0].ingress.clear();
  const World known = world(objects);
  RouteMemory memory;
  const RouteOptions options{.node = "a", .publication_deadline = 1s};
  const auto first = plan_routes(known, memory, options, at(0s)).value();
  EXPECT_EQ(first.routes.size(), 2U);
  EXPECT_EQ(first.wake_at, at(1s));
  EXPECT_EQ(plan_routes(known, memory, options, at(999ms)).value().routes.size(), 2U);
  const auto late = plan_routes(known, memory, options, at(1s)).value();
  EXPECT_EQ(routes_of(late), Routes{});
  EXPECT_EQ(reason_of(late), RouteReason::not_published);
  EXPECT_EQ(plan_routes(world(ordinary()), memory, options, at(2s)).value().routes.size(), 2U) << "published in the end";
  EXPECT_TRUE(memory.unpublished_since.empty());
}

TEST(Routes, EachMissingThingHasItsReason) {
  Objects objects = ordinary();
  objects.slices.clear();
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::no_endpoints);

  objects = ordinary();
  objects.services.clear();
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::service_unknown);

  objects = ordinary();
  objects.services[0].uid = {"re-created"};
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::service_unknown);

  objects = ordinary();
  objects.services[0].external_traffic_policy = TrafficPolicy::local;
  objects.slices = {slice(objects.services[0], {ready_on("elsewhere")})};
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::no_local_nodes);

  objects = ordinary();
  objects.nodes.clear();
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::no_nodes);

  objects = ordinary();
  for (Node& n : objects.nodes) n.internal_ips = {ip("2001:db8::1")};
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::no_next_hop);

  objects = ordinary();
  objects.blocks[0].addresses.begin()->second.protocol = Protocol::layer2;
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::other_protocol);
  EXPECT_EQ(routes_of(plan(objects)), Routes{});
}

TEST(Routes, TheNextHopIsOfTheAddressesFamily) {
  Objects objects = ordinary();
  objects.services[0] = service("web", served("lan", "2001:db8:1::1"));
  objects.blocks = {block({{"2001:db8:1::1", held(objects.services[0], "lan")}})};
  objects.nodes = {node("a", "10.0.0.1", [](Node& n) { n.internal_ips.push_back(ip("fd00::1")); }), node("b", "10.0.0.2")};
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("2001:db8:1::1", "fd00::1")}));
}

TEST(Routes, AllNodesNotReadyKeepTheLastGoodSet) {
  Objects objects = ordinary();
  RouteMemory memory;
  objects.nodes[1].ready = false;
  EXPECT_EQ(routes_of(plan_routes(world(objects), memory, {.node = "a"}, at(0s)).value()), (Routes{route("192.0.2.1", "10.0.0.1")}));
  objects.nodes[0].ready = false;
  const auto stale = plan_routes(world(objects), memory, {.node = "a"}, at(1s)).value();
  EXPECT_EQ(routes_of(stale), (Routes{route("192.0.2.1", "10.0.0.1")}));
  EXPECT_TRUE(stale.nodes.stale);
  EXPECT_EQ(memory.last_good_nodes, (std::set<std::string>{"a"})) << "a stale answer is no good one";
}

TEST(Routes, WithARackOfOurOwnOnlyItsNodesAreNextHops) {
  Objects objects = ordinary();
  objects.nodes = {node("a", "10.0.0.1", labelled(keys::rack, "r1")), node("b", "10.0.0.2", labelled(keys::rack, "r1")),
                   node("c", "10.0.0.3", labelled(keys::rack, "r2")), node("d", "10.0.0.4")};
  BgpConf conf;
  conf.name = "default";
  conf.as_per_rack = {{"r1", 65001}, {"r2", 65002}};
  objects.confs = {conf};
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.1"), route("192.0.2.1", "10.0.0.2")}));
  EXPECT_EQ(routes_of(plan(objects, {.node = "c"})), (Routes{route("192.0.2.1", "10.0.0.3")}));
  EXPECT_EQ(plan(objects, {.node = "d"}).routes.size(), 4U);
}

// What a node that somebody takes out has under way is waited for.
TEST(Routes, ANodeThatLeavesIsMarkedFirstAndThenGoes) {
  for (const bool deleted : {false, true}) {
    SCOPED_TRACE(deleted ? "its Node is deleted" : "it has the label");
    Objects objects = ordinary();
    RouteMemory memory;
    const RouteOptions options{.node = "a", .drain_wait = 5s};
    ASSERT_EQ(plan_routes(world(objects), memory, options, at(0s)).value().routes.size(), 2U);
    if (deleted)
      objects.nodes.pop_back();
    else
      objects.nodes[1].labels.emplace(keys::exclude_node, "");
    const RoutePlan leaving = plan_routes(world(objects), memory, options, at(1s)).value();
    EXPECT_EQ(leaving.routes.at(route("192.0.2.1", "10.0.0.1")), BgpPath{});
    ASSERT_TRUE(leaving.routes.contains(route("192.0.2.1", "10.0.0.2")));
    EXPECT_EQ(leaving.routes.at(route("192.0.2.1", "10.0.0.2")).attributes.communities, std::vector{graceful_shutdown_community});
    EXPECT_EQ(leaving.wake_at, at(6s));
    EXPECT_EQ(plan_routes(world(objects), memory, options, at(5999ms)).value().routes.size(), 2U);
    EXPECT_EQ(routes_of(plan_routes(world(objects), memory, options, at(6s)).value()), Routes{route("192.0.2.1", "10.0.0.1")});
    EXPECT_EQ(routes_of(plan_routes(world(objects), memory, options, at(7s)).value()), Routes{route("192.0.2.1", "10.0.0.1")});
    // Back again, and again out.
    objects = ordinary();
    EXPECT_EQ(plan_routes(world(objects), memory, options, at(8s)).value().routes.at(route("192.0.2.1", "10.0.0.2")), BgpPath{});
    objects.nodes[1].labels.emplace(keys::exclude_node, "");
    EXPECT_EQ(plan_routes(world(objects), memory, options, at(9s)).value().routes.size(), 2U);
  }
}

TEST(Routes, ANodeThatFailsGoesAtOnceAlsoWhenItWasToLeave) {
  Objects objects = ordinary();
  RouteMemory memory;
  memory.answering = {{"b", true}, {"c", true}};
  ASSERT_EQ(plan_routes(world(objects), memory, {.node = "a"}, at(0s)).value().routes.size(), 2U);
  objects.nodes[1].labels.emplace(keys::exclude_node, "");
  ASSERT_EQ(plan_routes(world(objects), memory, {.node = "a"}, at(1s)).value().routes.size(), 2U);
  memory.answering["b"] = false;
  EXPECT_EQ(routes_of(plan_routes(world(objects), memory, {.node = "a"}, at(2s)).value()), Routes{route("192.0.2.1", "10.0.0.1")});
}

TEST(Routes, ALeavingNodeWithoutAnEndpointIsNoNextHopOfALocalService) {
  Objects objects = ordinary();
  objects.services[0].external_traffic_policy = TrafficPolicy::local;
  objects.slices = {slice(objects.services[0], {ready_on("a"), ready_on("b")})};
  RouteMemory memory;
  ASSERT_EQ(plan_routes(world(objects), memory, {.node = "a"}, at(0s)).value().routes.size(), 2U);
  objects.nodes[1].labels.emplace(keys::exclude_node, "");
  ASSERT_EQ(plan_routes(world(objects), memory, {.node = "a"}, at(1s)).value().routes.size(), 2U);
  objects.slices = {slice(objects.services[0], {ready_on("a")})};
  EXPECT_EQ(routes_of(plan_routes(world(objects), memory, {.node = "a"}, at(2s)).value()), Routes{route("192.0.2.1", "10.0.0.1")});
}

// kube-proxy on a node knows its first endpoint up to a second later: until then others go on.
TEST(Routes, WithPolicyLocalANewNodeWaitsWhileOthersServe) {
  Objects objects = ordinary();
  const Service& web = objects.services[0] = with(objects.services[0],
                                                  [](Service& s) { s.external_traffic_policy = TrafficPolicy::local; });
  RouteMemory memory;
  const RouteOptions options{.node = "a", .endpoint_delay = 2s};
  const Routes a{route("192.0.2.1", "10.0.0.1")}, b{route("192.0.2.1", "10.0.0.2")}, both{*a.begin(), *b.begin()};
  const auto at_time = [&](Duration time) { return plan_routes(world(objects), memory, options, at(time)).value(); };
  EXPECT_EQ(routes_of(at_time(0s)), a) << "one that was there at first does not wait";
  objects.slices = {slice(web, {ready_on("a"), ready_on("b")})};
  const RoutePlan waiting = at_time(10s);
  EXPECT_EQ(routes_of(waiting), a);
  EXPECT_EQ(waiting.wake_at, at(12s));
  EXPECT_EQ(routes_of(at_time(12s)), both);

  // A DaemonSet's update, node by node: the old one ends before the new one is known.
  objects.slices = {slice(web, {ready_on("b")})};
  EXPECT_EQ(routes_of(at_time(20s)), b);
  objects.slices = {slice(web, {ready_on("a"), terminating_on("b")})};
  EXPECT_EQ(routes_of(at_time(21s)), b) << "it still serves";
  EXPECT_EQ(routes_of(at_time(23s)), a);
  objects.slices = {slice(web, {terminating_on("a")})};
  EXPECT_EQ(routes_of(at_time(30s)), a);
  objects.slices = {slice(web, {ready_on("b")})};
  EXPECT_EQ(routes_of(at_time(31s)), b) << "nobody else serves: at once";
}

TEST(Routes, AttributesComeFromTheBgpConfAndTheService) {
  Objects objects = ordinary();
  BgpConf conf;
  conf.name = "default";
  conf.advertisements = {{.pools = {"lan"}, .communities = {"64512:1"}}};
  objects.confs = {conf};
  objects.services[0].annotations[std::string{keys::bgp_med}] = "9";
  for (const auto& [route, path] : plan(objects).routes) {
    EXPECT_EQ(path.attributes.communities, (std::vector<BgpCommunity>{{false, 64512, 1, 0}}));
    EXPECT_EQ(path.attributes.med, 9U);
  }
  objects.services[0].annotations[std::string{keys::bgp_med}] = "nine";
  EXPECT_NE(plan(objects).verdicts.at(ip("192.0.2.1")).problem.find("\"nine\""), std::string::npos);
}

TEST(Routes, AnIpv6NextHopForIpv4OnlyIfRoutersKnowIt) {
  Objects objects = ordinary();
  objects.nodes = {node("a", "2001:db8::a"), node("b", "10.0.0.2", [](Node& n) { n.internal_ips.push_back(ip("2001:db8::b")); })};
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.2")}));
  BgpConf conf;
  conf.name = "default";
  conf.extended_next_hops = true;
  objects.confs = {conf};
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "2001:db8::a"), route("192.0.2.1", "10.0.0.2")}))
      << "where there is an IPv4 address, that";
}

TEST(Routes, AnAggregateStandsForItsAddressesAsLongAsOneIsThere) {
  Objects objects = ordinary();
  BgpConf conf;
  conf.name = "default";
  conf.advertisements = {{.aggregates = {"192.0.2.0/24"}}};
  objects.confs = {conf};
  const Service mail = service("mail", served("lan", "192.0.2.9"));
  objects.services.push_back(mail);
  objects.blocks = {block({{"192.0.2.1", held(objects.services[0], "lan")}, {"192.0.2.9", held(mail, "lan")}})};
  objects.slices.push_back(slice(mail, {ready_on("b")}));
  const Routes whole{{ip("192.0.2.0"), ip("10.0.0.1"), 24}, {ip("192.0.2.0"), ip("10.0.0.2"), 24}};
  EXPECT_EQ(routes_of(plan(objects)), whole);
  EXPECT_EQ(reason_of(plan(objects), "192.0.2.9"), RouteReason::announced);
  objects.slices.erase(objects.slices.begin());
  EXPECT_EQ(routes_of(plan(objects)), whole) << "the other address is still served";
  objects.slices.clear();
  EXPECT_EQ(routes_of(plan(objects)), Routes{});
}

TEST(Routes, AdvertisementsMayLeaveNoNode) {
  Objects objects = ordinary();
  BgpConf conf;
  conf.name = "default";
  conf.advertisements = {{.node_selector = LabelSelector{}}};
  conf.advertisements[0].node_selector->match_labels = {{"edge", "yes"}};
  objects.confs = {conf};
  EXPECT_EQ(routes_of(plan(objects)), Routes{});
  EXPECT_EQ(reason_of(plan(objects)), RouteReason::not_advertised);
  objects.nodes[1].labels["edge"] = "yes";
  EXPECT_EQ(routes_of(plan(objects)), (Routes{route("192.0.2.1", "10.0.0.2")}));
}

}  // namespace
}  // namespace berth
