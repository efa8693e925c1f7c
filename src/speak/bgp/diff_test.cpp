#include "speak/bgp/diff.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace berth {
namespace {

BgpRoute route(std::uint32_t address, std::uint32_t next_hop) { return {IpAddress::v4(address), IpAddress::v4(next_hop)}; }

BgpPeerConfig peer(std::uint32_t neighbor) {
  BgpPeerConfig out;
  out.neighbor = IpAddress::v4(neighbor);
  out.peer_as = 65000;
  return out;
}

BgpDesired desired(const std::set<BgpRoute>& routes, std::vector<BgpPeerConfig> peers = {}) {
  BgpDesired out;
  out.global = BgpGlobal{.as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
  for (const BgpRoute& one : routes) out.routes.emplace(one, BgpPath{});
  out.peers = std::move(peers);
  return out;
}

// What an engine holds once the steps are done.
BgpMirror after(const BgpDesired& wanted, BgpMirror mirror, const BgpSteps& steps) {
  if (steps.stop_server) mirror = {};
  if (steps.start_server) {
    mirror = {};
    mirror.global = wanted.global;
    mirror.audiences = wanted.audiences;
  }
  for (const IpAddress& neighbor : steps.delete_peers) mirror.peers.erase(neighbor);
  for (const auto& step : steps.add_routes) mirror.routes[step.route] = {step.id, step.path};
  for (const auto& step : steps.withdraw_routes) mirror.routes.erase(step.route);
  if (steps.narrow_audiences || steps.widen_audiences) mirror.audiences = wanted.audiences;
  for (const BgpPeerConfig& p : steps.update_peers) mirror.peers[p.neighbor] = p;
  for (const BgpPeerConfig& p : steps.add_peers) mirror.peers[p.neighbor] = p;
  return mirror;
}

TEST(Diff, AFreshEngineGetsEverything) {
  const auto wanted = desired({route(1, 9), route(1, 8)}, {peer(5)});
  const BgpSteps steps = diff(wanted, {});
  EXPECT_FALSE(steps.stop_server);
  EXPECT_TRUE(steps.start_server);
  EXPECT_EQ(steps.add_routes, (std::vector<BgpSteps::RouteStep>{{route(1, 8), 1}, {route(1, 9), 2}}));
  EXPECT_EQ(steps.add_peers.size(), 1U);
}

TEST(Diff, NothingDiffersNothingIsDone) {
  const auto wanted = desired({route(1, 9)}, {peer(5)});
  EXPECT_EQ(diff(wanted, after(wanted, {}, diff(wanted, {}))).size(), 0U);
}

TEST(Diff, NothingDesiredStopsTheServer) {
  const auto wanted = desired({route(1, 9)}, {peer(5)});
  const BgpSteps steps = diff(BgpDesired{}, after(wanted, {}, diff(wanted, {})));
  EXPECT_TRUE(steps.stop_server);
  EXPECT_EQ(steps.size(), 1U);
  EXPECT_EQ(diff(BgpDesired{}, {}).size(), 0U);
}

TEST(Diff, AnotherGlobalReplaysAllAndKeepsNumbers) {
  const auto before = desired({route(1, 8), route(1, 9)}, {peer(5)});
  const BgpMirror mirror = after(before, {}, diff(before, {}));
  auto wanted = desired({route(1, 9)}, {peer(5)});
  wanted.global->as = 64513;
  const BgpSteps steps = diff(wanted, mirror);
  EXPECT_TRUE(steps.stop_server && steps.start_server);
  EXPECT_EQ(steps.add_routes, (std::vector<BgpSteps::RouteStep>{{route(1, 9), 2}}));
  EXPECT_TRUE(steps.withdraw_routes.empty());
  EXPECT_EQ(steps.add_peers.size(), 1U);
}

TEST(Diff, OnlyTheChangedPeerIsTouched) {
  const auto before = desired({}, {peer(5), peer(6), peer(7)});
  const BgpMirror mirror = after(before, {}, diff(before, {}));
  auto wanted = desired({}, {peer(5), peer(6), peer(8)});
  wanted.peers[0].description = "only a name";
  wanted.peers[0].object = "renamed";
  wanted.peers[1].hold_time_s = 9;
  const BgpSteps steps = diff(wanted, mirror);
  ASSERT_EQ(steps.update_peers.size(), 1U);
  EXPECT_EQ(steps.update_peers[0].neighbor, IpAddress::v4(6));
  EXPECT_EQ(steps.delete_peers, std::vector<IpAddress>{IpAddress::v4(7)});
  ASSERT_EQ(steps.add_peers.size(), 1U);
  EXPECT_EQ(steps.size(), 3U);
}

TEST(Diff, AMovedNextHopGetsAnotherNumberThanTheOldOne) {
  const auto before = desired({route(1, 9)});
  const BgpMirror mirror = after(before, {}, diff(before, {}));
  const BgpSteps steps = diff(desired({route(1, 8)}), mirror);
  EXPECT_EQ(steps.add_routes, (std::vector<BgpSteps::RouteStep>{{route(1, 8), 2}}));
  EXPECT_EQ(steps.withdraw_routes, (std::vector<BgpSteps::RouteStep>{{route(1, 9), 1}}));
}

TEST(Diff, GracefulShutdownMarksEveryRouteInPlace) {
  auto wanted = desired({route(1, 9), route(2, 9)});
  const BgpMirror mirror = after(wanted, {}, diff(wanted, {}));
  BgpPath marked;
  marked.attributes.add(graceful_shutdown_community);
  for (auto& [one, path] : wanted.routes) path = marked;
  const BgpSteps steps = diff(wanted, mirror);
  EXPECT_EQ(steps.add_routes, (std::vector<BgpSteps::RouteStep>{{route(1, 9), 1, marked}, {route(2, 9), 1, marked}}));
  EXPECT_TRUE(steps.withdraw_routes.empty());
}

TEST(Diff, AnAudienceIsThereBeforeItsRoutesAndGoesAfterThem) {
  auto before = desired({route(1, 9)});
  before.routes.begin()->second.audience = 7;
  before.audiences = {{7, {{{IpAddress::v4(5)}, {}, 0, 0}}}};
  const BgpMirror mirror = after(before, {}, diff(before, {}));
  EXPECT_EQ(diff(before, mirror).size(), 0U);

  auto other = before;
  other.routes.begin()->second.audience = 8;
  other.audiences = {{8, {{{IpAddress::v4(6)}, {}, 0, 0}}}};
  const BgpSteps steps = diff(other, mirror);
  EXPECT_TRUE(steps.widen_audiences && steps.narrow_audiences);
  EXPECT_TRUE(steps.tell_again) << "who is left out has to lose it";
  EXPECT_EQ(steps.add_routes.size(), 1U);

  auto wider = before;
  wider.audiences[7].front().peers.insert(IpAddress::v4(6));
  const BgpSteps more = diff(wider, mirror);
  EXPECT_TRUE(more.widen_audiences && more.tell_again) << "no route changes";
  EXPECT_FALSE(more.narrow_audiences);
  EXPECT_TRUE(more.add_routes.empty());

  BgpMirror unknown = mirror;
  unknown.audiences.reset();
  EXPECT_TRUE(diff(before, unknown).tell_again) << "after a call that failed, nobody knows";
}

RC_GTEST_PROP(Diff, StepsLeadThereAndNumbersStayUnique, ()) {
  const auto some_routes = [] {
    std::set<BgpRoute> out;
    for (const auto& [a, h] :
         *rc::gen::container<std::vector<std::pair<int, int>>>(rc::gen::pair(rc::gen::inRange(1, 5), rc::gen::inRange(1, 6))))
      out.insert(route(static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(h)));
    return out;
  };
  BgpMirror mirror;
  for (int round = 0; round < 4; ++round) {
    const auto wanted = desired(some_routes());
    mirror = after(wanted, mirror, diff(wanted, mirror));
    RC_ASSERT(diff(wanted, mirror).size() == 0U);
    std::set<std::pair<IpAddress, std::uint32_t>> numbers;
    for (const auto& [r, path] : mirror.routes) RC_ASSERT(numbers.insert({r.address, path.id}).second);
    RC_ASSERT(mirror.routes.size() == wanted.routes.size());
  }
}

}  // namespace
}  // namespace berth
