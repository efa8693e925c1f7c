#include "kube/encode.hpp"

#include <gtest/gtest.h>

#include "kube/decode.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

TEST(Encode, AServicePatchCarriesItsPreconditionsAndOnlyWhatChanges) {
  ServicePatch patch{.name = {"n", "a"},
                     .uid = {"u"},
                     .version = {"7"},
                     .labels = {{"l", std::nullopt}},
                     .annotations = {},
                     .finalizers = std::vector<std::string>{"f"},
                     .ingress = std::vector<Ingress>{{"192.0.2.1", ""}}};
  EXPECT_EQ(merge_patch(patch), R"({"metadata":{"uid":"u","resourceVersion":"7","labels":{"l":null},"finalizers":["f"]},)"
                                R"("status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}})");
  patch.ingress = std::vector<Ingress>{};
  patch.labels.clear();
  patch.finalizers.reset();
  EXPECT_EQ(merge_patch(patch), R"({"metadata":{"uid":"u","resourceVersion":"7"},"status":{"loadBalancer":{"ingress":null}}})");
}

TEST(Encode, AServicePatchCarriesConditionsAndHowAddressesAreToBeTaken) {
  ServicePatch patch{
      .name = {"n", "a"},
      .uid = {"u"},
      .version = {"7"},
      .labels = {},
      .annotations = {},
      .finalizers = {},
      .ingress = std::vector<Ingress>{{"192.0.2.1", "", "Proxy", {{"TCP", 80}, {"UDP", 53, "example.com/Busy"}}}, {"", "lb.example.com"}},
      .conditions = std::vector<Condition>{{"a/B", "False", "PoolFull", "lan: full", "2026-01-01T00:00:00Z", 3},
                                           {"c/D", "True", "Fine", "", "2026-01-01T00:00:01Z", 0}}};
  EXPECT_EQ(merge_patch(patch),
            R"({"metadata":{"uid":"u","resourceVersion":"7"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"Proxy",)"
            R"("ports":[{"port":80,"protocol":"TCP"},{"port":53,"protocol":"UDP","error":"example.com/Busy"}]},)"
            R"({"hostname":"lb.example.com"}]},"conditions":[{"type":"a/B","status":"False","reason":"PoolFull","message":"lan: full",)"
            R"("lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":3},)"
            R"({"type":"c/D","status":"True","reason":"Fine","message":"","lastTransitionTime":"2026-01-01T00:00:01Z"}]}})");
  patch.ingress.reset();
  patch.conditions = std::vector<Condition>{};
  EXPECT_EQ(merge_patch(patch), R"({"metadata":{"uid":"u","resourceVersion":"7"},"status":{"conditions":null}})");
  patch.conditions.reset();
  EXPECT_EQ(merge_patch(patch), R"({"metadata":{"uid":"u","resourceVersion":"7"}})");
}

TEST(Encode, TheStatusOfAPoolComesBackAsItWas) {
  Pool::Status status{.occupied = false,
                      .usage = 2,
                      .pool_size = INT64_MAX,
                      .used = {{"192.0.2.1", "n/a"}, {"2001:db8::1", "n/a;n/b"}},
                      .first_ip = "192.0.2.1",
                      .last_ip = "2001:db8::ff",
                      .ready = true,
                      .v4 = true,
                      .free = INT64_MAX - 2,
                      .conditions = {{"Ready", "True", "Ready", "", "2026-01-01T00:00:00Z", 4},
                                     {"Overlapping", "True", "Overlaps", "with wan", "2026-01-01T00:00:01Z", 4}}};
  const auto back = [](const Pool::Status& written) {
    std::string patch = pool_status_patch(written);
    const std::string head = R"([{"op":"add","path":"/status","value":)";
    EXPECT_TRUE(patch.starts_with(head) && patch.ends_with("}]")) << patch;
    auto read = read_json<api::Eip>(R"({"spec":{"address":"192.0.2.1"},"status":)" +
                                    patch.substr(head.size(), patch.size() - head.size() - 2) + "}");
    EXPECT_TRUE(read && read->problem.empty()) << patch;
    return to_model(std::move(read->value)).status;
  };
  EXPECT_EQ(back(status), status);
  status.conditions.clear();
  status.free = 0;
  EXPECT_EQ(back(status), status);
  EXPECT_EQ(pool_status_patch(status).find("conditions"), std::string::npos);
}

TEST(Encode, AnAddressBlockComesBackAsItWas) {
  AddressBlock block{.name = "v4-192.0.2.0-26", .uid = {"u"}, .version = {"3"}, .addresses = {}};
  BlockEntry entry{.holders = {{.service = {"n", "a"}, .uid = {"x"}, .state = HolderState::freeing, .mark = "m"}},
                   .pool = "p",
                   .protocol = Protocol::layer2,
                   .interface = "eth0",
                   .sharing_key = "k",
                   .reserved_for = "n/b",
                   .freed_at = "t"};
  block.addresses.emplace(*IpAddress::parse("192.0.2.1"), entry);
  block.addresses.emplace(*IpAddress::parse("2001:db8::1"),
                          BlockEntry{.holders = {}, .pool = "", .interface = "", .sharing_key = "", .reserved_for = "n/c", .freed_at = ""});
  auto read = read_json<api::AddressBlock>(encode(block));
  ASSERT_TRUE(read);
  EXPECT_EQ(to_model(std::move(read->value)), block);
}

TEST(Encode, ANewBlockHasNoVersion) {
  AddressBlock block{.name = "v4-192.0.2.0-26", .uid = {}, .version = {}, .addresses = {}};
  EXPECT_EQ(encode(block).find("resourceVersion"), std::string::npos);
}

TEST(Encode, TheStatusOfAPeerIsOpenELBsAndHasNoPassword) {
  BgpPeerStatus status;
  status.neighbor_address = "172.30.0.1";
  status.session_state = SessionState::established;
  status.sent.update = 3;
  status.uptime = "2026-01-01T00:00:00Z";
  const std::string text = peer_status_patch("node1", status);
  EXPECT_NE(text.find(R"("nodesPeerStatus":{"node1":{"peerState":{)"), std::string::npos);
  EXPECT_NE(text.find(R"("sessionState":"ESTABLISHED")"), std::string::npos);
  EXPECT_NE(text.find(R"("update":"3")"), std::string::npos);
  EXPECT_NE(text.find(R"("uptime":"2026-01-01T00:00:00Z","downtime":null)"), std::string::npos);
  EXPECT_EQ(text.find("assword"), std::string::npos);
  EXPECT_EQ(peer_status_patch("node1", std::nullopt), R"({"status":{"nodesPeerStatus":{"node1":null}}})");
  EXPECT_EQ(peer_sessions_patch({.up = "1/2", .since = "2026-01-01T00:00:00Z", .prefixes = 3}),
            R"({"status":{"sessions":"1/2","since":"2026-01-01T00:00:00Z","prefixes":3}})");
  EXPECT_EQ(peer_sessions_patch({.up = "0/2", .since = "", .prefixes = 0}), R"({"status":{"sessions":"0/2","since":null,"prefixes":0}})");
}

}  // namespace
}  // namespace berth::kube
