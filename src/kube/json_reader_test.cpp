#include "kube/json_reader.hpp"

#include <gtest/gtest.h>

#include "kube/api_types.hpp"

namespace berth::kube {
namespace {

constexpr std::string_view service = R"({"kind":"Service","metadata":{"name":"web","namespace":"shop","uid":"u-1",
  "resourceVersion":"42","labels":{"a":"1","eip.openelb.kubesphere.io/v1alpha2":"pool"},
  "managedFields":[{"f":{"x":{"y":[1,2,{"z":null}]}}}],
  "finalizers":["f1","f2"],"deletionTimestamp":null},
  "spec":{"type":"LoadBalancer","loadBalancerClass":"x","ports":[{"protocol":"TCP","port":80},{"protocol":"UDP","port":53}],
  "ipFamilies":["IPv4"]},
  "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"VIP"}]}}})";

void expect_the_service(const api::Service& read) {
  EXPECT_EQ(read.metadata.name, "web");
  EXPECT_EQ(read.metadata.namespace_, "shop");
  EXPECT_EQ(read.metadata.labels.size(), 2U);
  EXPECT_EQ(read.metadata.finalizers, (std::vector<std::string>{"f1", "f2"}));
  EXPECT_EQ(read.metadata.deletionTimestamp, "");
  EXPECT_EQ(read.spec.loadBalancerClass, "x");
  ASSERT_EQ(read.spec.ports.size(), 2U);
  EXPECT_EQ(read.spec.ports[1].port, 53);
  ASSERT_EQ(read.status.loadBalancer.ingress.size(), 1U);
  EXPECT_EQ(read.status.loadBalancer.ingress[0].ip, "192.0.2.1");
}

TEST(JsonReader, ReadsWhatIsDescribedAndSkipsTheRest) {
  const auto read = read_json<api::Service>(service);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->problem, "");
  expect_the_service(read->value);
}

TEST(JsonReader, DoesNotCareWhereThePiecesEnd) {
  for (std::size_t size = 1; size < 40; ++size) {
    JsonReader<api::Service> reader;
    for (std::size_t at = 0; at < service.size(); at += size) ASSERT_TRUE(reader.feed(service.substr(at, size)));
    ASSERT_TRUE(reader.finish());
    expect_the_service(reader.value());
  }
}

TEST(JsonReader, ReportsTheFirstFieldOfAWrongTypeAndReadsOn) {
  const auto read = read_json<api::BgpConf>(R"({"spec":{"as":-1,"listenPort":"x","routerId":"1.1.1.1"},"metadata":{"name":7}})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->problem, "spec.as: expected an integer in range");
  EXPECT_EQ(read->value.spec.as, 0U);
  EXPECT_EQ(read->value.spec.routerId, "1.1.1.1");
}

TEST(JsonReader, RefusesNumbersOutOfRangeInsteadOfWrapping) {
  for (const char* bad : {"4294967296", "-1", "1e300", "1.5", "18446744073709551616", "true", "\"1\"", "[1]", "{}"}) {
    const auto read = read_json<api::BgpConf>(std::string{R"({"spec":{"as":)"} + bad + "}}");
    ASSERT_TRUE(read) << bad;
    EXPECT_EQ(read->value.spec.as, 0U) << bad;
    EXPECT_NE(read->problem, "") << bad;
  }
  const auto most = read_json<api::BgpConf>(R"({"spec":{"as":4294967295,"listenPort":-2147483648}})");
  EXPECT_EQ(most->value.spec.as, 4294967295U);
  EXPECT_EQ(most->value.spec.listenPort, -2147483648);
}

TEST(JsonReader, NullLeavesAnOptionalAbsent) {
  const auto read = read_json<api::BgpPeer>(R"({"spec":{"conf":null,"nodeSelector":{}}})");
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->value.spec.conf);
  EXPECT_TRUE(read->value.spec.nodeSelector);
}

TEST(JsonReader, RefusesWhatIsNotJsonAndWhatEndsEarly) {
  EXPECT_FALSE(read_json<api::Service>("{\"a\":"));
  EXPECT_FALSE(read_json<api::Service>("<html>"));
  EXPECT_FALSE(read_json<api::Service>(""));
  EXPECT_FALSE(read_json<api::Service>("{} x"));
}

TEST(JsonReader, NestsAsDeepAsSchemasDoButNotWithoutEnd) {
  const auto nested = [](int depth) {
    std::string text = R"({"x":)";
    for (int i = 0; i < depth; ++i) text += "[";
    for (int i = 0; i < depth; ++i) text += "]";
    return text + "}";
  };
  EXPECT_TRUE(read_json<api::Service>(nested(900)));
  EXPECT_FALSE(read_json<api::Service>(nested(2000)));
}

}  // namespace
}  // namespace berth::kube
