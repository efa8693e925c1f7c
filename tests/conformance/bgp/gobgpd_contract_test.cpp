// What Berth believes of gobgpd, shown with a real one; and with the simulated one of tests/sim/bgp, so that it stays honest.
#include <gtest/gtest.h>

#include "gobgp/translate.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t our_as = 64512;

const BgpGlobal our_global{.as = our_as, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};

BgpRoute route(std::uint32_t number, std::uint32_t next_hop = 1) {
  return {IpAddress::v4(0xCB007100U + number), IpAddress::v4(0x0A000000U + next_hop)};
}
RouteAtRouter at_router(std::uint32_t number, std::uint32_t next_hop = 1) {
  return {route(number, next_hop).address, route(number, next_hop).next_hop};
}

class GobgpdContract : public ::testing::TestWithParam<std::unique_ptr<Gobgpd> (*)()> {
 protected:
  void start() {
    ASSERT_TRUE(run(api().start_bgp(gobgp::to_api(our_global).value())));
    ASSERT_TRUE(run(api().set_policies(gobgp::policies({}, {}))));
    for (auto& assignment : gobgp::policy_assignments({})) ASSERT_TRUE(run(api().set_policy_assignment(std::move(assignment))));
  }
  gobgp::Api& api() { return gobgpd_->api(); }
  template <class T>
  T run(asio::awaitable<T> call) {
    return gobgpd_->run(std::move(call));
  }
  bool eventually(const std::function<bool()>& so, Duration patience = 20s) { return gobgpd_->eventually(so, patience); }
  bool has(std::size_t router, const std::set<RouteAtRouter>& routes) {
    if (eventually([&] { return gobgpd_->table(router) == routes; })) return true;
    for (const RouteAtRouter& route : gobgpd_->table(router))
      ADD_FAILURE() << "router " << router << " has " << route.address.to_string() << " via " << route.next_hop.to_string();
    return false;
  }

  BgpPeerConfig add_router(RouterKind kind = {}) {
    BgpPeerConfig out = gobgpd_->add_router(kind);
    out.connect_retry_s = 1;
    out.deferral_time_s = 4;
    out.families = {{IpFamily::v4, true, false, 10}};
    return out;
  }
  Result<> add(const BgpPeerConfig& peer, bool restarting = false) {
    return run(api().add_peer(gobgp::to_api(peer, our_global, restarting)));
  }
  Result<> update(const BgpPeerConfig& peer) { return run(api().update_peer(gobgp::to_api(peer, our_global, false))); }
  std::vector<BgpPeerConfig> peers() {
    std::vector<BgpPeerConfig> out;
    const auto listed = run(api().list_peers());
    if (!listed) return out;
    for (const api::Peer& peer : *listed)
      if (auto read = gobgp::peer_from_api(peer)) out.push_back(std::move(*read));
    return out;
  }
  bool is_up(std::size_t number) {
    return eventually([&] {
      const auto listed = run(api().list_peers());
      return listed && listed->size() > number && gobgp::status_from_api((*listed)[number]).session_state == SessionState::established;
    });
  }
  Result<> change(std::vector<api::Path> paths) { return run(api().change_paths(std::move(paths))); }
  std::map<std::pair<BgpRoute, std::uint32_t>, BgpPath> paths() {
    std::map<std::pair<BgpRoute, std::uint32_t>, BgpPath> out;
    const auto listed = run(api().list_paths(gobgp::family_of(IpFamily::v4)));
    if (!listed) return out;
    for (const api::Path& path : *listed)
      if (const auto read = gobgp::path_from_api(path)) out.emplace(std::pair{read->route, read->path.id}, read->path.path);
    return out;
  }

  std::unique_ptr<Gobgpd> gobgpd_ = GetParam()();
};

