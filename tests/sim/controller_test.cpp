// The real Controller, its coroutines and back-offs, on the simulated API server in virtual time.
#include "reconcile/controller.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/testing/sim_timers.hpp"
#include "cluster.hpp"
#include "plan/testing/builders.hpp"
#include "seeds.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;
using berth::testing::is_default;
using berth::testing::SimTimers;

class Controllers : public ::testing::Test {
 protected:
  struct One {
    One(Controllers& test, const std::string& identity)
        : cluster(test.store_, test.timers_, test.rng_, test.network_),
          controller(test.io_.get_executor(), test.timers_, test.rng_, cluster, events, keeper, {.node = "a", .identity = identity}),
          tasks(test.io_.get_executor()) {
      keeper.on_change([this] { controller.look_again(); });
      tasks.spawn("watch", cluster.watch(keeper));
      tasks.spawn("controller", controller.run());
    }
    RecordingEvents events;
    WorldKeeper keeper;
    SimCluster cluster;
    Controller controller;
    TaskGroup tasks;
  };

  void TearDown() override {
    while (!running_.empty()) kill(0);
    no_duplicates();
  }

  One& start() {
    running_.push_back(std::make_unique<One>(*this, fmt::format("p{}", ++started_)));
    return *running_.back();
  }
  // Ends one in order: what it had under way is cut off wherever it waits.
  void kill(std::size_t i) {
    One& one = *running_[i];
    one.tasks.cancel();
    TaskGroup end{io_.get_executor()};
    end.spawn("end", one.controller.ended());
    timers_.run_for(0s);
    EXPECT_EQ(end.size(), 0U);
    EXPECT_EQ(one.tasks.size(), 0U);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void create(const std::string& name, auto... changes) {
    Service service = berth::testing::service(name, changes...);
    service.version = {};
    service.heard_at = 0;
    store_.put(std::move(service));
  }
  void create_pool(std::string_view range) {
    Pool pool = berth::testing::pool("lan", range, is_default);
    pool.version = {};
    pool.finalizers.clear();
    store_.put(std::move(pool));
  }
  std::string shown(const std::string& name) {
    const auto found = store_.services().find({"shop", name});
    if (found == store_.services().end()) return "gone";
    return found->second.ingress.empty() ? "" : found->second.ingress[0].ip;
  }
  std::size_t count_shown() {
    return static_cast<std::size_t>(
        std::ranges::count_if(store_.services(), [](const auto& item) { return !item.second.ingress.empty(); }));
  }
  std::size_t records() {
    std::size_t out = 0;
    for (const auto& [name, block] : store_.blocks()) out += block.addresses.size();
    return out;
  }
  void no_duplicates() {
    std::map<std::string, std::string> shown;
    for (const auto& [name, service] : store_.services())
      for (const Ingress& entry : service.ingress) {
        const auto [other, added] = shown.emplace(entry.ip, name.name);
        EXPECT_TRUE(added) << entry.ip << " is shown by " << other->second << " and " << name.name;
      }
  }
  // Looks at every millisecond.
  void run_checked(Duration time) {
    for (const Instant end = timers_.now() + time; timers_.now() < end && !HasFailure();) {
      timers_.run_for(1ms);
      no_duplicates();
    }
  }

  asio::io_context io_{1};
  SimTimers timers_{io_};
  SimRng rng_{7};
  SimStore store_;
  Network network_;
  std::vector<std::unique_ptr<One>> running_;
  int started_ = 0;
};

TEST_F(Controllers, AThousandServicesAreServedWithOneWriteEachAndFewOfBlocks) {
  create_pool("192.0.0.0/20");
  for (int i = 0; i < 1000; ++i) create(fmt::format("s{:04}", i));
  One& one = start();
  timers_.run_for(10s);
  EXPECT_EQ(count_shown(), 1000U);
  EXPECT_EQ(one.cluster.block_writes, 16U) << "one for each 64";
  EXPECT_EQ(one.cluster.service_patches, 1000U);
  EXPECT_EQ(one.events.count("AssignIP"), 1000U);
  EXPECT_LE(one.cluster.pool_status_patches, 10U) << "coalesced";
  EXPECT_EQ(store_.pools().at("lan").status.usage, 1000);
}

// Each write of a block costs the API server as much as the block is full.
TEST_F(Controllers, ServicesThatComeOneByOneShareTheWritesOfTheirBlock) {
  create_pool("192.0.2.0/26");
  One& one = start();
  timers_.run_for(1s);
  for (int i = 0; i < 60; ++i) {
    create(fmt::format("s{:02}", i));
    timers_.run_for(1ms);
  }
  timers_.run_for(1s);
  EXPECT_EQ(count_shown(), 60U);
  EXPECT_LE(one.cluster.block_writes, 8U);
}

TEST_F(Controllers, AServiceThatComesAloneWaitsForNothing) {
  network_ = {.delay_max = 1ms, .watch_delay_max = 1ms};
  create_pool("192.0.2.0/24");
  start();
  timers_.run_for(1s);
  for (int i = 0; i < 50; ++i) {
    create(fmt::format("s{:02}", i));
    timers_.run_for(6ms);  // one for it to be heard of, two for each write
    EXPECT_NE(shown(fmt::format("s{:02}", i)), "") << i;
    timers_.run_for(100ms);
  }
}

// BERTH_SIM_SERVICES=60000 nearly fills it.
TEST_F(Controllers, ALargePoolIsGivenOutAndGivenBack) {
  const std::size_t count = from_environment("BERTH_SIM_SERVICES").value_or(3000);
  create_pool("10.0.0.0/16");
  for (std::size_t i = 0; i < count; ++i) create(fmt::format("s{:05}", i));
  One& one = start();
  timers_.run_for(2min);
  EXPECT_EQ(count_shown(), count);
  EXPECT_EQ(records(), count);
  EXPECT_EQ(one.cluster.block_writes, (count + 63) / 64);
  EXPECT_EQ(store_.pools().at("lan").status.usage, static_cast<std::int64_t>(count));
  no_duplicates();
  for (std::size_t i = 0; i < count; ++i) store_.remove_service({"shop", fmt::format("s{:05}", i)});
  timers_.run_for(5min);
  EXPECT_TRUE(store_.services().empty());
  EXPECT_EQ(records(), 0U);
}

TEST_F(Controllers, WhenNothingChangesNothingIsWritten) {
  create_pool("192.0.2.0/24");
  create("web");
  One& one = start();
  timers_.run_for(10s);
  const std::uint64_t version = store_.version();
  const std::uint64_t plans = one.controller.counters().plans;
  timers_.run_for(1h);
  EXPECT_EQ(store_.version(), version);
  EXPECT_LE(one.controller.counters().plans - plans, 1U) << "nor planned";
}

TEST_F(Controllers, ADeletedServiceIsLetGoAndItsAddressServesAnother) {
  create_pool("192.0.2.1");
  create("first");
  One& one = start();
  timers_.run_for(2s);
  EXPECT_EQ(shown("first"), "192.0.2.1");
  create("second");
  timers_.run_for(2s);
  EXPECT_EQ(shown("second"), "");
  EXPECT_EQ(one.events.count("AssignIPFailed"), 1U) << "told once";
  store_.remove_service({"shop", "first"});
  run_checked(5s);
  EXPECT_EQ(shown("first"), "gone");
  EXPECT_EQ(shown("second"), "192.0.2.1");
  EXPECT_EQ(one.events.count("ReleaseIP"), 1U);
}

// Whenever that is: at each moment of its first use.
TEST_F(Controllers, APoolThatIsDeletedWaitsForTheServicesThatItServes) {
  for (Duration when = 0ms; when < 60ms; when += 250us) {
    create_pool("192.0.2.0/24");
    create("web");
    start();
    timers_.run_for(when);
    store_.remove_pool("lan");
    run_checked(5s);
    if (records() > 0) {
      ASSERT_TRUE(store_.pools().contains("lan")) << "gone under " << shown("web") << ", deleted after " << when / 1ms << " ms";
    }
    store_.remove_service({"shop", "web"});
    run_checked(5s);
    ASSERT_EQ(shown("web"), "gone");
    ASSERT_FALSE(store_.pools().contains("lan"));
    kill(0);
  }
}

TEST_F(Controllers, AServiceThatVanishesWithoutAWordIsNoticed) {
  create_pool("192.0.2.1");
  create("web");
  start();
  timers_.run_for(2s);
  Service bare = store_.services().at({"shop", "web"});
  bare.finalizers.clear();  // forced
  store_.put(bare);
  store_.remove_service(bare.name);
  timers_.run_for(5s);
  EXPECT_EQ(records(), 0U);
}

TEST_F(Controllers, AfterARestartEverythingStaysAsItIs) {
  create_pool("192.0.2.0/24");
  for (int i = 0; i < 50; ++i) create(fmt::format("s{}", i));
  start();
  timers_.run_for(10s);
  const std::uint64_t version = store_.version();
  kill(0);
  start();
  timers_.run_for(1min);
  EXPECT_EQ(store_.version(), version);
}

TEST_F(Controllers, AnApiServerThatAnswersNobodyIsAskedLessAndLess) {
  create_pool("192.0.2.0/24");
  create("web");
  network_.failures = 1;
  One& one = start();
  timers_.run_for(10min);
  EXPECT_LT(one.cluster.block_writes, 60U);
  network_.failures = 0;
  timers_.run_for(1min);
  EXPECT_EQ(shown("web"), "192.0.2.0");
}

TEST_F(Controllers, ABgpPeerShowsHowManyOfItsSessionsAreUpSinceWhenAndWhatTheyTell) {
  BgpPeer router;
  router.name = "router";
  store_.put(router);
  One& one = start();
  const auto session = [&](const std::string& node, SessionState state, std::string uptime = "", std::uint32_t prefixes = 0) {
    BgpPeerStatus status;
    status.session_state = state;
    status.uptime = std::move(uptime);
    status.prefixes = prefixes;
    EXPECT_TRUE(store_.patch_bgp_peer_status("router", node, status));
  };
  const auto says = [&](std::string_view up, std::string_view since, std::uint32_t prefixes) {
    const BgpSessions& shown = store_.bgp_peers().at("router").sessions;
    EXPECT_EQ(shown.up, up);
    EXPECT_EQ(shown.since, since) << up;
    EXPECT_EQ(shown.prefixes, prefixes) << up;
  };
  const std::string early = "2026-01-01T00:00:00Z", late = "2026-01-02T00:00:00Z";
  timers_.run_for(3s);
  says("", "", 0);
  session("node1", SessionState::established, early, 9);
  session("node2", SessionState::active, late, 99);
  timers_.run_for(3s);
  says("1/2", early, 9);
  session("node2", SessionState::established, late, 7);
  timers_.run_for(3s);
  says("2/2", late, 9);

  // The entry of a node that is not ready may be out of date.
  Node node1, node2;
  node1.name = "node1", node2.name = "node2";
  node1.ready = true;
  one.keeper.nodes().replace({node1, node2}, {"1"}, false);
  timers_.run_for(3s);
  says("1/2", early, 9);
  one.keeper.nodes().erase("node2", {"2"});
  timers_.run_for(3s);
  says("1/1", early, 9);
  EXPECT_TRUE(store_.patch_bgp_peer_status("router", "node1", std::nullopt));
  timers_.run_for(3s);
  says("0/0", "", 0);
}

TEST_F(Controllers, ASessionThatFlapsIsNotAWriteEachTime) {
  BgpPeer router;
  router.name = "router";
  store_.put(router);
  One& one = start();
  for (int i = 0; i < 200; ++i) {
    BgpPeerStatus status;
    status.session_state = i % 2 == 0 ? SessionState::established : SessionState::idle;
    EXPECT_TRUE(store_.patch_bgp_peer_status("router", "node1", status));
    timers_.run_for(50ms);
  }
  EXPECT_LE(one.cluster.sessions_writes, 6U);
  timers_.run_for(3s);
  EXPECT_EQ(store_.bgp_peers().at("router").sessions.up, "0/1");
}

TEST_F(Controllers, TwoThatLeadOverABadNetworkWithRestartsNeverShowAnAddressTwiceAndSettle) {
  for (std::uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    rng_ = SimRng{seed};
    store_ = SimStore{};
    create_pool("192.0.2.60-192.0.2.69");
    network_ = {.delay_max = 200ms, .watch_delay_max = 500ms, .failures = 0.2};
    start();
    start();
    for (int i = 0; i < 100 && !HasFailure(); ++i) {
      const std::string name = fmt::format("s{}", rng_.below(14));
      const auto found = store_.services().find({"shop", name});
      if (found == store_.services().end()) {
        create(name);
      } else if (rng_.chance(0.5)) {
        Service service = found->second;
        if (service.load_balancer_class)
          service.load_balancer_class.reset();
        else
          service.load_balancer_class = std::string{keys::load_balancer_class};
        store_.put(std::move(service));
      } else {
        store_.remove_service(found->first);
      }
      if (rng_.chance(0.05)) {
        kill(rng_.below(2));
        start();
      }
      run_checked(Duration{1} + Duration{static_cast<Duration::rep>(rng_.below(400'000'000))});
    }
    network_ = {};
    run_checked(2s);
    timers_.run_for(2min);
    std::size_t claims = 0;
    for (const auto& [name, service] : store_.services()) {
      EXPECT_FALSE(service.deleting) << name.name << " is not let go";
      if (std::holds_alternative<Claim>(judge_claim(service)))
        ++claims;
      else
        EXPECT_TRUE(service.ingress.empty() && service.finalizers.empty()) << name.name;
    }
    EXPECT_EQ(count_shown(), std::min<std::size_t>(claims, 10));
    EXPECT_EQ(records(), count_shown());
    while (!running_.empty()) kill(0);
  }
}

}  // namespace
}  // namespace berth::sim
