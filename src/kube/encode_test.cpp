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
}

TEST(Decode, APoolThatCanNotBeReadSaysWhy) {
  api::Eip eip;
  eip.spec.address = "10.0.0.300";
  const Pool pool = to_model(eip);
  EXPECT_TRUE(pool.ranges.empty());
  EXPECT_NE(pool.invalid.find("spec.address"), std::string::npos);
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
