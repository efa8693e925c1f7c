// The life of a Service and of its Eip: what is taken, kept, moved, given back (L), what must not move it
// (D), deletion of an Eip (R), finalizers (Z), restarts and taking over from OpenELB (T), Events (V). These
// run on a real API server too.
#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>
#include <fmt/format.h>

#include "openelb.hpp"

namespace berth::openelb {
namespace {

using Path = std::vector<std::string>;
const std::string finalizer{keys::service_finalizer};

class Life : public OpenElb {
 protected:
  void lan() { make_eip({"lan", "192.0.2.0/24", {}, as_default}); }
  void lan_and_web() {
    lan();
    start();
    make_service("web");
    EXPECT_TRUE(gets("web", "192.0.2.0"));
  }
  void take_off(const std::string& service, std::string_view label) {
    json::object labels;
    labels[label] = nullptr;
    subject().patch(service_id(service), {{"metadata", {{"labels", std::move(labels)}}}});
  }
  void set_finalizers(const ObjectId& id, const std::vector<std::string>& all) {
    subject().patch(id, {{"metadata", {{"finalizers", json::value_from(all)}}}});
  }
  bool has(const std::string& service, const std::string& one) { return std::ranges::count(see(service).finalizers, one) > 0; }
  // How many addresses have a Service, as recorded.
  std::size_t in_use() {
    const auto records = subject().records();
    return static_cast<std::size_t>(std::ranges::count_if(records, [](const auto& item) { return !item.second.holders.empty(); }));
  }
  std::size_t count(const std::string& service, std::string_view reason) {
    std::size_t out = 0;
    for (const Told& told : events(service)) out += told.reason == reason ? static_cast<std::size_t>(told.count) : 0;
    return out;
  }
  // As OpenELB leaves a Service that it gave an address.
  static Wish left_by_openelb(const std::string& pool, std::vector<std::string> shows) {
    return {.labels = pool_named(pool), .finalizers = {finalizer}, .shows = std::move(shows)};
  }
  Eip left_by_openelb(const std::string& name, const std::string& address, const json::object& used) {
    return {name,
            address,
            {},
            as_default,
            {{"used", used}, {"usage", used.size()}, {"firstIP", address}, {"poolSize", 256}},
            {std::string{keys::pool_finalizer}}};
  }
};

// -- L: taken, kept, moved, given back --------------------------------------------------------------

TEST_F(Life, L01_WhatIsTakenIsShownInOneWrite) {
  lan_and_web();
  const Service now = see("web");
  EXPECT_EQ(now.pool_label, "lan");
  EXPECT_TRUE(has("web", finalizer));
  for (const Service& version : subject().history(name_of("web")))
    EXPECT_EQ(!version.ingress.empty(), version.has_pool_label && !version.finalizers.empty());
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) {
    return s.used == std::map<std::string, std::string>{{"192.0.2.0", "shop/web"}} && s.usage == 1;
  }));
}

TEST_F(Life, L02_WhatIsGivenBackLeavesNothing) {
  lan_and_web();
  annotate("web", keys::opt_in, nullptr);
  EXPECT_TRUE(lets_go("web"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.used.empty() && s.usage == 0; }));
  make_service("other");
  EXPECT_TRUE(eventually([&] { return !shown("other").empty(); }));
}

TEST_F(Life, L03_ADeletedServiceGivesItsAddressBack) {
  lan_and_web();
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.used.empty(); }));
}

TEST_F(Life, L04_AnotherTypeGivesItsAddressBack) {
  lan_and_web();
  edit("web", {{"type", "ClusterIP"}});
  EXPECT_TRUE(lets_go("web"));
  edit("web", {{"type", "LoadBalancer"}});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Life, L05_AnotherValueOfTheOptInGivesItsAddressBack) {
  lan_and_web();
  annotate("web", keys::opt_in, "porter");
  EXPECT_TRUE(lets_go("web"));
}

