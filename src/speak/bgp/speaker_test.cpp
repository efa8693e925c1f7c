#include "speak/bgp/speaker.hpp"

#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "base/testing/sim_timers.hpp"
#include "plan/testing/builders.hpp"
#include "speak/bgp/words.hpp"

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;

class FixedRng final : public Rng {
 public:
  std::uint64_t next() override { return 0; }
};

// Remembers what it was asked for, and fails as long as it is told to.
class FakeEngine final : public BgpEngine {
 public:
  explicit FakeEngine(Timers& timers) : timers_(timers) {}
  asio::awaitable<void> run(std::function<void()>) override { co_return; }
  asio::awaitable<Result<>> apply(std::shared_ptr<const BgpDesired> desired) override {
    applied.push_back(*desired);
    applied_at.push_back(timers_.now());
    if (takes > Duration{}) co_await timers_.sleep_for(takes);
    if (failures > 0) {
      --failures;
      co_return fail(ErrorCode::unavailable, "the engine is starting");
    }
    co_return Result<>{};
  }
  asio::awaitable<Result<std::vector<BgpPeerStatus>>> peers() override {
    ++peers_read;
    BgpPeerStatus status;
    status.neighbor_address = "10.0.0.254";
    std::vector<BgpPeerStatus> out{status};
    for (const std::string& neighbor : established) {
      status.neighbor_address = neighbor;
      status.session_state = SessionState::established;
      out.push_back(status);
    }
    co_return out;
  }
  [[nodiscard]] BgpRoutes routes() const override { return applied.empty() ? BgpRoutes{} : applied.back().routes; }
  [[nodiscard]] bool running() const override { return true; }
  [[nodiscard]] std::vector<BgpEngineProblem> problems() const override { return engine_problems; }
  [[nodiscard]] BgpEngineCounters counters() const override { return {}; }
  std::set<IpAddress> take_callers() override { return std::exchange(callers, {}); }
  asio::awaitable<Result<>> stop(BgpStop how) override {
    stopped = how;
    stopped_at = timers_.now();
    co_return Result<>{};
  }

  std::vector<BgpDesired> applied;
  std::vector<Instant> applied_at;
  std::vector<BgpEngineProblem> engine_problems;
  std::set<IpAddress> callers;
  std::set<std::string> established;
  int failures = 0;
  int peers_read = 0;
  Duration takes{};
  std::optional<BgpStop> stopped;
  Instant stopped_at;

 private:
  Timers& timers_;
};

BgpConf conf() {
  BgpConf out;
  out.name = "default";
  out.as = 65000;
  return out;
}
BgpPeer peer() {
  BgpPeer out;
  out.name = "router";
  out.has_conf = true;
  out.neighbor_address = "10.0.0.254";
  out.peer_as = 65100;
  return out;
}
Objects ordinary() {
  const Service web = service("web", served("lan", "192.0.2.1"));
  return {.services = {web},
          .blocks = {block({{"192.0.2.1", held(web, "lan")}})},
          .nodes = {node("a", "10.0.0.1")},
          .slices = {slice(web, {ready_on("a")})},
          .confs = {conf()},
          .peers = {peer()}};
}

class Speaker : public ::testing::Test {
 protected:
  void start() {
    tasks_.spawn("speaker", speaker_.run());
    timers_.run_for(1ms);
  }
  void change(Objects objects) {
    fill(world_, std::move(objects));
    speaker_.look_again();
    timers_.run_for(1ms);
  }
  void stop(BgpStop how, Duration notice) {
    tasks_.cancel();
    timers_.run_for(0s);
    ends_.spawn("stop", speaker_.stop(how, notice));
    timers_.run_for(1min);
    EXPECT_EQ(ends_.size(), 0U);
  }

  asio::io_context io_{1};
  SimTimers timers_{io_};
  FixedRng rng_;
  World world_;
  FakeEngine engine_{timers_};
  BgpSpeaker speaker_{io_.get_executor(), timers_, rng_, world_, engine_, {.node = "a"}};
  TaskGroup tasks_{io_.get_executor()};
  TaskGroup ends_{io_.get_executor()};
};

struct WithBfd : Speaker {
  std::vector<std::vector<BfdPeer>> wanted;
  BfdReport report{{BfdStatus{.neighbor = *IpAddress::parse("10.0.0.254"), .up = true, .state = "Up"}}, {}, {}};

