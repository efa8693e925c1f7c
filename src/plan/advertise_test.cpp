#include "plan/advertise.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;
using Peers = std::set<IpAddress>;
constexpr std::uint32_t as = 64512;

BgpConf conf(std::vector<BgpConf::Advertisement> list) {
  BgpConf out;
  out.advertisements = std::move(list);
  out.community_names = {{"backup", "64512:7"}};
  return out;
}

// Routers a, b and c; c is of our own AS.
std::vector<BgpPeerConfig> peers() {
  std::vector<BgpPeerConfig> out(3);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].object = std::string{"abc"[i]};
    out[i].neighbor = IpAddress::v4(static_cast<std::uint32_t>(i + 1));
    out[i].peer_as = i == 2 ? as : 65000;
  }
  return out;
}
const IpAddress a = IpAddress::v4(1), b = IpAddress::v4(2), c = IpAddress::v4(3);

struct Judged {
  std::vector<std::string> prefixes;
  BgpPath path;  // of the first one
  std::vector<BgpOffer> offers;
  std::string problem;
};
Judged judge(const BgpConf& conf,
             const std::string& pool,
             const std::vector<Service>& services,
             const Node& through = node("n", "10.0.0.1")) {
  Advertiser advertiser{&conf};
  Judged out;
  std::vector<const Service*> pointers;
  for (const Service& one : services) pointers.push_back(&one);
  const auto routes = advertiser.judge(advertiser.subject(ip("192.0.2.1"), pool, pointers, out.problem), through.labels);
  for (const auto& one : routes) out.prefixes.push_back(one.address.to_string() + "/" + std::to_string(one.prefix_length));
  if (routes.empty()) return out;
  out.path = routes.front().path;
  if (out.path.audience != 0) out.offers = offers(advertiser.numbered(), peers(), as).at(out.path.audience);
  return out;
}
using Prefixes = std::vector<std::string>;
LabelSelector label_is(std::string value) {
  LabelSelector out;
  out.match_labels = {{"tier", std::move(value)}};
  return out;
}
BgpAttributes with(std::vector<BgpCommunity> communities, std::optional<std::uint32_t> med = {}, std::optional<std::uint32_t> pref = {}) {
  BgpAttributes out;
  for (const BgpCommunity& one : communities) out.add(one);
  out.med = med;
  out.local_pref = pref;
  return out;
}

