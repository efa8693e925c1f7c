// Several Services on one address (H).
#include <boost/json/array.hpp>

#include "openelb.hpp"

namespace berth::openelb {
namespace {

class Sharing : public OpenElb {
 protected:
  static json::array port(int number, const char* protocol = "TCP") {
    return {json::object{{"name", "p"}, {"port", number}, {"protocol", protocol}}};
  }
  static Labels key(std::string text) { return {{std::string{keys::sharing_key}, std::move(text)}}; }
  static Labels with_namespaces(std::string text) { return {{std::string{keys::sharing_namespaces}, std::move(text)}}; }
  void openelbs_way() { make_eip({"lan", "192.0.2.0/24", {{"implicitSharing", true}}, as_default}); }
  void berths_way() { make_eip({"lan", "192.0.2.0/24", {}, as_default}); }
};

TEST_F(Sharing, H01_OnePoolMayShareOpenElbsWay) {
  openelbs_way();
  start();
  make_service("dns", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(53, "UDP")}}});
  EXPECT_TRUE(gets("dns", "192.0.2.5"));
  make_service("web", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("web", "192.0.2.5"));
  EXPECT_EQ(holders("192.0.2.5"), "shop/dns;shop/web");
  make_service("other", {.spec = {{"ports", port(81)}}});
  EXPECT_TRUE(gets("other", "192.0.2.0")) << "who does not ask for it does not share";
}

TEST_F(Sharing, H02_UsedHasAllServicesOfAnAddressAndCountsItOnce) {
  openelbs_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(443)}}});
  EXPECT_TRUE(eip_says("lan", [](const Pool::Status& s) {
    return s.usage == 1 && s.used == std::map<std::string, std::string>{{"192.0.2.5", "shop/a;shop/b"}};
  }));
}

TEST_F(Sharing, H03_WithoutAWordNobodySharesAnAddress) {
  berths_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(443)}}});
  EXPECT_TRUE(told_part("b", "AssignIPFailed", "shop/a"));
  EXPECT_TRUE(waits("b"));
  EXPECT_TRUE(keeps("a", "192.0.2.5"));
}

TEST_F(Sharing, H04_APortOfAnotherIsRefusedAndItsOwnerNamed) {
  openelbs_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(told_part("b", "AssignIPFailed", "shop/a"));
  EXPECT_TRUE(waits("b"));
  edit("b", {{"ports", port(8080)}});
  EXPECT_TRUE(gets("b", "192.0.2.5"));
}

TEST_F(Sharing, H05_TrafficPoliciesMustAgree) {
  openelbs_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(443)}, {"externalTrafficPolicy", "Local"}}});
  EXPECT_TRUE(told_part("b", "AssignIPFailed", "shop/a"));
  EXPECT_TRUE(waits("b"));
}

TEST_F(Sharing, H06_AnotherNamespaceNeedsConsent) {
  berths_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5") + key("k"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("bank/b", {.annotations = wants("192.0.2.5") + key("k"), .spec = {{"ports", port(443)}}});
  EXPECT_TRUE(told_part("bank/b", "AssignIPFailed", "shop/a"));
  EXPECT_TRUE(waits("bank/b"));
  annotate("bank/b", keys::sharing_namespaces, "shop");
  EXPECT_TRUE(waits("bank/b")) << "one side is not enough";
  annotate("a", keys::sharing_namespaces, "yard,bank");
  EXPECT_TRUE(gets("bank/b", "192.0.2.5"));
}

TEST_F(Sharing, H07_TheAddressStaysUntilItsLastServiceGoes) {
  openelbs_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(443)}}});
  EXPECT_TRUE(gets("b", "192.0.2.5"));
  delete_service("a");
  EXPECT_TRUE(vanishes("a"));
  EXPECT_TRUE(keeps("b", "192.0.2.5"));
  EXPECT_EQ(holders("192.0.2.5"), "shop/b");
  delete_service("b");
  EXPECT_TRUE(vanishes("b"));
  EXPECT_EQ(holders("192.0.2.5"), "");
}

TEST_F(Sharing, H08_ServicesOfOneKeyShareAnAddress) {
  berths_way();
  start();
  make_service("tcp", {.annotations = key("dns"), .spec = {{"ports", port(53, "TCP")}}});
  EXPECT_TRUE(gets("tcp", "192.0.2.0"));
  make_service("udp", {.annotations = key("dns"), .spec = {{"ports", port(53, "UDP")}}});
  EXPECT_TRUE(gets("udp", "192.0.2.0"));
  make_service("web", {.annotations = key("web"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("web", "192.0.2.1"));
}

TEST_F(Sharing, H09_AServiceThatLeavesASharedAddressMovesAlone) {
  openelbs_way();
  start();
  make_service("a", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(80)}}});
  EXPECT_TRUE(gets("a", "192.0.2.5"));
  make_service("b", {.annotations = wants("192.0.2.5"), .spec = {{"ports", port(443)}}});
  EXPECT_TRUE(gets("b", "192.0.2.5"));
  annotate("b", keys::wanted_ip, "192.0.2.6");
  EXPECT_TRUE(gets("b", "192.0.2.6"));
  EXPECT_TRUE(keeps("a", "192.0.2.5"));
  EXPECT_TRUE(eventually([&] { return holders("192.0.2.5") == "shop/a"; }));
}

}  // namespace
}  // namespace berth::openelb
