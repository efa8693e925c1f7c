#include "kube/decode.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

using namespace std::chrono_literals;

template <class Wire>
auto read(const std::string& json) {
  auto found = read_json<Wire>(json);
  EXPECT_TRUE(found && found->problem.empty()) << json;
  return to_model(std::move(found->value));
}
Pool pool(const std::string& spec) { return read<api::Eip>(R"({"metadata":{"name":"lan"},"spec":{)" + spec + "}}"); }
IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

TEST(Decode, AServiceKeepsWhatDecidesAboutItsAddresses) {
  const Service service = read<api::Service>(
      R"({"metadata":{"name":"web","namespace":"shop","uid":"u","resourceVersion":"9","generation":4,
          "labels":{"app":"web","eip.openelb.kubesphere.io/v1alpha2":"lan","tier":"front"}},
          "spec":{"type":"LoadBalancer","ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6","IPv4"],"externalTrafficPolicy":"Local",
                  "selector":{"tier":"front","app":"web"},"ports":[{"protocol":"UDP","port":53}]},
          "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"VIP",
            "ports":[{"port":53,"protocol":"UDP"},{"port":80,"protocol":"TCP","error":"example.com/Busy"}]},{"hostname":"h"}]},
                    "conditions":[{"type":"a/B","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z",
                                   "observedGeneration":3},{"type":"c/D","status":"Unknown","reason":"S","message":"",
                                   "lastTransitionTime":"2026-01-01T00:00:01Z"}]}})");
  EXPECT_EQ(service.labels, (Labels{{"app", "web"}, {"tier", "front"}})) << "the pool's label is a fact of its own";
  EXPECT_TRUE(service.has_pool_label);
  EXPECT_EQ(service.pool_label, "lan");
  EXPECT_EQ(service.generation, 4);
  EXPECT_EQ(service.family_policy, FamilyPolicy::require_dual);
  EXPECT_EQ(service.families, (std::vector<IpFamily>{IpFamily::v6, IpFamily::v4}));
  EXPECT_EQ(service.selector, "app=web,tier=front");
  EXPECT_EQ(service.ports, (std::vector<ServicePort>{{"UDP", 53}}));
  EXPECT_EQ(service.ingress,
            (std::vector<Ingress>{{"192.0.2.1", "", "VIP", {{"UDP", 53}, {"TCP", 80, "example.com/Busy"}}}, {"", "h", ""}}));
  EXPECT_EQ(service.conditions, (std::vector<Condition>{{"a/B", "True", "R", "m", "2026-01-01T00:00:00Z", 3},
                                                        {"c/D", "Unknown", "S", "", "2026-01-01T00:00:01Z", 0}}));
}

TEST(Decode, TheSelectorMattersOnlyWithPolicyLocal) {
  for (const char* policy : {R"("externalTrafficPolicy":"Cluster",)", ""})
    EXPECT_EQ(read<api::Service>(fmt::format(R"({{"spec":{{{}"selector":{{"app":"web"}}}}}})", policy)).selector, "");
}

TEST(Decode, FamilyPoliciesHaveTheirNames) {
  const auto policy = [](const std::string& text) {
    return read<api::Service>(R"({"spec":{"ipFamilyPolicy":")" + text + R"("}})").family_policy;
  };
  EXPECT_EQ(policy("SingleStack"), FamilyPolicy::single);
  EXPECT_EQ(policy("PreferDualStack"), FamilyPolicy::prefer_dual);
  EXPECT_EQ(policy("RequireDualStack"), FamilyPolicy::require_dual);
  EXPECT_EQ(read<api::Service>("{}").family_policy, FamilyPolicy::single);
}