TEST(ParseCommunity, TakesEachForm) {
  const std::map<std::string, std::string> names{{"backup", "64512:7"}};
  const std::vector<std::pair<std::string, BgpCommunity>> good{
      {"64512:100", {false, 64512, 100, 0}},           {"65535:65535", {false, 65535, 65535, 0}},
      {"4200000000:1:2", {true, 4'200'000'000, 1, 2}}, {"large:64512:1:2", {true, 64512, 1, 2}},
      {"no-export", {false, 65535, 65281, 0}},         {"graceful-shutdown", graceful_shutdown_community},
      {"blackhole", {false, 65535, 666, 0}},           {"backup", {false, 64512, 7, 0}}};
  for (const auto& [text, community] : good) {
    const auto read = parse_community(text, names);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, community) << text;
  }
  for (const std::string text :
       {"", "64512", "65536:1", "1:65536", "1:2:3:4", "large:1:2", "1:4294967296:2", "-1:2", "1: 2", "no_export", ":"})
    EXPECT_FALSE(parse_community(text, names)) << text;
}

TEST(Advertiser, WithoutAWordEveryRouterGetsEverything) {
  EXPECT_EQ(judge({}, "lan", {service("web")}).path, BgpPath{});
  EXPECT_EQ(judge(conf({{.name = "other", .pools = {"edge"}, .peers = {"a"}, .communities = {"1:1"}}}), "lan", {service("web")}).path,
            BgpPath{});
  Advertiser none{nullptr};
  std::string problem;
  const Service web = service("web");
  const auto routes = none.judge(none.subject(ip("192.0.2.1"), "lan", {&web}, problem), {});
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_EQ(routes[0].path, BgpPath{});
}

TEST(Advertiser, WhatIsTheSameForAllIsOnThePath) {
  const Judged out = judge(
      conf({{.communities = {"backup", "no-export"}, .med = 5}, {.pools = {"lan"}, .communities = {"1:2:3"}, .local_pref = 50, .med = 9}}),
      "lan", {service("web")});
  EXPECT_EQ(out.path, (BgpPath{with({{false, 64512, 7, 0}, {false, 65535, 65281, 0}, {true, 1, 2, 3}}, 5, 50), 0}));
}

TEST(Advertiser, APoolGoesOnlyToTheRoutersThatAreNamed) {
  const Judged out = judge(conf({{.pools = {"lan"}, .peers = {"a"}, .communities = {"1:1"}}, {.pools = {"lan"}, .peers = {"b"}, .med = 3}}),
                           "lan", {service("web")});
  EXPECT_EQ(out.path.attributes, BgpAttributes{});
  EXPECT_EQ(out.offers, (std::vector<BgpOffer>{{Peers{b}, with({}, 3), 0, 0}, {Peers{a}, with({{false, 1, 1, 0}}), 0, 0}}));
}

TEST(Advertiser, OneForAllAndOneForSomeAreJoined) {
  const Judged out = judge(conf({{.pools = {"lan"}, .peers = {"a"}, .local_pref = 10}, {.pools = {"lan"}, .local_pref = 20}}), "lan",
                           {service("web")});
  EXPECT_EQ(out.offers, (std::vector<BgpOffer>{{Peers{a}, with({}, {}, 10), 0, 0}, {Peers{b, c}, with({}, {}, 20), 0, 0}}));
}

TEST(Advertiser, RoutersOfOurOwnAsGetNoLongerPath) {
  const Judged out = judge(conf({{.as_path_prepend = 2}}), "lan", {service("web")});
  EXPECT_EQ(out.offers, (std::vector<BgpOffer>{{Peers{c}, {}, 0, 0}, {Peers{a, b}, {}, 2, as}}));
}

TEST(Advertiser, AServiceComesBeforeItsPool) {
  const BgpConf pool = conf({{.pools = {"lan"}, .communities = {"1:1"}, .local_pref = 10, .med = 1}});
  const Judged out = judge(pool, "lan",
                           {service("web", annotated(keys::bgp_communities, "backup, 2:2"), annotated(keys::bgp_med, "7"),
                                    annotated(keys::bgp_local_pref, " 4294967295 "))});
  EXPECT_EQ(out.path, (BgpPath{with({{false, 64512, 7, 0}, {false, 2, 2, 0}, {false, 1, 1, 0}}, 7, 4'294'967'295), 0}));
  EXPECT_EQ(out.problem, "");
}

TEST(Advertiser, AServicesRoutersAreTheOnlyOnes) {
  const BgpConf pool = conf({{.pools = {"lan"}, .peers = {"a", "b"}}});
  EXPECT_EQ(judge(pool, "lan", {service("web", annotated(keys::bgp_peers, "b,c"))}).offers, (std::vector<BgpOffer>{{Peers{b}, {}, 0, 0}}))
      << "of those that its pool goes to";
  EXPECT_EQ(judge({}, "lan", {service("web", annotated(keys::bgp_peers, "nobody"))}).offers, std::vector<BgpOffer>{});
  EXPECT_EQ(judge({}, "lan", {service("web", annotated(keys::bgp_peers, "a")), service("mail")}).path, BgpPath{})
      << "who shares the address needs it everywhere";
}

TEST(Advertiser, AGroupsNameStandsForItsRouters) {
  std::vector<BgpPeerConfig> routers = peers();
  routers[0].peer_group = routers[2].peer_group = "fabric";
  const Advertising only{{}, {{.peers = {"fabric"}, .attributes = {}, .prepend = {}}}};
  EXPECT_EQ(offers({{7, only}}, routers, as).at(7), (std::vector<BgpOffer>{{Peers{a, c}, {}, 0, 0}}));
}

TEST(Advertiser, PrefixesAreCountedForEachRouterThatHearsOfThem) {
  BgpDesired desired;
  desired.peers = peers();
  for (BgpPeerConfig& peer : desired.peers) peer.families.emplace_back();
  desired.peers[1].families.emplace_back().family = IpFamily::v6;
  desired.audiences = {{7, {{Peers{a, b}, {}, 0, 0}}}};
  desired.routes = {{{ip("192.0.2.1"), ip("10.0.0.1")}, {}},      {{ip("192.0.2.1"), ip("10.0.0.2")}, {}},
                    {{ip("192.0.2.2"), ip("10.0.0.1")}, {{}, 7}}, {{ip("192.0.2.2"), ip("10.0.0.2")}, {{}, 8}},
                    {{ip("192.0.2.64"), ip("10.0.0.1"), 26}, {}}, {{ip("192.0.2.64"), ip("10.0.0.1")}, {}},
                    {{ip("2001:db8::1"), ip("fd00::1")}, {}}};
  EXPECT_EQ(prefixes_by_peer(desired), (std::map<IpAddress, std::uint32_t>{{a, 4}, {b, 5}, {c, 3}}));
}

TEST(PrefixesByPeer, OneOnALinkIsToldOfRoutesByThisNodeAlone) {
  const IpAddress near = ip("10.0.0.254"), on_link = ip("fe80::1").in(*Zone::of("eth1"));
  BgpDesired desired;
  for (const IpAddress& neighbor : {near, on_link}) {
    BgpPeerConfig& peer = desired.peers.emplace_back();
    peer.neighbor = neighbor;
    peer.families = {{IpFamily::v4}};
  }
  desired.own_next_hops = {ip("10.0.0.1")};
  desired.routes = {
      {{ip("192.0.2.1"), ip("10.0.0.1")}, {}}, {{ip("192.0.2.1"), ip("10.0.0.2")}, {}}, {{ip("192.0.2.2"), ip("10.0.0.2")}, {}}};
  EXPECT_EQ(prefixes_by_peer(desired), (std::map<IpAddress, std::uint32_t>{{near, 2}, {on_link, 1}}));
}

TEST(Advertiser, WhatIsWrongIsToldAndTheRestCounts) {
  const Judged out = judge({}, "lan",
                           {service("web", annotated(keys::bgp_communities, "1:1,nonsense"), annotated(keys::bgp_med, "-1"),
                                    annotated(keys::bgp_as_path_prepend, "11"))});
  EXPECT_EQ(out.path, (BgpPath{with({{false, 1, 1, 0}}), 0}));
  EXPECT_NE(out.problem.find("bgp-communities: community \"nonsense\""), std::string::npos) << out.problem;
  EXPECT_NE(out.problem.find("bgp-med: \"-1\" is not a number from 0 to 4294967295"), std::string::npos) << out.problem;
  EXPECT_NE(out.problem.find("bgp-as-path-prepend: \"11\" is not a number from 0 to 10"), std::string::npos) << out.problem;

  const BgpConf bad = conf({{.communities = {"x"}, .local_pref = -1, .med = 4'294'967'296, .as_path_prepend = 11}});
  const Advertiser advertiser{&bad};
  ASSERT_EQ(advertiser.problems().size(), 4U);
  EXPECT_EQ(advertiser.problems()[1], "spec.advertisements[0].localPref -1 is not from 0 to 4294967295");
}

TEST(Advertiser, ServicesAreTakenByTheirLabels) {
  const BgpConf some = conf({{.communities = {"1:1"}, .service_selector = label_is("front")}});
  EXPECT_EQ(judge(some, "lan", {service("web", labelled("tier", "front"))}).path, (BgpPath{with({{false, 1, 1, 0}}), 0}));
  EXPECT_EQ(judge(some, "lan", {service("web", labelled("tier", "back"))}).path, BgpPath{}) << "none speaks for it: every router";
  EXPECT_EQ(judge(some, "lan", {service("a"), service("b", labelled("tier", "front"))}).path, (BgpPath{with({{false, 1, 1, 0}}), 0}))
      << "one of those that share the address is enough";
}

TEST(Advertiser, NextHopsAreTakenByTheLabelsOfTheirNodes) {
  const BgpConf some = conf({{.pools = {"lan"}, .communities = {"1:1"}, .node_selector = label_is("edge")}});
  const Node edge = node("e", "10.0.0.2", labelled("tier", "edge"));
  EXPECT_EQ(judge(some, "lan", {service("web")}, edge).path, (BgpPath{with({{false, 1, 1, 0}}), 0}));
  EXPECT_EQ(judge(some, "lan", {service("web")}).prefixes, Prefixes{}) << "no route through another node";
  EXPECT_EQ(judge(some, "other", {service("web")}).prefixes, Prefixes{"192.0.2.1/0"}) << "nothing is said for it";
}

TEST(Advertiser, AnAggregateIsAnnouncedInsteadOfTheHostRoute) {
  const BgpConf whole = conf({{.communities = {"1:1"}, .aggregates = {"198.51.100.0/24", "192.0.2.0/25"}}});
  const Judged out = judge(whole, "lan", {service("web")});
  EXPECT_EQ(out.prefixes, Prefixes{"192.0.2.0/25"});
  EXPECT_EQ(out.path, (BgpPath{with({{false, 1, 1, 0}}), 0}));
  EXPECT_EQ(judge(conf({{.aggregates = {"198.51.100.0/24"}}}), "lan", {service("web")}).prefixes, Prefixes{"192.0.2.1/0"});
}

TEST(Advertiser, SomeRoutersGetTheAggregateAndOthersTheHostRoute) {
  const Judged out = judge(conf({{.peers = {"a"}, .aggregates = {"192.0.2.0/24"}}, {.peers = {"b"}}}), "lan", {service("web")});
  EXPECT_EQ(out.prefixes, (Prefixes{"192.0.2.0/24", "192.0.2.1/0"}));
  EXPECT_EQ(out.offers, (std::vector<BgpOffer>{{Peers{a}, {}, 0, 0}}));
}

TEST(Advertiser, WhatIsSaidForOneAddressKeepsItsHostRoute) {
  const BgpConf whole = conf({{.aggregates = {"192.0.2.0/24"}}});
  EXPECT_EQ(judge(whole, "lan", {service("web", annotated(keys::bgp_med, "7"))}).prefixes, Prefixes{"192.0.2.1/0"});
  const auto local = [](Service& one) { one.external_traffic_policy = TrafficPolicy::local; };
  EXPECT_EQ(judge(whole, "lan", {service("web", local)}).prefixes, Prefixes{"192.0.2.1/0"}) << "its next hops are not everybody's";
}

TEST(Advertiser, AnAggregateThatIsNoneCountsForNothing) {
  const BgpConf bad = conf({{.aggregates = {"192.0.2.1", "0.0.0.0/0", "192.0.2.0-192.0.2.255", "2001:db8::/8", "x/24", "192.0.2.77/24"}}});
  const Advertiser advertiser{&bad};
  ASSERT_EQ(advertiser.problems().size(), 5U);
  EXPECT_EQ(advertiser.problems()[1],
            "spec.advertisements[0].aggregates: \"0.0.0.0/0\": write address/length, with a length of at least 8 (IPv4) or 16 (IPv6)");
  EXPECT_EQ(judge(bad, "lan", {service("web")}).prefixes, Prefixes{"192.0.2.0/24"}) << "host bits are masked off, as in an Eip";
}

TEST(Advertiser, NumbersAreTheSameInEveryProcess) {
  const BgpConf one = conf({{.pools = {"lan"}, .peers = {"a"}}, {.pools = {"edge"}, .peers = {"b"}}});
  const BgpConf other = conf({{.pools = {"edge"}, .peers = {"b"}}, {.pools = {"lan"}, .peers = {"a"}}});
  EXPECT_EQ(judge(one, "lan", {}).path, judge(other, "lan", {}).path);
  EXPECT_NE(judge(one, "lan", {}).path, judge(one, "edge", {}).path);
}

}  // namespace
}  // namespace berth
