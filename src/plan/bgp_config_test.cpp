#include "plan/bgp_config.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;

BgpConf conf(auto... changes) {
  BgpConf out;
  out.name = "default";
  out.as = 65000;
  (changes(out), ...);
  return out;
}
BgpPeer peer(std::string name, std::string neighbor, auto... changes) {
  BgpPeer out;
  out.name = std::move(name);
  out.has_conf = true;
  out.neighbor_address = std::move(neighbor);
  out.peer_as = 65100;
  (changes(out), ...);
  return out;
}

struct Given {
  std::vector<BgpConf> confs = {conf()};
  std::vector<BgpPeer> peers = {};
  std::vector<Node> nodes = {node("a", "10.0.0.1")};
  std::vector<PasswordSecret> passwords = {};
};
BgpConfiguration plan(Given given, const BgpDesired& previous = {}, const std::set<IpAddress>& callers = {}) {
  return plan_bgp_configuration(world({.nodes = std::move(given.nodes),
                                       .confs = std::move(given.confs),
                                       .peers = std::move(given.peers),
                                       .passwords = std::move(given.passwords)}),
                                "a", previous, callers);
}
BgpDesired as_desired(const BgpConfiguration& from) { return {from.global, from.peers, {}, {}, from.policy, {}, from.own_next_hops}; }
std::string first_problem(const BgpConfiguration& from) { return from.problems.empty() ? "" : from.problems.front().text; }

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(BgpConfig, WhatABgpPeerDoesNotSayItsGroupSays) {
  const auto in_group = [](BgpPeer& p) { p.peer_group = "fabric"; };
  const auto group = peer("fabric", "", [](BgpPeer& p) {
    p.peer_as = 65200;
    p.hold_time = "9";
    p.auth_password = "of all";
    p.families = {{.afi = "AFI_IP6", .safi = ""}};
    p.ebgp_multihop_ttl = 3;
  });
  const auto silent = [&](BgpPeer& p) { in_group(p), p.peer_as = 0; };
  const auto own = [&](BgpPeer& p) {
    in_group(p);
    p.hold_time = "30";
    p.password_secret = "mine";
    p.minimum_ttl = 255;
  };
  const auto out = plan({.peers = {group, peer("a", "10.0.0.253", silent), peer("b", "10.0.0.254", own)},
                         .passwords = {{.name = "mine", .version = {}, .password = "own"}}});
  EXPECT_EQ(first_problem(out), "") << "a group has no router";
  ASSERT_EQ(out.peers.size(), 2U);
  EXPECT_EQ(out.peers[0].peer_as, 65200U);
  EXPECT_EQ(out.peers[0].hold_time_s, 9U);
  EXPECT_EQ(out.peers[0].auth_password, "of all");
  EXPECT_EQ(out.peers[0].ebgp_multihop_ttl, 3U);
  EXPECT_EQ(out.peers[0].peer_group, "fabric");
  EXPECT_EQ(out.peers[0].families.at(0).family, IpFamily::v6);
  EXPECT_EQ(out.peers[1].peer_as, 65100U);
  EXPECT_EQ(out.peers[1].hold_time_s, 30U);
  EXPECT_EQ(out.peers[1].auth_password, "own") << "one or the other";
  EXPECT_EQ(out.peers[1].ebgp_multihop_ttl, 0U);
}

TEST(BgpConfig, AGroupMayHaveARouterItself) {
  const auto out = plan({.peers = {peer("a", "10.0.0.253", [](BgpPeer& p) { p.hold_time = "9"; }),
                                   peer("b", "10.0.0.254", [](BgpPeer& p) { p.peer_group = "a"; })}});
  ASSERT_EQ(out.peers.size(), 2U);
  EXPECT_EQ(out.peers[1].hold_time_s, 9U);
}