TEST_F(Life, L06_WithoutItsOnlyAnnotationAServiceIsLetGoAndCanBeDeleted) {
  lan_and_web();
  subject().patch(service_id("web"), {{"metadata", {{"annotations", nullptr}}}});
  EXPECT_TRUE(lets_go("web"));
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, L07_AnotherClassGivesItsAddressBack) {
  lan_and_web();
  edit("web", {{"type", "ClusterIP"}});  // the API server lets a class be set only on the way to LoadBalancer
  edit("web", {{"type", "LoadBalancer"}, {"loadBalancerClass", "example.com/other"}});
  EXPECT_TRUE(lets_go("web"));
}

TEST_F(Life, L08_WhenNothingChangesNothingIsWritten) {
  lan_and_web();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 1; }));
  EXPECT_TRUE(nothing_is_written());
  annotate("web", "example.kubesphere.io/note", "x");
  settle();
  EXPECT_TRUE(nothing_is_written());
  EXPECT_EQ(path_of("web"), (Path{"", "192.0.2.0"}));
}

TEST_F(Life, L09_AnotherPoolIsTakenBeforeTheOldAddressIsGivenUp) {
  make_eip({"other", "198.51.100.0/24"});
  lan_and_web();
  annotate("web", keys::pool, "other");
  EXPECT_TRUE(keeps("web", "198.51.100.0"));
  EXPECT_EQ(path_of("web"), (Path{"", "192.0.2.0", "198.51.100.0"}));
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.0").empty(); }));
  EXPECT_EQ(see("web").pool_label, "other");
}

TEST_F(Life, L10_AnotherWantedAddressIsTakenBeforeTheOldIsGivenUp) {
  lan_and_web();
  annotate("web", keys::wanted_ip, "192.0.2.77");
  EXPECT_TRUE(keeps("web", "192.0.2.77"));
  EXPECT_EQ(path_of("web"), (Path{"", "192.0.2.0", "192.0.2.77"}));
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.0").empty(); }));
}

TEST_F(Life, L11_AWishTakenBackChangesNothing) {
  lan();
  start();
  make_service("web", {.annotations = wants("192.0.2.77")});
  EXPECT_TRUE(gets("web", "192.0.2.77"));
  annotate("web", keys::wanted_ip, nullptr);
  EXPECT_TRUE(keeps("web", "192.0.2.77"));
}

TEST_F(Life, L12_APoolTakenBackChangesNothing) {
  lan();
  make_eip({"other", "198.51.100.0/24"});
  start();
  make_service("web", {.annotations = pool_named("other")});
  EXPECT_TRUE(gets("web", "198.51.100.0"));
  annotate("web", keys::pool, nullptr);
  EXPECT_TRUE(keeps("web", "198.51.100.0"));
}

TEST_F(Life, L13_AWishThatNoPoolCanMeetLeavesTheAddress) {
  lan_and_web();
  annotate("web", keys::pool, "missing");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "missing"));
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  annotate("web", keys::pool, nullptr);
  annotate("web", keys::wanted_ip, "203.0.113.5");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "no available eip was found containing the ip:[203.0.113.5]"));
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, L14_EditsOfOthersAreNotLost) {
  lan();
  start();
  make_service("web");
  for (int i = 0; i < 20; ++i) {
    annotate("web", fmt::format("test.kubesphere.io/{}", i), "x");
    int looks = 0;
    eventually([&] { return ++looks > 2; });
  }
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  delete_service("web");
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(see("web").annotations.contains(fmt::format("test.kubesphere.io/{}", i)) || shown("web") == "gone") << i;
  EXPECT_TRUE(vanishes("web"));
  EXPECT_EQ(subject().history(name_of("web")).back().annotations.count("test.kubesphere.io/19"), 1U);
}

TEST_F(Life, L15_ManyServicesGetAnAddressEach) {
  lan();
  start();
  for (int i = 0; i < 20; ++i) make_service(fmt::format("s{}", i));
  std::set<std::string> all;
  for (int i = 0; i < 20; ++i) {
    const std::string name = fmt::format("s{}", i);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
    EXPECT_TRUE(all.insert(shown(name)).second) << shown(name);
  }
  EXPECT_EQ(in_use(), 20U);
}

