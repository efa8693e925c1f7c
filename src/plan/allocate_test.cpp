#include "plan/testing/planner.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;
using Kind = ServiceWrite::Kind;

// -- taking ---------------------------------------------------------------------------------------

TEST(Allocate, NothingIsDecidedBeforeEveryTableWasListed) {
  const ResourceVersion version{"1"};
  for (int missing = 0; missing < 4; ++missing) {
    World partly;
    if (missing != 0) partly.services.replace({service("web")}, version, true);
    if (missing != 1) partly.pools.replace({lan}, version, true);
    if (missing != 2) partly.blocks.replace({}, version, true);
    if (missing != 3) partly.namespaces.replace({}, version, true);
    EXPECT_TRUE(is_idle(plan_addresses(partly, {at(0s), today}, {}))) << missing;
  }
}

TEST(Allocate, AnAddressIsTakenInTheBlockBeforeItIsShown) {
  const AddressPlan out = plan({.services = {service("web")}, .pools = {lan}});
  EXPECT_EQ(records(out), Lines{"192.0.2.0 shop/web held"});
  EXPECT_TRUE(out.service_writes.empty());
  ASSERT_EQ(out.block_writes.size(), 1U);
  EXPECT_EQ(out.block_writes[0].block.name, "v4-192.0.2.0-26");
  EXPECT_EQ(out.block_writes[0].block.version, ResourceVersion{}) << "creates";
  const BlockEntry& entry = out.block_writes[0].block.addresses.begin()->second;
  EXPECT_EQ(entry.pool, "lan");
  EXPECT_EQ(entry.holders[0].uid, Uid{"web-uid"});
}

TEST(Allocate, AllClaimsOfABlockRideInOneWrite) {
  std::vector<Service> services;
  for (int i = 0; i < 70; ++i) services.push_back(service("s" + std::to_string(100 + i)));
  const AddressPlan out = plan({.services = services, .pools = {lan}});
  ASSERT_EQ(out.block_writes.size(), 2U);
  EXPECT_EQ(out.block_writes[0].block.addresses.size(), 64U);
  EXPECT_EQ(out.block_writes[1].block.addresses.size(), 6U);
}