TEST(BgpConfig, AGroupThatIsNoneChangesNothing) {
  const auto before = plan({.peers = {peer("a", "10.0.0.254")}});
  const auto out = plan({.peers = {peer("a", "10.0.0.254", [](BgpPeer& p) { p.peer_group = "nobody", p.hold_time = "9"; })}},
                        as_desired(before));
  EXPECT_SAYS(first_problem(out), "spec.conf.peerGroup: there is no BgpPeer \"nobody\"");
  EXPECT_EQ(out.peers, before.peers);
  const auto chain = plan({.peers = {peer("a", "10.0.0.254", [](BgpPeer& p) { p.peer_group = "b"; }),
                                     peer("b", "", [](BgpPeer& p) { p.peer_group = "c"; }), peer("c", "")}});
  EXPECT_SAYS(first_problem(chain), "the BgpPeer \"b\" is in a group itself");
  EXPECT_TRUE(chain.peers.empty());
}

TEST(BgpConfig, WhoeverConnectsOfARangeIsAPeer) {
  const auto leafs = peer("leafs", "192.0.2.0/24", [](BgpPeer& p) { p.bfd = BgpPeer::Bfd{}; });
  const BgpConfiguration nobody = plan({.peers = {leafs}});
  EXPECT_TRUE(nobody.peers.empty() && nobody.problems.empty());
  EXPECT_EQ(nobody.ranges, (std::vector<BgpNeighborRange>{{"leafs", "192.0.2.0/24", {ip("192.0.2.0"), ip("192.0.2.255")}}}));
  EXPECT_EQ(nobody.global->listen_port, 179) << "for those to come";

  const std::set<IpAddress> callers{ip("192.0.1.255"), ip("192.0.2.7"), ip("192.0.2.200"), ip("192.0.3.0"), ip("2001:db8::7")};
  const BgpConfiguration two = plan({.peers = {leafs}}, {}, callers);
  ASSERT_EQ(two.peers.size(), 2U);
  EXPECT_EQ(two.peers[0].neighbor, ip("192.0.2.7"));
  EXPECT_EQ(two.peers[0].bfd->neighbor, ip("192.0.2.7"));
  EXPECT_EQ(two.peers[1].neighbor, ip("192.0.2.200"));
  EXPECT_EQ(two.peers[1].object, "leafs");
  EXPECT_EQ(two.peers[1].peer_as, 65100U);
}

TEST(BgpConfig, ABgpPeerWithTheAddressComesBeforeARange) {
  const auto one = peer("z", "192.0.2.7", [](BgpPeer& p) { p.hold_time = "9"; });
  const BgpConfiguration got = plan({.peers = {peer("a", "192.0.2.0/24"), peer("b", "192.0.2.0/25"), one}}, {},
                                    {ip("192.0.2.7"), ip("192.0.2.8")});
  ASSERT_EQ(got.peers.size(), 2U);
  EXPECT_EQ(got.peers[0].object, "z");
  EXPECT_EQ(got.peers[1].object, "a");
  EXPECT_EQ(first_problem(got),
            "spec.conf.neighborAddress 192.0.2.0/25 overlaps 192.0.2.0/24 of the BgpPeer \"a\", who has the routers "
            "that are in both");
}

TEST(BgpConfig, WhatARangeCanNotHaveIsTold) {
  const std::set<IpAddress> callers{ip("192.0.2.7")};
  const auto with_password = peer("leafs", "192.0.2.0/24", [](BgpPeer& p) { p.auth_password = "secret"; });
  const BgpConfiguration before = plan({.peers = {peer("leafs", "192.0.2.0/24")}}, {}, callers);
  const BgpConfiguration refused = plan({.peers = {with_password}}, as_desired(before), callers);
  EXPECT_SAYS(first_problem(refused), "TCP MD5 (RFC 2385) is by address");
  EXPECT_EQ(refused.peers, before.peers) << "a bad edit ends no session";
  const auto deaf = [](BgpConf& c) { c.listen_port = -1; };
  EXPECT_SAYS(first_problem(plan({.confs = {conf(deaf)}, .peers = {peer("leafs", "192.0.2.0/24")}})), "spec.listenPort");
  for (const char* text : {"192.0.2.0/33", "192.0.2.0/", "/24", "192.0.2.0-192.0.2.9", "192.0.2.0/24,192.0.3.0/24"})
    EXPECT_SAYS(first_problem(plan({.peers = {peer("leafs", text)}})), "is no IP address, and no range like 192.0.2.0/24");
  EXPECT_EQ(plan({.peers = {peer("leaf", "192.0.2.7/32")}}).peers.size(), 1U) << "a range of one is an address";
}

