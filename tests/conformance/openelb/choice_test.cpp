// Which pool serves a Service (P), which address of it (O), and the families (F).
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "openelb.hpp"

namespace berth::openelb {
namespace {

class Choice : public OpenElb {
 protected:
  // How many Services fill a /30.
  void fill(const std::string& pool, int addresses) {
    for (int i = 0; i < addresses; ++i) {
      const std::string name = fmt::format("filler-{}-{}", pool, i);
      make_service(name, {.annotations = pool_named(pool)});
      EXPECT_TRUE(eventually([&] { return !shown(name).empty(); })) << name;
    }
  }
};

// -- P: the pool ------------------------------------------------------------------------------------

TEST_F(Choice, P01_ANamedPoolServesWhateverNamespacesItIsBoundTo) {
  make_eip({"bank", "192.0.2.0/24", {{"namespaces", {"bank"}}}});
  make_eip({"lan", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = pool_named("bank")});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P02_AWantedAddressFindsItsPoolWhateverNamespacesItIsBoundTo) {
  make_eip({"bank", "192.0.2.0/24", {{"namespaces", {"bank"}}}});
  make_eip({"lan", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = wants("192.0.2.77")});
  EXPECT_TRUE(gets("web", "192.0.2.77"));
}

TEST_F(Choice, P03_OfPoolsThatContainTheWantedAddressTheFirstByNameServes) {
  make_eip({"wide", "192.0.2.0/24"});
  make_eip({"narrow", "192.0.2.64/26"});
  start();
  make_service("web", {.annotations = wants("192.0.2.77")});
  EXPECT_TRUE(gets("web", "192.0.2.77"));
  EXPECT_EQ(see("web").pool_label, "narrow");
}

TEST_F(Choice, P04_AWantedAddressOfADisabledPoolIsRefused) {
  make_eip({"lan", "192.0.2.0/24", {{"disable", true}}});
  start();
  make_service("web", {.annotations = wants("192.0.2.77")});
  EXPECT_TRUE(told_part("web", "ConstructRequest", "failed to construct allocate request: eip:lan is disabled"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P05_AWantedAddressOfAPoolThatIsDeletedIsRefused) {
  make_eip({"lan", "192.0.2.0/24"});
  start();
  make_service("first", {.annotations = pool_named("lan")});
  EXPECT_TRUE(gets("first", "192.0.2.0"));
  delete_eip("lan");
  make_service("web", {.annotations = wants("192.0.2.77")});
  EXPECT_TRUE(told_part("web", "ConstructRequest", "failed to construct allocate request: eip:lan is deleting"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P06_AWantedAddressOfNoPoolIsRefused) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = wants("203.0.113.5")});
  EXPECT_TRUE(told_part("web", "ConstructRequest",
                        "failed to construct allocate request: no available eip was found containing the ip:[203.0.113.5]"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P07_AutomaticallyAPoolOfTheNamespaceServes) {
  make_eip({"lan", "198.51.100.0/24", {}, as_default});
  make_eip({"shop", "192.0.2.0/24", {{"namespaces", {"shop", "yard"}}}});
  start();
  make_service("web");
  make_service("bank/web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_TRUE(gets("bank/web", "198.51.100.0"));
}

TEST_F(Choice, P08_ANamespaceIsBoundByItsLabelsToo) {
  label_namespace("shop", "team", "red");
  label_namespace("shop", "tier", "gold");
  label_namespace("bank", "team", "red");
  make_eip({"gold", "192.0.2.0/24", {{"namespaceSelector", {{"team", "red"}, {"tier", "gold"}}}}});
  make_eip({"lan", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web");
  make_service("bank/web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_TRUE(gets("bank/web", "198.51.100.0")) << "all labels must be there";
  label_namespace("shop", "team", nullptr);
  label_namespace("shop", "tier", nullptr);
  label_namespace("bank", "team", nullptr);
}

TEST_F(Choice, P09_DisabledAndDeletedPoolsAreLeftOut) {
  make_eip({"off", "192.0.2.0/24", {{"namespaces", {"shop"}}, {"disable", true}, {"priority", -1}}});
  make_eip({"going", "198.51.100.0/24", {{"namespaces", {"shop"}}}});
  make_eip({"on", "203.0.113.0/24", {{"namespaces", {"shop"}}, {"priority", 1}}});
  start();
  make_service("first");
  EXPECT_TRUE(gets("first", "198.51.100.0"));
  delete_eip("going");
  make_service("web");
  EXPECT_TRUE(gets("web", "203.0.113.0"));
}

TEST_F(Choice, P10_TheSmallerPriorityGoesFirst) {
  make_eip({"a", "198.51.100.0/24", {{"namespaces", {"shop"}}, {"priority", 20}}});
  make_eip({"b", "192.0.2.0/24", {{"namespaces", {"shop"}}, {"priority", 10}}});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  make_eip({"c", "203.0.113.0/24", {{"namespaces", {"shop"}}}});  // 0
  settle();
  make_service("next");
  EXPECT_TRUE(gets("next", "203.0.113.0"));
}

TEST_F(Choice, P11_AFullPoolComesAfterOneThatHasRoom) {
  make_eip({"a", "192.0.2.1", {{"namespaces", {"shop"}}, {"priority", 1}}});
  make_eip({"b", "198.51.100.0/24", {{"namespaces", {"shop"}}, {"priority", 2}}});
  start();
  fill("a", 1);
  make_service("web");
  EXPECT_TRUE(gets("web", "198.51.100.0"));
}

TEST_F(Choice, P12_OfEqualPriorityTheFirstByNameServes) {
  for (const char* name : {"m", "z", "a"})
    make_eip({name, std::string{name} == "a" ? "192.0.2.0/24" : fmt::format("198.51.{}.0/24", 100 + name[0]), {{"namespaces", {"shop"}}}});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P13_APoolThatIsBoundTwiceCountsOnce) {
  label_namespace("shop", "team", "red");
  make_eip({"red", "192.0.2.1", {{"namespaces", {"shop"}}, {"namespaceSelector", {{"team", "red"}}}}});
  start();
  fill("red", 1);
  make_service("web");
  EXPECT_TRUE(waits("web"));
  ASSERT_FALSE(events("web").empty());
  const std::string message = events("web").front().message;
  const auto first = message.find("full");
  ASSERT_NE(first, std::string::npos) << message;
  EXPECT_EQ(message.find("full", first + 1), std::string::npos) << message;
  label_namespace("shop", "team", nullptr);
}

TEST_F(Choice, P14_WithoutAPoolOfTheNamespaceTheDefaultServes) {
  make_eip({"bank", "198.51.100.0/24", {{"namespaces", {"bank"}}}});
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P15_TheDefaultDoesNotStepInForFullPoolsOfTheNamespace) {
  make_eip({"lan", "198.51.100.0/24", {}, as_default});
  make_eip({"shop", "192.0.2.1", {{"namespaces", {"shop"}}}});
  start();
  fill("shop", 1);
  make_service("web");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "no suitable ip to allocate"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P16_TheDefaultStepsInForPoolsOfTheNamespaceThatAreOff) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  make_eip({"shop", "198.51.100.0/24", {{"namespaces", {"shop"}}, {"disable", true}}});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P17_WithoutAnyPoolTheServiceIsToldSo) {
  make_eip({"bank", "198.51.100.0/24", {{"namespaces", {"bank"}}}});
  start();
  make_service("web");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "failed to construct allocate request: no available default eip found"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P18_APoolThatIsNeitherBoundNorDefaultServesOnlyIfAskedFor) {
  make_eip({"spare", "192.0.2.0/24"});
  start();
  make_service("web");
  make_service("named", {.annotations = pool_named("spare")});
  make_service("wanted", {.annotations = wants("192.0.2.9")});
  EXPECT_TRUE(gets("named", "192.0.2.0"));
  EXPECT_TRUE(gets("wanted", "192.0.2.9"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, P19_AServiceWithoutAPoolIsServedAsSoonAsThereIsOne) {
  start();
  make_service("web");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "no available default eip found"));
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P20_AServiceThatNamesAMissingPoolIsServedAsSoonAsItExists) {
  start();
  make_service("web", {.annotations = pool_named("lan")});
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "lan"));
  make_eip({"lan", "192.0.2.0/24"});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Choice, P21_AServiceOfAFullPoolIsServedAsSoonAsAnAddressIsFree) {
  make_eip({"lan", "192.0.2.1", {}, as_default});
  start();
  make_service("first");
  EXPECT_TRUE(gets("first", "192.0.2.1"));
  make_service("web");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "no suitable ip to allocate"));
  delete_service("first");
  EXPECT_TRUE(gets("web", "192.0.2.1"));
}

TEST_F(Choice, P22_ThePoolsOfANamespaceMayBeEnforced) {
  make_eip({"bank", "192.0.2.0/24", {{"namespaces", {"bank"}}, {"enforceNamespaces", true}}});
  start();
  make_service("named", {.annotations = pool_named("bank")});
  make_service("wanted", {.annotations = wants("192.0.2.9")});
  make_service("bank/web", {.annotations = pool_named("bank")});
  EXPECT_TRUE(gets("bank/web", "192.0.2.0"));
  EXPECT_TRUE(waits("named"));
  EXPECT_TRUE(waits("wanted"));
}

// -- O: the address ---------------------------------------------------------------------------------

TEST_F(Choice, O01_TheLowestFreeAddressIsGiven) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  for (int i = 0; i < 4; ++i) {
    make_service(fmt::format("s{}", i));
    EXPECT_TRUE(gets(fmt::format("s{}", i), fmt::format("192.0.2.{}", i)));
  }
  delete_service("s1");
  EXPECT_TRUE(vanishes("s1"));
  EXPECT_TRUE(eventually([&] { return !subject().records().contains(IpAddress::parse("192.0.2.1").value()); }));
  make_service("next");
  EXPECT_TRUE(gets("next", "192.0.2.1"));
}

TEST_F(Choice, O08_OrTheOneThatWasUsedLongestAgo) {
  make_eip({"lan", "192.0.2.0/30", {{"allocationOrder", "leastRecentlyUsed"}}, as_default});
  start();
  for (int i = 0; i < 3; ++i) {
    const std::string name = fmt::format("s{}", i);
    make_service(name);
    EXPECT_TRUE(gets(name, fmt::format("192.0.2.{}", i)));
  }
  for (const char* name : {"s1", "s0"}) {
    delete_service(name);
    EXPECT_TRUE(vanishes(name));
    settle();
  }
  for (const char* address : {"192.0.2.3", "192.0.2.1", "192.0.2.0"}) {  // never used; freed first; freed last
    const std::string name = fmt::format("next-{}", address + 8);
    make_service(name);
    EXPECT_TRUE(gets(name, address));
  }
}

TEST_F(Choice, O02_AWantedAddressOutsideTheNamedPoolIsRefused) {
  make_eip({"lan", "192.0.2.0/24"});
  make_eip({"other", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = pool_named("lan") + wants("198.51.100.9")});
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "the specified ip:198.51.100.9 is beyond the range of eip[lan:192.0.2.0/24]"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, O03_ANamedPoolThatIsDisabledIsRefused) {
  make_eip({"lan", "192.0.2.0/24", {{"disable", true}}});
  make_eip({"other", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = pool_named("lan")});
  EXPECT_TRUE(eventually([&] { return !events("web").empty(); }));
  EXPECT_NE(events("web").front().message.find("eip:lan is disabled"), std::string::npos);
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, O04_ANamedPoolThatIsDeletedIsRefused) {
  make_eip({"lan", "192.0.2.0/24"});
  make_eip({"other", "198.51.100.0/24", {}, as_default});
  start();
  make_service("first", {.annotations = pool_named("lan")});
  EXPECT_TRUE(gets("first", "192.0.2.0"));
  delete_eip("lan");
  make_service("web", {.annotations = pool_named("lan")});
  EXPECT_TRUE(eventually([&] { return !events("web").empty(); }));
  EXPECT_NE(events("web").front().message.find("eip:lan is deleting"), std::string::npos);
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, O05_AFullPoolIsSaid) {
  make_eip({"lan", "192.0.2.1", {}, as_default});
  start();
  fill("lan", 1);
  make_service("web");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "no suitable ip to allocate"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, O06_AWishThatIsNoAddressIsRefused) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = pool_named("lan") + wants("192.0.2.300")});
  EXPECT_TRUE(eventually([&] { return !events("web").empty(); }));
  EXPECT_NE(events("web").front().message.find("192.0.2.300"), std::string::npos) << events("web").front().message;
  EXPECT_TRUE(waits("web"));
  annotate("web", keys::wanted_ip, "192.0.2.30");
  EXPECT_TRUE(gets("web", "192.0.2.30"));
}

