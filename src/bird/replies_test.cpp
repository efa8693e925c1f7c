#include "bird/replies.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace berth::bird {
namespace {

Reply reply_of(std::string_view text) {
  ReplyReader reader{1 << 20};
  EXPECT_TRUE(reader.feed(text));
  EXPECT_TRUE(reader.complete());
  return reader.take();
}

constexpr std::string_view protocols_text =
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-via_10_0_0_1 Static     master4    up     1795801465    \n"
    "1006-\n"
    "1002-peer_127_0_0_2 BGP        ---        up     1795801466    Established   \n"
    "1006-  BGP state:          Established\n"
    "     Neighbor ID:      127.0.0.2\n"
    "     Local capabilities\n"
    "       Graceful restart\n"
    "         Restart time: 120\n"
    "       ADD-PATH\n"
    "         RX:\n"
    "         TX: ipv4 ipv6\n"
    "     Neighbor capabilities\n"
    "       Graceful restart\n"
    "       ADD-PATH\n"
    "         RX: ipv4\n"
    "         TX:\n"
    "     Hold timer:       7.433/9\n"
    "     Keepalive timer:  0.667/3\n"
    "   Channel ipv4\n"
    "     Routes:         0 imported, 2 exported, 0 preferred\n"
    "     Route change stats:     received   rejected   filtered    ignored   accepted\n"
    "       Export updates:              5          1          0        ---          4\n"
    "       Export withdraws:            3        ---        ---        ---          2\n"
    "   Channel ipv6\n"
    "     Routes:         0 imported, 1 exported, 0 preferred\n"
    "1002-peer_127_0_0_3 BGP        ---        start  1795801460    Active        Socket: Connection refused\n"
    "1006-  BGP state:          Active\n"
    "     Last error:       Socket: Connection refused\n"
    "0000 \n";

TEST(Replies, AReplyComesInPieces) {
  for (std::size_t piece = 1; piece < 40; ++piece) {
    ReplyReader reader{1 << 20};
    std::string_view left = "0001 BIRD 2.0.12 ready.\n1002-a\n b\n0003 Reconfigured\n";
    std::vector<Reply> replies;
    while (!left.empty()) {
      ASSERT_TRUE(reader.feed(left.substr(0, piece)));
      left.remove_prefix(std::min(piece, left.size()));
      while (reader.complete()) replies.push_back(reader.take());
    }
    ASSERT_EQ(replies.size(), 2U);
    EXPECT_EQ(replies[0].code(), 1);
    EXPECT_EQ(replies[1].lines, (std::vector<Reply::Line>{{1002, "a"}, {1002, "b"}, {3, "Reconfigured"}}));
    EXPECT_FALSE(replies[1].failed());
  }
}

TEST(Replies, WhatIsNoReplyIsRefused) {
  for (const std::string_view text : {"hello\n", "12 x\n", "12345\n", " goes on without a beginning\n", "\n", "0001\n"}) {
    ReplyReader reader{1 << 20};
    EXPECT_FALSE(reader.feed(text)) << text;
  }
  ReplyReader endless{1 << 20};
  EXPECT_FALSE(endless.feed(std::string(100'000, '1')));
  ReplyReader long_one{100};
  EXPECT_TRUE(long_one.feed("1000-" + std::string(50, 'x') + "\n"));
  EXPECT_FALSE(long_one.feed(" " + std::string(50, 'x') + "\n"));
}

TEST(Replies, ErrorsAreTold) {
  const Reply reply = reply_of("0002-Reading configuration from bird.conf\n8002 bird.conf:3:1 syntax error\n");
  EXPECT_TRUE(reply.failed());
  EXPECT_EQ(reply.said(), "bird.conf:3:1 syntax error");
}

TEST(Replies, SessionsAreRead) {
  const auto protocols = protocols_from(reply_of(protocols_text));
  ASSERT_EQ(protocols.size(), 3U);
  EXPECT_EQ(protocols[0].kind, "Static");
  EXPECT_EQ(protocols[1], (ProtocolState{.name = "peer_127_0_0_2",
                                         .kind = "BGP",
                                         .state = "up",
                                         .since_s = 1795801466,
                                         .info = "Established",
                                         .last_error = "",
                                         .neighbor_id = "127.0.0.2",
                                         .hold_time_s = 9,
                                         .keepalive_s = 3,
                                         .add_path_send = true,
                                         .graceful_restart = true,
                                         .exported = 3,
                                         .updates = 4,
                                         .withdraws = 2}));
  EXPECT_EQ(protocols[2].last_error, "Socket: Connection refused");
  EXPECT_FALSE(protocols[2].graceful_restart);
}

TEST(Replies, AStatusHasWordsAndNoPassword) {
  const auto protocols = protocols_from(reply_of(protocols_text));
  BgpPeerConfig peer;
  peer.neighbor = *IpAddress::parse("127.0.0.2");
  peer.peer_as = 65000;
  peer.auth_password = "secret";
  const BgpGlobal global{.as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
  const BgpPeerStatus up = status_from(peer, global, protocols[1]);
  EXPECT_EQ(up.session_state, SessionState::established);
  EXPECT_EQ(up.uptime, "2026-11-27T17:44:26Z");
  EXPECT_EQ(up.router_id, "127.0.0.2");
  EXPECT_EQ(up.local_as, 64512U);
  EXPECT_TRUE(up.add_path_send && up.graceful_restart);
  EXPECT_EQ(up.last_error, "");
  const BgpPeerStatus down = status_from(peer, global, protocols[2]);
  EXPECT_EQ(down.session_state, SessionState::active);
  EXPECT_EQ(down.uptime, "");
  EXPECT_NE(down.last_error.find("a password that is not the router's looks the same (Socket: Connection refused)"), std::string::npos);
  ProtocolState cut_off = protocols[2];
  cut_off.info = "Idle";
  cut_off.last_error = "Automatic shutdown: Route limit exceeded";
  EXPECT_NE(status_from(peer, global, cut_off).last_error.find("more routes than maximumPrefixes"), std::string::npos);
  peer.passive = true;
  EXPECT_EQ(status_from(peer, global, protocols[2]).last_error, "waits for the router to connect (passiveMode)");
}

TEST(Replies, RoutesAreRead) {
  ReadRoutes read;
  routes_from(reply_of("1007-Table master4:\n"
                       " 203.0.113.2/32       blackhole [via_10_0_0_1 1795801465] * (200)\n"
                       "1008-\tType: static univ\n"
                       "1012-\tBGP.next_hop: 10.0.0.1\n"
                       " \tBGP.med: 50\n"
                       " \tBGP.local_pref: 200\n"
                       " \tBGP.community: (64512,100)\n"
                       " \t\t(1,2)\n"
                       " \tBGP.large_community: (64512, 1, 2) (3, 4, 5)\n"
                       " \tberth_audience: 4294967295\n"
                       "1007-203.0.113.1/32       blackhole [via_10_0_0_1 1795801465] * (200)\n"
                       "1012-\tBGP.next_hop: 10.0.0.1\n"
                       "1007-                     blackhole [via_10_0_0_2 1795801465] (200)\n"
                       "1012-\tBGP.next_hop: 10.0.0.2\n"
                       "1007-203.0.113.0/24       blackhole [via_10_0_0_2 1795801465] (200)\n"
                       "1012-\tBGP.next_hop: 10.0.0.2\n"
                       "1007-203.0.113.9/32       unicast [somebody 1795801465] (200)\n"
                       "0000 \n"),
              read);
  routes_from(reply_of("1007-Table master6:\n"
                       " 2001:db8::1/128      blackhole [via_2001_db8_1__1 1795801465] * (200)\n"
                       "1012-\tBGP.next_hop: 2001:db8:1::1\n"
                       "0000 \n"),
              read);
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  BgpPath marked{{{}, 50, 200}, 4294967295U};
  for (const BgpCommunity& one : {BgpCommunity{false, 64512, 100, 0}, {false, 1, 2, 0}, {true, 64512, 1, 2}, {true, 3, 4, 5}})
    marked.attributes.add(one);
  EXPECT_EQ(read.routes, (BgpRoutes{{{ip("203.0.113.1"), ip("10.0.0.1")}, {}},
                                    {{ip("203.0.113.1"), ip("10.0.0.2")}, {}},
                                    {{ip("203.0.113.2"), ip("10.0.0.1")}, marked},
                                    {{ip("203.0.113.0"), ip("10.0.0.2"), 24}, {}},
                                    {{ip("2001:db8::1"), ip("2001:db8:1::1")}, {}}}));
  EXPECT_EQ(read.others, 1U);
}

RC_GTEST_PROP(Replies, AnyBytesAreSurvived, (const std::string& bytes)) {
  ReplyReader reader{1 << 16};
  if (reader.feed("1007-" + bytes + "\n0000 \n") && reader.complete()) {
    const Reply reply = reader.take();
    ReadRoutes read;
    routes_from(reply, read);
    (void)protocols_from(reply);
  }
}

}  // namespace
}  // namespace berth::bird