IpAddress on(const char* text, const char* interface) { return ip(text).in(*Zone::of(interface)); }
BgpPeer link(std::string name, std::string interface, auto... changes) {
  return peer(std::move(name), "", [&](BgpPeer& p) { p.neighbor_interface = std::move(interface); }, changes...);
}

TEST(BgpConfig, WhoeverIsHeardOnALinkIsAPeer) {
  const auto tor = link("tor", "eth1", [](BgpPeer& p) { p.bfd = BgpPeer::Bfd{}; });
  const BgpConfiguration nobody = plan({.peers = {tor}});
  EXPECT_TRUE(nobody.peers.empty() && nobody.problems.empty());
  ASSERT_EQ(nobody.ranges.size(), 1U);
  EXPECT_EQ(nobody.ranges[0].text, "eth1");
  EXPECT_TRUE(nobody.ranges[0].contains(on("fe80::7", "eth1")));
  EXPECT_FALSE(nobody.ranges[0].contains(on("fe80::7", "eth2")) || nobody.ranges[0].contains(ip("fe80::7")));
  EXPECT_EQ(nobody.global->listen_port, -1) << "we connect";
  EXPECT_EQ(nobody.own_next_hops, std::vector{ip("10.0.0.1")}) << "before anybody is there";

  const std::set<IpAddress> heard{on("fe80::7", "eth1"), on("fe80::7", "eth2"), ip("fe80::8"), on("fe80::9", "eth1")};
  const BgpConfiguration two = plan({.peers = {tor}}, {}, heard);
  ASSERT_EQ(two.peers.size(), 2U);
  EXPECT_EQ(two.peers[0].neighbor, on("fe80::7", "eth1"));
  EXPECT_EQ(two.peers[0].bfd->neighbor, on("fe80::7", "eth1"));
  EXPECT_EQ(two.peers[1].neighbor, on("fe80::9", "eth1"));
  EXPECT_EQ(two.peers[0].families,
            (std::vector<BgpPeerConfig::Family>{{IpFamily::v4, true, false, 10, 100'000}, {IpFamily::v6, true, false, 10, 100'000}}));
  EXPECT_TRUE(plan({.peers = {peer("r", "10.0.0.254")}}).own_next_hops.empty()) << "nobody is concerned";
}

TEST(BgpConfig, TheSameAddressOnTwoLinksAreTwoPeers) {
  const std::set<IpAddress> heard{on("fe80::7", "eth1"), on("fe80::7", "eth2")};
  const BgpConfiguration got = plan({.peers = {link("one", "eth1"), link("two", "eth2")}}, {}, heard);
  ASSERT_EQ(got.peers.size(), 2U);
  EXPECT_EQ(got.peers[0].object, "one");
  EXPECT_EQ(got.peers[1].object, "two");
  EXPECT_TRUE(got.problems.empty());
  const BgpConfiguration twice = plan({.peers = {link("one", "eth1"), link("two", "eth1")}}, {}, heard);
  EXPECT_EQ(twice.peers.size(), 1U);
  EXPECT_SAYS(first_problem(twice), "spec.conf.neighborInterface eth1 overlaps eth1 of the BgpPeer \"one\"");
}

TEST(BgpConfig, AnAddressComesBeforeAnInterface) {
  const auto both = link("r", "eth1", [](BgpPeer& p) { p.neighbor_address = "10.0.0.254"; });
  EXPECT_EQ(plan({.peers = {both}}).peers.size(), 1U) << "as in OpenELB, where the interface has no effect";
}