// -- D: what must not move an address ---------------------------------------------------------------

TEST_F(Life, D01_AServiceThatTookTheLastAddressStays) {
  make_eip({"small", "192.0.2.1", {{"namespaces", {"shop"}}, {"priority", 1}}});
  make_eip({"large", "198.51.100.0/24", {{"namespaces", {"shop"}}, {"priority", 2}}});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.1"));
  EXPECT_TRUE(eip_says("small", [](const Pool::Status& s) { return s.occupied; }));
  annotate("web", "example.kubesphere.io/note", "x");
  EXPECT_TRUE(keeps("web", "192.0.2.1"));
  EXPECT_TRUE(nothing_is_written());
}

TEST_F(Life, D02_ABetterPoolMovesNobody) {
  make_eip({"shop", "192.0.2.0/24", {{"namespaces", {"shop"}}, {"priority", 10}}});
  make_eip({"all", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web");
  make_service("bank/web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_TRUE(gets("bank/web", "198.51.100.0"));
  make_eip({"better", "203.0.113.0/25", {{"namespaces", {"shop", "bank"}}, {"priority", 1}}});
  make_eip({"a-default", "203.0.113.128/25", {}, as_default});
  EXPECT_TRUE(eventually([&] { return !see_eip("a-default").finalizers.empty() && !see_eip("better").finalizers.empty(); }));
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  EXPECT_TRUE(keeps("bank/web", "198.51.100.0"));
}

TEST_F(Life, D03_DisableMovesNobody) {
  lan_and_web();
  make_eip({"shop", "198.51.100.0/24", {{"namespaces", {"shop"}}}});  // where it could go
  EXPECT_TRUE(eventually([&] { return !see_eip("shop").finalizers.empty(); }));
  edit_eip("lan", {{"disable", true}});
  annotate("web", "example.kubesphere.io/note", "x");
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  kill();
  start();
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, D04_ADefaultThatIsNoneAnyMoreMovesNobody) {
  lan_and_web();
  make_eip({"next", "198.51.100.0/24"});
  annotate_eip("lan", keys::default_pool, nullptr);
  annotate_eip("next", keys::default_pool, "true");
  annotate("web", "example.kubesphere.io/note", "x");
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, D05_OtherLabelsOfTheNamespaceMoveNobody) {
  label_namespace("shop", "team", "red");
  make_eip({"red", "192.0.2.0/24", {{"namespaceSelector", {{"team", "red"}}}}});
  make_eip({"all", "198.51.100.0/24", {}, as_default});
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  label_namespace("shop", "team", nullptr);
  annotate("web", "example.kubesphere.io/note", "x");
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, D06_ALostLabelIsPutBack) {
  lan();
  start();
  for (const char* name : {"a", "web"}) {
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
  }
  const std::string address = shown("web");
  delete_service("a");  // a lower address is free
  EXPECT_TRUE(vanishes("a"));
  take_off("web", keys::pool);
  EXPECT_TRUE(eventually([&] { return see("web").pool_label == "lan"; }));
  EXPECT_TRUE(keeps("web", address));
}

TEST_F(Life, D07_AChangeWithinAPoolIsNoOutage) {
  lan_and_web();
  annotate("web", keys::wanted_ip, "192.0.2.9");
  EXPECT_TRUE(gets("web", "192.0.2.9"));
  annotate("web", keys::wanted_ip, "192.0.2.10");
  EXPECT_TRUE(keeps("web", "192.0.2.10"));
  EXPECT_EQ(path_of("web"), (Path{"", "192.0.2.0", "192.0.2.9", "192.0.2.10"}));
  EXPECT_EQ(count("web", "AssignIPFailed"), 0U);
}

TEST_F(Life, D08_TheOldAddressStaysUntilThereIsANewOne) {
  make_eip({"one", "198.51.100.1"});
  lan_and_web();
  make_service("first", {.annotations = pool_named("one")});
  EXPECT_TRUE(gets("first", "198.51.100.1"));
  annotate("web", keys::pool, "one");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "no suitable ip to allocate"));
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  delete_service("first");
  EXPECT_TRUE(gets("web", "198.51.100.1"));
  EXPECT_EQ(path_of("web"), (Path{"", "192.0.2.0", "198.51.100.1"}));
}

// -- R: deletion of an Eip --------------------------------------------------------------------------

TEST_F(Life, R08_AnEipInUseWaitsForItsLastAddress) {
  lan_and_web();
  make_eip({"next", "198.51.100.0/24", {}, as_default});  // where it could go
  EXPECT_TRUE(eventually([&] { return !see_eip("next").finalizers.empty(); }));
  delete_eip("lan");
  EXPECT_TRUE(subject().pool("lan").has_value());
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  EXPECT_EQ(see("web").pool_label, "lan");
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
  EXPECT_TRUE(eventually([&] { return !subject().pool("lan"); }));
}

TEST_F(Life, R09_AnEipThatIsToDrainHandsItsServicesOver) {
  make_eip({"lan", "192.0.2.0/24", {{"drain", true}}, as_default});
  make_eip({"next", "198.51.100.1"});
  start();
  make_service("a");
  make_service("b");
  EXPECT_TRUE(eventually([&] { return !shown("a").empty() && !shown("b").empty(); }));
  annotate_eip("lan", keys::default_pool, nullptr);
  annotate_eip("next", keys::default_pool, "true");
  delete_eip("lan");
  EXPECT_TRUE(eventually([&] { return shown("a") == "198.51.100.1" || shown("b") == "198.51.100.1"; }));
  settle();
  const std::string moved = shown("a") == "198.51.100.1" ? "a" : "b";
  const std::string stays = moved == "a" ? "b" : "a";
  EXPECT_TRUE(path_of(moved).size() == 3U) << "it never showed nothing again";
  EXPECT_TRUE(shown(stays).starts_with("192.0.2.")) << "no other is to be had: it keeps the old";
  EXPECT_TRUE(subject().pool("lan").has_value());
  delete_service(stays);
  EXPECT_TRUE(eventually([&] { return !subject().pool("lan"); }));
}

// -- Z: finalizers ----------------------------------------------------------------------------------

TEST_F(Life, Z01_AServiceWithAnAddressHasTheFinalizer) {
  lan_and_web();
  EXPECT_TRUE(has("web", finalizer));
  annotate("web", keys::opt_in, nullptr);
  EXPECT_TRUE(lets_go("web"));
  EXPECT_FALSE(has("web", finalizer));
}

TEST_F(Life, Z02_AServiceThatIsDeletedWithoutRecordAndAddressGoes) {
  lan();
  make_service("web", {.labels = pool_named("lan"), .finalizers = {finalizer}});
  delete_service("web");
  EXPECT_EQ(shown("web"), "");
  start();
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, Z03_AServiceThatIsDeletedWithoutTheLabelGoes) {
  lan();
  make_service("web", {.finalizers = {finalizer}, .shows = {"192.0.2.9"}});
  delete_service("web");
  start();
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, Z04_ALostFinalizerIsPutBack) {
  lan_and_web();
  set_finalizers(service_id("web"), {});
  EXPECT_TRUE(eventually([&] { return has("web", finalizer); }));
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, Z05_FinalizersOfOthersStay) {
  lan();
  start();
  make_service("web", {.finalizers = {"example.com/mine"}});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  delete_service("web");
  EXPECT_TRUE(lets_go("web"));
  EXPECT_EQ(see("web").finalizers, std::vector<std::string>{"example.com/mine"});
  set_finalizers(service_id("web"), {});
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, Z06_OpenElbsFinalizerLeavesBgpObjectsThatAreDeleted) {
  const ObjectId conf{Kind::bgp_conf, "", "default"};
  const ObjectId peer{Kind::bgp_peer, "", "router"};
  subject().create(Kind::bgp_conf, {{"metadata", {{"name", "default"}, {"finalizers", {finalizer}}}}, {"spec", {{"as", 65001}}}});
  subject().create(Kind::bgp_peer, {{"metadata", {{"name", "router"}, {"finalizers", {finalizer}}}},
                                    {"spec", {{"conf", {{"neighborAddress", "192.0.2.1"}, {"peerAs", 65000}}}}}});
  start();
  settle();
  EXPECT_EQ(subject().finalizers(conf), std::vector<std::string>{finalizer}) << "as long as it is not deleted";
  subject().remove(conf);
  subject().remove(peer);
  EXPECT_TRUE(eventually([&] { return !subject().finalizers(conf) && !subject().finalizers(peer); }));
}

TEST_F(Life, Z07_BgpObjectsGetNoFinalizer) {
  const ObjectId conf{Kind::bgp_conf, "", "default"};
  subject().create(Kind::bgp_conf, {{"metadata", {{"name", "default"}}}, {"spec", {{"as", 65001}}}});
  lan_and_web();
  settle();
  EXPECT_EQ(subject().finalizers(conf), std::vector<std::string>{});
}

// -- T: restarts, and what OpenELB left -------------------------------------------------------------

TEST_F(Life, T01_ARestartWritesNothing) {
  lan();
  start();
  for (int i = 0; i < 5; ++i) make_service(fmt::format("s{}", i));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 5; }));
  settle();
  const auto before = subject().versions();
  kill();
  start();
  settle();
  EXPECT_EQ(subject().versions(), before);
}

