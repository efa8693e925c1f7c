// `berth migrate` on the examples of openelb/ and metallb/: the report, or the manifests and what is left out, stand beside each
// (.txt, .out.yaml). BERTH_UPDATE=1 writes them anew: look at the difference before you commit it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "migrate/metallb.hpp"
#include "migrate/openelb.hpp"
#include "migrate/settle.hpp"

namespace berth {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void expect(const fs::path& path, const std::string& text) {
  if (std::getenv("BERTH_UPDATE") != nullptr) std::ofstream{path, std::ios::binary | std::ios::trunc} << text;
  EXPECT_EQ(text, read(path)) << path;
}

std::vector<fs::path> examples(const std::string& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator{fs::path{BERTH_EXAMPLES} / folder}) {
    const std::string name = entry.path().filename().string();
    const bool is_result = name.ends_with(".txt") || name.ends_with(".out.yaml");
    if (!is_result) out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

std::vector<kube::Document> documents_of(const fs::path& path) {
  auto documents = kube::read_documents(read(path));
  EXPECT_TRUE(documents) << path << ": " << (documents ? "" : documents.error().text);
  return documents ? std::move(*documents) : std::vector<kube::Document>{};
}

const AllocationOptions options{.quarantine = std::chrono::seconds{1}, .mark_prefix = "check", .pools = {}};

TEST(OpenElb, TheReportOfEachExample) {
  const auto found = examples("openelb");
  ASSERT_GE(found.size(), 5U);
  std::size_t clean = 0;
  for (const fs::path& path : found) {
    SCOPED_TRACE(path.filename().string());
    const CheckReport report = check_openelb(kube::world_of(documents_of(path)), std::nullopt, options);
    clean += report.nothing_changes() ? 1 : 0;
    expect(fs::path{path}.replace_extension(".txt"), to_text(report));
  }
  EXPECT_GT(clean, 0U);
  EXPECT_LT(clean, found.size());
}

TEST(OpenElb, WhatSettlesStaysSettled) {
  for (const fs::path& path : examples("openelb")) {
    SCOPED_TRACE(path.filename().string());
    const Settled once = settle(kube::world_of(documents_of(path)), options);
    EXPECT_TRUE(once.done);
    const Settled twice = settle(once.world, options);
    EXPECT_TRUE(twice.done);
    for (const auto& [name, service] : once.world.services.rows()) {
      const Service* again = twice.world.services.find(name);
      ASSERT_NE(again, nullptr) << name.to_string();
      EXPECT_EQ(again->ingress, service.ingress) << name.to_string();
    }
  }
}

TEST(OpenElb, TheInstallationIsListedWebhooksFirst) {
  CheckReport report;
  report.looked_for_installation = true;
  report.removals = openelb_installation("openelb-system");
  const std::string text = to_text(report);
  std::size_t last = 0;
  for (const char* line :
       {"kubectl delete mutatingwebhookconfiguration openelb-admission\n",
        "kubectl delete validatingwebhookconfiguration openelb-admission\n",
        "kubectl delete deployment openelb-controller -n openelb-system\n", "kubectl delete daemonset openelb-speaker -n openelb-system\n",
        "kubectl delete lease openelb-speaker -n openelb-system\n", "kubectl delete clusterrolebinding openelb-speaker\n"}) {
    const std::size_t at = text.find(line);
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_GT(at, last) << line;
    last = at;
  }
  EXPECT_EQ(text.find("customresourcedefinition"), std::string::npos);
  EXPECT_EQ(text.find("openelb-controller -n openelb-system\n  kubectl delete lease openelb-controller"), std::string::npos);
}

TEST(MetalLb, TheManifestsOfEachExample) {
  const auto found = examples("metallb");
  ASSERT_GE(found.size(), 4U);
  for (const fs::path& path : found) {
    SCOPED_TRACE(path.filename().string());
    const MetalLbConversion converted = from_metallb(documents_of(path));
    expect(fs::path{path}.replace_extension(".out.yaml"), converted.manifests);
    expect(fs::path{path}.replace_extension(".txt"), to_text(converted.left_out));
  }
}

// What is printed says the same when it is read again, and every Eip of it can be used.
TEST(MetalLb, WhatIsPrintedCanBeRead) {
  std::size_t pools = 0;
  for (const fs::path& path : examples("metallb")) {
    SCOPED_TRACE(path.filename().string());
    auto documents = kube::read_documents(from_metallb(documents_of(path)).manifests);
    ASSERT_TRUE(documents) << documents.error().text;
    const World world = kube::world_of(*documents);
    for (const auto& [name, pool] : world.pools.rows()) EXPECT_EQ(pool.invalid, "") << name;
    for (const auto& [name, peer] : world.bgp_peers.rows())
      EXPECT_TRUE(peer.has_conf && peer.neighbor_address.empty() != peer.neighbor_interface.empty()) << name;
    pools += world.pools.rows().size();
    if (const BgpPeer* tor = world.bgp_peers.find("tor")) {
      EXPECT_EQ(tor->auth_password, "yes: it # is");
      EXPECT_EQ(tor->peer_as, 4200000000U);
      EXPECT_EQ(tor->neighbor_address, "2001:db8:0:7::1");
      EXPECT_EQ(tor->hold_time, "90");
    }
    if (const Pool* bound = world.pools.find("bgp-only")) {
      EXPECT_EQ(bound->namespaces, (std::vector<std::string>{"shop", "on"}));
      ASSERT_TRUE(bound->service_selector);
      EXPECT_TRUE(bound->service_selector->matches({{"tier", "5"}}));
      EXPECT_FALSE(bound->service_selector->matches({{"tier", "back"}}));
    }
  }
  EXPECT_GE(pools, 8U);
}

TEST(Documents, AreReadAsKubectlPrintsThem) {
  const auto names = [](const std::string& text) {
    std::string out;
    const auto read = kube::read_documents(text);
    if (!read) return "error: " + read.error().text;
    for (const kube::Document& one : *read) {
      const boost::json::value* metadata = one.object.if_contains("metadata");
      out += one.kind + " " + std::string{metadata->as_object().at("name").as_string()} + ";";
    }
    return out;
  };
  EXPECT_EQ(names(R"({"kind":"Eip","metadata":{"name":"a"}})"), "Eip a;");
  EXPECT_EQ(names(R"({"kind":"List","items":[{"kind":"Eip","metadata":{"name":"a"}},{"kind":"Pod","metadata":{"name":"b"}}]})"),
            "Eip a;Pod b;");
  EXPECT_EQ(names(R"({"kind":"EipList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})"), "Eip a;Eip b;");
  EXPECT_EQ(names("kind: Eip\nmetadata: {name: a}\n---\n---\nkind: Pod\nmetadata:\n  name: \"1\"\n"), "Eip a;Pod 1;");
  EXPECT_EQ(names(""), "");
  EXPECT_TRUE(names("{").starts_with("error: neither JSON nor YAML: line ")) << names("{");
  EXPECT_TRUE(names("just words").starts_with("error: this is no object")) << names("just words");
  EXPECT_TRUE(names("metadata: {name: a}").starts_with("error: an object without `kind`"));
  std::string deep = "kind: Eip\nmetadata: ";
  for (int i = 0; i < 200; ++i) deep += "[";
  for (int i = 0; i < 200; ++i) deep += "]";
  EXPECT_TRUE(names(deep).starts_with("error: the text is nested too deeply")) << names(deep);
}

}  // namespace
}  // namespace berth
