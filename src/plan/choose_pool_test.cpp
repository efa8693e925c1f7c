#include "plan/choose_pool.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;

struct Chosen {
  std::vector<std::string> pools;
  std::vector<std::string> reasons;
  bool operator==(const Chosen&) const = default;
};
void PrintTo(const Chosen& chosen, std::ostream* out) {
  *out << "pools:";
  for (const auto& name : chosen.pools) *out << " " << name;
  *out << " refusals:";
  for (const auto& reason : chosen.reasons) *out << " " << reason;
}

Chosen choose(const Service& service, std::vector<Pool> pools, std::vector<Namespace> namespaces = {}) {
  const World known = world({.pools = std::move(pools), .namespaces = std::move(namespaces)});
  const auto claim = std::get<Claim>(judge_claim(service));
  const PoolChoice choice = choose_pools(claim, claim.families.front(), service, known, {});
  Chosen out;
  for (const Pool* pool : choice.pools) out.pools.push_back(pool->name);
  for (const Refusal& refusal : choice.refusals) {
    out.reasons.emplace_back(to_string(refusal.reason));
    EXPECT_FALSE(refusal.text.empty());
  }
  return out;
}

Service names_pool(std::string pool, auto... changes) { return service("web", annotated(keys::pool, std::move(pool)), changes...); }
Service wants(std::string address, auto... changes) { return service("web", annotated(keys::wanted_ip, std::move(address)), changes...); }

TEST(ChoosePool, ANamedPoolIsTheOnlyCandidateWhateverItsNamespaces) {
  EXPECT_EQ(choose(names_pool("lan"), {pool("lan", "192.0.2.0/24", for_namespace("other")), pool("all", "198.51.100.0/24", is_default)}),
            (Chosen{{"lan"}, {}}));
}

TEST(ChoosePool, ANamedPoolThatCannotServeIsNotReplacedByAnother) {
  const Pool other = pool("all", "198.51.100.0/24", is_default);
  EXPECT_EQ(choose(names_pool("lan"), {other}), (Chosen{{}, {"pool_missing"}}));
  EXPECT_EQ(choose(names_pool("lan"), {other, pool("lan", "192.0.2.0/24", disabled)}), (Chosen{{}, {"pool_disabled"}}));
  EXPECT_EQ(choose(names_pool("lan"), {other, pool("lan", "192.0.2.0/24", deleting<Pool>)}), (Chosen{{}, {"pool_deleting"}}));
  EXPECT_EQ(choose(names_pool("lan"), {other, pool("lan", "nonsense")}), (Chosen{{}, {"pool_invalid"}}));
  EXPECT_EQ(choose(names_pool("lan"), {other, pool("lan", "2001:db8::/120")}), (Chosen{{}, {"pool_family"}}));
}

TEST(ChoosePool, APoolWithoutAnyRangeIsRefusedNotCrashedOn) {
  EXPECT_EQ(choose(names_pool("lan"), {pool("lan", "192.0.2.0/24", [](Pool& p) { p.ranges.clear(); })}), (Chosen{{}, {"pool_family"}}));
}

TEST(ChoosePool, SeveralNamedPoolsAreTriedInTheirOrder) {
  const std::vector<Pool> pools{pool("a", "192.0.2.0/24"), pool("b", "198.51.100.0/24"), pool("c", "2001:db8::/64")};
  EXPECT_EQ(choose(names_pool("b, a,c"), pools), (Chosen{{"b", "a"}, {"pool_family"}}));
  EXPECT_EQ(choose(wants("192.0.2.7", annotated(keys::pool, "b,a")), pools), (Chosen{{"a"}, {"wanted_ip_outside"}}));
}

TEST(ChoosePool, EnforcedNamespacesHoldForWhoNamesThePoolOrItsAddress) {
  const Pool fenced = pool("lan", "192.0.2.0/24", for_namespace("other"), [](Pool& p) { p.enforce_namespaces = true; });
  EXPECT_EQ(choose(names_pool("lan"), {fenced}), (Chosen{{}, {"pool_not_bound"}}));
  EXPECT_EQ(choose(wants("192.0.2.7"), {fenced}), (Chosen{{}, {"pool_not_bound"}}));
  const Pool ours = pool("lan", "192.0.2.0/24", for_namespace("shop"), [](Pool& p) { p.enforce_namespaces = true; });
  EXPECT_EQ(choose(names_pool("lan"), {ours}), (Chosen{{"lan"}, {}}));
}