TEST_F(Life, T02_AServiceDeletedMeanwhileGoesAtTheStart) {
  lan_and_web();
  kill();
  delete_service("web");
  EXPECT_EQ(shown("web"), "192.0.2.0") << "the finalizer keeps it";
  start();
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, T03_WhatNoLongerAsksIsLetGoAtTheStart) {
  lan();
  start();
  for (const char* name : {"a", "b"}) {
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
  }
  kill();
  annotate("a", keys::opt_in, nullptr);
  edit("b", {{"type", "ClusterIP"}});
  start();
  EXPECT_TRUE(lets_go("a"));
  EXPECT_TRUE(lets_go("b"));
}

TEST_F(Life, T04_OtherPoolsMeanwhileMoveNobody) {
  lan_and_web();
  kill();
  make_eip({"better", "198.51.100.0/24", {{"namespaces", {"shop"}}}});
  annotate_eip("lan", keys::default_pool, nullptr);
  start();
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, T05_AnEipStatusThatIsLostIsWrittenAgainAndNobodyMoves) {
  lan();
  start();
  for (const char* name : {"a", "web"}) {
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
  }
  const std::string address = shown("web");
  delete_service("a");
  EXPECT_TRUE(vanishes("a"));
  EXPECT_TRUE(eip_says("lan", [&](const Pool::Status& s) { return s.used == std::map<std::string, std::string>{{address, "shop/web"}}; }));
  subject().patch(eip_id("lan"), {{"status", nullptr}});
  EXPECT_TRUE(eip_says("lan", [&](const Pool::Status& s) { return s.used == std::map<std::string, std::string>{{address, "shop/web"}}; }));
  EXPECT_TRUE(keeps("web", address));
}