TEST(Allocate, ABlockWriteCarriesTheVersionItWasPlannedFrom) {
  const Service old = service("old", served("lan", "192.0.2.0"));
  const AddressPlan out = plan({.services = {old, service("new")},
                                .pools = {lan},
                                .blocks = {block({{"192.0.2.0", held(old, "lan")}}, [](AddressBlock& b) { b.version = {"77"}; })}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/old held", "192.0.2.1 shop/new held"}));
  EXPECT_EQ(out.block_writes[0].block.version, ResourceVersion{"77"});
}

TEST(Allocate, ThoseWithAHistoryAreServedFirstThenTheOldest) {
  const AddressPlan out = plan({.services = {service("a", created("2026-03-01T00:00:00Z")), service("b", created("2026-02-01T00:00:00Z")),
                                             service("c", created("2026-04-01T00:00:00Z"), annotated(keys::allocated, "192.0.2.0"))},
                                .pools = {pool("lan", "192.0.2.0-192.0.2.1", is_default)}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/c held", "192.0.2.1 shop/b held"}));
  EXPECT_EQ(pending_reason(out), "pool_full");
}

TEST(Allocate, ForeignServicesAreNotTouched) {
  const AddressPlan out = plan(
      {.services = {service(
                        "foreign", [](Service& s) { s.load_balancer_class = "example.com/lb"; }, shows("192.0.2.9")),
                    service("cluster", [](Service& s) { s.type = ServiceType::cluster_ip; })},
       .pools = {lan}});
  EXPECT_TRUE(is_idle(out));
  EXPECT_TRUE(out.pending.empty());
}

TEST(Allocate, AnUnknownOptInValueIsTold) {
  const AddressPlan out = plan(
      {.services = {service("web", annotated(keys::opt_in, "yes"), [](Service& s) { s.load_balancer_class.reset(); })}, .pools = {lan}});
  EXPECT_TRUE(is_idle(out));
  EXPECT_EQ(out.misaddressed.size(), 1U);
}

TEST(Allocate, AFullPoolIsSaid) {
  const AddressPlan out = plan({.services = {service("a"), service("b")}, .pools = {pool("lan", "192.0.2.5", is_default)}});
  EXPECT_EQ(records(out), Lines{"192.0.2.5 shop/a held"});
  EXPECT_EQ(pending_reason(out), "pool_full");
}

TEST(Allocate, WhenABoundPoolIsFullTheNextServes) {
  const AddressPlan out = plan({.services = {service("a"), service("b")},
                                .pools = {pool("one", "192.0.2.5", for_namespace("shop"), priority(1)),
                                          pool("two", "198.51.100.0/24", for_namespace("shop"), priority(2))}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.5 shop/a held", "198.51.100.0 shop/b held"}));
}

TEST(Allocate, OverlappingPoolsNeverGiveOneAddressTwice) {
  const AddressPlan out = plan({.services = {service("a", annotated(keys::pool, "one")), service("b", annotated(keys::pool, "two"))},
                                .pools = {pool("one", "192.0.2.0/30"), pool("two", "192.0.2.0/24")}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/a held", "192.0.2.1 shop/b held"}));
}

TEST(Allocate, AnIpv6ServiceGetsAnIpv6Address) {
  const AddressPlan out = plan({.services = {service("web", [](Service& s) { s.families = {IpFamily::v6}; })},
                                .pools = {pool("six", "2001:db8::10-2001:db8::20", is_default)}});
  EXPECT_EQ(records(out), Lines{"2001:db8::10 shop/web held"});
}

TEST(Allocate, AnAddressThatAnybodyShowsIsNotGivenToAnother) {
  const AddressPlan out = plan(
      {.services = {service("new"), service(
                                        "foreign", [](Service& s) { s.load_balancer_class = "x.example/y"; }, shows("192.0.2.0"))},
       .pools = {lan}});
  EXPECT_EQ(records(out), Lines{"192.0.2.1 shop/new held"});
}

TEST(Allocate, AWantedAddressIsGivenOrItsAbsenceExplained) {
  const auto wants = [](std::string address) { return service("web", annotated(keys::wanted_ip, std::move(address))); };
  const Service other = service("other", served("lan", "192.0.2.7"));
  const auto taken = block({{"192.0.2.7", held(other, "lan")}});
  EXPECT_EQ(records(plan({.services = {wants("192.0.2.7")}, .pools = {lan}})), Lines{"192.0.2.7 shop/web held"});
  const AddressPlan in_use = plan({.services = {wants("192.0.2.7"), other}, .pools = {lan}, .blocks = {taken}});
  EXPECT_EQ(pending_reason(in_use), "wanted_ip_in_use");
  EXPECT_NE(in_use.pending[0].text().find("shop/other"), std::string::npos);
  EXPECT_EQ(pending_reason(plan({.services = {wants("203.0.113.1")}, .pools = {lan}})), "wanted_ip_no_pool");
  EXPECT_EQ(pending_reason(plan({.services = {wants("pi")}, .pools = {lan}})), "invalid_request");
}

TEST(Allocate, RestoredServicesGetWhatTheyHad) {
  EXPECT_EQ(records(plan({.services = {service("web", annotated(keys::allocated, "192.0.2.44"))}, .pools = {lan}})),
            Lines{"192.0.2.44 shop/web held"});
  Pool from_openelb = lan;
  from_openelb.status.used = {{"192.0.2.55", "shop/other;shop/web"}};
  EXPECT_EQ(records(plan({.services = {service("web")}, .pools = {from_openelb}})), Lines{"192.0.2.55 shop/web held"});
}

// -- adoption -------------------------------------------------------------------------------------

TEST(Adopt, WhatIsShownButRecordedNowhereIsKept) {
  const AddressPlan out = plan({.services = {service("web", shows("192.0.2.9"))}, .pools = {lan}});
  EXPECT_EQ(records(out), Lines{"192.0.2.9 shop/web held"});
  EXPECT_TRUE(out.service_writes.empty());
}

TEST(Adopt, FromAnyPoolThatHasItEvenDisabledOrNotForThisNamespace) {
  EXPECT_EQ(records(plan({.services = {service("web", shows("198.51.100.9"))},
                          .pools = {lan, pool("old", "198.51.100.0/24", for_namespace("other"), disabled)}})),
            Lines{"198.51.100.9 shop/web held"});
}

TEST(Adopt, NotAgainstAnExplicitPoolOrWish) {
  EXPECT_EQ(records(plan({.services = {service("web", shows("198.51.100.9"), annotated(keys::pool, "lan"))},
                          .pools = {lan, pool("old", "198.51.100.0/24")}})),
            Lines{"192.0.2.0 shop/web held"});
  EXPECT_EQ(records(plan({.services = {service("web", shows("192.0.2.9"), annotated(keys::wanted_ip, "192.0.2.8"))}, .pools = {lan}})),
            Lines{"192.0.2.8 shop/web held"});
}

TEST(Adopt, OfTwoThatShowTheSameTheElderKeepsIt) {
  const AddressPlan out = plan({.services = {service("young", shows("192.0.2.9"), created("2026-06-01T00:00:00Z")),
                                             service("elder", shows("192.0.2.9"), created("2026-05-01T00:00:00Z"))},
                                .pools = {lan}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/young held", "192.0.2.9 shop/elder held"}));
}

TEST(Adopt, NotWhatAForeignServiceShowsToo) {
  const AddressPlan out = plan(
      {.services = {service("web", shows("192.0.2.9")),
                    service("x", shows("192.0.2.9"), [](Service& s) { s.load_balancer_class = "example.com/lb"; })},
       .pools = {lan}});
  EXPECT_EQ(records(out), Lines{"192.0.2.0 shop/web held"});
}

TEST(Adopt, AnAddressRecordedForAnotherIsNotAdopted) {
  const Service holder = service("holder", served("lan", "192.0.2.0"));
  const AddressPlan out = plan(
      {.services = {holder, service("web", shows("192.0.2.0"))}, .pools = {lan}, .blocks = {block({{"192.0.2.0", held(holder, "lan")}})}});
  EXPECT_EQ(records(out), (Lines{"192.0.2.0 shop/holder held", "192.0.2.1 shop/web held"}));
}

// -- publishing -----------------------------------------------------------------------------------

TEST(Publish, OnePatchCarriesAllThatIsOurs) {
  const Service web = service("web", [](Service& s) {
    s.finalizers = {"service.kubernetes.io/load-balancer-cleanup"};
    s.ingress = {{"", "web.example.com"}};
    s.version = {"42"};
  });
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].kind, Kind::publish);
  EXPECT_EQ(out.service_writes[0].newly, std::vector{ip("192.0.2.3")});
  ServicePatch expected{web.name, web.uid, web.version, {}, {}, {}, {}};
  expected.labels[std::string{keys::pool}] = "lan";
  expected.annotations[std::string{keys::allocated}] = "192.0.2.3";
  expected.finalizers = std::vector<std::string>{"service.kubernetes.io/load-balancer-cleanup", std::string{keys::service_finalizer}};
  expected.ingress = std::vector<Ingress>{{"192.0.2.3", ""}, {"", "web.example.com"}};
  expected.conditions = {{std::string{keys::allocated_condition}, "True", "Allocated", "192.0.2.3 from lan", wall}};
  EXPECT_EQ(out.service_writes[0].patch, expected);
  EXPECT_TRUE(out.block_writes.empty());
}

TEST(Publish, WhatIsShownIsNotWrittenAgain) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_TRUE(is_idle(out));
  EXPECT_EQ(out.allocated, 1U);
}

TEST(Publish, OnlyAfterTheBlockWasReadLaterThanTheService) {
  const Service web = service("web", heard(30));
  for (const std::uint64_t read_at : {0U, 20U, 30U}) {
    const AddressPlan out = plan({.services = {web},
                                  .pools = {lan},
                                  .blocks = {block({{"192.0.2.3", held(web, "lan")}}, [&](AddressBlock& b) { b.read_at = read_at; })}});
    EXPECT_TRUE(out.service_writes.empty()) << read_at;
    EXPECT_EQ(out.block_reads, (std::set<std::string>{"v4-192.0.2.0-26"})) << read_at;
  }
}

TEST(Publish, TakesTheFenceOffAgain) {
  const Service web = service("web", annotated(keys::fence, "m"));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.annotations.at(std::string{keys::fence}), std::nullopt);
}

TEST(Publish, AnAddressOnceGivenStaysWhateverBecomesOfThePool) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const auto record = block({{"192.0.2.3", held(web, "lan")}});
  const std::vector<std::vector<Pool>> edits{
      {pool("lan", "198.51.100.0/24")},
      {pool("lan", "192.0.2.0/24", disabled)},
      {pool("lan", "192.0.2.0/24"), pool("other", "198.51.100.0/24", is_default)},
      {pool("lan", "192.0.2.0/24"), pool("other", "198.51.100.0/24", for_namespace("shop"))},
      {pool("lan", "nonsense")},
      {},
  };
  for (const auto& pools : edits) EXPECT_TRUE(is_idle(plan({.services = {web}, .pools = pools, .blocks = {record}}))) << pools.size();
}

TEST(Publish, ANewWishIsSecuredThenShownThenTheOldIsGivenBack) {
  const auto wish = annotated(keys::wanted_ip, "192.0.2.8");
  const Service web = service("web", served("lan", "192.0.2.3"), wish);
  const AddressPlan secure = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_EQ(records(secure), (Lines{"192.0.2.3 shop/web held", "192.0.2.8 shop/web held"}));
  EXPECT_TRUE(secure.service_writes.empty());

  const auto both = block({{"192.0.2.3", held(web, "lan")}, {"192.0.2.8", held(web, "lan")}});
  const AddressPlan show = plan({.services = {web}, .pools = {lan}, .blocks = {both}});
  EXPECT_TRUE(show.block_writes.empty());
  ASSERT_EQ(show.service_writes.size(), 1U);
  EXPECT_EQ(show.service_writes[0].patch.ingress, (std::vector<Ingress>{{"192.0.2.8", ""}}));

  const Service moved = service("web", served("lan", "192.0.2.8"), wish, heard(30));
  const Objects objects{.services = {moved}, .pools = {lan}, .blocks = {both}};
  Process process;
  EXPECT_EQ(process.plan(objects).service_reads, std::set<ObjectName>{moved.name}) << "what was heard may be older than the record";
  process.planner.service_was_read(moved.name, 21, moved.uid);
  EXPECT_EQ(records(process.plan(objects)), (Lines{"192.0.2.3 shop/web freeing", "192.0.2.8 shop/web held"}));
}

TEST(Publish, WhatOthersSayOfItsAddressesStays) {
  const Ingress checked{"192.0.2.3", "edge", "VIP", {{"TCP", 80, "example.com/Busy"}}};
  const Service web = service("web", served("lan", "192.0.2.3"), dual_stack, annotated(keys::ip_mode, "Proxy"),
                              [&](Service& s) { s.ingress = {checked}; });
  const AddressPlan out = plan({.services = {web},
                                .pools = {lan, pool("lan6", "2001:db8::/120", is_default)},
                                .blocks = {block({{"192.0.2.3", held(web, "lan")}}), block({{"2001:db8::7", held(web, "lan6")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  Ingress kept = checked;
  kept.ip_mode = "Proxy";
  EXPECT_EQ(out.service_writes[0].patch.ingress, (std::vector<Ingress>{kept, {"2001:db8::7", "", "Proxy"}}));
}

TEST(Publish, AWishThatCannotBeMetLeavesWhatThereIs) {
  const Service web = service("web", served("lan", "192.0.2.3"), annotated(keys::wanted_ip, "203.0.113.9"));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_TRUE(out.block_writes.empty());
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.ingress, std::nullopt);
  EXPECT_EQ(out.service_writes[0].patch.conditions->at(0).status, "True");
  EXPECT_EQ(out.service_writes[0].patch.conditions->at(0).message,
            "192.0.2.3 from lan; no available eip was found containing the ip:[203.0.113.9]: correct annotation "
            "eip.openelb.kubesphere.io/v1alpha1");
  EXPECT_EQ(pending_reason(out), "wanted_ip_no_pool");
}

TEST(Publish, AnotherWishInTheSamePoolDoesNotHaltWhatIsPublished) {
  const Service web = service("web", annotated(keys::pool, "other"));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_EQ(out.service_writes.size(), 1U) << "its pool is missing; what it holds is shown meanwhile";
  EXPECT_EQ(pending_reason(out), "pool_missing");
}

// -- giving back ----------------------------------------------------------------------------------

Service deleted_service() { return service("web", served("lan", "192.0.2.3"), deleting<Service>, heard(30)); }

TEST(GiveBack, GoesFromFreeingOverTheClearedServiceToQuarantineAndOut) {
  Process process;
  const Service web = deleted_service();

  const AddressPlan mark = process.plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(web, "lan")}})}});
  EXPECT_EQ(records(mark), Lines{"192.0.2.3 shop/web freeing"});
  EXPECT_TRUE(mark.service_writes.empty());
  const std::string marked = mark.block_writes[0].block.addresses.begin()->second.holders[0].mark;
  EXPECT_EQ(marked.rfind("me", 0), 0U) << marked;

  const auto in_release = block({{"192.0.2.3", freeing(web, "lan", marked)}});
  const AddressPlan clear = process.plan({.services = {web}, .pools = {lan}, .blocks = {in_release}});
  EXPECT_TRUE(clear.block_writes.empty());
  ASSERT_EQ(clear.service_writes.size(), 1U);
  EXPECT_EQ(clear.service_writes[0].kind, Kind::clear);
  ServicePatch expected{web.name, web.uid, web.version, {}, {}, {}, {}};
  expected.labels[std::string{keys::pool}] = std::nullopt;
  expected.annotations[std::string{keys::allocated}] = std::nullopt;
  expected.finalizers = std::vector<std::string>{};
  expected.ingress = std::vector<Ingress>{};
  expected.conditions = std::vector<Condition>{};
  EXPECT_EQ(clear.service_writes[0].patch, expected);
  const GivingBack step = clear.service_writes[0].giving_back;
  EXPECT_EQ(step, (GivingBack{ip("192.0.2.3"), web.uid, marked}));

  process.planner.was_cleared(web.name, step);
  const AddressPlan remove = process.plan({.pools = {lan}, .blocks = {in_release}});
  EXPECT_EQ(records(remove), Lines{"192.0.2.3 reserved for shop/web"});

  const auto waiting = block({{"192.0.2.3", quarantined(web, "lan")}});
  EXPECT_EQ(process.plan({.pools = {lan}, .blocks = {waiting}}, at(0s)).wake_at, at(1s));
  EXPECT_TRUE(is_idle(process.plan({.pools = {lan}, .blocks = {waiting}}, at(999ms))));
  const AddressPlan out = process.plan({.pools = {lan}, .blocks = {waiting}}, at(1s));
  ASSERT_EQ(out.block_writes.size(), 1U);
  EXPECT_TRUE(out.block_writes[0].block.addresses.empty()) << "the block is deleted";
  EXPECT_EQ(out.block_writes[0].block.version, ResourceVersion{"1"});

  EXPECT_TRUE(is_idle(process.plan({.pools = {lan}}, at(2s))));
}

TEST(GiveBack, AnotherProcessesClearingDoesNotCount) {
  Process process;
  const Service web = deleted_service();
  process.planner.was_cleared(web.name, {ip("192.0.2.3"), web.uid, "an earlier mark"});
  const AddressPlan out = process.plan(
      {.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(web, "lan", "this mark")}})}});
  EXPECT_TRUE(out.block_writes.empty());
  EXPECT_EQ(out.service_writes.size(), 1U);
}

