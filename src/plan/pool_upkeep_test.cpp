// What pools are given, keep and say; which of their addresses go first.
#include "plan/testing/planner.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;

TEST(Pools, APoolInUseWaitsForItsLastAddress) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const Pool leaving = pool("lan", "192.0.2.0/24", deleting<Pool>);
  EXPECT_TRUE(plan({.services = {web}, .pools = {leaving}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}}).pool_writes.empty());
  const AddressPlan free = plan({.pools = {leaving}});
  ASSERT_EQ(free.pool_writes.size(), 1U);
  EXPECT_TRUE(free.pool_writes[0].finalizers.empty());
  const AddressPlan fresh = plan({.pools = {pool("lan", "192.0.2.0/24", [](Pool& p) { p.finalizers.clear(); })}});
  EXPECT_EQ(fresh.pool_writes.at(0).finalizers, std::vector<std::string>{std::string{keys::pool_finalizer}});
}

// Otherwise it could be deleted under its first Services.
TEST(Pools, NothingIsTakenFromAPoolBeforeItsFinalizerIsOn) {
  const auto unmarked = [](Pool& p) { p.finalizers.clear(); };
  const Objects start{.services = {service("web"), service("six", dual_stack)},
                      .pools = {pool("lan", "192.0.2.0/24", is_default, unmarked), pool("lan6", "2001:db8::/120", is_default)}};
  Process process;
  const AddressPlan first = process.plan(start);
  EXPECT_EQ(first.pool_writes.size(), 1U);
  EXPECT_EQ(records(first), Lines{"2001:db8:: shop/six held"}) << "the other pool has its own";
  EXPECT_TRUE(first.pending.empty()) << "nobody is told of it";
  Objects marked = start;
  marked.pools[0].finalizers.emplace_back(keys::pool_finalizer);
  const AddressPlan next = process.plan(marked);
  EXPECT_EQ(records(next), (Lines{"192.0.2.0 shop/six held", "192.0.2.1 shop/web held", "2001:db8:: shop/six held"}));
  EXPECT_TRUE(next.pool_writes.empty());
}

TEST(Pools, SeveralDefaultsAreToldInTheOrderInWhichTheyServe) {
  const auto told = [](std::vector<Pool> pools, const std::string& name) {
    const auto conditions = plan({.pools = std::move(pools)}).pool_status.at(name).conditions;
    const auto found = std::ranges::find(conditions, "SeveralDefaults", &Condition::type);
    return found == conditions.end() ? "" : found->status + ": " + found->message;
  };
  const Pool b = pool("b", "192.0.2.0/28", is_default);
  const Pool a = pool("a", "192.0.2.16/28", is_default);
  const Pool late = pool("0", "192.0.2.32/28", is_default, priority(7));
  const Pool other = pool("other", "192.0.2.48/28");
  const std::string expected =
      "True: a, b, 0 are default pools: of these, Services get an address from the first that has one; take the annotation "
      "eip.openelb.kubesphere.io/is-default-eip off all but one";
  for (const char* name : {"a", "b", "0"}) EXPECT_EQ(told({a, b, late, other}, name), expected);
  EXPECT_EQ(told({a, b, late, other}, "other"), "");
  EXPECT_EQ(told({a, other}, "a"), "");
  EXPECT_EQ(told({a, pool("b", "192.0.2.0/28", is_default, deleting<Pool>)}, "a"), "");
  // And so it is.
  EXPECT_EQ(records(plan({.services = {service("web")}, .pools = {late, b, a}})), Lines{"192.0.2.16 shop/web held"});
}

TEST(Pools, TheStatusSaysWhoHasWhat) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const auto status = plan({.services = {web}, .pools = {pool("lan", "192.0.2.3")}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}})
                          .pool_status.at("lan");
  Pool::Status expected;
  expected.occupied = true;
  expected.usage = 1;
  expected.pool_size = 1;
  expected.used = {{"192.0.2.3", "shop/web"}};
  expected.first_ip = expected.last_ip = "192.0.2.3";
  expected.ready = true;
  expected.v4 = true;
  expected.conditions = {{"Ready", "False", "Full", "all 1 addresses are taken", wall},
                         {"Overlapping", "False", "NoOverlap", "", wall},
                         {"Orphans", "False", "None", "", wall}};
  EXPECT_EQ(status, expected);
}

TEST(Pools, EditsReachTheRecordOfWhatWasGivenBefore) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const Objects objects{.services = {web},
                        .pools = {pool("lan", "192.0.2.0/24",
                                       [](Pool& p) {
                                         p.protocol = Protocol::layer2;
                                         p.interface = "eth0";
                                       })},
                        .blocks = {block({{"192.0.2.3", held(web, "lan")}})}};
  const AddressPlan out = plan(objects);
  ASSERT_EQ(out.block_writes.size(), 1U);
  const BlockEntry& entry = out.block_writes[0].block.addresses.begin()->second;
  EXPECT_EQ(entry.protocol, Protocol::layer2);
  EXPECT_EQ(entry.interface, "eth0");
  EXPECT_EQ(entry.holders, objects.blocks[0].addresses.begin()->second.holders);
}

