#include "plan/routes.hpp"

#include <random>

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

// One planner, whose world is another one each time.
class Story {
 public:
  explicit Story(RouteOptions options = {.node = "a"}) : planner_(std::move(options)) {}
  RoutePlan plan(const Objects& objects, Instant now) {
    fill(world_, objects);
    EXPECT_TRUE(planner_.update(world_, answering, now));
    return planner_.plan();
  }
  AnsweringNodes answering;

 private:
  World world_;
  RoutePlanner planner_;
};

RoutePlan plan(const Objects& objects, RouteOptions options = {.node = "a"}, Instant now = at(0s)) {
  return Story{std::move(options)}.plan(objects, now);
}
RouteReason reason_of(const RoutePlan& plan, std::string_view address = "192.0.2.1") { return plan.verdicts.at(ip(address)).reason; }

// Changes objects at random. Several changes may be seen at once.
class Churn {
 public:
  explicit Churn(std::uint32_t seed) : random_(seed) {
    fill(world, {.nodes = {node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.3")}});
  }
  World world;
  AnsweringNodes answering;
  Instant now = at(1h);

  void step() {
    now = now + std::chrono::milliseconds{one_of({0, 0, 10, 400, 1000, 2500})};
    for (std::uint32_t i = one_of({1U, 1U, 2U, 8U}); i > 0; --i) change();
  }

 private:
  void change() {
    switch (below(10)) {
      case 0: return change_node();
      case 1: return change_conf();
      case 2: return change_slice();
      case 3:
      case 4: return change_service();
      case 5:
        if (below(4) == 0) answering[node_name()] = below(2) == 0;
        return;
      case 6: world.endpoint_slices.erase({"default", slice_name()}); return;
      case 7: world.services.erase({"default", service_name()}); return;
      default: return change_block();
    }
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  template <class T>
  T one_of(std::initializer_list<T> of) {
    return *(of.begin() + below(static_cast<std::uint32_t>(of.size())));
  }
  std::string service_name() { return "s" + std::to_string(below(6)); }
  std::string node_name() { return one_of<std::string>({"a", "b", "c"}); }
  std::string slice_name() { return "slice" + std::to_string(below(8)); }
  std::string address() { return one_of<std::string>({"192.0.2.", "198.51.100."}) + std::to_string(below(6)); }
  template <class T>
  T next(T row) {
    row.version = {std::to_string(++version_)};
    return row;
  }

  void change_node() {
    const std::string name = node_name();
    if (below(6) == 0) {
      world.nodes.erase(name);
      return;
    }
    Node changed = node(name, "10.0.0." + std::to_string(1 + below(4)));
    changed.ready = below(5) > 0;
    if (below(4) == 0) changed.labels.emplace(keys::exclude_node, "");
    if (below(3) == 0) changed.labels.emplace("tier", "fast");
    world.nodes.upsert(next(changed));
  }
  void change_conf() {
    BgpConf conf;
    conf.name = "default";
    conf.extended_next_hops = below(2) == 0;
    if (below(2) == 0) conf.nodes_status["a"] = {};
    for (std::uint32_t i = below(3); i > 0; --i) {
      BgpConf::Advertisement& one = conf.advertisements.emplace_back();
      if (below(2) == 0) one.pools = {"lan"};
      if (below(2) == 0) one.peers = {one_of<std::string>({"tor", "spine"})};
      if (below(2) == 0) one.med = below(3);
      if (below(4) == 0) one.node_selector = LabelSelector{{{"tier", "fast"}}, {}};
      if (below(6) == 0) one.aggregates = {"192.0.2.0/24"};
    }
    world.bgp_confs.upsert(next(conf));
  }
  void change_slice() {
    const Service of = service(service_name());
    EndpointSlice changed = slice(of, {});
    changed.name = {"default", slice_name()};
    for (const char* on : {"a", "b", "c"})
      if (below(2) == 0) changed.endpoints.push_back(one_of({ready_on(on), terminating_on(on), dead_on(on)}));
    world.endpoint_slices.upsert(next(changed));
  }
  void change_service() {
    Service changed = service(service_name());
    for (int i = 0; i < 2; ++i)
      if (below(3) > 0) changed.ingress.push_back({.ip = address(), .hostname = {}, .ip_mode = {}});
    if (below(2) == 0) changed.external_traffic_policy = TrafficPolicy::local;
    if (below(8) == 0) changed.uid = {"re-created"};
    if (below(4) == 0) changed.annotations[std::string{keys::bgp_peers}] = one_of<std::string>({"tor", "spine"});
    if (below(6) == 0) changed.annotations[std::string{keys::bgp_med}] = one_of<std::string>({"7", "seven"});
    world.services.upsert(next(changed));
  }
  void change_block() {
    const std::string ip_text = address();
    const std::string name = block_name(ip(ip_text));
    const AddressBlock* there = world.blocks.find(name);
    AddressBlock changed = there != nullptr ? *there : block({{ip_text, held(service(service_name()), "lan")}});
    const Service by = service(service_name());
    switch (below(5)) {
      case 0: changed.addresses.erase(ip(ip_text)); break;
      case 1: changed.addresses[ip(ip_text)] = freeing(by, "lan", "m"); break;
      case 2: changed.addresses[ip(ip_text)].holders.push_back({by.name, by.uid, HolderState::held, ""}); break;
      default: changed.addresses[ip(ip_text)] = held(by, one_of<std::string>({"lan", "wan"}));
    }
    if (changed.addresses.empty())
      world.blocks.erase(name);
    else
      world.blocks.upsert(next(changed));
  }

  std::mt19937 random_;
  std::uint64_t version_ = 1;
};

TEST(Routes, WhatChangedIsPlannedAsIfAllWere) {
  for (std::uint32_t seed = 1; seed <= 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Churn churn{seed};
    RoutePlanner some{{.node = "a"}}, all{{.node = "a"}};
    RoutePlan before;
    BgpRoutes kept;  // brought up to date now and then
    RoutePlanner::Position position = 0;
    for (int step = 0; step < 150; ++step) {
      churn.step();
      all.plan_all_anew();
      ASSERT_TRUE(some.update(churn.world, churn.answering, churn.now) && all.update(churn.world, churn.answering, churn.now));
      const RoutePlan& plan = some.plan();
      ASSERT_EQ(plan.routes, all.plan().routes) << step;
      ASSERT_EQ(plan.verdicts, all.plan().verdicts) << step;
      ASSERT_EQ(plan.wake_at, all.plan().wake_at) << step;
      ASSERT_EQ(plan.next_hops, all.plan().next_hops) << step;
      for (const auto& [number, advertising] : plan.advertising) ASSERT_EQ(advertising, all.plan().advertising.at(number)) << step;
      for (const auto& [route, path] : plan.routes) ASSERT_TRUE(path.audience == 0 || plan.advertising.contains(path.audience)) << step;
      ASSERT_TRUE(plan.routes_version != before.routes_version || plan.routes == before.routes) << step;
      ASSERT_TRUE(plan.verdicts_version != before.verdicts_version || plan.verdicts == before.verdicts) << step;
      before = plan;
      if (step % 4 == 3) continue;
      some.bring_up_to_date(kept, position);
      ASSERT_EQ(kept, plan.routes) << step;
    }
  }
}

// A Service that was deleted and created anew has a slice of another name, and both may be seen at once, in the order of their names.
TEST(Routes, OneSliceOfAServiceGoesWhileAnotherOneComes) {
  Objects objects = ordinary();
  objects.services[0].external_traffic_policy = TrafficPolicy::local;
  World world;
  fill(world, objects);
  RoutePlanner planner{{.node = "a", .endpoint_delay = 0s}};
  ASSERT_TRUE(planner.update(world, {}, at(1h)));
  EXPECT_EQ(routes_of(planner.plan()), (Routes{route("192.0.2.1", "10.0.0.1")}));
  const ObjectName old = objects.slices[0].name;
  for (const std::string& name : {"0" + old.name, "z" + old.name}) {
    fill(world, objects);
    ASSERT_TRUE(planner.update(world, {}, at(1h)));
    EndpointSlice other = slice(objects.services[0], {ready_on("b")});
    other.name.name = name;
    world.endpoint_slices.erase(old);
    world.endpoint_slices.upsert(other);
    ASSERT_TRUE(planner.update(world, {}, at(1h)));
    EXPECT_EQ(routes_of(planner.plan()), (Routes{route("192.0.2.1", "10.0.0.2")})) << name;
  }
}

TEST(Routes, NothingIsDecidedBeforeEverySourceWasListed) {
  const ResourceVersion version{"1"};
  for (int missing = 0; missing < 4; ++missing) {
    World partly;
    if (missing != 0) partly.services.replace({}, version, true);
    if (missing != 1) partly.blocks.replace({}, version, true);
    if (missing != 2) partly.nodes.replace({}, version, true);
    if (missing != 3) partly.endpoint_slices.replace({}, version, true);
    RoutePlanner planner{{}};
    EXPECT_FALSE(planner.update(partly, {}, at(0s))) << missing;
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
  Story story{{.node = "a", .publication_deadline = 1s}};
  const auto first = story.plan(objects, at(0s));
  EXPECT_EQ(first.routes.size(), 2U);
  EXPECT_EQ(first.wake_at, at(1s));
  EXPECT_EQ(story.plan(objects, at(999ms)).routes.size(), 2U);
  const auto late = story.plan(objects, at(1s));
  EXPECT_EQ(routes_of(late), Routes{});
  EXPECT_EQ(reason_of(late), RouteReason::not_published);
  EXPECT_EQ(story.plan(ordinary(), at(2s)).routes.size(), 2U) << "published in the end";
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
  Story story;
  objects.nodes[1].ready = false;
  EXPECT_EQ(routes_of(story.plan(objects, at(0s))), (Routes{route("192.0.2.1", "10.0.0.1")}));
  objects.nodes[0].ready = false;
  const auto stale = story.plan(objects, at(1s));
  EXPECT_EQ(routes_of(stale), (Routes{route("192.0.2.1", "10.0.0.1")}));
  EXPECT_TRUE(stale.nodes.stale);
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
    Story story{{.node = "a", .drain_wait = 5s}};
    ASSERT_EQ(story.plan(objects, at(0s)).routes.size(), 2U);
    if (deleted)
      objects.nodes.pop_back();
    else
      objects.nodes[1].labels.emplace(keys::exclude_node, "");
    const RoutePlan leaving = story.plan(objects, at(1s));
    EXPECT_EQ(leaving.routes.at(route("192.0.2.1", "10.0.0.1")), BgpPath{});
    ASSERT_TRUE(leaving.routes.contains(route("192.0.2.1", "10.0.0.2")));
    EXPECT_EQ(leaving.routes.at(route("192.0.2.1", "10.0.0.2")).attributes.communities, std::vector{graceful_shutdown_community});
    EXPECT_EQ(leaving.wake_at, at(6s));
    EXPECT_EQ(story.plan(objects, at(5999ms)).routes.size(), 2U);
    EXPECT_EQ(routes_of(story.plan(objects, at(6s))), Routes{route("192.0.2.1", "10.0.0.1")});
    EXPECT_EQ(routes_of(story.plan(objects, at(7s))), Routes{route("192.0.2.1", "10.0.0.1")});
    // Back again, and again out.
    objects = ordinary();
    EXPECT_EQ(story.plan(objects, at(8s)).routes.at(route("192.0.2.1", "10.0.0.2")), BgpPath{});
    objects.nodes[1].labels.emplace(keys::exclude_node, "");
    EXPECT_EQ(story.plan(objects, at(9s)).routes.size(), 2U);
  }
}

TEST(Routes, ANodeThatFailsGoesAtOnceAlsoWhenItWasToLeave) {
  Objects objects = ordinary();
  Story story;
  story.answering = {{"b", true}, {"c", true}};
  ASSERT_EQ(story.plan(objects, at(0s)).routes.size(), 2U);
  objects.nodes[1].labels.emplace(keys::exclude_node, "");
  ASSERT_EQ(story.plan(objects, at(1s)).routes.size(), 2U);
  story.answering["b"] = false;
  EXPECT_EQ(routes_of(story.plan(objects, at(2s))), Routes{route("192.0.2.1", "10.0.0.1")});
}

TEST(Routes, ALeavingNodeWithoutAnEndpointIsNoNextHopOfALocalService) {
  Objects objects = ordinary();
  objects.services[0].external_traffic_policy = TrafficPolicy::local;
  objects.slices = {slice(objects.services[0], {ready_on("a"), ready_on("b")})};
  Story story;
  ASSERT_EQ(story.plan(objects, at(0s)).routes.size(), 2U);
  objects.nodes[1].labels.emplace(keys::exclude_node, "");
  ASSERT_EQ(story.plan(objects, at(1s)).routes.size(), 2U);
  objects.slices = {slice(objects.services[0], {ready_on("a")})};
  EXPECT_EQ(routes_of(story.plan(objects, at(2s))), Routes{route("192.0.2.1", "10.0.0.1")});
}

// kube-proxy on a node knows its first endpoint up to a second later: until then others go on.
TEST(Routes, WithPolicyLocalANewNodeWaitsWhileOthersServe) {
  Objects objects = ordinary();
  const Service& web = objects.services[0] = with(objects.services[0],
                                                  [](Service& s) { s.external_traffic_policy = TrafficPolicy::local; });
  Story story{{.node = "a", .endpoint_delay = 2s}};
  const Routes a{route("192.0.2.1", "10.0.0.1")}, b{route("192.0.2.1", "10.0.0.2")}, both{*a.begin(), *b.begin()};
  const auto at_time = [&](Duration time) { return story.plan(objects, at(time)); };
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