TEST_P(GobgpdContract, BeforeItsStartItHasNoNumberAndTakesNothing) {
  const auto global = run(api().get_bgp());
  ASSERT_TRUE(global);
  EXPECT_EQ(global->asn(), 0U);
  EXPECT_FALSE(change({gobgp::to_api(route(1), 1, {})}));
  BgpPeerConfig peer;
  peer.neighbor = *IpAddress::parse("127.0.0.9");
  peer.peer_as = 65000;
  EXPECT_FALSE(add(peer));
}

TEST_P(GobgpdContract, ItShowsTheServerWithDefaultsFilledIn) {
  start();
  const auto global = run(api().get_bgp());
  ASSERT_TRUE(global);
  EXPECT_EQ(gobgp::from_api(*global), gobgp::as_shown(our_global));
}

TEST_P(GobgpdContract, ItShowsPeersWithDefaultsFilledIn) {
  start();
  std::vector<BgpPeerConfig> given(4);
  for (std::size_t i = 0; i < given.size(); ++i) {
    given[i].neighbor = IpAddress::v4(0x7F000020U + static_cast<std::uint32_t>(i));
    given[i].peer_as = 65000;
    given[i].admin_down = true;
  }
  given[1].graceful_restart = false;
  given[1].families = {{IpFamily::v4, false, false, 0}, {IpFamily::v6, false, true, 20}};
  given[2].auth_password = "secret";
  given[2].ebgp_multihop_ttl = 7;
  given[2].passive = true;
  given[2].remote_port = 1790;
  given[2].hold_time_s = 9;
  given[2].minimum_advertisement_interval_s = 3;
  given[2].description = "the third";
  given[3].peer_as = our_as;
  given[3].allow_own_as = 2;
  given[3].helper_only = true;
  given[3].restart_time_s = 77;
  std::vector<BgpPeerConfig> shown;
  for (const BgpPeerConfig& peer : given) {
    EXPECT_TRUE(add(peer));
    shown.push_back(gobgp::as_shown(peer, our_global));
  }
  std::vector<BgpPeerConfig> listed = peers();
  std::ranges::sort(listed, {}, &BgpPeerConfig::neighbor);
  EXPECT_EQ(listed, shown);
}

TEST_P(GobgpdContract, APeerIsAddedOnceAndOnlyWhatIsThereCanBeChanged) {
  start();
  BgpPeerConfig peer;
  peer.neighbor = *IpAddress::parse("127.0.0.9");
  peer.peer_as = 65000;
  EXPECT_FALSE(update(peer));
  EXPECT_FALSE(run(api().delete_peer("127.0.0.9")));
  EXPECT_TRUE(add(peer));
  EXPECT_FALSE(add(peer));
  EXPECT_TRUE(update(peer));
  EXPECT_TRUE(run(api().delete_peer("127.0.0.9")));
  EXPECT_TRUE(peers().empty());
  peer.peer_as = our_as;
  peer.remove_private_as = "ALL";
  EXPECT_FALSE(add(peer));
}

TEST_P(GobgpdContract, APathIsKnownByItsNumber) {
  start();
  BgpPath marked;
  marked.attributes.med = 5;
  marked.audience = 9;
  EXPECT_TRUE(change({gobgp::to_api(route(1, 1), 1, {}), gobgp::to_api(route(1, 2), 2, marked)}));
  EXPECT_EQ(paths(), (std::map<std::pair<BgpRoute, std::uint32_t>, BgpPath>{{{route(1, 1), 1}, {}}, {{route(1, 2), 2}, marked}}));
  EXPECT_TRUE(change({gobgp::to_api(route(1, 3), 1, {})}));
  EXPECT_EQ(paths(), (std::map<std::pair<BgpRoute, std::uint32_t>, BgpPath>{{{route(1, 3), 1}, {}}, {{route(1, 2), 2}, marked}}));
  EXPECT_TRUE(change({gobgp::withdrawal(route(1, 3), 1), gobgp::withdrawal(route(7, 3), 1)}));
  EXPECT_EQ(paths(), (std::map<std::pair<BgpRoute, std::uint32_t>, BgpPath>{{{route(1, 2), 2}, marked}}));
  const auto listed = run(api().list_paths(gobgp::family_of(IpFamily::v4)));
  ASSERT_TRUE(listed && listed->size() == 1);
  EXPECT_FALSE(gobgp::is_received(listed->front()));
}