TEST(Pools, TheStatusTellsOfOverlapAndOfAddressesOutside) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const auto statuses = plan({.services = {web},
                              .pools = {pool("lan", "192.0.2.64-192.0.2.99"), pool("wan", "192.0.2.90/32")},
                              .blocks = {block({{"192.0.2.3", held(web, "lan")}})}})
                            .pool_status;
  const Pool::Status& lan_status = statuses.at("lan");
  EXPECT_EQ(lan_status.free, 36);
  EXPECT_EQ(lan_status.conditions[0].status, "True");
  EXPECT_EQ(lan_status.conditions[1].message.rfind("eip address overlap with wan", 0), 0U);
  EXPECT_NE(lan_status.conditions[2].message.find("192.0.2.3 (shop/web)"), std::string::npos);
}

TEST(Pools, ALargePoolIsShownSaturated) {
  const auto status = plan({.pools = {pool("six", "2001:db8::/48")}}).pool_status.at("six");
  EXPECT_EQ(status.pool_size, INT64_MAX);
  EXPECT_EQ(status.free, INT64_MAX);
  EXPECT_FALSE(status.occupied);
}

TEST(Pools, SeveralRangesExclusionsAndBuggyAddresses) {
  Pool many = pool("lan", "192.0.2.254-192.0.3.1, 198.51.100.7", is_default, [](Pool& p) {
    p.avoid_buggy_ips = true;
    p.offered = subtract(p.ranges, {{ip("192.0.3.1"), ip("192.0.3.1")}});
  });
  EXPECT_EQ(many.size(), 2);
  const AddressPlan out = plan({.services = {service("a"), service("b"), service("c")}, .pools = {many}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.254 shop/a held", "198.51.100.7 shop/b held"}));
  EXPECT_EQ(out.pending.at(0).text(), "no suitable ip to allocate: lan: full (2/2)");
  EXPECT_EQ(pending_reason(plan({.services = {service("a", annotated(keys::wanted_ip, "192.0.3.1"))}, .pools = {many}})),
            "wanted_ip_not_given");
}

TEST(Pools, ADrainedPoolIsLeftForAnotherNewAddressFirst) {
  const Service web = service("web", served("old", "192.0.2.3"));
  const auto draining = [](Pool& p) { p.drain = true; };
  const Pool next = pool("next", "198.51.100.0/24", is_default);
  const auto record = block({{"192.0.2.3", held(web, "old")}});
  for (const Pool& old : {pool("old", "192.0.2.0/24", draining, disabled), pool("old", "192.0.2.0/24", draining, deleting<Pool>),
                          pool("old", "192.0.2.64/26", draining)})
    EXPECT_EQ(records(plan({.services = {web}, .pools = {old, next}, .blocks = {record}})), Lines{"198.51.100.0 shop/web held"});
  EXPECT_TRUE(plan({.services = {web}, .pools = {pool("old", "192.0.2.0/24", draining), next}, .blocks = {record}}).block_writes.empty())
      << "it offers the address";
  const AddressPlan nowhere = plan({.services = {web}, .pools = {pool("old", "192.0.2.0/24", draining, disabled)}, .blocks = {record}});
  EXPECT_TRUE(nowhere.block_writes.empty());
  EXPECT_TRUE(nowhere.pending.at(0).holds);
}

TEST(Pools, AQuotaCountsTheAddressesOfANamespace) {
  const Pool fenced = pool("lan", "192.0.2.0/24", is_default, [](Pool& p) { p.namespace_quotas = {{"*", 1}, {"big", 2}}; });
  const auto of_big = [](Service& s) { s.name.space = "big"; };
  const AddressPlan out = plan({.services = {service("a"), service("b"), service("x", of_big), service("y", of_big)}, .pools = {fenced}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 big/x held", "192.0.2.1 big/y held", "192.0.2.2 shop/a held"}));
  EXPECT_EQ(out.pending.at(0).text(), "lan: quota of namespace shop used up (1; Eip spec.namespaceQuotas)");
}

TEST(Pools, WhatGoesFromOneUidToTheNextCountsOnce) {
  const Pool fenced = pool("lan", "192.0.2.0/24", is_default, [](Pool& p) { p.namespace_quotas = {{"*", 2}}; });
  const Service before = service("web", served("lan", "192.0.2.3"));
  const Service now = service("web", [](Service& s) { s.uid = {"re-created"}; });
  const Objects objects{
      .services = {now, service("a"), service("b")}, .pools = {fenced}, .blocks = {block({{"192.0.2.3", held(before, "lan")}})}};
  Process process;
  process.plan(objects);
  process.planner.service_was_read(now.name, 21, now.uid);
  const AddressPlan out = process.plan(objects);
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/a held", "192.0.2.3 shop/web held"}));
  EXPECT_EQ(out.pending.at(0).text(), "lan: quota of namespace shop used up (2; Eip spec.namespaceQuotas)");
}

TEST(Pools, AReservationKeepsAnAddressForItsService) {
  const Pool keeping = pool("lan", "192.0.2.0/24", is_default, [](Pool& p) { p.reservations = {{ip("192.0.2.0"), {"shop", "later"}}}; });
  EXPECT_EQ(records(plan({.services = {service("web")}, .pools = {keeping}})), Lines{"192.0.2.1 shop/web held"});
  EXPECT_EQ(records(plan({.services = {service("later")}, .pools = {keeping}})), Lines{"192.0.2.0 shop/later held"});
  EXPECT_EQ(pending_reason(plan({.services = {service("web", annotated(keys::wanted_ip, "192.0.2.0"))}, .pools = {keeping}})),
            "wanted_ip_reserved");
}

TEST(Pools, TheLeastRecentlyUsedAddressGoesFirstWhereThatIsAsked) {
  const Pool turning = pool("lan", "192.0.2.0-192.0.2.1", is_default, [](Pool& p) { p.order = AllocationOrder::least_recently_used; });
  const auto freed = [](const Service& by, std::string when) {
    BlockEntry out = quarantined(by, "lan");
    out.freed_at = std::move(when);
    return out;
  };
  Process process;
  const Objects objects{.services = {service("web")},
                        .pools = {turning},
                        .blocks = {block({{"192.0.2.0", freed(service("x"), "2026-05-02T00:00:00Z")},
                                          {"192.0.2.1", freed(service("y"), "2026-05-01T00:00:00Z")}})}};
  EXPECT_EQ(process.plan(objects).wake_at, at(1s)) << "their quarantine";
  EXPECT_EQ(records(process.plan(objects, at(1s))), (Lines{"192.0.2.0 reserved for shop/x", "192.0.2.1 shop/web held"}));
  const Objects fresh{
      .services = {service("web")}, .pools = {turning}, .blocks = {block({{"192.0.2.0", freed(service("x"), "2026-05-02T00:00:00Z")}})}};
  EXPECT_EQ(records(process.plan(fresh, at(2s))), (Lines{"192.0.2.0 reserved for shop/x", "192.0.2.1 shop/web held"})) << "never used";
}

// Whichever pool remembers when it was freed, it is free.
TEST(Pools, WhatAnotherPoolRemembersAsFreedIsGivenOutAtLast) {
  const Pool turning = pool("old", "192.0.2.0", [](Pool& p) { p.order = AllocationOrder::least_recently_used; });
  const Pool small = pool("lan", "192.0.2.0", is_default);
  BlockEntry freed = quarantined(service("x"), "old");
  freed.freed_at = "2026-05-02T00:00:00Z";
  const Objects objects{.services = {service("web")}, .pools = {small, turning}, .blocks = {block({{"192.0.2.0", freed}})}};
  Process process;
  EXPECT_EQ(pending_reason(process.plan(objects)), "pool_full");
  EXPECT_EQ(records(process.plan(objects, at(1s))), Lines{"192.0.2.0 shop/web held"});
}

TEST(Quarantine, WhoWaitsForTheAddressHearsWhyItIsNotToBeHadAfterwards) {
  const Service wants = service("wants", annotated(keys::wanted_ip, "192.0.2.0"));
  const Service silent = service("silent", shows("192.0.2.0"), [](Service& s) { s.load_balancer_class.reset(); });
  const AddressBlock released = block({{"192.0.2.0", quarantined(service("gone"), "lan")}});
  Process process;
  process.plan({.services = {wants, silent}, .pools = {lan}, .blocks = {released}});
  const AddressPlan before = process.plan({.services = {wants, silent}, .pools = {lan}, .blocks = {released}}, at(10s));
  ASSERT_EQ(before.pending.size(), 1U);
  EXPECT_NE(before.pending[0].text().find("(just released)"), std::string::npos) << before.pending[0].text();
  ASSERT_TRUE(process.known.blocks.erase(released.name));  // nothing else changes
  process.planner.plan(process.known, {at(10s), today});
  ASSERT_NE(process.planner.pending(wants.name), nullptr);
  EXPECT_NE(process.planner.pending(wants.name)->text().find("in use by shop/silent"), std::string::npos)
      << process.planner.pending(wants.name)->text();
}

TEST(Quarantine, ThePoolSaysHowLong) {
  Process process;
  const Pool slow = pool("lan", "192.0.2.0/24", [](Pool& p) { p.quarantine = 1h; });
  const Objects objects{.pools = {slow}, .blocks = {block({{"192.0.2.0", quarantined(service("x"), "lan")}})}};
  EXPECT_EQ(process.plan(objects).wake_at, at(1h));
  EXPECT_TRUE(is_idle(process.plan(objects, at(59min))));
  EXPECT_EQ(process.plan(objects, at(1h)).block_writes.size(), 1U);
}

}  // namespace
}  // namespace berth
