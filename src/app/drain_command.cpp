#include "app/drain_command.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/task_group.hpp"
#include "kube/api_client.hpp"
#include "kube/api_types.hpp"
#include "kube/config.hpp"
#include "model/names.hpp"
#include "os/system_clock.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr Duration look_again = 500ms;
constexpr std::size_t longest_name = 253;

bool is_name(const std::string& text) {
  const auto is_ordinary = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !text.empty() && text.size() <= longest_name && std::ranges::all_of(text, is_ordinary) && text.front() != '.';
}

class Drain {
 public:
  Drain(kube::ApiClient& client, Timers& timers, const Flags& flags) : client_(client), timers_(timers), flags_(flags) {}

  asio::awaitable<void> run(std::optional<int>& exit_status) { exit_status = co_await work(); }

 private:
  asio::awaitable<int> work() {
    const std::string& node = flags_.drained_node;
    const json::value label = flags_.undo ? json::value(nullptr) : json::value("");
    const json::object patch{{"metadata", json::object{{"labels", json::object{{keys::exclude_node, label}}}}}};
    const auto done = co_await client_.patch_only(kube::PatchKind::merge, "/api/v1/nodes/" + node, json::serialize(patch));
    if (!done) {
      std::fprintf(stderr, "berth drain: %s\n", done.error().text.c_str());
      co_return 2;
    }
    if (flags_.undo) {
      std::printf("%s may be a next hop again\n", node.c_str());
      co_return 0;
    }
    std::printf("%s has the label %s\n", node.c_str(), std::string{keys::exclude_node}.c_str());
    co_return co_await wait();
  }

  asio::awaitable<int> wait() {
    const Instant limit = timers_.now() + flags_.drain_limit;
    std::string told;
    for (;;) {
      const auto left = co_await announced_by();
      if (left && left->empty()) {
        std::printf("no speaker announces it; what runs on it can be stopped\n");
        co_return 0;
      }
      const std::string state = left ? fmt::format("announced by {}", fmt::join(*left, ", ")) : left.error().text;
      if (state != told) std::printf("%s\n", state.c_str());
      std::fflush(stdout);
      told = state;
      if (timers_.now() >= limit) {
        std::fprintf(stderr, "berth drain: not within %lld s: %s\n", static_cast<long long>(flags_.drain_limit.count()), state.c_str());
        co_return 1;
      }
      co_await timers_.sleep_for(look_again);
    }
  }

  // The nodes whose speakers say that they announce it.
  asio::awaitable<Result<std::vector<std::string>>> announced_by() {
    std::vector<std::string> out;
    const auto conf = co_await client_.get<kube::api::BgpConf>("/apis/network.kubesphere.io/v1alpha2/bgpconfs/default");
    if (!conf && conf.error().code == ErrorCode::not_found) co_return out;
    if (!conf) co_return fail(conf.error());
    for (const auto& [speaker, status] : conf->status.nodesConfStatus)
      if (std::ranges::find(status.nextHops, flags_.drained_node) != status.nextHops.end()) out.push_back(speaker);
    co_return out;
  }

  kube::ApiClient& client_;
  Timers& timers_;
  const Flags& flags_;
};

}  // namespace

int run_drain_command(const Flags& flags) {
  if (!is_name(flags.drained_node)) {
    std::fprintf(stderr, "berth drain: \"%s\" is not the name of a Node\n", flags.drained_node.c_str());
    return 2;
  }
  auto config = flags.kubeconfig.empty() ? kube::in_cluster_config() : kube::load_kubeconfig(flags.kubeconfig);
  if (!config) {
    std::fprintf(stderr, "berth drain: %s; give --kubeconfig or $KUBECONFIG\n", config.error().text.c_str());
    return 2;
  }
  asio::io_context io{1};
  const auto timers = make_system_timers(io.get_executor());
  const auto rng = make_system_rng();
  kube::ApiClient client{io.get_executor(), *timers, *rng, std::move(*config)};
  Drain drain{client, *timers, flags};
  std::optional<int> exit_status;
  TaskGroup tasks{io.get_executor()};
  tasks.spawn("drain", drain.run(exit_status));
  while (!exit_status && io.run_one() > 0) {
  }
  return exit_status.value_or(2);
}

}  // namespace berth
