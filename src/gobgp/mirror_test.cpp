#include "gobgp/mirror.hpp"

#include <gtest/gtest.h>

#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

const BgpGlobal server{.as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
const BgpRoute route{*IpAddress::parse("192.0.2.1"), *IpAddress::parse("10.0.0.1")};
const BgpRoute other_route{*IpAddress::parse("192.0.2.2"), *IpAddress::parse("10.0.0.1")};

BgpPeerConfig peer(std::string_view address) {
  BgpPeerConfig out;
  out.neighbor = *IpAddress::parse(address);
  out.peer_as = 65000;
  return out;
}

BgpDesired desired(std::vector<BgpPeerConfig> peers) {
  BgpDesired out;
  out.global = server;
  out.peers = std::move(peers);
  return out;
}

api::Peer as_gobgpd_shows(const BgpPeerConfig& peer) { return to_api(peer, server, false); }

// What is read of a server that was given `peers` and `paths`.
Mirror read_back(const std::vector<api::Peer>& peers, const std::vector<api::Path>& paths, const BgpDesired* wanted = nullptr) {
  Mirror out;
  out.take(*to_api(server), peers, paths, wanted);
  return out;
}

TEST(Mirror, WhatIsNotShownIsBelievedIfItWasAskedFor) {
  BgpPeerConfig wanted = peer("192.0.2.9");
  wanted.object = "tor";  // which gobgpd knows nothing of
  const BgpDesired as_wanted = desired({wanted});
  EXPECT_EQ(read_back({as_gobgpd_shows(wanted)}, {}, &as_wanted).has().peers.at(wanted.neighbor).object, "tor");
  EXPECT_EQ(read_back({as_gobgpd_shows(wanted)}, {}).has().peers.at(wanted.neighbor).object, "");
  BgpPeerConfig changed = wanted;
  changed.peer_as = 65001;
  EXPECT_EQ(read_back({as_gobgpd_shows(changed)}, {}, &as_wanted).has().peers.at(wanted.neighbor).peer_as, 65001U);
}

TEST(Mirror, WhatWasAcknowledgedStandsBeforeWhatIsWished) {
  BgpPeerConfig acknowledged = peer("192.0.2.9"), wished = acknowledged;
  acknowledged.object = "before";
  wished.object = "after";
  const BgpDesired as_wished = desired({wished});
  Mirror mirror;
  mirror.started(server);
  mirror.put(acknowledged);
  mirror.take(*to_api(server), {as_gobgpd_shows(wished)}, {}, &as_wished);
  EXPECT_EQ(mirror.has().peers.at(wished.neighbor).object, "before");
}

TEST(Mirror, ANonsensicalPathIsGivenAgainUnderItsNumber) {
  Mirror mirror;
  mirror.started(server);
  Mirror::RouteSteps both;
  for (std::uint32_t number : {1U, 2U}) both.push_back({{IpAddress::v4(0xCB007101), IpAddress::v4(0x0A000000 + number)}, number, {}});
  static_cast<void>(mirror.changed(both, {}, false));
  api::Path nonsense = to_api(both[1].route, both[1].id, {});
  nonsense.set_identifier(0);
  mirror.take(*to_api(server), {}, {nonsense}, nullptr);  // and of the other one nothing is said
  BgpDesired wanted = desired({});
  for (const auto& step : both) wanted.routes.emplace(step.route, step.path);
  wanted.routes.emplace(BgpRoute{IpAddress::v4(0xCB007101), IpAddress::v4(0x0A000000)}, BgpPath{});  // a new one comes first
  std::map<BgpRoute, std::uint32_t> numbers;
  for (const auto& step : diff(wanted, mirror.has()).add_routes) numbers.emplace(step.route, step.id);
  EXPECT_EQ(numbers.at(both[0].route), 1U);
  EXPECT_EQ(numbers.at(both[1].route), 2U);
  EXPECT_EQ(numbers.at(wanted.routes.begin()->first), 3U);
}

TEST(Mirror, AForeignPathIsWithdrawnUnlessOursTakesItsNumber) {
  const api::Path without_number = to_api(route, 0, {}), of_another_prefix = to_api(other_route, 0, {});
  Mirror mirror = read_back({}, {without_number, of_another_prefix, to_api(other_route, 1, {})});
  EXPECT_EQ(mirror.has().routes.size(), 1U);
  ASSERT_EQ(mirror.foreign(), 2U);
  const Mirror::RouteSteps add{{route, 0}};
  const auto messages = mirror.messages(add, {});
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_FALSE(messages[0].is_withdraw());
  EXPECT_TRUE(messages[1].is_withdraw());
  EXPECT_EQ(messages[1].nlri().prefix().prefix(), "192.0.2.2");
  mirror.changed(add, {}, false);
  EXPECT_EQ(mirror.foreign(), 0U);
  EXPECT_EQ(mirror.has().routes.size(), 2U);
  EXPECT_EQ(mirror.withdrawals_of_all().size(), 2U);
}

TEST(Mirror, TheBestPathIsWithdrawnLast) {
  const auto via = [](std::uint32_t hop) { return BgpRoute{route.address, IpAddress::v4(0x0A000000U + hop)}; };
  const auto order = [](const Mirror& mirror, const Mirror::RouteSteps& withdraw) {
    std::vector<std::uint32_t> out;
    for (const api::Path& path : mirror.messages({}, withdraw)) out.push_back(path.identifier());
    return out;
  };
  Mirror mirror;
  mirror.started(server);
  mirror.changed({{via(1), 1}, {via(2), 2}, {via(3), 3}}, {}, false);
  mirror.changed({{via(1), 1}}, {}, false);  // made anew: now it is the newest
  const Mirror::RouteSteps all{{via(1), 1}, {via(2), 2}, {via(3), 3}};
  EXPECT_EQ(order(mirror, all), (std::vector<std::uint32_t>{2, 3, 1}));
  BgpPath preferred;
  preferred.attributes.local_pref = 200;
  mirror.changed({{via(2), 2, preferred}, {via(3), 3}}, {}, false);
  EXPECT_EQ(order(mirror, all), (std::vector<std::uint32_t>{1, 3, 2}));
  EXPECT_EQ(mirror.withdrawals_of_all().back().identifier(), 2U);
  mirror.take(*to_api(server), {}, {to_api(via(3), 3, {}), to_api(via(1), 1, {}), to_api(via(2), 2, {})}, nullptr);
  EXPECT_EQ(order(mirror, all), (std::vector<std::uint32_t>{2, 1, 3})) << "as gobgpd lists them";
}

TEST(Mirror, ANewProcessHasNothingButPathsKeepTheirNumbers) {
  Mirror mirror = read_back({as_gobgpd_shows(peer("192.0.2.9"))}, {to_api(route, 7, {})});
  mirror.put_policies({}, "", {});
  mirror.forget();
  EXPECT_FALSE(mirror.serves());
  EXPECT_TRUE(mirror.has().peers.empty());
  EXPECT_FALSE(mirror.has().audiences);
  EXPECT_EQ(mirror.has().routes.at(route).id, 7U);
}

TEST(Mirror, PeersThatASuccessorHasToAddAreExpectedBackUntilTheyAreAdded) {
  const BgpDesired wanted = desired({peer("192.0.2.8"), peer("192.0.2.9")});
  Mirror mirror = read_back({as_gobgpd_shows(wanted.peers[0])}, {}, &wanted);
  EXPECT_FALSE(mirror.is_expected_back(wanted.peers[0].neighbor));
  EXPECT_TRUE(mirror.is_expected_back(wanted.peers[1].neighbor));
  mirror.put(wanted.peers[1]);
  EXPECT_FALSE(mirror.is_expected_back(wanted.peers[1].neighbor));
  mirror.erase(wanted.peers[1].neighbor);
  mirror.take(*to_api(server), {}, {}, &wanted);
  EXPECT_FALSE(mirror.is_expected_back(wanted.peers[1].neighbor)) << "a router that loses its session hears nothing of a restart";
}

TEST(Mirror, SessionsThatWereCutOffAreToldOnce) {
  api::Peer cut_off = as_gobgpd_shows(peer("192.0.2.9"));
  cut_off.mutable_state()->set_admin_state(3);  // PFX_CT
  ASSERT_TRUE(is_cut_off(cut_off));
  Mirror mirror = read_back({cut_off}, {});
  EXPECT_EQ(mirror.take_cut_off(), std::vector<std::string>{"192.0.2.9"});
  EXPECT_TRUE(mirror.take_cut_off().empty());
}

}  // namespace
}  // namespace berth::gobgp
