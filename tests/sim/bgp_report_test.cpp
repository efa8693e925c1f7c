// The real BgpReport on the simulated API server in virtual time.
#include "reconcile/bgp_report.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/task_group.hpp"
#include "base/testing/sim_timers.hpp"
#include "cluster.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;
using berth::testing::SimTimers;

class Report : public ::testing::Test {
 protected:
  Report() {
    BgpPeer router;
    router.name = "router";
    store_.put(router);
    keeper_.bgp_confs().replace({}, {"1"}, false);
    tasks_.spawn("watch", cluster_.watch(keeper_));
    tasks_.spawn("report", report_.run());
    timers_.run_for(100ms);
  }
  void TearDown() override {
    tasks_.cancel();
    timers_.run_for(0s);
  }

  void session(SessionState state, std::string last_error = "", bool admin_down = false) {
    BgpPeerStatus status;
    status.neighbor_address = "192.0.2.1";
    status.session_state = state;
    status.admin_down = admin_down;
    status.last_error = std::move(last_error);
    report_.update({.server = {}, .sessions = {{"router", status}}, .problems = {}});
    timers_.run_for(3s);
  }
  // Texts of the Events since the last time.
  std::vector<std::string> told() {
    std::vector<std::string> out;
    for (const EventRecord& event : std::exchange(events_.all, {})) out.push_back(event.reason + ": " + event.message);
    return out;
  }
  using Texts = std::vector<std::string>;

  asio::io_context io_{1};
  SimTimers timers_{io_};
  SimRng rng_{7};
  SimStore store_;
  Network network_;
  SimCluster cluster_{store_, timers_, rng_, network_};
  WorldKeeper keeper_;
  RecordingEvents events_;
  BgpReport report_{io_.get_executor(), timers_, rng_, cluster_, events_, keeper_.world(), "node1"};
  TaskGroup tasks_{io_.get_executor()};
};

TEST_F(Report, ASessionsBeginAndEndAreTold) {
  session(SessionState::established);
  EXPECT_EQ(told(), Texts{"SessionUp: node1: session with 192.0.2.1 established"});
  session(SessionState::idle, "hold timer expired");
  EXPECT_EQ(told(), Texts{"SessionDown: node1: session with 192.0.2.1 is down: hold timer expired"});
}

TEST_F(Report, WhyThereIsNoSessionIsToldOnceAndNotAtOnce) {
  session(SessionState::active, "bad peer AS");
  EXPECT_EQ(told(), Texts{});
  timers_.run_for(3s);
  EXPECT_EQ(told(), Texts{"SessionDown: node1: there is no session with 192.0.2.1: bad peer AS"});
  session(SessionState::active, "no TCP connection");
  EXPECT_EQ(told(), Texts{"SessionDown: node1: there is no session with 192.0.2.1: no TCP connection"});
  for (int i = 0; i < 20; ++i) session(SessionState::active, i % 2 == 0 ? "bad peer AS" : "no TCP connection");
  EXPECT_EQ(told(), Texts{});
  for (int i = 0; i < 20; ++i) session(SessionState::active, "error " + std::to_string(i));
  EXPECT_LE(told().size(), 4U);

  session(SessionState::established);
  session(SessionState::idle, "the connection broke");
  session(SessionState::active, "bad peer AS");
  const Texts again = told();
  EXPECT_EQ(std::ranges::count(again, "SessionDown: node1: there is no session with 192.0.2.1: bad peer AS"), 1) << again.size();
}

TEST_F(Report, NobodyMissesASessionThatIsSwitchedOff) {
  session(SessionState::idle, "administratively down", true);
  timers_.run_for(1min);
  EXPECT_EQ(told(), Texts{});
}

TEST_F(Report, WhoEndsSaysThatItsSessionsEnded) {
  session(SessionState::established);
  EXPECT_TRUE(store_.bgp_peers().at("router").node_sessions.at("node1").established);
  tasks_.cancel();
  TaskGroup end{io_.get_executor()};
  end.spawn("end", report_.say_sessions_ended());
  timers_.run_for(1s);
  EXPECT_EQ(end.size(), 0U);
  EXPECT_FALSE(store_.bgp_peers().at("router").node_sessions.at("node1").established);
}