  void SetUp() override {
    speaker_.on_bfd_wanted([this](std::vector<BfdPeer> peers) { wanted.push_back(std::move(peers)); });
    Objects all = ordinary();
    all.peers.front().bfd = BgpPeer::Bfd{.min_tx_ms = 50};
    world_ = world(std::move(all));
    start();
    tell();
  }
  void tell() {
    speaker_.bfd_changed(report);
    timers_.run_for(1ms);
  }
  bool is_held() { return engine_.applied.back().peers.at(0).admin_down; }
};

TEST_F(WithBfd, IsAskedForOnceForEachConfiguration) {
  ASSERT_EQ(wanted.size(), 1U);
  ASSERT_EQ(wanted.back().size(), 1U);
  EXPECT_EQ(wanted.back().front().settings.min_tx, 50ms);
  change(ordinary());
  ASSERT_EQ(wanted.size(), 2U);
  EXPECT_TRUE(wanted.back().empty());
}

TEST_F(WithBfd, ASessionGoesDownWithItAndMayComeBack) {
  EXPECT_FALSE(is_held());
  ++report.sessions.front().downs;
  report.sessions.front().up = false;
  tell();
  EXPECT_TRUE(is_held());
  EXPECT_EQ(engine_.applied.back().routes.size(), 1U) << "the routes are not another router's fault";
  timers_.run_for(2s);
  EXPECT_FALSE(is_held());
  EXPECT_EQ(wanted.size(), 1U) << "BFD goes on meanwhile";
}

TEST_F(WithBfd, ABadEditKeepsThePeerAsItWasConfiguredNotAsItWasHeld) {
  ++report.sessions.front().downs;
  tell();
  Objects bad = ordinary();
  bad.peers.front().bfd = BgpPeer::Bfd{.min_tx_ms = 5};
  change(std::move(bad));
  ASSERT_EQ(speaker_.problems().size(), 1U);
  EXPECT_NE(speaker_.problems().front().text.find("spec.bfd.minTxIntervalMs 5 is not from 10 to 60000"), std::string::npos);
  timers_.run_for(2s);
  EXPECT_FALSE(is_held());
}

TEST_F(WithBfd, CountersAloneAreNothingToPlanFor) {
  const auto before = speaker_.counters().plans;
  ++report.sessions.front().received;
  tell();
  EXPECT_EQ(speaker_.counters().plans, before);
}

TEST_F(Speaker, ASessionThatIsUpSaysHowManyPrefixesItsRouterIsToldOf) {
  engine_.established = {"10.0.0.254"};
  Objects all = ordinary();
  world_ = world(all);
  start();
  const auto told = [&] {
    std::vector<std::uint32_t> out;
    for (const BgpPeerStatus& session : speaker_.sessions()) out.push_back(session.prefixes);
    return out;
  };
  EXPECT_EQ(told(), (std::vector<std::uint32_t>{0, 1})) << "the first is not up";
  const Service more = service("more", served("lan", "192.0.2.2"));
  all.services.push_back(more);
  all.slices.push_back(slice(more, {ready_on("a")}));
  all.blocks.front().addresses.emplace(ip("192.0.2.2"), held(more, "lan"));
  change(std::move(all));
  timers_.run_for(20s);
  EXPECT_EQ(told(), (std::vector<std::uint32_t>{0, 2}));
}

TEST_F(Speaker, WhoConnectsOfARangeIsAPeerAsLongAsItHasASession) {
  Objects all = ordinary();
  all.peers.front().neighbor_address = "10.9.0.0/24";
  world_ = world(std::move(all));
  start();
  EXPECT_TRUE(engine_.applied.back().peers.empty());
  EXPECT_EQ(engine_.applied.back().ranges.size(), 1U);

  const IpAddress router = *IpAddress::parse("10.9.0.7");
  engine_.callers = {router, *IpAddress::parse("10.8.0.7")};
  speaker_.engine_changed();
  timers_.run_for(1s);
  ASSERT_EQ(engine_.applied.back().peers.size(), 1U) << "strangers stay strangers";
  EXPECT_EQ(engine_.applied.back().peers.front().neighbor, router);

  engine_.established = {"10.9.0.7"};
  timers_.run_for(1h);
  EXPECT_EQ(engine_.applied.back().peers.size(), 1U);
  engine_.established.clear();
  timers_.run_for(Callers::patience / 2);
  EXPECT_EQ(engine_.applied.back().peers.size(), 1U) << "it may come back";
  timers_.run_for(Callers::patience);
  EXPECT_TRUE(engine_.applied.back().peers.empty());
}