TEST_F(Choice, O07_AFreedAddressRestsBeforeAnotherGetsIt) {
  make_eip({"lan", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
  make_service("other");
  EXPECT_TRUE(gets("other", "192.0.2.1"));
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0")) << "the same Service may have it back at once";
}

// -- F: families ------------------------------------------------------------------------------------

TEST_F(Choice, F01_ANamedPoolOfAnotherFamilyIsRefused) {
  make_eip({"six", "2001:db8::/120"});
  make_eip({"four", "192.0.2.0/24", {}, as_default});
  start();
  make_service("web", {.annotations = pool_named("six")});
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "service can't use different family eip"));
  EXPECT_TRUE(waits("web"));
}

TEST_F(Choice, F02_AnIpv6ServiceFindsAnIpv6Pool) {
  make_eip({"a-four", "192.0.2.0/24", {{"namespaces", {"shop"}}}});
  make_eip({"b-six", "2001:db8::/120", {{"namespaces", {"shop"}}}});
  start();
  make_service("web", {.spec = {{"ipFamilies", {"IPv6"}}}});
  EXPECT_TRUE(gets("web", "2001:db8::"));
}

TEST_F(Choice, F03_ADualStackServiceGetsOneAddressOfEachFamily) {
  make_eip({"four", "192.0.2.0/24", {}, as_default});
  make_eip({"six", "2001:db8::/120", {}, as_default});
  start();
  const json::object dual{{"ipFamilyPolicy", "RequireDualStack"}, {"ipFamilies", {"IPv6", "IPv4"}}};
  make_service("web", {.spec = dual});
  EXPECT_TRUE(gets("web", "2001:db8::,192.0.2.0"));
}