TEST_F(Report, OfARangeASessionThatIsUpIsShownAndEachIsTold) {
  const auto look = [&](std::vector<std::pair<std::string, SessionState>> sessions) {
    BgpSituation situation;
    for (auto& [neighbor, state] : sessions) {
      BgpPeerStatus& status = situation.sessions.emplace_back("router", BgpPeerStatus{}).second;
      status.neighbor_address = neighbor;
      status.session_state = state;
      status.last_error = "no TCP connection";
    }
    report_.update(std::move(situation));
    timers_.run_for(3s);
  };
  const auto shown = [&] { return store_.bgp_peers().at("router").node_sessions.at("node1").established; };
  look({{"192.0.2.0/24", SessionState::idle}});
  EXPECT_FALSE(shown());
  look({{"192.0.2.1", SessionState::active}, {"192.0.2.2", SessionState::established}});
  EXPECT_TRUE(shown());
  EXPECT_EQ(told(), Texts{"SessionUp: node1: session with 192.0.2.2 established"});
  look({{"192.0.2.1", SessionState::established}, {"192.0.2.2", SessionState::idle}});
  EXPECT_TRUE(shown());
  EXPECT_EQ(told(), (Texts{"SessionUp: node1: session with 192.0.2.1 established",
                           "SessionDown: node1: session with 192.0.2.2 is down: no TCP connection"}));
}

class Routes : public Report {
 protected:
  Routes() {
    Service web;
    web.name = {"default", "web"};
    keeper_.services().replace({web}, {"1"}, false);
  }
  void plan(std::optional<RouteVerdict> verdict, bool speak = true) {
    plan_.verdicts.clear();
    if (verdict) plan_.verdicts[*IpAddress::parse("192.0.2.1")] = std::move(*verdict);
    ++plan_.verdicts_version;
    route_events_.update(plan_, speak, timers_.now());
  }
  void look_again(Duration after) {
    timers_.run_for(after);
    route_events_.update(plan_, true, timers_.now());
  }
  static RouteVerdict announced(std::vector<std::string> nodes) { return {RouteReason::announced, {"default", "web"}, std::move(nodes)}; }
  static RouteVerdict without(RouteReason reason) { return {reason, {"default", "web"}, {}}; }

  RoutePlan plan_;
  RouteEvents route_events_{events_, keeper_.world()};
};

TEST_F(Routes, ChangesOfNextHopsAreTold) {
  plan(announced({"a"}));
  EXPECT_EQ(told(), Texts{}) << "of the first plan nobody knows what is new";
  plan(announced({"a", "b"}));
  EXPECT_EQ(told(), Texts{"SetBalancer: success to add nexthops [a, b]"});
  plan(announced({"a", "b"}));
  EXPECT_EQ(told(), Texts{});
  plan(without(RouteReason::freeing));
  EXPECT_EQ(told(), Texts{"DelBalancer: success to withdraw announcement for service"});
  plan(std::nullopt);
  plan(announced({"b"}), false);
  EXPECT_EQ(told(), Texts{}) << "another one tells";
}

TEST_F(Routes, WhatLastsIsToldOnce) {
  plan(std::nullopt);
  plan(without(RouteReason::no_endpoints));
  look_again(4s);
  EXPECT_EQ(told(), Texts{});
  look_again(1s);
  EXPECT_EQ(told(), Texts{"SetBalancer: no available nodes for service ip 192.0.2.1:default/web (no_endpoints)"});
  look_again(1min);
  EXPECT_EQ(told(), Texts{});
  plan(without(RouteReason::no_nodes));
  look_again(3s);
  plan(std::nullopt);
  look_again(1min);
  EXPECT_EQ(told(), Texts{}) << "it did not last";
}

}  // namespace
}  // namespace berth::sim