TEST(GiveBack, ClearingAlwaysChangesTheService) {
  const Service bare = service("web", deleting<Service>);
  const AddressPlan out = plan({.services = {bare}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(bare, "lan", "m")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.annotations.at(std::string{keys::fence}), "m");
}

TEST(GiveBack, ASecondClearingFencesAnew) {
  const Service fenced = service("web", deleting<Service>, annotated(keys::fence, "first"));
  const AddressPlan out = plan(
      {.services = {fenced}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(fenced, "lan", "second")}})}});
  EXPECT_EQ(out.service_writes.at(0).patch.annotations.at(std::string{keys::fence}), "second");
}

TEST(GiveBack, AServiceOfAnotherTypeHearsNoWordOfIngress) {
  const Service web = service("web", served("lan", "192.0.2.3"), [](Service& s) { s.type = ServiceType::cluster_ip; });
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(web, "lan", "m")}})}});
  EXPECT_EQ(out.service_writes.at(0).patch.ingress, std::nullopt);
  EXPECT_EQ(out.service_writes.at(0).patch.finalizers, std::vector<std::string>{});
}

TEST(GiveBack, OthersFinalizersAndHostNamesStay) {
  const Service web = service("web", served("lan", "192.0.2.3"), [](Service& s) {
    s.deleting = true;
    s.finalizers.emplace_back("example.com/other");
    s.ingress.push_back({"", "web.example.com"});
  });
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(web, "lan", "m")}})}});
  EXPECT_EQ(out.service_writes.at(0).patch.finalizers, std::vector<std::string>{"example.com/other"});
  EXPECT_EQ(out.service_writes.at(0).patch.ingress, (std::vector<Ingress>{{"", "web.example.com"}}));
}