TEST(Decode, APoolHasEveryField) {
  const Pool read = pool(R"("address":"192.0.2.0/28, 2001:db8::/120","exclude":["192.0.2.4-192.0.2.5","2001:db8::/128"],
      "avoidBuggyIPs":true,"allocationOrder":"leastRecentlyUsed","quarantineSeconds":30,"enforceNamespaces":true,"implicitSharing":true,
      "drain":true,"serviceSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"In","values":["a","b"]},
      {"key":"x","operator":"DoesNotExist"}]},"namespaceQuotas":{"shop":3,"*":0},
      "reservations":{"192.0.2.7":"shop/web","2001:DB8::7":"a/b"})");
  EXPECT_EQ(read.invalid, "");
  EXPECT_EQ(read.address, "192.0.2.0/28, 2001:db8::/120");
  EXPECT_EQ(read.ranges, (std::vector<IpRange>{{ip("192.0.2.0"), ip("192.0.2.15")}, {ip("2001:db8::"), ip("2001:db8::ff")}}));
  EXPECT_EQ(read.offered,
            (std::vector<IpRange>{
                {ip("192.0.2.0"), ip("192.0.2.3")}, {ip("192.0.2.6"), ip("192.0.2.15")}, {ip("2001:db8::1"), ip("2001:db8::ff")}}));
  EXPECT_TRUE(read.avoid_buggy_ips && read.enforce_namespaces && read.implicit_sharing && read.drain);
  EXPECT_EQ(read.order, AllocationOrder::least_recently_used);
  EXPECT_EQ(read.quarantine, Duration{30s});
  EXPECT_EQ(read.service_selector, (LabelSelector{.match_labels = {{"app", "web"}},
                                                  .match_expressions = {{"tier", "In", {"a", "b"}}, {"x", "DoesNotExist", {}}}}));
  EXPECT_EQ(read.namespace_quotas, (std::map<std::string, std::int64_t>{{"*", 0}, {"shop", 3}}));
  EXPECT_EQ(read.reservations, (std::map<IpAddress, ObjectName>{{ip("192.0.2.7"), {"shop", "web"}}, {ip("2001:db8::7"), {"a", "b"}}}));
}

TEST(Decode, WhatAPoolDoesNotSayIsOpenELBs) {
  const Pool read = pool(R"("address":"192.0.2.0/24")");
  EXPECT_EQ(read.invalid, "");
  EXPECT_EQ(read.offered, read.ranges);
  EXPECT_EQ(read.size(), 256);
  EXPECT_EQ(read.order, AllocationOrder::lowest);
  EXPECT_EQ(read.quarantine, std::nullopt);
  EXPECT_EQ(read.service_selector, std::nullopt);
  EXPECT_FALSE(read.avoid_buggy_ips || read.enforce_namespaces || read.implicit_sharing || read.drain);
  EXPECT_EQ(pool(R"("address":"192.0.2.0/24","quarantineSeconds":0)").quarantine, Duration{0s}) << "0 is not the default";
}