TEST_F(Choice, F04_RequiredTogetherOrNotAtAll) {
  make_eip({"four", "192.0.2.0/24", {}, as_default});
  start();
  const json::object require{{"ipFamilyPolicy", "RequireDualStack"}, {"ipFamilies", {"IPv4", "IPv6"}}};
  const json::object prefer{{"ipFamilyPolicy", "PreferDualStack"}, {"ipFamilies", {"IPv4", "IPv6"}}};
  make_service("both", {.spec = require});
  EXPECT_TRUE(waits("both"));
  make_service("either", {.spec = prefer});
  EXPECT_TRUE(gets("either", "192.0.2.0"));
  make_eip({"six", "2001:db8::/120", {}, as_default});
  settle();
  EXPECT_TRUE(shown("either").starts_with("192.0.2.0,2001:db8::")) << "the other family later";
  EXPECT_TRUE(shown("both").starts_with("192.0.2.1,2001:db8::"));
  EXPECT_NE(shown("either").substr(10), shown("both").substr(10));
}

TEST_F(Choice, F05_OneAddressOfEachFamilyMayBeWanted) {
  make_eip({"lan", "192.0.2.0/24,2001:db8::/120"});
  start();
  const json::object dual{{"ipFamilyPolicy", "RequireDualStack"}, {"ipFamilies", {"IPv4", "IPv6"}}};
  make_service("web", {.annotations = pool_named("lan") + wants("192.0.2.7,2001:db8::7"), .spec = dual});
  EXPECT_TRUE(gets("web", "192.0.2.7,2001:db8::7"));
}

}  // namespace
}  // namespace berth::openelb