TEST_F(Life, T06_WhatOpenElbGaveStays) {
  make_eip(left_by_openelb("lan", "192.0.2.0/24", {{"192.0.2.7", "shop/web"}, {"192.0.2.8", "bank/web"}}));
  make_service("web", left_by_openelb("lan", {"192.0.2.7"}));
  make_service("bank/web", left_by_openelb("lan", {"192.0.2.8"}));
  start();
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.7") == "shop/web" && holders("192.0.2.8") == "bank/web"; }));
  EXPECT_TRUE(keeps("web", "192.0.2.7"));
  EXPECT_TRUE(keeps("bank/web", "192.0.2.8"));
  EXPECT_EQ(count("web", "AssignIP"), 0U) << "it had it";
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) {
    return s.used == std::map<std::string, std::string>{{"192.0.2.7", "shop/web"}, {"192.0.2.8", "bank/web"}};
  }));
  delete_service("web");
  EXPECT_TRUE(vanishes("web"));
}

TEST_F(Life, T07_WhatIsShownStaysThoughTheEipForgotIt) {
  make_eip(left_by_openelb("lan", "192.0.2.0/24", {}));
  make_service("web", left_by_openelb("lan", {"192.0.2.7"}));
  start();
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.7") == "shop/web"; }));
  EXPECT_TRUE(keeps("web", "192.0.2.7"));
}