TEST(BgpConfig, WhatALinkCanNotHaveIsTold) {
  const std::set<IpAddress> heard{on("fe80::7", "eth1")};
  const BgpConfiguration before = plan({.peers = {link("tor", "eth1")}}, {}, heard);
  const auto problem = [&](auto change) {
    const BgpConfiguration out = plan({.peers = {link("tor", "eth1", change)}}, as_desired(before), heard);
    EXPECT_EQ(out.peers, before.peers) << "a bad edit ends no session";
    return first_problem(out);
  };
  EXPECT_SAYS(problem([](BgpPeer& p) { p.auth_password = "secret"; }), "spec.conf.neighborInterface eth1 is no one address");
  EXPECT_SAYS(problem([](BgpPeer& p) { p.ebgp_multihop_ttl = 2; }), "take spec.ebgpMultihop and spec.bfd.multihop out");
  EXPECT_SAYS(problem([](BgpPeer& p) { p.bfd = BgpPeer::Bfd{.multihop = true}; }), "take spec.ebgpMultihop and spec.bfd.multihop out");
  EXPECT_SAYS(problem([](BgpPeer& p) { p.neighbor_interface = "a/b"; }), "spec.conf.neighborInterface \"a/b\" is no name of an interface");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("tor", "fe80::7")}})), "write spec.conf.neighborInterface instead");
}

TEST(BgpConfig, WithoutAConfNamedDefaultThereIsNoBgp) {
  EXPECT_FALSE(plan({.confs = {}, .peers = {peer("r", "10.0.0.254")}}).global);
  EXPECT_TRUE(plan({.confs = {}, .peers = {peer("r", "10.0.0.254")}}).peers.empty());
  EXPECT_FALSE(plan({.confs = {conf([](BgpConf& c) { c.name = "other"; })}}).global);
  EXPECT_FALSE(plan({.confs = {conf(deleting<BgpConf>)}}).global);
  EXPECT_FALSE(plan({.confs = {conf(labelled(keys::cni, "calico"))}}).global) << "the CNI's own";
}