TEST(ChoosePool, AServiceSelectorBindsAndBars) {
  const auto gold = [](Pool& p) { p.service_selector = LabelSelector{{{"tier", "gold"}}, {}}; };
  const Service golden = service("web", labelled("tier", "gold"));
  const std::vector<Pool> pools{pool("all", "198.51.100.0/24", is_default), pool("gold", "192.0.2.0/24", gold)};
  EXPECT_EQ(choose(golden, pools), (Chosen{{"gold"}, {}})) << "before the default";
  EXPECT_EQ(choose(service("web"), pools), (Chosen{{"all"}, {"pool_selector"}}));
  EXPECT_EQ(choose(golden, {pool("gold", "192.0.2.0/24", gold, for_namespace("other"))}), (Chosen{{}, {"no_pool", "pool_not_bound"}}))
      << "both conditions";
  EXPECT_EQ(choose(service("web"), {pool("gold", "192.0.2.0/24", gold, is_default)}), (Chosen{{}, {"no_pool", "pool_selector"}}));
}

TEST(ChoosePool, AWantedAddressFindsThePoolThatContainsIt) {
  const std::vector<Pool> pools{pool("all", "198.51.100.0/24", is_default), pool("lan", "192.0.2.0/24", for_namespace("other"))};
  EXPECT_EQ(choose(wants("192.0.2.7"), pools), (Chosen{{"lan"}, {}}));
  EXPECT_EQ(choose(wants("203.0.113.1"), pools), (Chosen{{}, {"wanted_ip_no_pool"}}));
  EXPECT_EQ(choose(wants("192.0.2.7", annotated(keys::pool, "lan")), pools), (Chosen{{"lan"}, {}}));
  EXPECT_EQ(choose(wants("192.0.2.7", annotated(keys::pool, "all")), pools), (Chosen{{}, {"wanted_ip_outside"}}));
}

TEST(ChoosePool, PoolsOfTheNamespaceComeBeforeTheDefaultSmallerPriorityFirst) {
  const std::vector<Pool> pools{
      pool("all", "203.0.113.0/24", is_default, priority(-9)), pool("b", "192.0.2.0/26", for_namespace("shop"), priority(2)),
      pool("c", "192.0.2.64/26", for_namespace("shop"), priority(1)), pool("a", "192.0.2.128/26", for_namespace("shop"), priority(2)),
      pool("z", "192.0.2.192/26", for_namespace("other"), priority(0))};
  EXPECT_EQ(choose(service("web"), pools), (Chosen{{"c", "a", "b"}, {"pool_not_bound"}}));
}

TEST(ChoosePool, ANamespaceIsBoundByItsLabelsToo) {
  const Pool by_label = pool("lan", "192.0.2.0/24", [](Pool& p) { p.namespace_selector = {{"team", "web"}}; });
  const Namespace shop{"shop", {"1"}, {{"team", "web"}, {"x", "y"}}};
  const Namespace other{"shop", {"1"}, {{"team", "db"}}};
  EXPECT_EQ(choose(service("web"), {by_label}, {shop}), (Chosen{{"lan"}, {}}));
  EXPECT_EQ(choose(service("web"), {by_label}, {other}), (Chosen{{}, {"no_pool", "pool_not_bound"}}));
  EXPECT_EQ(choose(service("web"), {by_label}, {}), (Chosen{{}, {"no_pool", "pool_not_bound"}}));
}

TEST(ChoosePool, WithoutABoundPoolTheDefaultServes) {
  EXPECT_EQ(choose(service("web"), {pool("a", "192.0.2.0/24"), pool("b", "198.51.100.0/24", is_default)}),
            (Chosen{{"b"}, {"pool_not_bound"}}));
  EXPECT_EQ(choose(service("web"), {pool("a", "192.0.2.0/24")}), (Chosen{{}, {"no_pool", "pool_not_bound"}}));
}

TEST(ChoosePool, AnUnusableBoundPoolGivesWayToTheDefaultAndIsNamed) {
  EXPECT_EQ(choose(service("web"), {pool("a", "192.0.2.0/24", for_namespace("shop"), disabled), pool("b", "198.51.100.0/24", is_default)}),
            (Chosen{{"b"}, {"pool_disabled"}}));
}

}  // namespace
}  // namespace berth
