// The production engine on a simulated gobgpd: stories with one call that goes wrong at the worst moment. Chance finds them in
// simulation_test.cpp; here each is told.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/task_group.hpp"
#include "gobgp/engine.hpp"
#include "process.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

BgpRoute route(std::uint32_t number, std::uint32_t next_hop = 1) {
  return {IpAddress::v4(0xCB007100U + number), IpAddress::v4(0x0A000000U + next_hop)};
}

class EngineStory : public ::testing::Test {
 protected:
  void SetUp() override {
    desired_.global = BgpGlobal{
        .as = 64512, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
    start_engine();
    time_.run_for(1s);
  }
  void start_engine() {
    engine_ = make_gobgp_engine(
        io_.get_executor(), time_, std::make_unique<SimulatedProcess>(io_.get_executor(), time_, host_),
        [this] { return std::make_shared<SimulatedApi>(io_.get_executor(), time_, host_); }, GobgpOptions{});
    tasks_->spawn("engine", engine_->run([] {}));
  }
  void TearDown() override {
    tasks_->cancel();
    time_.run_for(0s);
    EXPECT_EQ(tasks_->size(), 0U);
    if (host_.gobgpd) host_.gobgpd->kill();
    time_.run_for(1min);
  }

  SimulatedRouter& add_router(std::uint32_t number) {
    RouterOptions options;
    options.address = IpAddress::v4(0xC0000200U + number);
    options.as = 65000;
    auto router = std::make_unique<SimulatedRouter>(time_, rng_, options);
    router->on_gone = [this](const Prefix&, const RouteSeen&, Gone why) { ++gone_[why]; };
    BgpPeerConfig peer;
    peer.object = "router";
    peer.neighbor = options.address;
    peer.peer_as = options.as;
    peer.connect_retry_s = 2;
    peer.families = {{IpFamily::v4, true, false, 10}};
    desired_.peers.push_back(peer);
    return *routers_.emplace(options.address, std::move(router)).first->second;
  }

  bool apply() {
    std::optional<bool> done;
    tasks_->spawn("apply", apply_into(done));
    for (int i = 0; i < 1000 && !done; ++i) time_.run_for(20ms);
    return done.value_or(false);
  }
  asio::awaitable<void> apply_into(std::optional<bool>& done) {
    const Result<> applied = co_await engine_->apply(std::make_shared<const BgpDesired>(desired_));
    why_not_ = applied ? "" : applied.error().text;
    done = applied.has_value();
  }
  static asio::awaitable<void> stop(BgpEngine& engine) { (void)co_await engine.stop(BgpStop::restart); }
  // As the speaker: until it is so.
  void apply_until_done() {
    for (int i = 0; i < 200; ++i) {
      if (apply()) return;
      time_.run_for(50ms);
    }
    ADD_FAILURE() << "it can't be applied: " << why_not_;
  }
  // The next calls of this name meet their fate.
  void next(std::string_view call, Fate fate, int times = 1) {
    host_.fate = [fate, call, times](std::string_view name) mutable { return name == call && times-- > 0 ? fate : Fate::done; };
  }
  static std::set<BgpRoute> routes(const SimulatedRouter& router) {
    std::set<BgpRoute> out;
    for (const auto& [key, entry] : router.table()) out.insert({key.first.address, entry.route.next_hop});
    return out;
  }
  void begin() { begin_with(3); }
  void begin_with(std::size_t count) {
    for (std::uint32_t i = 1; i <= 3; ++i) desired_.routes.emplace(route(i), BgpPath{});
    apply_until_done();
    time_.run_for(20s);
    for (const auto& [address, router] : routers_) ASSERT_EQ(routes(*router).size(), count);
    gone_.clear();
  }
  void restart_with(std::string_view call, Fate fate, int times = 1) {
    next(call, fate, times);
    host_.gobgpd->kill();
    time_.run_for(1s);
    apply_until_done();
    time_.run_for(1min);
    for (const auto& [address, router] : routers_) EXPECT_EQ(routes(*router).size(), 3U);
    EXPECT_TRUE(gone_.empty()) << to_string(gone_.begin()->first);
  }

  asio::io_context io_{1};
  testing::SimTimers time_{io_};
  SimRng rng_{1};
  Routers routers_;
  GobgpHost host_{.time = time_, .rng = rng_, .routers = routers_, .faults = {}, .gobgpd = nullptr};
  std::unique_ptr<BgpEngine> engine_;
  std::optional<TaskGroup> tasks_{io_.get_executor()};
  BgpDesired desired_;
  std::map<Gone, int> gone_;
  std::string why_not_;
};

TEST_F(EngineStory, ARestartThatGoesWellLosesNothing) {
  add_router(1);
  begin();
  restart_with("nothing", Fate::done);
}

TEST_F(EngineStory, APeerThatIsAddedAtTheSecondAttemptStillSaysThatItRestarts) {
  add_router(1);
  add_router(2);
  begin();
  restart_with("AddPeer", Fate::not_done);
}

TEST_F(EngineStory, AServerWhoseStartWasNotAcknowledgedStillSaysThatItRestarts) {
  add_router(1);
  begin();
  restart_with("StartBgp", Fate::done_unsaid);
}

TEST_F(EngineStory, PeersWaitForRoutesThatCouldNotBeLoadedAfterAStart) {
  add_router(1);
  begin();
  restart_with("AddPathStream", Fate::not_done, 60);
}

TEST_F(EngineStory, NoPeerIsAddedWhileRoutesOfRoutersWouldBeTaken) {
  SimulatedRouter& first = add_router(1);
  SimulatedRouter& second = add_router(2);
  first.tell_route({IpAddress::v4(0xC6336400U), 24}, {first.options().address, {}, {}, {}, {}, 0});
  begin();
  host_.fate = [started = false, refused = 0](std::string_view name) mutable {
    if (name == "StartBgp" && !std::exchange(started, true)) return Fate::done_unsaid;
    return name == "SetPolicyAssignment" && refused++ < 60 ? Fate::not_done : Fate::done;
  };
  host_.gobgpd->kill();
  time_.run_for(1s);
  apply_until_done();
  time_.run_for(1min);
  EXPECT_EQ(second.sessions(), 2U);
  EXPECT_EQ(routes(second).size(), 3U) << "what a router tells is not passed on";
}

TEST_F(EngineStory, AnAdoptedEngineThatIsStoppedBeforeItWasReadSaysNoGoodbye) {
  add_router(1);
  begin();
  tasks_->cancel();
  time_.run_for(0s);
  const auto second = make_gobgp_engine(
      io_.get_executor(), time_, std::make_unique<SimulatedProcess>(io_.get_executor(), time_, host_),
      [this] { return std::make_shared<SimulatedApi>(io_.get_executor(), time_, host_); }, GobgpOptions{});
  TaskGroup tasks{io_.get_executor()};
  tasks.spawn("second", second->run([] {}));
  time_.run_for(0s);
  EXPECT_TRUE(second->running());
  tasks.spawn("stop", stop(*second));
  time_.run_for(30s);
  EXPECT_FALSE(host_.runs());
  EXPECT_TRUE(gone_.empty()) << to_string(gone_.begin()->first);
  tasks.cancel();
  time_.run_for(0s);
}

TEST_F(EngineStory, AServerThatSaysItRunsNothingIsNotStartedWhileNobodyKnowsItsPeers) {
  add_router(1);
  begin();
  tasks_->cancel();
  time_.run_for(0s);
  tasks_.emplace(io_.get_executor());
  start_engine();  // of another process, which finds gobgpd as it is
  host_.faults.broken = 1;
  int starts = 0;
  host_.fate = [&starts](std::string_view call) {
    if (call == "StartBgp") ++starts;
    return call == "ListPeer" ? Fate::not_done : Fate::done;
  };
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(apply());
  EXPECT_EQ(starts, 0) << "it would keep its peers, and lose its policies";
  host_.faults.broken = 0;
  host_.fate = [](std::string_view) { return Fate::done; };
  apply_until_done();
  EXPECT_TRUE(gone_.empty()) << to_string(gone_.begin()->first);
}

// ... but not for ever: a route that gobgpd will not have must not keep all sessions down.
TEST_F(EngineStory, PeersDoNotWaitForEver) {
  SimulatedRouter& router = add_router(1);
  begin();
  host_.fate = [](std::string_view name) { return name == "AddPathStream" ? Fate::not_done : Fate::done; };
  host_.gobgpd->kill();
  for (int i = 0; i < 60; ++i) {
    time_.run_for(1s);
    apply();
  }
  EXPECT_TRUE(router.up());
}

// A router that is left out, whom gobgpd tells of it only in a soft reset, while the route is there.
TEST_F(EngineStory, ARouteThatIsWithdrawnBeforeItsOldAudienceHeardIsNotLeftBehind) {
  SimulatedRouter& first = add_router(1);
  SimulatedRouter& second = add_router(2);
  begin();
  desired_.routes[route(1)].audience = 7;
  desired_.audiences[7] = {{{first.options().address, second.options().address}, {}, 0, 0}};
  apply_until_done();
  desired_.routes[route(1)].audience = 8;
  desired_.audiences = {{8, {{{first.options().address}, {}, 0, 0}}}};
  next("ResetPeer", Fate::not_done);
  EXPECT_FALSE(apply());
  desired_.routes.erase(route(1));
  desired_.audiences.clear();
  apply_until_done();
  time_.run_for(1min);
  EXPECT_EQ(routes(first), (std::set<BgpRoute>{route(2), route(3)}));
  EXPECT_EQ(routes(second), (std::set<BgpRoute>{route(2), route(3)}));
}

TEST_F(EngineStory, ARouteThatGoesWhileItsAudienceChangesIsNotLeftBehind) {
  SimulatedRouter& first = add_router(1);
  SimulatedRouter& second = add_router(2);
  begin();
  desired_.routes[route(1)].audience = 7;
  desired_.routes[route(2)].audience = 7;
  desired_.audiences[7] = {{{first.options().address, second.options().address}, {}, 0, 0}};
  apply_until_done();
  desired_.audiences[7] = {{{first.options().address}, {}, 0, 0}};
  desired_.routes.erase(route(1));
  apply_until_done();
  time_.run_for(1min);
  EXPECT_EQ(routes(first), (std::set<BgpRoute>{route(2), route(3)}));
  EXPECT_EQ(routes(second), std::set<BgpRoute>{route(3)});
}

// One route is there twice then. The number of the one that is too many may be given to the one that is missing: to take it away after that
// would be the end of a route that is wanted.
TEST_F(EngineStory, APathOfAStrangerThatIsLikeAnotherOfOursIsReplaced) {
  SimulatedRouter& router = add_router(1);
  desired_.routes.emplace(route(1, 2), BgpPath{});
  begin_with(4);
  api::Path strange;
  strange.mutable_family()->set_afi(1);
  strange.mutable_family()->set_safi(1);
  strange.add_pattrs()->mutable_origin();
  strange.add_pattrs()->mutable_next_hop()->set_next_hop("10.0.0.2");
  strange.mutable_nlri()->mutable_prefix()->set_prefix(route(1).address.to_string());
  strange.mutable_nlri()->mutable_prefix()->set_prefix_len(32);
  strange.set_identifier(1);
  ASSERT_TRUE(host_.gobgpd->change_paths({strange}));
  for (int i = 0; i < 100 && engine_->counters().drift_repaired == 0; ++i) time_.run_for(1s);
  ASSERT_GT(engine_->counters().drift_repaired, 0U);
  time_.run_for(1s);
  EXPECT_EQ(routes(router), (std::set<BgpRoute>{route(1), route(1, 2), route(2), route(3)}));
}

// After a start gobgpd keeps changes to itself for up to the deferral time, but a soft reset tells all at once: what went after it
// would never be withdrawn.
TEST_F(EngineStory, WhatGoesWhileRoutersAreNotToldYetIsNotLeftBehind) {
  SimulatedRouter& first = add_router(1);
  SimulatedRouter& dead = add_router(2);
  begin();
  desired_.routes[route(1)].audience = 7;
  desired_.audiences[7] = {{{first.options().address, dead.options().address}, {}, 0, 0}};
  apply_until_done();
  dead.cut(10min);
  host_.gobgpd->kill();
  time_.run_for(1s);
  apply_until_done();
  for (int i = 0; i < 100 && !first.up(); ++i) time_.run_for(50ms);
  ASSERT_TRUE(first.up());
  time_.run_for(1s);
  desired_.audiences[7] = {{{first.options().address}, {{{false, 64512, 1, 0}}, {}, {}}, 0, 0}};
  apply_until_done();
  time_.run_for(100ms);
  desired_.routes.erase(route(2));
  apply_until_done();
  time_.run_for(1min);
  EXPECT_EQ(routes(first), (std::set<BgpRoute>{route(1), route(3)}));
}

}  // namespace
}  // namespace berth::sim