TEST_F(Speaker, WhoIsHeardOnALinkIsAPeer) {
  std::set<Zone> wanted;
  speaker_.on_links_wanted([&](std::set<Zone> links) { wanted = std::move(links); });
  const Zone eth1 = *Zone::of("eth1"), eth2 = *Zone::of("eth2");
  Objects all = ordinary();
  all.peers.front().neighbor_address.clear();
  all.peers.front().neighbor_interface = "eth1";
  world_ = world(std::move(all));
  start();
  EXPECT_EQ(wanted, std::set{eth1});
  EXPECT_TRUE(engine_.applied.back().ranges.empty()) << "nobody has to connect";
  EXPECT_FALSE(engine_.applied.back().own_next_hops.empty());

  const IpAddress router = *IpAddress::parse("fe80::1");
  speaker_.router_heard(router.in(eth2));
  timers_.run_for(1s);
  EXPECT_TRUE(engine_.applied.back().peers.empty());
  speaker_.router_heard(router.in(eth1));
  timers_.run_for(1s);
  ASSERT_EQ(engine_.applied.back().peers.size(), 1U);
  EXPECT_EQ(engine_.applied.back().peers.front().neighbor, router.in(eth1));
  for (int i = 0; i < 120; ++i) {
    timers_.run_for(10s);
    speaker_.router_heard(router.in(eth1));
  }
  EXPECT_EQ(engine_.applied.back().peers.size(), 1U) << "as long as it is heard";
  timers_.run_for(Callers::patience + 20s);
  EXPECT_TRUE(engine_.applied.back().peers.empty());
}

TEST_F(Speaker, WhyNothingIsHeardOnALinkIsTold) {
  Objects all = ordinary();
  all.peers.front().neighbor_address.clear();
  all.peers.front().neighbor_interface = "eth1";
  world_ = world(std::move(all));
  start();
  speaker_.links_changed({{*Zone::of("eth1"), "eth1: there is no such interface"}, {*Zone::of("eth2"), "not asked for"}});
  timers_.run_for(1s);
  ASSERT_EQ(speaker_.problems().size(), 1U);
  EXPECT_EQ(speaker_.problems().front().text, "spec.conf.neighborInterface: eth1: there is no such interface");
  speaker_.links_changed({});
  timers_.run_for(1s);
  EXPECT_TRUE(speaker_.problems().empty());
}

TEST_F(Speaker, ARouterOnALinkThatTakesOnePathIsToldToHearTooLittle) {
  Objects all = ordinary();
  all.peers.front().neighbor_address.clear();
  all.peers.front().neighbor_interface = "eth1";
  all.nodes.push_back(node("b", "10.0.0.2"));
  world_ = world(std::move(all));
  start();
  speaker_.router_heard(*IpAddress::parse_scoped("fe80::1%eth1"));
  timers_.run_for(1s);
  EXPECT_TRUE(speaker_.problems().empty());
  engine_.established = {"fe80::1%eth1"};
  timers_.run_for(20s);
  ASSERT_EQ(speaker_.problems().size(), 1U);
  EXPECT_EQ(speaker_.problems().front().text, one_path_on_a_link_text);
}

TEST_F(Speaker, ANodeThatDoesNotAnswerAnyMoreIsNoNextHop) {
  ProbeTargets wanted;
  speaker_.on_probes_wanted([&](ProbeTargets targets) { wanted = std::move(targets); });
  Objects all = ordinary();
  all.nodes.push_back(node("b", "10.0.0.2"));
  world_ = world(std::move(all));
  start();
  EXPECT_EQ(wanted, (ProbeTargets{{"b", *IpAddress::parse("10.0.0.2")}})) << "all but ourselves";
  EXPECT_EQ(engine_.applied.back().routes.size(), 2U);
  speaker_.probes_changed({{"b", true}});
  speaker_.probes_changed({{"b", false}});
  timers_.run_for(200ms);
  EXPECT_EQ(engine_.applied.back().routes.size(), 1U);
  speaker_.probes_changed({{"b", true}});
  timers_.run_for(200ms);
  EXPECT_EQ(engine_.applied.back().routes.size(), 2U);
}

