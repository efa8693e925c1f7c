// The keys on objects (K) and which Services are served (S).
#include <boost/json/array.hpp>

#include "openelb.hpp"

namespace berth::openelb {
namespace {

class Services : public OpenElb {
 protected:
  Services() { make_eip({"lan", "192.0.2.0/24", {}, as_default}); }
};

// -- K: keys ----------------------------------------------------------------------------------------

TEST_F(Services, K01_TheOptInIsTheExactWordOpenelb) {
  start();
  make_service("web", {.opt_in = "true"});
  EXPECT_TRUE(waits("web"));
  EXPECT_FALSE(is_marked("web"));
  annotate("web", keys::opt_in, "openelb");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Services, K02_ThePorterValueIsNotKnown) {
  start();
  make_service("web", {.opt_in = "porter"});
  EXPECT_TRUE(told_part("web", "ConstructRequest", "\"porter\""));
  EXPECT_TRUE(waits("web"));
  EXPECT_FALSE(is_marked("web"));
}

TEST_F(Services, K03_KeysOfPorterAreNotKnown) {
  make_eip({"other", "198.51.100.0/24"});
  start();
  make_service("web", {.annotations = {{"eip.porter.kubesphere.io/v1alpha2", "other"},
                                       {"eip.porter.kubesphere.io/v1alpha1", "192.0.2.9"},
                                       {"protocol.porter.kubesphere.io/v1alpha1", "layer2"}}});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Services, K04_TheAnnotationNamesThePool) {
  make_eip({"other", "198.51.100.0/24"});
  start();
  make_service("web", {.annotations = pool_named("other")});
  EXPECT_TRUE(gets("web", "198.51.100.0"));
  make_eip({"one", "203.0.113.1"});
  for (const char* name : {"a", "b"}) {
    make_service(name, {.annotations = pool_named("one, other")});
    EXPECT_TRUE(gets(name, name == std::string{"a"} ? "203.0.113.1" : "198.51.100.1")) << "of several, one after the other";
  }
}

TEST_F(Services, K05_TheLabelOfTheSameKeyNamesThePoolInUse) {
  start();
  make_service("web");
  EXPECT_TRUE(eventually([&] { return see("web").has_pool_label && see("web").pool_label == "lan"; }));
  annotate("web", keys::opt_in, nullptr);
  EXPECT_TRUE(lets_go("web"));
}

TEST_F(Services, K06_TheAnnotatedAddressWinsOverTheField) {
  start();
  make_service("web", {.annotations = wants("192.0.2.20"), .spec = {{"loadBalancerIP", "192.0.2.30"}}});
  EXPECT_TRUE(gets("web", "192.0.2.20"));
}

TEST_F(Services, K07_TheFieldLoadBalancerIPIsHonoured) {
  start();
  make_service("web", {.spec = {{"loadBalancerIP", "192.0.2.30"}}});
  EXPECT_TRUE(gets("web", "192.0.2.30"));
}

TEST_F(Services, K08_TheProtocolAnnotationMeansNothing) {
  make_eip({"l2", "198.51.100.0/24", {{"protocol", "layer2"}, {"interface", "eth0"}}});
  start();
  make_service("web", {.annotations = {{"protocol.openelb.kubesphere.io/v1alpha1", "layer2"}}});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_EQ(subject().records().at(IpAddress::parse("192.0.2.0").value()).protocol, Protocol::bgp);
}

TEST_F(Services, K09_AnOldLayer2AnnotationMeansNothingAndStays) {
  start();
  make_service("web", {.annotations = {{"layer2.openelb.kubesphere.io/v1alpha1", "node-x"}}});
  EXPECT_TRUE(keeps("web", "192.0.2.0"));
  EXPECT_EQ(see("web").annotations["layer2.openelb.kubesphere.io/v1alpha1"], "node-x");
}

TEST_F(Services, K10_AServiceOfNodeProxyGetsNoAddress) {
  start();
  make_service("a", {.annotations = {{std::string{keys::node_proxy}, "deployment"}}});
  make_service("b", {.annotations = {{std::string{keys::node_proxy}, "daemonset"}}});
  EXPECT_TRUE(waits("a"));
  EXPECT_TRUE(waits("b"));
  EXPECT_FALSE(is_marked("a"));
}

TEST_F(Services, K11_ANodeProxyOfNoKnownKindIsAServiceLikeOthers) {
  start();
  make_service("web", {.annotations = {{std::string{keys::node_proxy}, "statefulset"}}});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Services, K12_TheAddressGivenIsRememberedInAnAnnotation) {
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  EXPECT_EQ(see("web").annotations[std::string{keys::allocated}], "192.0.2.0");
  annotate("web", keys::opt_in, nullptr);
  EXPECT_TRUE(lets_go("web"));
  EXPECT_FALSE(see("web").annotations.contains(keys::allocated));
}

// -- S: which Services ------------------------------------------------------------------------------

TEST_F(Services, S01_ALoadBalancerWithTheAnnotationIsServed) {
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Services, S02_OtherTypesAreNot) {
  start();
  make_service("a", {.spec = {{"type", "ClusterIP"}}});
  make_service("b", {.spec = {{"type", "NodePort"}}});
  EXPECT_TRUE(waits("a"));
  EXPECT_TRUE(waits("b"));
  EXPECT_FALSE(is_marked("a"));
  EXPECT_FALSE(is_marked("b"));
}

TEST_F(Services, S03_ServicesWithoutTheAnnotationAreLeftAlone) {
  start();
  make_service("web", {.opt_in = ""});
  const std::string version = see("web").version.text;
  EXPECT_TRUE(waits("web"));
  EXPECT_EQ(see("web").version.text, version);
}

TEST_F(Services, S04_TheLabelAloneMakesItOursToLetGo) {
  make_service("web",
               {.opt_in = "", .labels = pool_named("lan"), .finalizers = {std::string{keys::service_finalizer}}, .shows = {"192.0.2.5"}});
  start();
  EXPECT_TRUE(lets_go("web"));
}

TEST_F(Services, S05_AForeignClassIsLeftAlone) {
  start();
  make_service("web", {.spec = {{"loadBalancerClass", "example.com/other"}}, .shows = {"203.0.113.1"}});
  const std::string version = see("web").version.text;
  settle();
  EXPECT_EQ(shown("web"), "203.0.113.1");
  EXPECT_EQ(see("web").version.text, version);
}

TEST_F(Services, S06_OurClassNeedsNoAnnotation) {
  start();
  make_service("web", {.spec = {{"loadBalancerClass", "berth.kubesphere.io/lb"}}, .opt_in = ""});
  EXPECT_TRUE(gets("web", "192.0.2.0"));
}

TEST_F(Services, S07_NodesPlayNoPart) {
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  settle();
  const auto before = subject().versions();
  for (const char* ready : {"True", "False", "True"})
    subject().create(Kind::node, {{"metadata", {{"name", "node-b"}}},
                                  {"status", {{"conditions", json::array{json::object{{"type", "Ready"}, {"status", ready}}}}}}});
  settle();
  EXPECT_EQ(subject().versions(), before);
}

TEST_F(Services, S08_WhatOthersSayInTheIngressStays) {
  start();
  make_service("web");
  EXPECT_TRUE(gets("web", "192.0.2.0"));
  const json::object port{{"port", 80}, {"protocol", "TCP"}, {"error", "example.com/Busy"}};
  const json::object ours{{"ip", "192.0.2.0"}, {"ports", json::array{port}}};
  const json::object theirs{{"hostname", "web.example.com"}, {"ports", json::array{port}}};
  subject().patch(service_id("web"), {{"status", {{"loadBalancer", {{"ingress", json::array{ours, theirs}}}}}}});
  settle();
  annotate("web", keys::ip_mode, "Proxy");
  EXPECT_TRUE(eventually([&] { return see("web").ingress.at(0).ip_mode == "Proxy"; }));
  const std::vector<IngressPort> ports{{"TCP", 80, "example.com/Busy"}};
  EXPECT_EQ(see("web").ingress, (std::vector<Ingress>{{"192.0.2.0", "", "Proxy", ports}, {"", "web.example.com", "", ports}}));
  annotate("web", keys::wanted_ip, "192.0.2.9");
  EXPECT_TRUE(gets("web", "192.0.2.9"));
  EXPECT_EQ(see("web").ingress, (std::vector<Ingress>{{"192.0.2.9", "", "Proxy"}, {"", "web.example.com", "", ports}}));
}

TEST_F(Services, S09_TheModeOfAnAddressCanBeChosen) {
  start();
  make_service("a", {.annotations = {{std::string{keys::ip_mode}, "Proxy"}}});
  make_service("b");
  EXPECT_TRUE(gets("a", "192.0.2.0"));
  EXPECT_TRUE(gets("b", "192.0.2.1"));
  EXPECT_EQ(see("a").ingress.at(0).ip_mode, "Proxy");
  EXPECT_NE(see("b").ingress.at(0).ip_mode, "Proxy");
}

}  // namespace
}  // namespace berth::openelb