TEST(GiveBack, OneOfTwoAddressesLeavesLabelAndFinalizer) {
  const Service web = service("web", served("lan", "192.0.2.8"));
  const AddressPlan out = plan(
      {.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(web, "lan", "m")}, {"192.0.2.8", held(web, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].patch.finalizers, std::nullopt);
  EXPECT_TRUE(out.service_writes[0].patch.labels.empty());
  EXPECT_EQ(out.service_writes[0].patch.annotations.at(std::string{keys::fence}), "m");
}

TEST(GiveBack, AServiceIsTakenForGoneOnlyAfterAFreshReadThatIsYoungerThanTheRecord) {
  const Service gone = deleted_service();
  const Objects objects{.pools = {lan}, .blocks = {block({{"192.0.2.3", held(gone, "lan")}})}};  // heard at 20
  Process process;
  const AddressPlan ask = process.plan(objects);
  EXPECT_TRUE(ask.block_writes.empty());
  EXPECT_EQ(ask.service_reads, std::set<ObjectName>{gone.name});
  process.planner.service_was_read(gone.name, 20, {});
  EXPECT_TRUE(process.plan(objects).block_writes.empty()) << "the record may be younger than that read";
  process.planner.service_was_read(gone.name, 21, gone.uid);
  EXPECT_TRUE(process.plan(objects).block_writes.empty()) << "it was found alive";
  process.planner.service_was_read(gone.name, 21, {});
  EXPECT_EQ(records(process.plan(objects)), Lines{"192.0.2.3 shop/web freeing"});
}

// After a restore; it was heard first.
TEST(Publish, WhatAServiceShowsGoesWhenItIsRecordedForAnother) {
  const Pool other = pool("lan", "198.51.100.0", is_default);
  const Service has_it = service("a", served("lan", "198.51.100.0"));
  const Service shows_it = service("b", shows("192.0.2.3"), heard(1));
  Process process;
  process.plan({.services = {has_it, shows_it}, .pools = {other}, .blocks = {block({{"198.51.100.0", held(has_it, "lan")}})}});
  process.known.blocks.upsert(block({{"192.0.2.3", held(service("c"), "lan")}}));
  process.planner.plan(process.known, {at(0s), today});
  const AddressPlan out = summary(process.planner, process.known, {at(0s), today});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].kind, ServiceWrite::Kind::strip);
}

