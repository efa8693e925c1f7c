// Eips: their fields (E), the forms of an address (A), what the controller does with an Eip (R).
#include <algorithm>

#include <boost/json/array.hpp>

#include "openelb.hpp"

namespace berth::openelb {
namespace {

class Eips : public OpenElb {
 protected:
  BlockEntry record(const std::string& address) {
    const auto records = subject().records();
    const auto found = records.find(IpAddress::parse(address).value());
    return found == records.end() ? BlockEntry{} : found->second;
  }
};

// -- E: fields --------------------------------------------------------------------------------------

TEST_F(Eips, E02_AnAddressMayGrow) {
  make_eip({"lan", "192.0.2.0-192.0.2.1", {}, as_default});
  start();
  for (const char* name : {"a", "b"}) make_service(name);
  EXPECT_TRUE(gets("a", "192.0.2.0"));
  EXPECT_TRUE(gets("b", "192.0.2.1"));
  make_service("c");
  EXPECT_TRUE(waits("c"));
  edit_eip("lan", {{"address", "192.0.2.0-192.0.2.3"}});
  EXPECT_TRUE(gets("c", "192.0.2.2"));
  EXPECT_TRUE(keeps("a", "192.0.2.0"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.pool_size == 4 && s.last_ip == "192.0.2.3" && s.usage == 3; }));
}

TEST_F(Eips, E03_AnEipWithoutProtocolIsOfBgp) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_EQ(record("192.0.2.0").protocol, Protocol::bgp);
}

TEST_F(Eips, E04_ProtocolAndInterfaceMayChangeAndAddressesStay) {
  make_eip({"lan", "192.0.2.0/24", {{"protocol", "layer2"}, {"interface", "eth0"}}, as_default});
  start();
  make_service("a");
  EXPECT_TRUE(gets("a", "192.0.2.0"));
  EXPECT_EQ(record("192.0.2.0").protocol, Protocol::layer2);
  EXPECT_EQ(record("192.0.2.0").interface, "eth0");
  edit_eip("lan", {{"protocol", "bgp"}, {"interface", nullptr}});
  make_service("b");
  EXPECT_TRUE(gets("b", "192.0.2.1"));
  EXPECT_EQ(record("192.0.2.1").protocol, Protocol::bgp);
  EXPECT_EQ(record("192.0.2.1").interface, "");
  EXPECT_TRUE(keeps("a", "192.0.2.0"));
}

TEST_F(Eips, E05_TheInterfaceIsTakenAsWritten) {
  make_eip({"lan", "192.0.2.0/24", {{"protocol", "vip"}, {"interface", "can_reach:203.0.113.9"}}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_EQ(record("192.0.2.0").interface, "can_reach:203.0.113.9");
}

TEST_F(Eips, E06_DisableStopsNewAllocationsOnly) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("a");
  EXPECT_TRUE(gets("a", "192.0.2.0"));
  edit_eip("lan", {{"disable", true}});
  make_service("b", {.annotations = pool_named("lan")});
  EXPECT_TRUE(told_part("b", "ConstructRequest", "eip:lan is disabled"));
  EXPECT_TRUE(waits("b"));
  EXPECT_TRUE(keeps("a", "192.0.2.0"));
  edit_eip("lan", {{"disable", false}});
  EXPECT_TRUE(gets("b", "192.0.2.1"));
}

TEST_F(Eips, E07_UsingKnownIPsMeansNothing) {
  make_eip({"lan", "192.0.2.0/24", {{"usingKnownIPs", true}}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Eips, E08_TheStatusSaysSizeEndsFamilyAndUse) {
  make_eip({"lan", "192.0.2.8/30", {}, as_default});
  make_eip({"six", "2001:db8::10-2001:db8::1f"});
  start();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) {
    return s.pool_size == 4 && s.first_ip == "192.0.2.8" && s.last_ip == "192.0.2.11" && s.v4 && s.usage == 0 && !s.occupied;
  }));
  EXPECT_TRUE(eip_says("six", [](const Pool::Status& s) {
    return s.pool_size == 16 && s.first_ip == "2001:db8::10" && s.last_ip == "2001:db8::1f" && !s.v4;
  }));
  for (const char* name : {"a", "b", "c", "d"}) make_service(name);
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 4 && s.occupied; }));
  delete_service("b");
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 3 && !s.occupied; }));
}

TEST_F(Eips, E09_UsedNamesTheServiceOfEachAddress) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  make_service("bank/web");
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) {
    return s.used == std::map<std::string, std::string>{{"192.0.2.0", "shop/web"}, {"192.0.2.1", "bank/web"}};
  }));
  delete_service("web");
  EXPECT_TRUE(
      eip_says("lan", [](const Pool::Status& s) { return s.used == std::map<std::string, std::string>{{"192.0.2.1", "bank/web"}}; }));
}