TEST_P(GobgpdContract, OfAMessageWithAPathThatItCanNotReadNothingIsDone) {
  start();
  api::Path none = gobgp::to_api(route(2), 1, {});
  none.clear_pattrs();
  none.add_pattrs()->mutable_origin();
  EXPECT_FALSE(change({gobgp::to_api(route(1), 1, {}), none}));
  EXPECT_TRUE(paths().empty());
}

TEST_P(GobgpdContract, APolicyIsAssignedByANameThatIsThere) {
  ASSERT_TRUE(run(api().start_bgp(gobgp::to_api(our_global).value())));
  EXPECT_FALSE(run(api().set_policy_assignment(gobgp::policy_assignments({}).front())));
  EXPECT_TRUE(run(api().set_policies(gobgp::policies({}, {}))));
  EXPECT_TRUE(run(api().set_policy_assignment(gobgp::policy_assignments({}).front())));
  EXPECT_TRUE(run(api().set_policies(gobgp::policies({{3, {}}}, {})))) << "what is assigned stays so, by name";
}

TEST_P(GobgpdContract, AStoppedServerSaysSoForEver) {
  start();
  EXPECT_TRUE(run(api().stop_bgp(true)));
  for (int i = 0; i < 2; ++i) {
    const auto global = run(api().get_bgp());
    ASSERT_FALSE(global);
    EXPECT_NE(global.error().text.find("server stopped"), std::string::npos) << global.error().text;
  }
  EXPECT_FALSE(run(api().start_bgp(gobgp::to_api(our_global).value())));
}

TEST_P(GobgpdContract, ASessionComesUpAndIsToldOf) {
  start();
  const BgpPeerConfig peer = add_router();
  auto told = std::make_shared<std::vector<api::Peer>>();
  asio::co_spawn(gobgpd_->executor(),
                 api().watch_peers([told](std::vector<api::Peer> changed) { std::ranges::move(changed, std::back_inserter(*told)); }),
                 [](const std::exception_ptr&, const Error&) {});
  gobgpd_->pass(200ms);
  EXPECT_TRUE(change({gobgp::to_api(route(1, 1), 1, {}), gobgp::to_api(route(1, 2), 2, {})}));
  EXPECT_TRUE(add(peer));
  EXPECT_TRUE(is_up(0));
  EXPECT_TRUE(has(0, {at_router(1, 1), at_router(1, 2)}));
  EXPECT_TRUE(eventually([&] {
    return std::ranges::any_of(*told, [&](const api::Peer& one) {
      return one.state().neighbor_address() == peer.neighbor.to_string() &&
             gobgp::status_from_api(one).session_state == SessionState::established;
    });
  }));
  const auto listed = run(api().list_peers());
  ASSERT_TRUE(listed && listed->size() == 1);
  const BgpPeerStatus status = gobgp::status_from_api(listed->front());
  EXPECT_TRUE(status.graceful_restart);
  EXPECT_TRUE(status.add_path_send);
}

TEST_P(GobgpdContract, ARouterWithoutAddPathGetsOneOfAll) {
  start();
  EXPECT_TRUE(add(add_router({.several_paths = false})));
  EXPECT_TRUE(is_up(0));
  for (const std::uint32_t next_hop : {1U, 2U}) {
    EXPECT_TRUE(change({gobgp::to_api(route(1, next_hop), next_hop, {})}));
    EXPECT_TRUE(has(0, {at_router(1, next_hop)})) << "of equal ones the newest";
  }
  EXPECT_TRUE(change({gobgp::withdrawal(route(1, 2), 2)}));
  EXPECT_TRUE(has(0, {at_router(1, 1)}));
}

