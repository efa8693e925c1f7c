#include "speak/discovery/discovery.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "base/task_group.hpp"
#include "base/testing/seeded_rng.hpp"
#include "base/testing/sim_timers.hpp"
#include "wire/router_discovery.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

const Zone one = *Zone::of("eth1"), other = *Zone::of("eth2");
const IpAddress router = *IpAddress::parse("fe80::1");

class Links final : public DiscoveryTransport {
 public:
  explicit Links(Timers& timers) : timers_(timers) {}
  Result<> open(const Zone& interface, std::function<void(const RouterDatagram&)> receiver) override {
    ++opened;
    if (missing.contains(interface)) return fail(ErrorCode::unavailable, "there is no interface " + std::string{interface.name()});
    receivers[interface] = std::move(receiver);
    return {};
  }
  void close(const Zone& interface) override { receivers.erase(interface); }
  Result<> send(const Zone& interface, bool to_routers, std::span<const std::uint8_t> bytes) override {
    EXPECT_EQ(parse_router_message(bytes, 255), to_routers ? RouterMessage::solicitation : RouterMessage::advertisement);
    (to_routers ? solicited : advertised)[interface].push_back(timers_.now());
    if (down) return fail(ErrorCode::unavailable, "it is down");
    return {};
  }
  void come(const Zone& interface, std::span<const std::uint8_t> bytes, const IpAddress& from = router, int hop_limit = 255) {
    if (const auto to = receivers.find(interface); to != receivers.end()) to->second({from, hop_limit, bytes});
  }

  std::map<Zone, std::function<void(const RouterDatagram&)>> receivers;
  std::map<Zone, std::vector<Instant>> advertised, solicited;
  std::set<Zone> missing;
  bool down = false;
  int opened = 0;

 private:
  Timers& timers_;
};

struct Discovery : ::testing::Test {
  asio::io_context io;
  testing::SimTimers timers{io};
  testing::SeededRng rng{1};
  Links links{timers};
  RouterDiscovery discovery{io.get_executor(), timers, rng, links};
  std::vector<IpAddress> heard;
  int told = 0;
  TaskGroup tasks{io.get_executor()};

  void SetUp() override {
    discovery.on_router([this](const IpAddress& from) { heard.push_back(from); });
    discovery.on_problem([this] { ++told; });
    tasks.spawn("discovery", discovery.run());
  }
};

TEST_F(Discovery, AsksOnceAndAdvertisesFromThenOn) {
  discovery.want({one});
  timers.run_for(100s);
  EXPECT_EQ(links.solicited[one].size(), 1U);
  const auto& at = links.advertised[one];
  ASSERT_GE(at.size(), 12U);
  EXPECT_LE(at.size(), 17U);
  for (std::size_t i = 1; i < at.size(); ++i) {
    const Duration gap = at[i] - at[i - 1];
    EXPECT_TRUE(i <= 3 ? gap == 1s : gap > 7s && gap <= 10s) << i;
  }
  EXPECT_TRUE(links.advertised[other].empty());
}

TEST_F(Discovery, ARouterThatAdvertisesIsHeardWithItsInterface) {
  discovery.want({one, other});
  timers.run_for(1s);
  links.come(other, router_advertisement);
  EXPECT_EQ(heard, std::vector{router.in(other)});
  links.come(one, router_advertisement, *IpAddress::parse("2001:db8::1"));
  links.come(one, router_advertisement, router, 64);
  EXPECT_EQ(heard.size(), 1U) << "RFC 4861 §6.1.2: a link-local source, hop limit 255";
}

// RFC 4861 §6.2.6.
TEST_F(Discovery, WhoAsksIsAnsweredSoonButNotMoreThanEveryThreeSeconds) {
  discovery.want({one});
  timers.run_for(30s);
  links.advertised.clear();
  for (int i = 0; i < 600; ++i) {
    links.come(one, router_solicitation);
    timers.run_for(10ms);
  }
  EXPECT_GE(links.advertised[one].size(), 2U);
  EXPECT_LE(links.advertised[one].size(), 3U);
}

TEST_F(Discovery, WhatIsNotWantedAnyMoreIsSilent) {
  discovery.want({one});
  timers.run_for(5s);
  discovery.want({});
  links.advertised.clear();
  timers.run_for(60s);
  EXPECT_TRUE(links.advertised.empty());
  EXPECT_TRUE(links.receivers.empty());
}

TEST_F(Discovery, AnInterfaceThatComesLaterIsTakenThen) {
  links.missing = {one};
  discovery.want({one, other});
  timers.run_for(11s);
  EXPECT_EQ(discovery.problems(), (std::map<Zone, std::string>{{one, "there is no interface eth1"}}));
  EXPECT_EQ(told, 1) << "once, however often it is tried";
  EXPECT_FALSE(links.advertised[other].empty());
  links.missing.clear();
  timers.run_for(6s);
  EXPECT_TRUE(discovery.problems().empty());
  EXPECT_EQ(told, 2);
  links.come(one, router_advertisement);
  EXPECT_EQ(heard.size(), 1U);
}

TEST_F(Discovery, AnInterfaceThatIsMadeAnewIsOpenedAnew) {
  discovery.want({one});
  timers.run_for(60s);
  EXPECT_EQ(links.opened, 1);
  links.down = true;
  timers.run_for(15s);
  EXPECT_EQ(discovery.problems().at(one), "it is down");
  links.down = false;
  timers.run_for(6s);
  EXPECT_TRUE(discovery.problems().empty());
  EXPECT_GT(links.opened, 1);
}

TEST_F(Discovery, AnInterfaceWithAProblemThatIsNotWantedAnyMoreHasNone) {
  links.missing = {one};
  discovery.want({one});
  timers.run_for(1s);
  discovery.want({});
  EXPECT_TRUE(discovery.problems().empty());
}

}  // namespace
}  // namespace berth