TEST_F(Eips, E10_ReadyIsSetAgain) {
  make_eip({"lan", "192.0.2.0/24"});
  start();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.ready; }));
}

TEST_F(Eips, E11_TheCniLabelOnAnEipMeansNothing) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  subject().patch(eip_id("lan"), {{"metadata", {{"labels", {{"openelb.kubesphere.io/cni", "calico"}}}}}});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Eips, E14_PoolsThatOverlapNeverGiveOneAddressTwice) {
  make_eip({"small", "192.0.2.0/30"});
  make_eip({"large", "192.0.2.0/29"});
  start();
  for (const char* name : {"s0", "s1"}) make_service(name, {.annotations = pool_named("small")});
  for (const char* name : {"t0", "t1", "t2", "t3", "t4", "t5"}) make_service(name, {.annotations = pool_named("large")});
  std::set<std::string> all;
  for (const char* name : {"s0", "s1", "t0", "t1", "t2", "t3", "t4", "t5"}) {
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); })) << name;
    EXPECT_TRUE(all.insert(shown(name)).second) << name << " shows " << shown(name) << " too";
  }
}

TEST_F(Eips, E15_OfTwoDefaultsTheFirstByNameServes) {
  make_eip({"beta", "198.51.100.0/24", {}, as_default});
  make_eip({"alpha", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  for (const char* name : {"alpha", "beta"})
    EXPECT_TRUE(eip_says(name, [](const Pool::Status& s) {
      return std::ranges::any_of(s.conditions, [](const Condition& one) {
        return one.type == "SeveralDefaults" && one.message.starts_with("alpha, beta are default pools");
      });
    }));
}

TEST_F(Eips, E16_OnlyTheExactWordMakesADefault) {
  make_eip({"lan", "192.0.2.0/24", {}, {{std::string{keys::default_pool}, "True"}}});
  start();
  make_service("web");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "no available default eip found"));
  EXPECT_TRUE(waits("web"));
  annotate_eip("lan", keys::default_pool, "true");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Eips, E18_AddressesOfTwoFamiliesAreNeverTheSameNumber) {
  make_eip({"four", "0.0.2.0/24"});
  make_eip({"six", "::200/120"});
  start();
  make_service("a", {.annotations = pool_named("four")});
  make_service("b", {.annotations = pool_named("six"), .spec = {{"ipFamilies", {"IPv6"}}}});
  EXPECT_TRUE(gets("a", "0.0.2.0"));
  EXPECT_TRUE(gets("b", "::200"));
}

// -- A: forms of an address -------------------------------------------------------------------------

TEST_F(Eips, A01_OneAddress) {
  make_eip({"four", "192.0.2.7", {}, as_default});
  make_eip({"six", "2001:db8::7"});
  start();
  make_service("a");
  make_service("b", {.annotations = pool_named("six"), .spec = {{"ipFamilies", {"IPv6"}}}});
  EXPECT_TRUE(gets("a", "192.0.2.7"));
  EXPECT_TRUE(gets("b", "2001:db8::7"));
  EXPECT_TRUE(eip_says("four", [](const Pool::Status& s) { return s.pool_size == 1 && s.occupied; }));
}

TEST_F(Eips, A02_HostBitsOfAPrefixAreMaskedOff) {
  make_eip({"lan", "192.0.2.77/29", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.72"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.first_ip == "192.0.2.72" && s.last_ip == "192.0.2.79"; }));
}

TEST_F(Eips, A03_ARangeHasBothItsEnds) {
  make_eip({"lan", "192.0.2.9-192.0.2.10", {}, as_default});
  start();
  for (const char* name : {"a", "b"}) make_service(name);
  EXPECT_TRUE(gets("a", "192.0.2.9"));
  EXPECT_TRUE(gets("b", "192.0.2.10"));
}

TEST_F(Eips, A04_WhatIsNoRangeIsRefused) {
  start();
  int number = 0;
  for (const char* address :
       {"192.0.2.9-192.0.2.8", "192.0.2.1 - 192.0.2.9", "192.0.2.1-9", "192.0.2.1-192.0.2.2-192.0.2.3", "192.0.2.1-2001:db8::1"}) {
    const std::string name = "odd-" + std::to_string(++number);
    make_eip({name, address});
    EXPECT_TRUE(eip_told_part(name, "add/update eip", "")) << address;
    make_service("web-" + name, {.annotations = pool_named(name)});
    EXPECT_TRUE(waits("web-" + name)) << address;
  }
}

TEST_F(Eips, A05_NetworkAndBroadcastAddressesAreGiven) {
  make_eip({"lan", "192.0.2.255-192.0.3.0", {}, as_default});
  start();
  for (const char* name : {"a", "b"}) make_service(name);
  EXPECT_TRUE(gets("a", "192.0.2.255"));
  EXPECT_TRUE(gets("b", "192.0.3.0"));
  make_eip({"careful", "198.51.100.255-198.51.101.9", {{"avoidBuggyIPs", true}}});
  make_service("c", {.annotations = pool_named("careful")});
  EXPECT_TRUE(gets("c", "198.51.101.1")) << "unless told otherwise";
}

TEST_F(Eips, A06_AMaskInDotsIsRefused) {
  make_eip({"lan", "192.0.2.0/255.255.255.0", {}, as_default});
  start();
  EXPECT_TRUE(eip_told_part("lan", "add/update eip", ""));
  make_service("web");
  EXPECT_TRUE(waits("web"));
}

TEST_F(Eips, A07_SeveralRangesMakeOnePool) {
  make_eip({"lan", "192.0.2.9, 192.0.2.64/31,192.0.2.1-192.0.2.2", {}, as_default});
  start();
  const char* expected[] = {"192.0.2.9", "192.0.2.64", "192.0.2.65", "192.0.2.1", "192.0.2.2"};
  std::set<std::string> given;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "s" + std::to_string(i);
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); })) << name;
    given.insert(shown(name));
  }
  EXPECT_EQ(given, (std::set<std::string>{std::begin(expected), std::end(expected)}));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.pool_size == 5 && s.occupied; }));
}