TEST(GiveBack, AServiceIsClearedOnlyOnTheWordOfABlockThatWasReadLater) {
  const Service web = deleted_service();
  const AddressPlan out = plan({.services = {web},
                                .pools = {lan},
                                .blocks = {block({{"192.0.2.3", freeing(web, "lan", "m")}}, [](AddressBlock& b) { b.read_at = 0; })}});
  EXPECT_TRUE(out.service_writes.empty());
  EXPECT_EQ(out.block_reads, (std::set<std::string>{"v4-192.0.2.0-26"}));
}

TEST(GiveBack, AServiceHeardBeforeTheRecordMayAskForItByNow) {
  const Service silent = service("web", [](Service& s) { s.load_balancer_class = "example.com/lb"; });  // heard at 10
  const Objects objects{.services = {silent}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(silent, "lan")}})}};
  Process process;
  const AddressPlan ask = process.plan(objects);
  EXPECT_TRUE(ask.block_writes.empty());
  EXPECT_EQ(ask.service_reads, std::set<ObjectName>{silent.name});
  process.planner.service_was_read(silent.name, 21, silent.uid);
  EXPECT_EQ(records(process.plan(objects)), Lines{"192.0.2.3 shop/web freeing"});
}

// A list that began before the read came after it, and the row is an older one again.
TEST(GiveBack, WhatAReadSaidOfALaterVersionSaysNothingOfAnEarlierOne) {
  const Service silent = service("web", [](Service& s) {
    s.load_balancer_class = "example.com/lb";
    s.version = {"7"};
  });
  const Objects objects{.services = {silent}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(silent, "lan")}})}};
  Process process;
  process.plan(objects);
  process.planner.service_was_read(silent.name, 21, silent.uid, {"8"});
  const AddressPlan out = process.plan(objects);
  EXPECT_TRUE(out.block_writes.empty());
  EXPECT_EQ(out.service_reads, std::set<ObjectName>{silent.name}) << "so it is read again";
}

