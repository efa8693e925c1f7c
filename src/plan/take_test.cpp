// Two families, and addresses shared by several.
#include "plan/testing/planner.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;

// -- two families -----------------------------------------------------------------------------------

const Pool six = pool("six", "2001:db8::/64", is_default);

TEST(DualStack, OneAddressOfEachFamilyFromWhateverPoolHasIt) {
  const AddressPlan out = plan({.services = {service("web", dual_stack)}, .pools = {lan, six}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/web held", "2001:db8:: shop/web held"}));
  EXPECT_TRUE(out.pending.empty());
}

TEST(DualStack, BothAreShownInOneWriteInTheServicesOrder) {
  const Service web = service("web", dual_stack, [](Service& s) { std::swap(s.families[0], s.families[1]); });
  const auto four = block({{"192.0.2.0", held(web, "lan")}});
  const AddressPlan half = plan({.services = {web}, .pools = {lan, six}, .blocks = {four}});
  EXPECT_TRUE(half.service_writes.empty()) << "the other is on its way";
  const AddressPlan out = plan({.services = {web}, .pools = {lan, six}, .blocks = {four, block({{"2001:db8::", held(web, "six")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.ingress, (std::vector<Ingress>{{"2001:db8::"}, {"192.0.2.0"}}));
  EXPECT_EQ(out.service_writes[0].patch.annotations.at(std::string{keys::allocated}), "2001:db8::,192.0.2.0");
  EXPECT_EQ(out.service_writes[0].patch.labels.at(std::string{keys::pool}), "six");
}

TEST(DualStack, WhoPrefersBothTakesOneAndHearsWhyNotTheOther) {
  const Service web = service("web", dual_stack);
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.0", held(web, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.ingress, (std::vector<Ingress>{{"192.0.2.0"}}));
  const Condition& condition = out.service_writes[0].patch.conditions->at(0);
  EXPECT_EQ(condition.status, "True");
  EXPECT_NE(condition.message.find("lan: family"), std::string::npos);
}

TEST(DualStack, WhoRequiresBothTakesBothOrNone) {
  EXPECT_EQ(records(plan({.services = {service("web", both_or_none)}, .pools = {lan, six}})).size(), 2U);
  const AddressPlan none = plan({.services = {service("web", both_or_none)}, .pools = {lan}});
  EXPECT_TRUE(none.block_writes.empty());
  EXPECT_EQ(pending_reason(none), "no_pool");
  const Service web = service("web", both_or_none, heard(30));
  const Objects half{.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.0", held(web, "lan")}})}};
  Process process;
  EXPECT_EQ(process.plan(half).service_reads, std::set<ObjectName>{web.name});
  process.planner.service_was_read(web.name, 21, web.uid);
  EXPECT_EQ(records(process.plan(half)), Lines{"192.0.2.0 shop/web freeing"}) << "the other was lost on the way";
}

TEST(DualStack, AnAddressOfAFamilyThatTheServiceHasNoMoreGoesBack) {
  const Service web = service("web", served("lan", "192.0.2.7"), [](Service& one) { one.families = {IpFamily::v6}; });
  const Objects objects{.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.7", held(web, "lan")}})}};
  Process process;
  EXPECT_EQ(process.plan(objects).service_reads, std::set<ObjectName>{web.name});
  process.planner.service_was_read(web.name, 21, web.uid);
  EXPECT_EQ(records(process.plan(objects)), Lines{"192.0.2.7 shop/web freeing"});
}

TEST(DualStack, WhatIsShownStaysWhileItIsRecordedAgain) {
  const Service web = service("web", dual_stack, served("lan", "192.0.2.3"), shows("2001:db8::7"));
  const AddressPlan out = plan(
      {.services = {web}, .pools = {lan, pool("six", "2001:db8::/120", is_default)}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_EQ(records(out), Lines{"2001:db8::7 shop/web held"});
  EXPECT_TRUE(out.service_writes.empty()) << "it would lose the one that is not recorded yet";
}

TEST(DualStack, WhatAServiceHasIsShownThoughItsWishesMakeNoSenseNow) {
  const Service web = service("web", both_or_none, annotated(keys::wanted_ip, "192.0.2."));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_TRUE(out.block_writes.empty());
  ASSERT_EQ(out.service_writes.size(), 1U);
  ASSERT_TRUE(out.service_writes[0].patch.ingress);
  EXPECT_EQ(out.service_writes[0].patch.ingress->at(0).ip, "192.0.2.3");
  EXPECT_EQ(pending_reason(out), "invalid_request");
}

TEST(DualStack, TheSecondComesLaterWithoutTouchingTheFirst) {
  const Service web = service("web", served("lan", "192.0.2.7"), dual_stack);
  const AddressPlan out = plan({.services = {web}, .pools = {lan, six}, .blocks = {block({{"192.0.2.7", held(web, "lan")}})}});
  EXPECT_EQ(records(out), Lines{"2001:db8:: shop/web held"});
}

TEST(DualStack, TheSecondGoesWhenOnlyOneIsAskedFor) {
  const Service web = service("web", served("lan", "192.0.2.7"), shows("2001:db8::"));
  const AddressPlan out = plan({.services = {web},
                                .pools = {lan, six},
                                .blocks = {block({{"192.0.2.7", held(web, "lan")}}), block({{"2001:db8::", held(web, "six")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.ingress, (std::vector<Ingress>{{"192.0.2.7"}}));
}

// -- sharing ----------------------------------------------------------------------------------------

const auto shares = annotated(keys::sharing_key, "k");

TEST(Sharing, ServicesWithOneKeyAndDifferentPortsGetOneAddress) {
  const AddressPlan out = plan({.services = {service("a", shares), service("b", shares, ports({{"TCP", 443}}))}, .pools = {lan}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held"}));
}

TEST(Sharing, AClashIsRefusedAndTheOtherNamed) {
  const Service a = service("a", shares, served("lan", "192.0.2.0"));
  const auto record = block({{"192.0.2.0", [&] {
                                BlockEntry entry = held(a, "lan");
                                entry.sharing_key = "k";
                                return entry;
                              }()}});
  const auto ask = [&](auto... changes) {
    return plan({.services = {a, service("b", annotated(keys::wanted_ip, "192.0.2.0"), changes...)}, .pools = {lan}, .blocks = {record}});
  };
  const auto why = [&](auto... changes) {
    const AddressPlan out = ask(changes...);
    return out.pending.empty() ? "" : out.pending.front().text();
  };
  const auto other_port = ports({{"TCP", 443}});
  EXPECT_EQ(why(shares, other_port), "");
  EXPECT_NE(why(shares).find("in use by shop/a, which has port 80/TCP too"), std::string::npos);
  EXPECT_NE(why(other_port).find("in use by shop/a"), std::string::npos) << "no key";
  EXPECT_NE(why(other_port, annotated(keys::sharing_key, "q")).find("sharing key is another"), std::string::npos);
  EXPECT_NE(why(shares, other_port, [](Service& s) { s.external_traffic_policy = TrafficPolicy::local; }).find("externalTrafficPolicy"),
            std::string::npos);
  EXPECT_NE(why(shares, other_port, [](Service& s) { s.name.space = "other"; }).find("each of the two must name the other's namespace"),
            std::string::npos);
}

TEST(Sharing, OfAnotherNamespaceByMutualConsent) {
  const auto in = [](std::string space, std::string with) {
    return [=](Service& s) {
      s.name.space = space;
      s.annotations[std::string{keys::sharing_namespaces}] = with;
    };
  };
  EXPECT_EQ(records(plan({.services = {service("a", shares, in("one", "two")), service("b", shares, in("two", "*"), ports({{"TCP", 443}}))},
                          .pools = {lan}})),
            (Lines{"192.0.2.0 one/a held", "192.0.2.0 two/b held"}));
}

TEST(Sharing, OpenElbsWayWhereThePoolAllowsIt) {
  const Service a = service("a", served("lan", "192.0.2.0"));
  const Pool open = pool("lan", "192.0.2.0/24", is_default, [](Pool& p) { p.implicit_sharing = true; });
  const auto record = block({{"192.0.2.0", held(a, "lan")}});
  const auto wish = annotated(keys::wanted_ip, "192.0.2.0");
  EXPECT_EQ(records(plan({.services = {a, service("b", wish, ports({{"UDP", 80}}))}, .pools = {open}, .blocks = {record}})),
            (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held"}));
  EXPECT_EQ(pending_reason(plan({.services = {a, service("b", wish)}, .pools = {open}, .blocks = {record}})), "wanted_ip_in_use");
}

// The last holder may have the address back at once; others, that would share it, only with that one.
TEST(Sharing, WhoWasToJoinDoesNotTakeTheAddressAlone) {
  const Pool open = pool("lan", "192.0.2.0/24", is_default, [](Pool& p) { p.implicit_sharing = true; });
  BlockEntry freed = held(service("a"), "lan");
  freed.holders.clear();
  freed.reserved_for = "shop/a";
  const Service joins = service("b", annotated(keys::wanted_ip, "192.0.2.0"), ports({{"UDP", 80}}));
  Process process;
  process.planner.service_was_read({"shop", "a"}, 21, service("a").uid);
  EXPECT_EQ(records(process.plan({.services = {service("a"), joins}, .pools = {open}, .blocks = {block({{"192.0.2.0", freed}})}})),
            (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held"}));
  process.known.services.erase({"shop", "a"});
  process.planner.plan(process.known, {at(1ms), today});
  const AddressPlan alone = summary(process.planner, process.known, {at(1ms), today});
  EXPECT_EQ(records(alone), Lines{});
  EXPECT_EQ(pending_reason(alone), "wanted_ip_in_use");
}

TEST(Sharing, WhoWaitsForAnAddressHearsWhenItsHolderConsents) {
  Process process;
  const Service a = service("a", served("lan", "192.0.2.0"), shares);
  BlockEntry entry = held(a, "lan");
  entry.sharing_key = "k";
  const Service b = service("b", shares, annotated(keys::wanted_ip, "192.0.2.0"));
  EXPECT_EQ(pending_reason(process.plan({.services = {a, b}, .pools = {lan}, .blocks = {block({{"192.0.2.0", entry}})}})),
            "wanted_ip_in_use");
  process.known.services.upsert(
      service("a", served("lan", "192.0.2.0"), shares, ports({{"TCP", 443}}), [](Service& s) { s.version = {"2"}; }));
  process.planner.plan(process.known, {at(0s), today});
  EXPECT_EQ(records(summary(process.planner, process.known, {at(0s), today})), (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held"}));
}

TEST(Sharing, WhoWaitsForAnAddressHearsWhenItsRecordSaysTheKey) {
  Process process;
  const Pool one = pool("lan", "192.0.2.0", is_default);
  const Service a = service("a", served("lan", "192.0.2.0"), shares);
  BlockEntry entry = held(a, "lan");
  entry.sharing_key = "former";
  const Service b = service("b", shares, ports({{"TCP", 443}}));
  EXPECT_EQ(pending_reason(process.plan({.services = {a, b}, .pools = {one}, .blocks = {block({{"192.0.2.0", entry}})}})), "pool_full");
  entry.sharing_key = "k";
  process.known.blocks.upsert(block({{"192.0.2.0", entry}}, [](AddressBlock& changed) { changed.version = {"9"}; }));
  process.planner.plan(process.known, {at(0s), today});
  EXPECT_EQ(records(summary(process.planner, process.known, {at(0s), today})), (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held"}));
}

// The first waits until its pool is marked as in use; the second, whose pool is, does not go alone meanwhile.
TEST(Sharing, WhoWasToJoinWaitsForTheFirst) {
  const auto open = [](Pool& p) { p.implicit_sharing = true; };
  const Pool unmarked = pool("edge", "192.0.2.0/24", open, [](Pool& p) { p.finalizers.clear(); });
  const Pool marked = pool("lan", "192.0.2.0/24", open, is_default);
  const auto wish = annotated(keys::wanted_ip, "192.0.2.7");
  const auto from = [](std::string name) { return annotated(keys::pool, name); };
  EXPECT_EQ(records(plan({.services = {service("a", wish, from("edge")), service("b", wish, from("lan"), ports({{"UDP", 80}}))},
                          .pools = {unmarked, marked}})),
            Lines{});
}

TEST(Sharing, NobodyJoinsAnAddressThatIsToBeLeft) {
  const Pool edge = pool("edge", "192.0.2.0/31", [](Pool& p) { p.disabled = p.drain = true; });
  const Pool small = pool("lan", "192.0.2.0/31", is_default);
  const Service a = service("a", shares, served("edge", "192.0.2.0"));
  const Service b = service("b", shares, served("edge", "192.0.2.1"), ports({{"TCP", 443}}));
  const auto with_key = [](const Service& of) {
    BlockEntry entry = held(of, "edge");
    entry.sharing_key = "k";
    return entry;
  };
  const AddressPlan out = plan(
      {.services = {a, b}, .pools = {edge, small}, .blocks = {block({{"192.0.2.0", with_key(a)}, {"192.0.2.1", with_key(b)}})}});
  EXPECT_TRUE(out.block_writes.empty()) << "or it would move there, and be moved again";
  const auto wish = annotated(keys::wanted_ip, "192.0.2.1");
  const AddressPlan wishes = plan({.services = {b, service("c", shares, wish, ports({{"TCP", 444}}))},
                                   .pools = {edge, small},
                                   .blocks = {block({{"192.0.2.1", with_key(b)}})}});
  ASSERT_FALSE(wishes.pending.empty());
  EXPECT_NE(wishes.pending.back().text().find("in use by shop/b, and its eip edge is drained"), std::string::npos)
      << wishes.pending.back().text();
}

TEST(Sharing, WhoGoesLeavesTheAddressToTheOthers) {
  const Service a = service("a", shares, served("lan", "192.0.2.0"), deleting<Service>, heard(30));
  const Service b = service("b", shares, served("lan", "192.0.2.0"), ports({{"TCP", 443}}));
  BlockEntry both = held(a, "lan");
  both.holders.push_back({b.name, b.uid, HolderState::held, ""});
  both.sharing_key = "k";
  const AddressPlan out = plan({.services = {a, b}, .pools = {lan}, .blocks = {block({{"192.0.2.0", both}})}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/a freeing", "192.0.2.0 shop/b held"}));
}

TEST(Sharing, WhoChangesTheConditionsLeavesNotTheOther) {
  const Service a = service("a", annotated(keys::sharing_key, "new"), served("lan", "192.0.2.0"));
  const Service b = service("b", shares, served("lan", "192.0.2.0"), ports({{"TCP", 443}}));
  BlockEntry both = held(a, "lan");
  both.holders.push_back({b.name, b.uid, HolderState::held, ""});
  both.sharing_key = "k";
  EXPECT_EQ(records(plan({.services = {a, b}, .pools = {lan}, .blocks = {block({{"192.0.2.0", both}})}})),
            (Lines{"192.0.2.0 shop/a held", "192.0.2.0 shop/b held", "192.0.2.1 shop/a held"}));
}

}  // namespace
}  // namespace berth
