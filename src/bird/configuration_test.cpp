#include "bird/configuration.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace berth::bird {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

BgpDesired ordinary() {
  BgpDesired out;
  out.global = BgpGlobal{.as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
  BgpPeerConfig peer;
  peer.object = "tor-1";
  peer.neighbor = ip("10.0.0.254");
  peer.peer_as = 65000;
  peer.description = "top of rack";
  peer.families = {{IpFamily::v4, true, false, 10}};
  out.peers = {peer};
  return out;
}

std::string text_of(const BgpDesired& desired) { return configuration(desired, 20179).value().text; }

// What BIRD says of a file, by its own parser; empty if it takes it.
std::string refused_by_bird(const std::string& text) {
  std::string folder = "/tmp/berth-bird-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return "no folder";
  std::ofstream{folder + "/bird.conf"} << text;
  const char* named = std::getenv("BERTH_BIRD");
  const std::string command = std::string{named != nullptr ? named : BERTH_BIRD_DEFAULT} + " -p -c " + folder + "/bird.conf 2>" + folder +
                              "/said";
  const int status = std::system(command.c_str());
  std::ifstream said{folder + "/said"};
  std::string out{std::istreambuf_iterator<char>{said}, {}};
  std::filesystem::remove_all(folder);
  if (out.empty() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) out = "it failed without a word: run tools/setup lab";
  return out;
}

TEST(Configuration, ItListensForThoseOfARange) {
  BgpDesired desired = ordinary();
  desired.ranges = {{ip("192.0.2.0"), ip("192.0.2.255")}};
  EXPECT_EQ(text_of(desired).find("listen_"), std::string::npos) << "nobody is to connect";
  desired.global->listen_port = 179;
  EXPECT_NE(text_of(desired).find("protocol bgp listen_ipv4 {"), std::string::npos);
  EXPECT_EQ(text_of(desired).find("listen_ipv6"), std::string::npos);
  desired.ranges.push_back({ip("2001:db8::"), ip("2001:db8::ffff")});
  EXPECT_NE(text_of(desired).find("protocol bgp listen_ipv6 {"), std::string::npos);
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, OneOnALinkHearsOfOurOwnRoutesByOurOwnEnd) {
  BgpDesired desired = ordinary();
  desired.peers.front().neighbor = ip("fe80::1").in(*Zone::of("lo"));
  desired.peers.front().families.push_back({IpFamily::v6, true, false, 10});
  desired.own_next_hops = {ip("10.0.0.1"), ip("fd00::1")};
  const std::string text = text_of(desired);
  EXPECT_NE(text.find("  neighbor fe80::1 % 'lo' port 179 as 65000;\n  direct;\n"), std::string::npos) << text;
  EXPECT_NE(text.find("if true && bgp_next_hop != 10.0.0.1 then reject;"), std::string::npos) << text;
  EXPECT_NE(text.find("if true && bgp_next_hop != fd00::1 then reject;"), std::string::npos) << text;
  EXPECT_NE(text.find("protocol device"), std::string::npos);
  EXPECT_EQ(text_of(ordinary()).find("protocol device"), std::string::npos);
  EXPECT_NE(text.find("    next hop self;\n    extended next hop on;"), std::string::npos) << text;
  EXPECT_EQ(refused_by_bird(text), "");
  desired.peers.front().neighbor.zone = *Zone::of("br-lan.7");
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
  EXPECT_EQ(protocol_of(desired.peers.front().neighbor), "peer_fe80__1_br_lan_7");
}

TEST(Configuration, ASmallOneReadsLikeThis) {
  BgpDesired desired = ordinary();
  desired.routes = {{{ip("203.0.113.1"), ip("10.0.0.1")}, {}},
                    {{ip("203.0.113.1"), ip("10.0.0.2")}, {}},
                    {{ip("203.0.113.2"), ip("10.0.0.1")}, {{{{false, 64512, 100, 0}, {true, 64512, 1, 2}}, 50, 200}, 7}}};
  desired.audiences = {{7, {{{ip("10.0.0.254")}, {{{false, 1, 2, 0}}, 10, {}}, 2, 64512}}}, {8, {{{ip("10.0.0.9")}, {}, 0, 0}}}};
  EXPECT_EQ(text_of(desired), R"(# Written by Berth at every change; nobody else's edits stay.
log stderr all;
timeformat protocol "%s";
attribute int berth_audience;
protocol static nothing { ipv4; }
router id 10.0.0.1;
graceful restart wait 5;
protocol static via_10_0_0_1 {
  ipv4 { import filter { bgp_next_hop = 10.0.0.1; accept; }; };
  route 203.0.113.1/32 blackhole;
  route 203.0.113.2/32 blackhole { bgp_community.add((64512,100)); bgp_large_community.add((64512,1,2)); bgp_med = 50; )"
                              R"(bgp_local_pref = 200; berth_audience = 7; };
}
protocol static via_10_0_0_2 {
  ipv4 { import filter { bgp_next_hop = 10.0.0.2; accept; }; };
  route 203.0.113.1/32 blackhole;
}
protocol bgp peer_10_0_0_254 {
  debug { states };
  local port 20179 as 64512;
  neighbor 10.0.0.254 port 179 as 65000;
  multihop 1;
  interpret communities no;
  hold time 90;
  keepalive time 30;
  connect delay time 1;
  connect retry time 5;
  error wait time 1, 5;
  graceful restart yes; graceful restart time 120;
  long lived graceful restart no;
  ipv4 {
    import none;
    next hop keep;
    add paths tx;
    export filter {
    if defined(berth_audience) then case berth_audience {
      7: { berth_audience = 0; bgp_community.add((1,2)); bgp_med = 10; bgp_path.prepend(64512); bgp_path.prepend(64512); }
      else: reject;
    }
    if defined(bgp_med) then bgp_med = bgp_med;
    accept;
    };
  };
}
)");
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, WithoutAGlobalNothingIsSpoken) {
  BgpDesired desired = ordinary();
  desired.global.reset();
  EXPECT_EQ(text_of(desired).find("protocol bgp"), std::string::npos);
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, APasswordThatWouldBreakOutIsRefusedAndOthersAreThere) {
  for (const std::string& password : {std::string{"a\"; protocol kernel { ipv4 { export all; }; } #"}, std::string{"a\nb"},
                                      std::string{"a\0b", 3}, std::string(81, 'a')}) {
    BgpDesired desired = ordinary();
    BgpPeerConfig other = desired.peers.front();
    other.neighbor = ip("10.0.0.253");
    desired.peers.front().auth_password = password;
    desired.peers.push_back(other);
    const Configuration made = configuration(desired, 20179).value();
    ASSERT_EQ(made.refused.size(), 1U);
    EXPECT_NE(made.refused.front().text.find("add peer 10.0.0.254: its password"), std::string::npos);
    EXPECT_EQ(made.refused.front().text.find("kernel"), std::string::npos) << "no part of it is told";
    EXPECT_EQ(made.text.find("peer_10_0_0_254"), std::string::npos);
    EXPECT_NE(made.text.find("peer_10_0_0_253"), std::string::npos);
    EXPECT_EQ(shortcomings(desired.peers.front()).size(), 1U);
    EXPECT_EQ(refused_by_bird(made.text), "");
  }
}

TEST(Configuration, NoOtherTextOfAnObjectGetsIntoIt) {
  BgpDesired desired = ordinary();
  const std::string before = text_of(desired);
  BgpPeerConfig& peer = desired.peers.front();
  peer.object = peer.description = peer.remove_private_as = peer.remote_address = "\"; evil { } \n";
  EXPECT_EQ(text_of(desired), before);
  desired.global->router_id = "1.2.3.4; evil";
  EXPECT_EQ(configuration(desired, 20179).error().code, ErrorCode::invalid);
}

TEST(Configuration, AnAddressThatNoMachineHasIsRefused) {
  for (const char* address : {"0.0.0.0", "::", "fe80::1"}) {
    BgpDesired desired = ordinary();
    desired.peers.front().neighbor = ip(address);
    EXPECT_EQ(configuration(desired, 1).value().refused.size(), 1U) << address;
  }
}

TEST(Configuration, GracefulRestartIsWhatItIsAskedToBe) {
  BgpDesired desired = ordinary();
  BgpPeerConfig& peer = desired.peers.front();
  const auto has = [&](const char* line) { return text_of(desired).find(line) != std::string::npos; };
  peer.restart_time_s = 5000;
  peer.deferral_time_s = 9;
  EXPECT_TRUE(has("graceful restart yes; graceful restart time 4095;"));
  EXPECT_TRUE(has("graceful restart wait 9;"));
  peer.long_lived_enabled = true;
  peer.stale_routes_time_s = 600;
  EXPECT_TRUE(has("long lived graceful restart yes;\n  long lived stale time 600;"));
  peer.helper_only = true;
  EXPECT_TRUE(has("  graceful restart aware;") && has("long lived graceful restart aware;") && has("graceful restart wait 1;"));
  peer.graceful_restart = false;
  EXPECT_TRUE(has("  graceful restart no;") && has("long lived graceful restart no;"));
}

TEST(Configuration, SessionsAreAsTheyAreAskedFor) {
  BgpDesired desired = ordinary();
  BgpPeerConfig& peer = desired.peers.front();
  const auto has = [&](const char* line) { return text_of(desired).find(line) != std::string::npos; };
  peer.peer_as = 64512;
  EXPECT_TRUE(has("  multihop 255;")) << "of our own AS";
  peer.local_as = 65001;
  EXPECT_TRUE(has("  multihop 1;") && has("  local port 20179 as 65001;"));
  peer.ebgp_multihop_ttl = 3;
  peer.passive = peer.admin_down = true;
  peer.allow_own_as = 2;
  peer.auth_password = "a b#c' \\ é";
  peer.remote_port = 1179;
  peer.connect_retry_s = 70;
  desired.global->listen_port = 1790;
  EXPECT_TRUE(has("  multihop 3;") && has("  passive yes;") && has("  disabled yes;") && has("  allow local as 2;"));
  EXPECT_TRUE(has("  password \"a b#c' \\ é\";") && has("port 1179 as 64512;") && has("  local port 1790 as 65001;"));
  EXPECT_TRUE(has("  connect retry time 70;") && has("  error wait time 1, 60;"));
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, WhatItCanNotDoIsSaid) {
  BgpPeerConfig peer = ordinary().peers.front();
  EXPECT_TRUE(shortcomings(peer).empty());
  peer.minimum_advertisement_interval_s = 5;
  peer.keepalive_interval_s = 60;
  peer.tcp_mss = 1000;
  peer.mtu_discovery = peer.notification_enabled = true;
  peer.families.front().graceful_restart = false;
  peer.bind_interface = "eth0\"; evil";
  EXPECT_EQ(shortcomings(peer).size(), 7U);
  BgpDesired desired = ordinary();
  desired.global->listen_addresses = {"10.0.0.1"};
  EXPECT_TRUE(shortcomings(desired).empty()) << "nobody connects";
  desired.global->listen_port = 179;
  desired.policy = "x";
  desired.routes[{ip("192.0.2.9"), ip("2001:db8::1")}] = {};
  EXPECT_EQ(shortcomings(desired).size(), 3U);
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, AnAggregateIsARouteOfItsLength) {
  BgpDesired desired = ordinary();
  desired.routes[{ip("192.0.2.0"), ip("10.0.0.1"), 24}] = {};
  EXPECT_NE(text_of(desired).find("  route 192.0.2.0/24 blackhole;"), std::string::npos);
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, WhereAConnectionComesFromAndHowFarItMayBe) {
  BgpDesired desired = ordinary();
  BgpPeerConfig& peer = desired.peers.front();
  const auto has = [&](const char* line) { return text_of(desired).find(line) != std::string::npos; };
  peer.local_address = "10.0.0.1";
  peer.minimum_ttl = 254;
  peer.families.front().maximum_prefixes = 1000;
  EXPECT_TRUE(has("  source address 10.0.0.1;") && has("  multihop 2;") && has("  ttl security yes;"));
  EXPECT_TRUE(has("    import keep filtered yes; receive limit 1000 action restart;"));
  EXPECT_EQ(refused_by_bird(text_of(desired)), "");
}

TEST(Configuration, OnlyWhatBirdIsToldMakesAnotherPeer) {
  const BgpPeerConfig peer = ordinary().peers.front();
  BgpPeerConfig other = peer;
  other.object = other.description = "renamed";
  other.tcp_mss = 1;
  EXPECT_TRUE(same_peer(peer, other));
  other.hold_time_s = 30;
  EXPECT_FALSE(same_peer(peer, other));
}

// Whatever is asked for, BIRD can read what is written.
RC_GTEST_PROP(Configuration, BirdTakesIt, ()) {
  const auto number = [](std::uint64_t below) { return *rc::gen::inRange<std::uint64_t>(0, below); };
  const auto small = [](std::uint32_t below) { return *rc::gen::inRange<std::uint32_t>(0, below); };
  const auto any = [] { return *rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0, 300), rc::gen::arbitrary<std::uint32_t>()); };
  const auto truth = [] { return *rc::gen::arbitrary<bool>(); };
  const auto address = [&](IpFamily family) {
    IpAddress out{family, *rc::gen::arbitrary<std::uint32_t>()};
    if (family == IpFamily::v6) out.number |= static_cast<IpNumber>(*rc::gen::arbitrary<std::uint64_t>()) << 64U;
    return out;
  };
  const auto attributes = [&] {
    BgpAttributes out;
    for (std::uint32_t i = small(4); i > 0; --i) out.add({truth(), any(), any(), any()});
    if (truth()) out.med = any();
    if (truth()) out.local_pref = any();
    return out;
  };
  BgpDesired desired;
  desired.global = BgpGlobal{.as = any() | 1U,
                             .router_id = IpAddress::v4(any() | 1U).to_string(),
                             .listen_port = static_cast<std::int32_t>(number(65537)) - 1,
                             .listen_addresses = {},
                             .use_multiple_paths = truth()};
  for (std::uint32_t i = small(4); i > 0; --i) {
    BgpPeerConfig peer;
    peer.neighbor = address(truth() ? IpFamily::v4 : IpFamily::v6);
    peer.peer_as = any() | 1U;
    peer.local_as = any();
    peer.auth_password = *rc::gen::oneOf(rc::gen::arbitrary<std::string>(), rc::gen::just(std::string(79, 'x')));
    peer.description = *rc::gen::arbitrary<std::string>();
    peer.admin_down = truth();
    peer.allow_own_as = any();
    peer.ebgp_multihop_ttl = small(257);
    peer.connect_retry_s = 1 + number(65535);
    peer.hold_time_s = 3 + number(65533);
    peer.keepalive_interval_s = number(65536);
    peer.passive = truth();
    peer.remote_port = small(65536);
    peer.graceful_restart = truth();
    peer.restart_time_s = any();
    peer.deferral_time_s = any();
    peer.long_lived_enabled = truth();
    peer.stale_routes_time_s = any();
    peer.helper_only = truth();
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6, IpFamily::v4})
      if (truth()) peer.families.push_back({family, truth(), truth(), small(3)});
    if (std::ranges::none_of(desired.peers, [&](const BgpPeerConfig& one) { return one.neighbor == peer.neighbor; }))
      desired.peers.push_back(peer);
  }
  for (std::uint32_t i = small(6); i > 0; --i) {
    const IpFamily family = truth() ? IpFamily::v4 : IpFamily::v6;
    desired.routes.insert_or_assign(BgpRoute{address(family), address(family)}, BgpPath{attributes(), any()});
  }
  for (std::uint32_t i = small(4); i > 0; --i) {
    BgpOffer offer{{}, attributes(), small(5), any() | 1U};
    for (const BgpPeerConfig& peer : desired.peers)
      if (truth()) offer.peers.insert(peer.neighbor);
    desired.audiences[any() | 1U].push_back(offer);
  }
  const std::string text = text_of(desired);
  const std::string said = refused_by_bird(text);
  RC_ASSERT(said == "" || (RC_LOG() << said << text, false));
}

}  // namespace
}  // namespace berth::bird
