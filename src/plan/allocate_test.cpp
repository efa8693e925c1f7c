#include "plan/allocate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;
using namespace std::chrono_literals;
using Kind = ServiceWrite::Kind;

const Pool lan = pool("lan", "192.0.2.0/24", is_default);
const WallTime today{std::chrono::hours{24} * 20605};
const std::string wall = to_rfc3339(today);

// One process: its memory, and what it plans of the objects it is shown.
struct Process {
  AddressPlanner planner{{.quarantine = 1s, .mark_prefix = "me"}};
  World known;
  AddressPlan plan(Objects objects, Instant now = at(0s)) {
    fill(known, std::move(objects));
    planner.plan(known, {now, today});
    return summary(planner, known, {now, today});
  }
};
AddressPlan plan(Objects objects) { return Process{}.plan(std::move(objects)); }

// Who is recorded where: "192.0.2.1 shop/web held".
std::vector<std::string> records(const AddressPlan& plan) {
  std::vector<std::string> out;
  for (const BlockWrite& write : plan.block_writes)
    for (const auto& [address, entry] : write.block.addresses) {
      if (entry.holders.empty()) out.push_back(address.to_string() + " reserved for " + entry.reserved_for);
      for (const Holder& holder : entry.holders)
        out.push_back(address.to_string() + " " + holder.service.to_string() + (holder.state == HolderState::held ? " held" : " freeing"));
    }
  return out;
}
using Lines = std::vector<std::string>;

bool is_idle(const AddressPlan& plan) {
  return plan.block_writes.empty() && plan.block_reads.empty() && plan.service_reads.empty() && plan.service_writes.empty() &&
         plan.pool_writes.empty();
}
std::string pending_reason(const AddressPlan& plan) {
  if (plan.pending.size() != 1) return std::to_string(plan.pending.size()) + " pending";
  return std::string{to_string(plan.pending[0].refusals.at(0).reason)};
}

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

// -- pools ----------------------------------------------------------------------------------------

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
  EXPECT_EQ(out.pending.at(0).text(), "lan: quota of namespace shop used up (1/1; Eip spec.namespaceQuotas)");
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

TEST(Quarantine, ThePoolSaysHowLong) {
  Process process;
  const Pool slow = pool("lan", "192.0.2.0/24", [](Pool& p) { p.quarantine = 1h; });
  const Objects objects{.pools = {slow}, .blocks = {block({{"192.0.2.0", quarantined(service("x"), "lan")}})}};
  EXPECT_EQ(process.plan(objects).wake_at, at(1h));
  EXPECT_TRUE(is_idle(process.plan(objects, at(59min))));
  EXPECT_EQ(process.plan(objects, at(1h)).block_writes.size(), 1U);
}

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