TEST_P(GobgpdContract, ItListsTheBestPathOfAPrefixFirst) {
  start();
  const auto listed = [&] {
    std::vector<std::uint32_t> out;
    const auto paths = run(api().list_paths(gobgp::family_of(IpFamily::v4)));
    if (paths)
      for (const api::Path& path : *paths) out.push_back(path.identifier());
    return out;
  };
  BgpPath preferred, unwanted;
  preferred.attributes.local_pref = 200;
  unwanted.attributes.med = 5;
  EXPECT_TRUE(change({gobgp::to_api(route(1, 1), 1, {}), gobgp::to_api(route(1, 2), 2, preferred), gobgp::to_api(route(1, 3), 3, unwanted),
                      gobgp::to_api(route(1, 4), 4, {})}));
  EXPECT_EQ(listed(), (std::vector<std::uint32_t>{2, 4, 1, 3}));
  EXPECT_TRUE(change({gobgp::to_api(route(1, 1), 1, {})}));
  EXPECT_EQ(listed(), (std::vector<std::uint32_t>{2, 1, 4, 3})) << "what is told again is new";
}

// What waits for a router is sent together, and then not in order: src/gobgp/doubts.hpp.
TEST_P(GobgpdContract, WithoutAddPathTwoBestPathsAtOnceMayArriveTheOtherWayRoundAndASoftResetCuresIt) {
  start();
  const BgpPeerConfig peer = add_router({.several_paths = false});
  EXPECT_TRUE(add(peer));
  EXPECT_TRUE(is_up(0));
  constexpr std::uint32_t many = 100;
  std::vector<api::Path> additions, withdrawals;
  std::set<RouteAtRouter> left;
  for (std::uint32_t i = 1; i <= many; ++i) {
    BgpPath path;  // of its own: paths with the same attributes go together
    path.attributes.med = i;
    additions.push_back(gobgp::to_api(route(i, 1), 1, path));
    additions.push_back(gobgp::to_api(route(i, 2), 2, path));
    withdrawals.push_back(gobgp::withdrawal(route(i, 1), 1));
    left.insert(at_router(i, 2));
  }
  EXPECT_TRUE(change(additions));
  EXPECT_TRUE(eventually([&] { return gobgpd_->table(0).size() == many; }));
  EXPECT_TRUE(change(withdrawals));
  EXPECT_TRUE(change({gobgp::to_api(route(many + 1), 1, {})}));
  left.insert(at_router(many + 1));
  EXPECT_TRUE(eventually([&] { return gobgpd_->table(0).contains(at_router(many + 1)); })) << "after all that was told before";
  EXPECT_EQ(gobgpd_->table(0).size(), many + 1);
  EXPECT_TRUE(gobgpd_->table(0) != left) << "if gobgpd has learned to keep the order, gobgp/doubts can go";
  EXPECT_TRUE(run(api().tell_again(peer.neighbor.to_string())));
  EXPECT_TRUE(has(0, left));
}

TEST_P(GobgpdContract, OnlyWhatTheOpenMessageSaysMakesASessionBeginAnew) {
  start();
  BgpPeerConfig peer = add_router();
  EXPECT_TRUE(add(peer));
  EXPECT_TRUE(is_up(0));
  peer.hold_time_s = 60;
  EXPECT_TRUE(update(peer));
  EXPECT_EQ(peers().at(0).hold_time_s, 60U);
  EXPECT_TRUE(is_up(0));
  gobgpd_->pass(1s);
  EXPECT_EQ(gobgpd_->sessions(0), 1U);
  peer.restart_time_s = 99;
  EXPECT_TRUE(update(peer));
  EXPECT_TRUE(eventually([&] { return gobgpd_->sessions(0) == 2; }));
  EXPECT_TRUE(is_up(0));
}