TEST(GiveBack, WhatWasMadeAnewUnderItsNameGetsTheAddressInOneSwap) {
  const Service before = service("web", served("lan", "192.0.2.3"));
  const Service now = service("web", [](Service& s) { s.uid = {"re-created"}; });
  const Objects objects{.services = {now}, .pools = {lan}, .blocks = {block({{"192.0.2.3", held(before, "lan")}})}};
  Process process;
  EXPECT_EQ(process.plan(objects).service_reads, std::set<ObjectName>{now.name});
  EXPECT_TRUE(process.plan(objects).block_writes.empty()) << "nothing else meanwhile";
  process.planner.service_was_read(now.name, 21, now.uid);
  const AddressPlan over = process.plan(objects);
  EXPECT_EQ(records(over), Lines{"192.0.2.3 shop/web held"});
  EXPECT_EQ(over.block_writes[0].block.addresses.begin()->second.holders[0].uid, now.uid);

  // Not against what the new one asks for.
  const Service picky = service("web", annotated(keys::wanted_ip, "192.0.2.9"), [](Service& s) { s.uid = {"re-created"}; });
  const AddressPlan other = process.plan({.services = {picky}, .pools = {lan}, .blocks = objects.blocks});
  EXPECT_EQ(records(other), (Lines{"192.0.2.3 shop/web freeing", "192.0.2.9 shop/web held"}));
}