TEST_F(Life, T08_WhatTheEipRecordsComesBackThoughTheServiceForgotIt) {
  make_eip(left_by_openelb("lan", "192.0.2.0/24", {{"192.0.2.7", "shop/web"}}));
  make_service("web");
  make_service("bank/other");
  start();
  EXPECT_TRUE(gets("web", "192.0.2.7"));
  EXPECT_TRUE(gets("bank/other", "192.0.2.0"));
}

TEST_F(Life, T09_ServicesThatSharedAnAddressOpenElbsWayGoOnSharing) {
  Eip eip = left_by_openelb("lan", "192.0.2.0/24", {{"192.0.2.7", "shop/a;shop/b"}});
  eip.spec["implicitSharing"] = true;
  make_eip(eip);
  Wish wish = left_by_openelb("lan", {"192.0.2.7"});
  wish.annotations = wants("192.0.2.7");
  make_service("a", wish);
  wish.spec = {{"ports", json::array{json::object{{"port", 443}}}}};
  make_service("b", wish);
  start();
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.7") == "shop/a;shop/b"; }));
  EXPECT_TRUE(keeps("a", "192.0.2.7"));
  EXPECT_TRUE(keeps("b", "192.0.2.7"));
}

TEST_F(Life, T10_KilledAfterAnyWriteOfATakingItIsCompletedOrUndone) {
  lan();
  start();
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.pool_size == 256; }));
  for (std::uint64_t writes = 1; writes <= 3; ++writes) {
    SCOPED_TRACE(writes);
    kill();
    start({.hangs_after = writes});
    const std::string kept = fmt::format("kept-{}", writes);
    const std::string deleted = fmt::format("deleted-{}", writes);
    make_service(kept);
    make_service(deleted);
    EXPECT_TRUE(eventually([&] { return subject().controller_hangs(); }));
    kill();
    delete_service(deleted);
    start();
    EXPECT_TRUE(vanishes(deleted));
    EXPECT_TRUE(eventually([&] { return !shown(kept).empty(); }));
    EXPECT_TRUE(eventually([&] { return in_use() == writes; }));
  }
}

TEST_F(Life, T11_KilledAfterAnyWriteOfAReleaseItIsCompleted) {
  lan_and_web();
  for (std::uint64_t writes = 1; writes <= 3; ++writes) {
    SCOPED_TRACE(writes);
    const std::string name = fmt::format("s{}", writes);
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
    kill();
    start({.hangs_after = writes});
    delete_service(name);
    EXPECT_TRUE(eventually([&] { return subject().controller_hangs(); }));
    kill();
    start();
    EXPECT_TRUE(vanishes(name));
    EXPECT_EQ(in_use(), 1U);
  }
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
}

TEST_F(Life, T12_AServiceMadeAnewMeanwhileKeepsItsAddress) {
  lan();
  start();
  for (const char* name : {"a", "web"}) {
    make_service(name);
    EXPECT_TRUE(eventually([&] { return !shown(name).empty(); }));
  }
  const std::string address = shown("web");
  delete_service("a");
  EXPECT_TRUE(vanishes("a"));
  kill();
  set_finalizers(service_id("web"), {});
  delete_service("web");
  EXPECT_EQ(shown("web"), "gone");
  make_service("web");
  start();
  EXPECT_TRUE(gets("web", address));
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) { return s.usage == 1; }));
}