// That it does not lose it otherwise is seen of a route that was withdrawn first, but not always: Berth counts on neither.
TEST_P(GobgpdContract, WhomThePolicyLeavesOutLosesARouteInASoftReset) {
  start();
  const BgpPeerConfig peer = add_router();
  EXPECT_TRUE(add(peer));
  EXPECT_TRUE(is_up(0));
  BgpPath in, out;
  in.audience = 7;
  out.audience = 8;
  EXPECT_TRUE(run(api().set_policies(gobgp::policies({{7, {{{peer.neighbor}, {}, 0, 0}}}, {8, {}}}, {}))));
  EXPECT_TRUE(change({gobgp::to_api(route(1), 1, in), gobgp::to_api(route(2), 1, in)}));
  EXPECT_TRUE(has(0, {at_router(1), at_router(2)}));
  EXPECT_TRUE(change({gobgp::to_api(route(1), 1, out), gobgp::to_api(route(2), 1, out), gobgp::to_api(route(3), 1, {})}));
  EXPECT_TRUE(has(0, {at_router(1), at_router(2), at_router(3)}));
  EXPECT_TRUE(change({gobgp::withdrawal(route(2), 1)}));
  EXPECT_TRUE(run(api().tell_again("all")));
  EXPECT_TRUE(eventually([&] {
    std::set<RouteAtRouter> table = gobgpd_->table(0);
    table.erase(at_router(2));
    return table == std::set{at_router(3)};
  }));
}

TEST_P(GobgpdContract, APeerThatSaysThatItRestartsIsToldNothingUntilAllRoutersAreThereOrTheDeferralIsOver) {
  start();
  const BgpPeerConfig peer = add_router();
  BgpPeerConfig dead = add_router();
  dead.auth_password = "not the router's";
  EXPECT_TRUE(change({gobgp::to_api(route(1), 1, {}), gobgp::to_api(route(2), 1, {})}));
  EXPECT_TRUE(add(peer, true));
  EXPECT_TRUE(add(dead, true));
  EXPECT_TRUE(eventually([&] { return gobgpd_->sessions(0) == 1; }));
  gobgpd_->pass(1s);
  EXPECT_TRUE(gobgpd_->table(0).empty());
  EXPECT_TRUE(has(0, {at_router(1), at_router(2)}));
}

// For which Berth spares such peers.
TEST_P(GobgpdContract, WhatGoesBetweenASoftResetAndTheEndOfTheDeferralIsNotWithdrawn) {
  start();
  const BgpPeerConfig peer = add_router();
  BgpPeerConfig dead = add_router();
  dead.auth_password = "not the router's";
  EXPECT_TRUE(change({gobgp::to_api(route(1), 1, {}), gobgp::to_api(route(2), 1, {})}));
  EXPECT_TRUE(add(peer, true));
  EXPECT_TRUE(add(dead, true));
  EXPECT_TRUE(eventually([&] { return gobgpd_->sessions(0) == 1; }));
  gobgpd_->pass(500ms);
  const auto listed = run(api().list_peers());
  ASSERT_TRUE(listed && listed->size() == 2);
  for (const api::Peer& one : *listed) EXPECT_TRUE(one.graceful_restart().local_restarting());
  EXPECT_TRUE(run(api().tell_again("all")));
  EXPECT_TRUE(has(0, {at_router(1), at_router(2)}));
  EXPECT_TRUE(change({gobgp::withdrawal(route(2), 1), gobgp::to_api(route(3), 1, {})}));
  EXPECT_TRUE(has(0, {at_router(1), at_router(2), at_router(3)}));
  const auto after = run(api().list_peers());
  ASSERT_TRUE(after);
  EXPECT_FALSE(std::ranges::all_of(*after, [](const api::Peer& one) { return one.graceful_restart().local_restarting(); }));
}

std::string name_of(const ::testing::TestParamInfo<std::unique_ptr<Gobgpd> (*)()>& info) { return info.index == 0 ? "Simulated" : "Real"; }
INSTANTIATE_TEST_SUITE_P(Of, GobgpdContract, ::testing::Values(make_simulated_gobgpd, make_real_gobgpd), name_of);

}  // namespace
}  // namespace berth::contract