TEST(GiveBack, WhoClaimsAgainWaitsForTheEndOfItsRelease) {
  const Service web = service("web", served("lan", "192.0.2.3"));
  const AddressPlan out = plan({.services = {web}, .pools = {lan}, .blocks = {block({{"192.0.2.3", freeing(web, "lan", "m")}})}});
  EXPECT_EQ(pending_reason(out), "being_released");
  EXPECT_TRUE(out.block_writes.empty());
}

TEST(Quarantine, TheFormerHolderMayHaveItBackAtOnceOthersNot) {
  const Service web = service("web");
  const auto waiting = block({{"192.0.2.0", quarantined(web, "lan")}});
  Process process;
  const Objects objects{.services = {web}, .pools = {lan}, .blocks = {waiting}};
  EXPECT_EQ(process.plan(objects).service_reads, std::set<ObjectName>{web.name}) << "who gave it back may have known better";
  process.planner.service_was_read(web.name, 21, web.uid);
  EXPECT_EQ(records(process.plan(objects)), Lines{"192.0.2.0 shop/web held"});
  EXPECT_EQ(records(plan({.services = {service("other")}, .pools = {lan}, .blocks = {waiting}})),
            (Lines{"192.0.2.0 reserved for shop/web", "192.0.2.1 shop/other held"}));
  EXPECT_EQ(
      pending_reason(plan({.services = {service("other", annotated(keys::wanted_ip, "192.0.2.0"))}, .pools = {lan}, .blocks = {waiting}})),
      "wanted_ip_in_use");
}