TEST_F(Speaker, NothingIsAppliedBeforeEverySourceWasListed) {
  const ResourceVersion version{"1"};
  const Objects all = ordinary();
  start();
  const auto then = [&](auto list) {
    EXPECT_EQ(engine_.applied.size(), 0U);
    list();
    speaker_.look_again();
    timers_.run_for(30s);
  };
  then([&] { world_.nodes.replace(all.nodes, version, true); });
  then([&] { world_.services.replace(all.services, version, true); });
  then([&] { world_.blocks.replace(all.blocks, version, true); });
  then([&] { world_.endpoint_slices.replace(all.slices, version, true); });
  then([&] { world_.bgp_confs.replace(all.confs, version, true); });
  then([&] { world_.bgp_peers.replace(all.peers, version, true); });
  ASSERT_EQ(engine_.applied.size(), 1U);
  EXPECT_EQ(engine_.applied[0].routes.size(), 1U);
  EXPECT_EQ(engine_.applied[0].peers.size(), 1U);
  EXPECT_TRUE(speaker_.applied());
}

TEST_F(Speaker, PasswordsAndPoliciesAreWaitedForButNotForEver) {
  const ResourceVersion version{"1"};
  Objects all = ordinary();
  all.peers[0].password_secret = "tor";
  world_ = world(std::move(all));
  world_.password_secrets = {};
  start();
  timers_.run_for(2s);
  EXPECT_TRUE(engine_.applied.empty());
  timers_.run_for(2s);
  ASSERT_EQ(engine_.applied.size(), 1U) << "who may not read Secrets loses this session only";
  EXPECT_TRUE(engine_.applied[0].peers.empty());
  world_.password_secrets.replace({{"tor", version, "hush"}}, version, true);
  speaker_.look_again();
  timers_.run_for(100ms);
  ASSERT_EQ(engine_.applied.size(), 2U);
  EXPECT_EQ(engine_.applied[1].peers.at(0).auth_password, "hush");
}

TEST_F(Speaker, WhatTheEngineCannotDoIsAProblemOfItsObject) {
  world_ = world(ordinary());
  engine_.engine_problems = {{"router", "it can't"}, {"", "nor that"}, {"gone", "whatever"}};
  start();
  timers_.run_for(100ms);
  ASSERT_EQ(speaker_.problems().size(), 2U);
  EXPECT_EQ(speaker_.problems()[0].kind, "BgpPeer");
  EXPECT_EQ(speaker_.problems()[1].kind, "BgpConf");
  EXPECT_EQ(speaker_.problems()[1].text, "nor that");
}

TEST_F(Speaker, WhatDidNotChangeIsNotAppliedAgain) {
  world_ = world(ordinary());
  start();
  for (int i = 0; i < 5; ++i) {
    speaker_.look_again();
    timers_.run_for(1s);
  }
  EXPECT_EQ(engine_.applied.size(), 1U);
}

TEST_F(Speaker, AChangeIsAppliedAtOnce) {
  world_ = world(ordinary());
  start();
  Objects objects = ordinary();
  objects.blocks = {block({{"192.0.2.1", freeing(objects.services[0], "lan", "m")}})};
  change(objects);
  ASSERT_EQ(engine_.applied.size(), 2U);
  EXPECT_TRUE(engine_.applied[1].routes.empty());
  EXPECT_EQ(engine_.applied[1].peers.size(), 1U) << "the session stays";
  EXPECT_EQ(speaker_.counters().convergences, 2U);
}

TEST_F(Speaker, AFailureIsTriedAgainWithBackOffAndForgottenAfterSuccess) {
  world_ = world(ordinary());
  engine_.failures = 4;
  start();
  EXPECT_FALSE(speaker_.applied());
  EXPECT_EQ(speaker_.last_error(), "the engine is starting");
  timers_.run_for(10s);
  ASSERT_EQ(engine_.applied.size(), 5U);
  EXPECT_TRUE(speaker_.applied());
  EXPECT_EQ(speaker_.last_error(), "");
  EXPECT_EQ(speaker_.counters().failures, 4U);
  EXPECT_EQ(speaker_.counters().convergences, 1U);
  EXPECT_DOUBLE_EQ(speaker_.counters().convergence_seconds, seconds(engine_.applied_at[4] - engine_.applied_at[0]));
  Duration before{};
  for (std::size_t i = 1; i < engine_.applied_at.size(); ++i) {
    const Duration wait = engine_.applied_at[i] - engine_.applied_at[i - 1];
    EXPECT_GT(wait, before) << i;
    before = wait;
  }
}

// One peer that gobgpd refuses must not make all others wait for their routes.
TEST_F(Speaker, WhatIsAskedForSinceAFailureDoesNotWaitForIt) {
  world_ = world(ordinary());
  engine_.failures = 6;
  start();
  timers_.run_for(4s);
  const std::size_t attempts = engine_.applied.size();
  Objects objects = ordinary();
  objects.slices.clear();
  change(objects);
  timers_.run_for(50ms);
  ASSERT_EQ(engine_.applied.size(), attempts + 1);
  EXPECT_TRUE(engine_.applied.back().routes.empty());
}

