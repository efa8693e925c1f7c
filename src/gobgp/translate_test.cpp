#include "gobgp/translate.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace berth::gobgp {
namespace {

const BgpGlobal global{.as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};

BgpPeerConfig some_peer() {
  BgpPeerConfig out;
  out.object = "tor-1";
  out.neighbor = *IpAddress::parse("192.0.2.1");
  out.peer_as = 65000;
  out.auth_password = "secret";
  out.description = "top of rack";
  out.ebgp_multihop_ttl = 3;
  out.remove_private_as = "REPLACE";
  out.local_address = "192.0.2.2";
  out.bind_interface = "vrf-blue";
  out.minimum_ttl = 254;
  out.families = {{IpFamily::v6, false, false, 20, 5000}, {IpFamily::v4, true, true, 300}};
  return out;
}

// What gobgpd answers to what it was told, for those fields that it shows as they are.
TEST(Translate, APeerReadBackIsTheOneThatWasSent) {
  BgpPeerConfig plain;
  plain.neighbor = *IpAddress::parse("2001:db8::1");
  plain.peer_as = 64512;
  for (const auto& peer : {some_peer(), plain}) {
    const auto shown = peer_from_api(to_api(peer, global, true));
    ASSERT_TRUE(shown);
    EXPECT_EQ(*shown, as_shown(peer, global));
  }
}

TEST(Translate, AChangedPeerReadsBackDifferently) {
  BgpPeerConfig changed = some_peer();
  changed.auth_password = "other";
  EXPECT_NE(*peer_from_api(to_api(changed, global, false)), as_shown(some_peer(), global));
  changed = some_peer();
  changed.families[0].add_path_send_max = 21;
  EXPECT_NE(*peer_from_api(to_api(changed, global, false)), as_shown(some_peer(), global));
}

TEST(Translate, DeferralIsNeverLeftToTheEngine) {
  BgpPeerConfig peer = some_peer();
  peer.deferral_time_s = 0;
  EXPECT_EQ(to_api(peer, global, false).graceful_restart().deferral_time(), 1U);
}

TEST(Translate, OnlyARestarterSaysThatItRestarts) {
  BgpPeerConfig peer = some_peer();
  EXPECT_TRUE(to_api(peer, global, true).graceful_restart().local_restarting());
  EXPECT_FALSE(to_api(peer, global, false).graceful_restart().local_restarting());
  peer.helper_only = true;
  EXPECT_FALSE(to_api(peer, global, true).graceful_restart().local_restarting());
  peer.helper_only = false;
  peer.graceful_restart = false;
  EXPECT_FALSE(to_api(peer, global, true).graceful_restart().local_restarting());
}

TEST(Translate, AddressesThatWouldMakeTheEnginePanicAreRefused) {
  BgpGlobal wrong = global;
  wrong.listen_addresses = {"eth0"};
  EXPECT_EQ(to_api(wrong).error().code, ErrorCode::invalid);
  wrong = global;
  wrong.router_id = "::1";
  EXPECT_FALSE(to_api(wrong));
}

TEST(Translate, GlobalReadsBack) {
  EXPECT_FALSE(from_api(api::Global{}));
  api::Global shown = to_api(global).value();
  shown.add_listen_addresses("0.0.0.0");
  shown.add_listen_addresses("::");
  EXPECT_EQ(from_api(shown), as_shown(global));
}

TEST(Translate, PathsReadBack) {
  for (const auto& [address, next_hop, prefix_length] :
       std::vector<std::tuple<const char*, const char*, std::uint8_t>>{{"203.0.113.1", "10.0.0.1", 0},
                                                                       {"2001:db8::1", "2001:db8:1::1", 0},
                                                                       {"203.0.113.0", "10.0.0.1", 24},
                                                                       {"2001:db8::", "2001:db8:1::1", 64},
                                                                       {"203.0.113.1", "2001:db8:1::1", 0}}) {
    const BgpRoute route{*IpAddress::parse(address), *IpAddress::parse(next_hop), prefix_length};
    BgpPath as;
    as.attributes = {{{false, 65535, 0, 0}, {true, 64512, 1, 2}}, 10, 200};
    as.audience = 77;
    const auto read = path_from_api(to_api(route, 7, as));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->route, route);
    EXPECT_EQ(read->path, (BgpMirror::Path{7, as}));
    EXPECT_TRUE(withdrawal(route, 7).is_withdraw());
  }
}

TEST(Translate, APathOfAnotherShapeIsNotOurs) {
  api::Path path = to_api({IpAddress::v4(1), IpAddress::v4(2)}, 1, {});
  for (const std::uint32_t length : {0U, 33U}) {
    path.mutable_nlri()->mutable_prefix()->set_prefix_len(length);
    EXPECT_FALSE(path_from_api(path)) << length;
  }
  EXPECT_FALSE(path_from_api(api::Path{}));
}

TEST(Translate, APathIsReceivedWhenItNamesANeighbour) {
  api::Path path;
  path.set_neighbor_ip("invalid IP");
  EXPECT_FALSE(is_received(path));
  path.set_neighbor_ip("192.0.2.1");
  EXPECT_TRUE(is_received(path));
}

TEST(Translate, StatusHasWordsAndNoPassword) {
  api::Peer peer = to_api(some_peer(), global, false);
  peer.mutable_state()->set_session_state(6);
  peer.mutable_state()->set_router_id("invalid IP");
  peer.mutable_state()->set_disconnect_reason(2);
  peer.mutable_state()->set_disconnect_message("no\nanswer");
  peer.mutable_timers()->mutable_state()->mutable_uptime()->set_seconds(1'700'000'000);
  const BgpPeerStatus status = status_from_api(peer);
  EXPECT_EQ(status.session_state, SessionState::established);
  EXPECT_EQ(status.router_id, "");
  EXPECT_EQ(status.last_error, "hold timer expired: no answer");
  EXPECT_EQ(status.uptime, "2023-11-14T22:13:20Z");
  EXPECT_FALSE(status.add_path_send);
}

TEST(Translate, AddPathIsSentOnlyWhenTheRouterWantsIt) {
  api::Peer peer = to_api(some_peer(), global, false);
  auto& tuple = *peer.mutable_state()->add_remote_cap()->mutable_add_path()->add_tuples();
  *tuple.mutable_family() = family_of(IpFamily::v4);
  tuple.set_mode(2);
  EXPECT_FALSE(status_from_api(peer).add_path_send);
  tuple.set_mode(3);
  EXPECT_TRUE(status_from_api(peer).add_path_send);
}

RC_GTEST_PROP(Translate, AnyBytesAreSurvived, (const std::string& bytes)) {
  api::Peer peer;
  if (peer.ParseFromString(bytes)) {
    (void)status_from_api(peer);
    (void)peer_from_api(peer);
  }
  api::Path path;
  if (path.ParseFromString(bytes)) (void)path_from_api(path);
  for (std::uint32_t state = 0; state < 300; state += 7) {
    peer.mutable_state()->set_session_state(state);
    peer.mutable_state()->set_disconnect_reason(state);
    peer.mutable_timers()->mutable_state()->mutable_uptime()->set_seconds(static_cast<std::int64_t>(state) << 55);
    (void)status_from_api(peer);
  }
}

}  // namespace
}  // namespace berth::gobgp