TEST(Sharing, ThePoolThatGaveTheAddressDecidesNotAnotherThatHasItToo) {
  const Service first = service("first", served("lan", "192.0.2.7"));
  const Service second = service("second", annotated(keys::wanted_ip, "192.0.2.7"), [](Service& s) { s.ports = {{"TCP", 81}}; });
  const AddressPlan out = plan({.services = {first, second},
                                .pools = {lan, pool("edge", "192.0.2.0/28", [](Pool& p) { p.implicit_sharing = true; })},
                                .blocks = {block({{"192.0.2.7", held(first, "lan")}})}});
  EXPECT_TRUE(out.block_writes.empty());
  EXPECT_EQ(pending_reason(out), "wanted_ip_in_use");
}

TEST(Strip, OurMarksLeaveAServiceThatNeitherClaimsNorIsRecorded) {
  const Service left = deleted_service();
  const AddressPlan out = plan({.services = {left}, .pools = {lan}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].kind, Kind::strip);
  EXPECT_EQ(out.service_writes[0].patch.finalizers, std::vector<std::string>{});
  EXPECT_EQ(out.service_writes[0].patch.ingress, std::vector<Ingress>{});
}

TEST(Strip, AForeignClassKeepsItsIngress) {
  const Service foreign = service("web", served("lan", "192.0.2.3"), [](Service& s) { s.load_balancer_class = "example.com/lb"; });
  const AddressPlan out = plan({.services = {foreign}, .pools = {lan}});
  EXPECT_EQ(out.service_writes.at(0).patch.ingress, std::nullopt);
  EXPECT_EQ(out.service_writes.at(0).patch.finalizers, std::vector<std::string>{});
}

// -- telling ----------------------------------------------------------------------------------------

TEST(Tell, APendingServiceSaysWhyForEachPool) {
  const Service holder = service("holder", served("lan", "192.0.2.5"));
  const AddressPlan out = plan({.services = {service("web"), holder},
                                .pools = {pool("edge", "198.51.100.0/24", for_namespace("other")), pool("lan", "192.0.2.5", is_default)},
                                .blocks = {block({{"192.0.2.5", held(holder, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].kind, Kind::tell);
  EXPECT_EQ(*out.service_writes[0].patch.conditions,
            (std::vector<Condition>{{std::string{keys::allocated_condition}, "False", "PoolFull",
                                     "no suitable ip to allocate: lan: full (1/1); edge: namespace not bound", wall}}));
}

TEST(Tell, WhatIsSaidIsNotWrittenAgainAndOthersConditionsStay) {
  const Condition others{"example.com/Checked", "True", "Fine", ""};
  const Condition ours{std::string{keys::allocated_condition}, "False", "PoolMissing",
                       "eip:gone does not exist: create it or correct annotation eip.openelb.kubesphere.io/v1alpha2", "before"};
  const Service told = service("web", annotated(keys::pool, "gone"), [&](Service& s) { s.conditions = {others, ours}; });
  EXPECT_TRUE(is_idle(plan({.services = {told}, .pools = {lan}})));
  const Service told_else = service("web", annotated(keys::pool, "none"), [&](Service& s) { s.conditions = {others, ours}; });
  const AddressPlan out = plan({.services = {told_else}, .pools = {lan}});
  ASSERT_EQ(out.service_writes.at(0).patch.conditions->size(), 2U);
  EXPECT_EQ(out.service_writes[0].patch.conditions->at(0), others);
  EXPECT_EQ(out.service_writes[0].patch.conditions->at(1).last_transition, "before") << "still False";
}

TEST(Tell, WhatIsAnothersIsTakenOffWhoGetsNothing) {
  const Service holder = service("holder", served("lan", "192.0.2.5"));
  const AddressPlan out = plan({.services = {service("web", shows("192.0.2.5")), holder},
                                .pools = {pool("lan", "192.0.2.5", is_default)},
                                .blocks = {block({{"192.0.2.5", held(holder, "lan")}})}});
  ASSERT_EQ(out.service_writes.size(), 1U);
  EXPECT_EQ(out.service_writes[0].kind, Kind::strip);
  EXPECT_EQ(out.service_writes[0].patch.ingress, std::vector<Ingress>{});
}

}  // namespace
}  // namespace berth