TEST(Decode, APoolThatCanNotBeReadNamesFieldAndRuleAndGivesNothing) {
  const auto many = [](int count, auto entry) {
    std::string out;
    for (int i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + entry(i);
    return out;
  };
  const auto number = [](int i) { return fmt::format("{}.{}.{}", i / 65536, i / 256 % 256, i % 256); };
  const std::string fine = R"("address":"192.0.2.0/24","drain":true,"reservations":{"192.0.2.1":"a/b"},)";
  struct Row {
    std::string spec, field, rule;
  };
  const std::vector<Row> rows{
      {R"("address":"")", "spec.address", "not an IP address"},
      {R"("address":"10.0.0.300")", "spec.address", "not an IP address"},
      {R"("address":"10.0.0.1,")", "spec.address", "not an IP address"},
      {R"("address":"10.0.0.0/24,10.0.0.7")", "spec.address", "overlaps"},
      {"\"address\":\"" + many(257, [&](int i) { return "10." + number(i); }) + "\"", "spec.address", "at most 256"},
      {R"("address":"10.0.0.1","protocol":"ospf")", "spec.protocol", "bgp, layer2 or vip"},
      {R"("address":"10.0.0.1","interface":")" + std::string(65, 'x') + "\"", "spec.interface", "at most 64"},
      {fine + R"("exclude":["192.0.2.1","x"])", "spec.exclude[1]", "not an IP address"},
      {fine + R"("exclude":["192.0.2.9-192.0.2.1"])", "spec.exclude[0]", "not below the first"},
      {fine + R"("exclude":["192.0.2.9,192.0.2.8"])", "spec.exclude[0]", "not an IP address"},
      {fine + R"("exclude":[)" + many(257, [&](int i) { return "\"10." + number(i) + "\""; }) + "]", "spec.exclude", "at most 256"},
      {fine + R"("allocationOrder":"random")", "spec.allocationOrder", "lowest or leastRecentlyUsed"},
      {fine + R"("quarantineSeconds":-1)", "spec.quarantineSeconds", "from 0 to 604800"},
      {fine + R"("quarantineSeconds":604801)", "spec.quarantineSeconds", "from 0 to 604800"},
      {fine + R"("quarantineSeconds":9223372036854775807)", "spec.quarantineSeconds", "from 0 to 604800"},
      {fine + R"("serviceSelector":{"matchExpressions":[{"key":"a","operator":"Like"}]})",
       "spec.serviceSelector.matchExpressions[0].operator", "In, NotIn, Exists or DoesNotExist"},
      {fine + R"("serviceSelector":{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"a","operator":"In"}]})",
       "spec.serviceSelector.matchExpressions[1].values", "need values"},
      {fine + R"("serviceSelector":{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]})",
       "spec.serviceSelector.matchExpressions[0].values", "have none"},
      {fine + R"("namespaceQuotas":{"shop":-1})", "spec.namespaceQuotas[\"shop\"]", "0 or more"},
      {fine + R"("namespaceQuotas":{"Shop":1})", "spec.namespaceQuotas[\"Shop\"]", "name of a namespace"},
      {fine + R"("namespaceQuotas":{"":1})", "spec.namespaceQuotas[\"\"]", "name of a namespace"},
      {fine + R"("namespaceQuotas":{)" + many(1025, [&](int i) { return fmt::format("\"n{}\":1", i); }) + "}", "spec.namespaceQuotas",
       "at most 1024"},
      {R"("address":"192.0.2.0/24","reservations":{"web":"a/b"})", "spec.reservations[\"web\"]", "one IP address"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.2.0/31":"a/b"})", "spec.reservations[\"192.0.2.0/31\"]", "one IP address"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.3.1":"a/b"})", "spec.reservations[\"192.0.3.1\"]", "not in spec.address"},
      {R"("address":"192.0.2.0/24","exclude":["192.0.2.1"],"reservations":{"192.0.2.1":"a/b"})", "spec.reservations[\"192.0.2.1\"]",
       "spec.exclude"},
      {R"("address":"192.0.2.0/24","avoidBuggyIPs":true,"reservations":{"192.0.2.255":"a/b"})", "spec.reservations[\"192.0.2.255\"]",
       "spec.avoidBuggyIPs"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.2.1":"web"})", "spec.reservations[\"192.0.2.1\"]", "namespace/name"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.2.1":"/web"})", "spec.reservations[\"192.0.2.1\"]", "namespace/name"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.2.1":"a/b/c"})", "spec.reservations[\"192.0.2.1\"]", "namespace/name"},
      {R"("address":"192.0.2.0/24","reservations":{"192.0.2.1":"a/B"})", "spec.reservations[\"192.0.2.1\"]", "namespace/name"},
      {R"("address":"2001:db8::/120","reservations":{"2001:db8::1":"a/b","2001:DB8::1":"a/c"})", "spec.reservations[\"2001:db8::1\"]",
       "twice"},
      {R"("address":"10.0.0.0/16","reservations":{)" +
           many(1025, [&](int i) { return fmt::format("\"10.0.{}.{}\":\"a/b\"", i / 256, i % 256); }) + "}",
       "spec.reservations", "at most 1024"},
  };
  for (const Row& row : rows) {
    const Pool read = pool(row.spec);
    EXPECT_TRUE(read.ranges.empty() && read.offered.empty() && read.reservations.empty() && !read.drain) << row.spec;
    EXPECT_NE(read.invalid.find(row.field), std::string::npos) << row.field << ": " << read.invalid;
    EXPECT_NE(read.invalid.find(row.rule), std::string::npos) << row.rule << ": " << read.invalid;
    EXPECT_LT(read.invalid.size(), 500U);
  }
}

TEST(Decode, ANameThatIsNoLabelValueMakesNoPool) {
  api::Eip eip;
  eip.metadata.name = std::string(64, 'a');
  eip.spec.address = "192.0.2.1";
  const Pool long_name = to_model(eip);
  EXPECT_TRUE(long_name.ranges.empty());
  EXPECT_NE(long_name.invalid.find("metadata.name"), std::string::npos);
  eip.metadata.name.pop_back();
  EXPECT_EQ(to_model(eip).invalid, "");
}

TEST(Decode, EndpointsWithoutConditionsAreReadyAndServing) {
  api::EndpointSlice slice;
  slice.endpoints.resize(2);
  slice.endpoints[1].conditions.ready = false;
  slice.endpoints[1].conditions.serving = true;
  slice.endpoints[1].conditions.terminating = true;
  const EndpointSlice read = to_model(slice);
  ASSERT_EQ(read.endpoints.size(), 2U);
  EXPECT_EQ(read.endpoints[1], (Endpoint{.node = "", .ready = true, .serving = true, .terminating = false}));
  EXPECT_EQ(read.endpoints[0], (Endpoint{.node = "", .ready = false, .serving = true, .terminating = true}));
}

TEST(Decode, OnlyTheExactWordMakesADefaultPool) {
  api::Eip eip;
  eip.metadata.annotations["eip.openelb.kubesphere.io/is-default-eip"] = "true";
  EXPECT_TRUE(to_model(eip).is_default);
  eip.metadata.annotations["eip.openelb.kubesphere.io/is-default-eip"] = "no";
  EXPECT_FALSE(to_model(eip).is_default);
}

}  // namespace
}  // namespace berth::kube