TEST_F(Life, T13_ARestoredServiceGetsWhatItHad) {
  lan();
  start();
  make_service("web", {.annotations = {{std::string{keys::allocated}, "192.0.2.99"}}});
  EXPECT_TRUE(gets("web", "192.0.2.99"));
  make_service("other", {.annotations = {{std::string{keys::allocated}, "192.0.2.99"}}});
  EXPECT_TRUE(gets("other", "192.0.2.0")) << "a wish, not a right";
}

TEST_F(Life, T14_OfServicesThatSharedAnAddressWithoutAWordTheEldestKeepsIt) {
  make_eip(left_by_openelb("lan", "192.0.2.0/24", {{"192.0.2.7", "shop/a;shop/b"}}));
  make_service("a", left_by_openelb("lan", {"192.0.2.7"}));
  make_service("b", left_by_openelb("lan", {"192.0.2.7"}));
  start();
  EXPECT_TRUE(gets("b", "192.0.2.0"));
  EXPECT_TRUE(keeps("a", "192.0.2.7"));
  EXPECT_EQ(holders("192.0.2.7"), "shop/a");
}

// -- V: Events --------------------------------------------------------------------------------------

TEST_F(Life, V01_AnAddressGivenIsToldOnce) {
  lan_and_web();
  EXPECT_TRUE(told("web", "AssignIP", "success to assign ip: 192.0.2.0"));
  kill();
  start();
  settle();
  EXPECT_EQ(count("web", "AssignIP"), 1U);
  const auto all = events("web");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_FALSE(all[0].warning);
  EXPECT_EQ(all[0].component, "OpenELBController");
}

TEST_F(Life, V02_AnAddressGivenBackIsTold) {
  lan_and_web();
  annotate("web", keys::opt_in, nullptr);
  EXPECT_TRUE(told("web", "ReleaseIP", "success to release ip: 192.0.2.0"));
}

TEST_F(Life, V03_AMoveIsToldAsBoth) {
  lan_and_web();
  annotate("web", keys::wanted_ip, "192.0.2.9");
  EXPECT_TRUE(told("web", "AssignIP", "success to assign ip: 192.0.2.9"));
  EXPECT_TRUE(told("web", "ReleaseIP", "success to release ip: 192.0.2.0"));
}

TEST_F(Life, V04_WhatAPoolCouldNotGiveIsAssignIPFailed) {
  make_eip({"lan", "192.0.2.1", {}, as_default});
  start();
  make_service("first");
  EXPECT_TRUE(gets("first", "192.0.2.1"));
  make_service("web");
  EXPECT_TRUE(told_part("web", "AssignIPFailed", "no suitable ip to allocate"));
  settle();
  const auto all = events("web");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].warning);
  EXPECT_EQ(all[0].count, 1) << "told once, not at every attempt";
}

TEST_F(Life, V05_WhatNoPoolIsThereForIsConstructRequest) {
  start();
  make_service("web");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "failed to construct allocate request: no available default eip found"));
  settle();
  const auto all = events("web");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].warning);
}

TEST_F(Life, V06_AServiceThatMayNotBeWrittenIsUpdateServiceStatus) {
  lan();
  start({.service_writes_refused = true});
  make_service("web");
  EXPECT_TRUE(told_part("web", "UpdateServiceStatus", "forbidden"));
  EXPECT_EQ(shown("web"), "");
  kill();
  start();
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Life, V07_WhyAServiceWaitsIsToldAnewWhenTheReasonChanges) {
  start();
  make_service("web");
  EXPECT_TRUE(told_part("web", "ConstructRequest", "no available default eip found"));
  make_eip({"lan", "192.0.2.0/24", {{"disable", true}}, as_default});
  EXPECT_TRUE(told_part("web", "ConstructRequest", "eip:lan is disabled"));
}

}  // namespace
}  // namespace berth::openelb