TEST_F(Eips, A08_ALargeIpv6PrefixIsAPool) {
  make_eip({"six", "2001:db8::/64", {}, as_default});
  start();
  make_service("web", {.spec = {{"ipFamilies", {"IPv6"}}}});
  EXPECT_TRUE(gets("web", "2001:db8::"));
  EXPECT_TRUE(eip_says("six", [](const Pool::Status& s) {
    return s.pool_size == INT64_MAX && !s.occupied && s.last_ip == "2001:db8::ffff:ffff:ffff:ffff";
  }));
}

// -- R: what the controller does with an Eip --------------------------------------------------------

TEST_F(Eips, R01_AnAnnotationCountsAsAChange) {
  make_eip({"lan", "192.0.2.0/24"});
  start();
  make_service("web");
  EXPECT_TRUE(waits("web"));
  annotate_eip("lan", keys::default_pool, "true");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Eips, R02_AnEipGetsItsFinalizer) {
  make_eip({"lan", "192.0.2.0/24"});
  start();
  EXPECT_TRUE(eventually([&] { return see_eip("lan").finalizers == std::vector<std::string>{"finalizer.ipam.kubesphere.io/v1alpha1"}; }));
}

TEST_F(Eips, R03_TheStatusFollowsTheSpec) {
  make_eip({"lan", "192.0.2.0/30", {}, {}, {{"firstIP", "203.0.113.1"}, {"lastIP", "203.0.113.9"}, {"poolSize", 9}}});
  start();
  EXPECT_TRUE(
      eip_says("lan", [](const Pool::Status& s) { return s.first_ip == "192.0.2.0" && s.last_ip == "192.0.2.3" && s.pool_size == 4; }));
}

TEST_F(Eips, R04_AServiceThatVanishesLeavesNoEntry) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 1; }));
  subject().patch(service_id("web"), {{"metadata", {{"finalizers", json::array{}}}}});
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 0 && s.used.empty(); }));
}

TEST_F(Eips, R05_AnEntryOfAServiceThatIsGoneIsDroppedAtTheStart) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default, {{"used", {{"192.0.2.0", "shop/long-gone"}}}, {"usage", 1}, {"firstIP", "192.0.2.0"}}});
  start();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 0 && s.used.empty(); }));
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Eips, R06_AnEntryOfAServiceThatHasNoAddressAnyMoreIsDropped) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default, {{"used", {{"192.0.2.0", "shop/web"}}}, {"usage", 1}, {"firstIP", "192.0.2.0"}}});
  make_service("web", {.spec = {{"type", "ClusterIP"}}});
  start();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 0 && s.used.empty(); }));
}

TEST_F(Eips, R07_WhatIsWrongWithAnEipIsToldAtIt) {
  make_eip({"lan", "192.0.2.0/99"});
  start();
  EXPECT_TRUE(eip_told_part("lan", "add/update eip", "node-a: "));
  const auto told = events_of_eip("lan");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].warning);
  EXPECT_EQ(told[0].component, "EIPController");
}

TEST_F(Eips, R10_AnEipThatIsDeletedUnusedGoesAtOnce) {
  make_eip({"lan", "192.0.2.0/24"});
  start();
  EXPECT_TRUE(eventually([&] { return !see_eip("lan").finalizers.empty(); }));
  delete_eip("lan");
  EXPECT_TRUE(eventually([&] { return !subject().pool("lan"); }));
}

}  // namespace
}  // namespace berth::openelb