TEST(BgpConfig, AnOrdinaryConfGivesAnActiveServerWithTheNodesAddressAsItsId) {
  const auto out = plan({.peers = {peer("r", "10.0.0.254")}});
  BgpGlobal expected;
  expected.as = 65000;
  expected.router_id = "10.0.0.1";
  EXPECT_EQ(out.global, expected);
  ASSERT_EQ(out.peers.size(), 1U);
  EXPECT_EQ(out.peers[0].object, "r");
  EXPECT_EQ(out.peers[0].neighbor, ip("10.0.0.254"));
  EXPECT_EQ(out.peers[0].hold_time_s, 90U);
  EXPECT_EQ(out.peers[0].keepalive_interval_s, 30U);
  EXPECT_EQ(out.peers[0].connect_retry_s, 5U);
  EXPECT_TRUE(out.peers[0].graceful_restart);
  EXPECT_EQ(out.peers[0].families, (std::vector<BgpPeerConfig::Family>{{IpFamily::v4, true, false, 10, 100'000}}));
  EXPECT_TRUE(out.problems.empty());
}

TEST(BgpConfig, AsZeroIsReportedAndWhatWasThereStays) {
  const auto zero = conf([](BgpConf& c) { c.as = 0; });
  const Given bad{.confs = {zero}, .peers = {peer("r", "10.0.0.254")}};
  EXPECT_FALSE(plan(bad).global);
  EXPECT_TRUE(plan(bad).peers.empty()) << "no server, no peer";
  EXPECT_SAYS(first_problem(plan(bad)), "spec.as is 0");
  const BgpDesired before = as_desired(plan({.peers = {peer("r", "10.0.0.254")}}));
  EXPECT_EQ(plan(bad, before).global, before.global);
  EXPECT_EQ(plan(bad, before).peers, before.peers);
}

TEST(BgpConfig, ARackHasItsOwnAs) {
  const auto racks = conf([](BgpConf& c) { c.as_per_rack = {{"r1", 65001}, {"r2", 0}}; });
  EXPECT_EQ(plan({.confs = {racks}, .nodes = {node("a", "10.0.0.1", labelled(keys::rack, "r1"))}}).global->as, 65001U);
  EXPECT_EQ(plan({.confs = {racks}, .nodes = {node("a", "10.0.0.1", labelled(keys::rack, "r2"))}}).global->as, 65000U);
  EXPECT_EQ(plan({.confs = {racks}, .nodes = {node("a", "10.0.0.1", labelled(keys::rack, "r9"))}}).global->as, 65000U);
}

TEST(BgpConfig, ARouterIdIsNeverTheSameOnTwoNodes) {
  const auto fixed = conf([](BgpConf& c) { c.router_id = "192.0.2.99"; });
  EXPECT_EQ(plan({.confs = {fixed}}).global->router_id, "192.0.2.99");
  const auto two = plan({.confs = {fixed}, .nodes = {node("a", "10.0.0.1"), node("b", "10.0.0.2")}});
  EXPECT_EQ(two.global->router_id, "10.0.0.1");
  EXPECT_SAYS(first_problem(two), "spec.routerId");
  const auto bad = plan({.confs = {conf([](BgpConf& c) { c.router_id = "0.0.0.0"; })}});
  EXPECT_EQ(bad.global->router_id, "10.0.0.1");
  EXPECT_SAYS(first_problem(bad), "spec.routerId");
  const auto v6_only = plan({.nodes = {node("a", "fd00::1")}});
  EXPECT_TRUE(IpAddress::parse(v6_only.global->router_id)) << v6_only.global->router_id;
}

TEST(BgpConfig, ItListensOnlyIfToldToOrIfAPeerIsPassive) {
  const auto port = [](std::int32_t value) { return conf([=](BgpConf& c) { c.listen_port = value; }); };
  const BgpPeer passive = peer("r", "10.0.0.254", [](BgpPeer& p) { p.passive = true; });
  EXPECT_EQ(plan({}).global->listen_port, -1);
  EXPECT_EQ(plan({.peers = {passive}}).global->listen_port, 179);
  EXPECT_EQ(plan({.confs = {port(1790)}, .peers = {passive}}).global->listen_port, 1790);
  EXPECT_EQ(plan({.confs = {port(-1)}, .peers = {passive}}).global->listen_port, -1);
  EXPECT_EQ(plan({.confs = {port(70000)}}).global->listen_port, -1);
  EXPECT_SAYS(first_problem(plan({.confs = {port(70000)}})), "spec.listenPort");
}

struct BadPeer {
  const char* says;
  void (*spoil)(BgpPeer&);
};

TEST(BgpConfig, ABadEditOfAPeerIsReportedAndTheSessionStays) {
  const BgpDesired before = as_desired(plan({.peers = {peer("r", "10.0.0.254")}}));
  const std::vector<BadPeer> rows{
      {"spec.conf is missing", [](BgpPeer& p) { p.has_conf = false; }},
      {"NeighborAddress", [](BgpPeer& p) { p.neighbor_address = "router"; }},
      {"peerAs is 0", [](BgpPeer& p) { p.peer_as = 0; }},
      {"holdTime", [](BgpPeer& p) { p.hold_time = "0"; }},
      {"holdTime", [](BgpPeer& p) { p.hold_time = "2"; }},
      {"holdTime", [](BgpPeer& p) { p.hold_time = "90s"; }},
      {"holdTime", [](BgpPeer& p) { p.hold_time = "-3"; }},
      {"holdTime", [](BgpPeer& p) { p.hold_time = "65536"; }},
      {"keepaliveInterval", [](BgpPeer& p) { p.keepalive_interval = "0"; }},
      {"connectRetry", [](BgpPeer& p) { p.connect_retry = "soon"; }},
      {"remotePort", [](BgpPeer& p) { p.remote_port = 65536; }},
      {"multihopTtl", [](BgpPeer& p) { p.ebgp_multihop_ttl = 256; }},
      {"remoteAddress", [](BgpPeer& p) { p.remote_address = "router"; }},
      {"safi", [](BgpPeer& p) { p.families = {{.afi = "AFI_IP", .safi = "SAFI_MPLS"}}; }},
      {"afi", [](BgpPeer& p) { p.families = {{.afi = "AFI_L2VPN", .safi = ""}}; }},
  };
  for (const BadPeer& row : rows) {
    const BgpPeer spoilt = peer("r", "10.0.0.254", row.spoil);
    const auto fresh = plan({.peers = {spoilt, peer("s", "10.0.0.253")}});
    ASSERT_EQ(fresh.peers.size(), 1U) << row.says << ": the others are served";
    EXPECT_EQ(fresh.peers[0].object, "s");
    ASSERT_EQ(fresh.problems.size(), 1U) << row.says;
    EXPECT_EQ(fresh.problems[0].kind, "BgpPeer");
    EXPECT_EQ(fresh.problems[0].name, "r");
    EXPECT_SAYS(fresh.problems[0].text, row.says);
    EXPECT_EQ(plan({.peers = {spoilt}}, before).peers, before.peers) << row.says;
  }
}

// gobgpd refuses these two as a whole, and again and again.
TEST(BgpConfig, WhatIsForOtherAssIsRefusedInsideOurOwn) {
  const auto inside = [](BgpPeer& p) { p.peer_as = 65000; };
  const auto remove = [](BgpPeer& p) { p.remove_private_as = "ALL"; };
  const auto replace = [](BgpPeer& p) { p.replace_peer_as = true; };
  for (const BgpPeer& wrong : {peer("r", "10.0.0.254", inside, remove), peer("r", "10.0.0.254", inside, replace)}) {
    const auto out = plan({.peers = {wrong}});
    EXPECT_TRUE(out.peers.empty());
    EXPECT_SAYS(first_problem(out), "makes no sense for a router of our own AS");
  }
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", remove, replace)}}).peers.size(), 1U);
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", inside, remove, [](BgpPeer& p) { p.local_as = 65009; })}}).peers.size(), 1U);
}

TEST(BgpConfig, ARemoteAddressThatGoBgpDoesNotUseIsTold) {
  const auto out = plan({.peers = {peer("r", "10.0.0.254", [](BgpPeer& p) { p.remote_address = "10.0.0.253"; })}});
  EXPECT_EQ(out.peers.size(), 1U);
  EXPECT_SAYS(first_problem(out), "spec.transport.remoteAddress 10.0.0.253 has no effect");
  EXPECT_EQ(first_problem(plan({.peers = {peer("r", "10.0.0.254", [](BgpPeer& p) { p.remote_address = "10.0.0.254"; })}})), "");
}

TEST(BgpConfig, WhatAdvertisementsSayWrongIsReported) {
  BgpConf with = conf();
  with.advertisements = {{.peers = {"r", "nobody"}, .communities = {"x"}}};
  const auto out = plan({.confs = {with}, .peers = {peer("r", "10.0.0.254")}});
  ASSERT_EQ(out.problems.size(), 2U);
  EXPECT_SAYS(out.problems[0].text, "spec.advertisements[0].communities: community \"x\"");
  EXPECT_SAYS(out.problems[1].text, "spec.advertisements[0].peers: there is no BgpPeer \"nobody\"");
}

TEST(BgpConfig, TheKeepaliveFollowsTheHoldTime) {
  const auto out = plan({.peers = {peer("r", "10.0.0.254", [](BgpPeer& p) { p.hold_time = "9"; })}});
  EXPECT_EQ(out.peers[0].hold_time_s, 9U);
  EXPECT_EQ(out.peers[0].keepalive_interval_s, 3U);
  const auto least = plan({.peers = {peer("r", "10.0.0.254", [](BgpPeer& p) { p.hold_time = "3"; })}});
  EXPECT_EQ(least.peers[0].keepalive_interval_s, 1U);
}

TEST(BgpConfig, TwoPeersWithOneNeighborTheFirstByNameWins) {
  const auto out = plan({.peers = {peer("b", "10.0.0.254"), peer("a", "10.0.0.254")}});
  ASSERT_EQ(out.peers.size(), 1U);
  EXPECT_EQ(out.peers[0].object, "a");
  EXPECT_SAYS(first_problem(out), "another BgpPeer's too");
}

TEST(BgpConfig, APeerIsForItsNodesOnly) {
  const auto selected = [](std::string rack) {
    return peer("r", "10.0.0.254", [=](BgpPeer& p) { p.node_selector = LabelSelector{{{"rack", rack}}, {}}; });
  };
  const Node self = node("a", "10.0.0.1", labelled("rack", "1"));
  EXPECT_EQ(plan({.peers = {selected("1")}, .nodes = {self}}).peers.size(), 1U);
  EXPECT_EQ(plan({.peers = {selected("2")}, .nodes = {self}}).peers.size(), 0U);
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", deleting<BgpPeer>)}}).peers.size(), 0U);
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", labelled(keys::cni, ""))}}).peers.size(), 0U);
}

TEST(BgpConfig, FamiliesAreThoseWrittenOrTheNeighbors) {
  const auto v6 = plan({.peers = {peer("r", "fd00::fe")}});
  EXPECT_EQ(v6.peers[0].families[0].family, IpFamily::v6);
  const auto both = plan({.peers = {peer("r", "10.0.0.254", [](BgpPeer& p) {
                            p.families = {{.afi = "AFI_IP6", .safi = "", .add_path_send_max = 300},
                                          {.afi = "AFI_IP", .safi = "", .enabled = false}};
                          })}});
  EXPECT_EQ(both.peers[0].families, (std::vector<BgpPeerConfig::Family>{{IpFamily::v6, true, false, 255, 100'000}}));
}

TEST(BgpConfig, ThePeersGracefulRestartWinsOverTheServers) {
  const auto global = conf([](BgpConf& c) { c.graceful_restart = GracefulRestart{.enabled = false, .restart_time_s = 60}; });
  EXPECT_FALSE(plan({.confs = {global}, .peers = {peer("r", "10.0.0.254")}}).peers[0].graceful_restart);
  const auto own = peer("r", "10.0.0.254",
                        [](BgpPeer& p) { p.graceful_restart = GracefulRestart{.enabled = true, .restart_time_s = 9000}; });
  const auto out = plan({.confs = {global}, .peers = {own}});
  EXPECT_TRUE(out.peers[0].graceful_restart);
  EXPECT_EQ(out.peers[0].restart_time_s, 4095U) << "12 bits, RFC 4724 §3";
}

TEST(BgpConfig, APasswordComesFromItsSecret) {
  const auto secret = [](BgpPeer& p) { p.password_secret = "tor"; };
  const auto found = plan({.peers = {peer("r", "10.0.0.254", secret)}, .passwords = {{"tor", {"7"}, "hush"}}});
  ASSERT_EQ(found.peers.size(), 1U);
  EXPECT_EQ(found.peers[0].auth_password, "hush");
  EXPECT_TRUE(found.problems.empty());

  const auto missing = plan({.peers = {peer("r", "10.0.0.254", secret)}});
  EXPECT_TRUE(missing.peers.empty()) << "not without a password";
  EXPECT_SAYS(first_problem(missing), "there is no Secret \"tor\" of type kubernetes.io/basic-auth in Berth's namespace");
  const auto empty = plan({.peers = {peer("r", "10.0.0.254", secret)}, .passwords = {{"tor", {"7"}, {}}}});
  EXPECT_SAYS(first_problem(empty), "the Secret \"tor\" has no key \"password\"");
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", secret)}}, as_desired(found)).peers, found.peers) << "a lost Secret ends no session";
  const auto both = plan(
      {.peers = {peer("r", "10.0.0.254", secret, [](BgpPeer& p) { p.auth_password = "x"; })}, .passwords = {{"tor", {"7"}, "hush"}}});
  EXPECT_SAYS(first_problem(both), "authPassword and passwordSecret exclude each other");
  for (const BgpConfiguration& one : {found, missing, empty, both}) EXPECT_EQ(first_problem(one).find("hush"), std::string::npos);
}

TEST(BgpConfig, ARoutersAddressMayBeInAnAnnotationOfTheNode) {
  const auto by_annotation = [](BgpPeer& p) { p.neighbor_annotation = "berth.kubesphere.io/tor"; };
  const auto with = [](std::string value) {
    return std::vector<Node>{node("a", "10.0.0.1", [=](Node& n) { n.annotations["berth.kubesphere.io/tor"] = value; })};
  };
  const auto found = plan({.peers = {peer("r", "", by_annotation)}, .nodes = with("10.0.0.250")});
  ASSERT_EQ(found.peers.size(), 1U);
  EXPECT_EQ(found.peers[0].neighbor, ip("10.0.0.250"));
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "", by_annotation)}})), "the Node a has no annotation \"berth.kubesphere.io/tor\"");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "", by_annotation)}, .nodes = with("tor-7")})), "\"tor-7\"");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", by_annotation)}, .nodes = with("10.0.0.250")})), "exclude each other");
}

