#include "app/migrate.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/task_group.hpp"
#include "kube/api_types.hpp"
#include "kube/config.hpp"
#include "kube/documents.hpp"
#include "migrate/metallb.hpp"
#include "migrate/openelb.hpp"
#include "os/system_clock.hpp"

namespace berth {
namespace {

struct Given {
  std::vector<kube::Document> documents;
  std::optional<std::vector<OpenElbObject>> installation;
};

constexpr const char* openelb_lists[] = {"/api/v1/services",
                                         "/api/v1/namespaces",
                                         "/api/v1/nodes",
                                         "/apis/network.kubesphere.io/v1alpha2/eips",
                                         "/apis/network.kubesphere.io/v1alpha2/addressblocks",
                                         "/apis/network.kubesphere.io/v1alpha2/bgpconfs",
                                         "/apis/network.kubesphere.io/v1alpha2/bgppeers"};
constexpr const char* metallb_lists[] = {"/apis/metallb.io/v1beta1/ipaddresspools",   "/apis/metallb.io/v1beta1/addresspools",
                                         "/apis/metallb.io/v1beta1/l2advertisements", "/apis/metallb.io/v1beta1/bgpadvertisements",
                                         "/apis/metallb.io/v1beta2/bgppeers",         "/apis/metallb.io/v1beta1/bfdprofiles",
                                         "/apis/metallb.io/v1beta1/communities"};

Result<Given> read_files(const std::vector<std::string>& files) {
  Given out;
  for (const std::string& name : files) {
    std::ifstream file{name, std::ios::binary};
    if (name != "-" && !file) return fail(ErrorCode::invalid, name + ": can't be read");
    const std::string text{std::istreambuf_iterator<char>{name == "-" ? std::cin : file}, {}};
    auto read = kube::read_documents(text);
    if (!read) return fail(read.error().with(name));
    std::ranges::move(*read, std::back_inserter(out.documents));
  }
  return out;
}

// Those of Berth have OpenELB's names in part, and this label.
bool is_ours(const kube::api::Metadata& metadata) {
  const auto label = metadata.labels.find("app.kubernetes.io/name");
  return label != metadata.labels.end() && label->second == "berth";
}

asio::awaitable<Result<Given>> read_openelb(kube::ApiClient& client, std::string space) {
  Given out;
  std::vector<std::string> lists{std::begin(openelb_lists), std::end(openelb_lists)};
  lists.push_back("/api/v1/namespaces/" + space + "/configmaps");  // the policy of the BgpConf
  for (const std::string& path : lists) {
    auto listed = co_await kube::list_documents(client, path);
    if (!listed) co_return fail(listed.error());
    std::ranges::move(*listed, std::back_inserter(out.documents));
  }
  out.installation.emplace();
  for (OpenElbObject& object : openelb_installation(space)) {
    const auto found = co_await client.get<kube::api::Namespace>(object.path);  // for its metadata
    if (!found && found.error().code != ErrorCode::not_found) co_return fail(found.error());
    if (found && !is_ours(found->metadata)) out.installation->push_back(std::move(object));
  }
  co_return out;
}

asio::awaitable<Result<Given>> read_metallb(kube::ApiClient& client) {
  Given out;
  for (const char* path : metallb_lists) {
    auto listed = co_await kube::list_documents(client, path);
    if (!listed) co_return fail(listed.error());
    std::ranges::move(*listed, std::back_inserter(out.documents));
  }
  co_return out;
}

asio::awaitable<void> read_into(std::optional<Result<Given>>& out, kube::ApiClient& client, const Flags& flags) {
  if (flags.check)
    out = co_await read_openelb(client, flags.space);
  else
    out = co_await read_metallb(client);
}

Result<Given> read_cluster(const Flags& flags) {
  auto config = flags.kubeconfig.empty() ? kube::in_cluster_config() : kube::load_kubeconfig(flags.kubeconfig);
  if (!config) return fail(config.error());
  asio::io_context io{1};
  const auto timers = make_system_timers(io.get_executor());
  const auto rng = make_system_rng();
  kube::ApiClient client{io.get_executor(), *timers, *rng, std::move(*config)};
  std::optional<Result<Given>> out;
  TaskGroup tasks{io.get_executor()};
  tasks.spawn("read", read_into(out, client, flags));
  while (!out && io.run_one() > 0) {
  }
  if (!out) return fail(ErrorCode::internal, "the cluster was not read");
  return std::move(*out);
}

int check(const Given& given, const Flags& flags) {
  const AllocationOptions options{.quarantine = std::chrono::seconds{1},
                                  .mark_prefix = "check",
                                  .classless = flags.classless,
                                  .pools = {.enforce_namespaces = flags.enforce_namespaces}};
  const CheckReport report = check_openelb(kube::world_of(given.documents), given.installation, options);
  std::fputs(to_text(report).c_str(), stdout);
  return report.nothing_changes() ? 0 : 1;
}

int convert(const Given& given) {
  const MetalLbConversion converted = from_metallb(given.documents);
  if (converted.manifests.empty()) {
    std::fputs("berth migrate: there is nothing of MetalLB's that can be converted\n", stderr);
    std::fputs(to_text(converted.left_out).c_str(), stderr);
    return 2;
  }
  std::fputs(converted.manifests.c_str(), stdout);
  if (!converted.left_out.empty()) std::fputs("Not carried over:\n", stderr);
  std::fputs(to_text(converted.left_out).c_str(), stderr);
  return 0;
}

}  // namespace

int run_migrate(const Flags& flags) {
  const Result<Given> given = flags.files.empty() ? read_cluster(flags) : read_files(flags.files);
  if (!given) {
    std::fprintf(stderr, "berth migrate: %s\n", given.error().text.c_str());
    return 2;
  }
  return flags.check ? check(*given, flags) : convert(*given);
}

}  // namespace berth