TEST_F(Speaker, AnEngineThatLostItsStateIsFilledAgainWithoutWaiting) {
  world_ = world(ordinary());
  start();
  speaker_.engine_changed();
  timers_.run_for(1ms);
  ASSERT_EQ(engine_.applied.size(), 2U);
  EXPECT_EQ(engine_.applied[0], engine_.applied[1]);
}

TEST_F(Speaker, AChangeDuringAnApplyIsNotLost) {
  world_ = world(ordinary());
  engine_.takes = 100ms;
  start();
  Objects objects = ordinary();
  objects.slices.clear();
  change(objects);
  EXPECT_EQ(engine_.applied.size(), 1U) << "one at a time";
  timers_.run_for(1s);
  ASSERT_EQ(engine_.applied.size(), 2U);
  EXPECT_TRUE(engine_.applied[1].routes.empty());
}

TEST_F(Speaker, AnEngineChangeDuringAnApplyIsNotLost) {
  world_ = world(ordinary());
  engine_.takes = 100ms;
  start();
  speaker_.engine_changed();
  timers_.run_for(1s);
  EXPECT_EQ(engine_.applied.size(), 2U);
}

TEST_F(Speaker, AnUnpublishedRouteIsWithdrawnWhenItsTimeIsOver) {
  Objects objects = ordinary();
  objects.services[0].ingress.clear();
  world_ = world(objects);
  start();
  EXPECT_EQ(engine_.applied.back().routes.size(), 1U);
  timers_.run_for(2s);
  EXPECT_TRUE(engine_.applied.back().routes.empty());
}

TEST_F(Speaker, WithoutAConfNothingIsSpoken) {
  Objects objects = ordinary();
  objects.confs.clear();
  world_ = world(objects);
  start();
  ASSERT_LE(engine_.applied.size(), 1U);
  EXPECT_FALSE(speaker_.desired().global);
  EXPECT_TRUE(speaker_.desired().routes.empty());
  EXPECT_EQ(engine_.peers_read, 0);
}

TEST_F(Speaker, ABadEditIsReportedAndTheSessionStays) {
  world_ = world(ordinary());
  start();
  Objects objects = ordinary();
  objects.peers[0].hold_time = "1";
  change(objects);
  EXPECT_EQ(engine_.applied.size(), 1U);
  EXPECT_EQ(speaker_.problems().size(), 1U);
}

TEST_F(Speaker, SessionsAreReadNowAndThenAndWhenTheEngineSaysSo) {
  world_ = world(ordinary());
  start();
  EXPECT_EQ(engine_.peers_read, 1);
  EXPECT_EQ(speaker_.sessions().size(), 1U);
  timers_.run_for(25s);
  EXPECT_EQ(engine_.peers_read, 3);
  speaker_.engine_changed();
  timers_.run_for(1ms);
  EXPECT_EQ(engine_.peers_read, 4);
}

TEST_F(Speaker, ADrainTellsRoutersFirstAndWaits) {
  world_ = world(ordinary());
  start();
  const Instant begun = timers_.now();
  stop(BgpStop::drain, 5s);
  ASSERT_EQ(engine_.applied.size(), 2U);
  EXPECT_EQ(engine_.applied[1].routes.size(), engine_.applied[0].routes.size()) << "not yet withdrawn";
  for (const auto& [route, path] : engine_.applied[1].routes)
    EXPECT_EQ(path.attributes.communities, std::vector{graceful_shutdown_community}) << "RFC 8326";
  EXPECT_EQ(engine_.stopped, BgpStop::drain);
  EXPECT_EQ(engine_.stopped_at - begun, 5s);
}

TEST_F(Speaker, ARestartChangesNothingForTheRouters) {
  world_ = world(ordinary());
  start();
  const Instant begun = timers_.now();
  stop(BgpStop::restart, 5s);
  EXPECT_EQ(engine_.applied.size(), 1U);
  EXPECT_EQ(engine_.stopped, BgpStop::restart);
  EXPECT_EQ(engine_.stopped_at, begun);
}

TEST_F(Speaker, ADrainWithoutAnEngineDoesNotWait) {
  world_ = world(ordinary());
  start();
  engine_.failures = 1;
  const Instant begun = timers_.now();
  stop(BgpStop::drain, 5s);
  EXPECT_EQ(engine_.stopped_at, begun);
}

}  // namespace
}  // namespace berth