TEST(BgpConfig, WhereAConnectionComesFromIsChecked) {
  const auto from = [](std::string address, std::string interface) {
    return [=](BgpPeer& p) {
      p.local_address = address;
      p.bind_interface = interface;
    };
  };
  const auto good = plan({.peers = {peer("r", "2001:db8::1", from("2001:DB8:0::2", "vrf-blue"))}});
  ASSERT_EQ(good.peers.size(), 1U);
  EXPECT_EQ(good.peers[0].local_address, "2001:db8::2");
  EXPECT_EQ(good.peers[0].bind_interface, "vrf-blue");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", from("2001:db8::2", ""))}})), "spec.transport.localAddress");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", from("eth0", ""))}})), "spec.transport.localAddress");
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", from("", "a-name-of-16-chars"))}})), "spec.transport.bindInterface");
}

TEST(BgpConfig, PacketsFromAfarAreDroppedWhereAskedFor) {
  const auto ttl = [](std::int64_t least) { return [=](BgpPeer& p) { p.minimum_ttl = least; }; };
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", ttl(254))}}).peers.at(0).minimum_ttl, 254U);
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", ttl(256))}})), "spec.ttlSecurity.minimumTtl 256 is not from 1 to 255");
  const auto far = [](BgpPeer& p) { p.ebgp_multihop_ttl = 3; };
  EXPECT_SAYS(first_problem(plan({.peers = {peer("r", "10.0.0.254", ttl(254), far)}})), "exclude each other");
}

TEST(BgpConfig, FamiliesOfTheConfAreForPeersThatNameNone) {
  const auto families = [](BgpConf& c) { c.families = {1, 0, 7}; };
  const auto out = plan({.confs = {conf(families)}, .peers = {peer("r", "10.0.0.254")}});
  ASSERT_EQ(out.peers.at(0).families.size(), 2U);
  EXPECT_EQ(out.peers[0].families[0].family, IpFamily::v4);
  EXPECT_EQ(out.peers[0].families[1].family, IpFamily::v6);
  EXPECT_SAYS(first_problem(out), "spec.families");
}

TEST(BgpConfig, WhatARouterSendsIsLimited) {
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254")}}).peers.at(0).families.at(0).maximum_prefixes, 100'000U);
  const auto fewer = [](BgpPeer& p) { p.maximum_prefixes = 10; };
  EXPECT_EQ(plan({.peers = {peer("r", "10.0.0.254", fewer)}}).peers.at(0).families.at(0).maximum_prefixes, 10U);
}

}  // namespace
}  // namespace berth
