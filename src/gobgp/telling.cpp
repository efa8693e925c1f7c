#include "gobgp/telling.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;

constexpr Duration sending_patience = 200ms;

bool is_told_later(const api::Peer& peer) { return peer.graceful_restart().local_restarting(); }

}  // namespace

asio::awaitable<Result<>> tell_all_again(Api& api) {
  const auto listed = co_await api.list_peers();
  if (!listed) co_return fail(listed.error());
  if (std::ranges::none_of(*listed, is_told_later)) co_return co_await api.tell_again("all");
  Result<> done;
  for (const api::Peer& peer : *listed)
    if (done && !is_told_later(peer)) done = co_await api.tell_again(peer.conf().neighbor_address());
  co_return done;
}

asio::awaitable<Result<>> cure(Api& api, Doubts::Cure what, std::optional<Audiences> audiences) {
  std::vector<api::Path> paths;
  for (const auto& step : what.withdraw_again) {
    if (step.path.audience != 0 && (!audiences || !audiences->contains(step.path.audience))) continue;
    paths.push_back(to_api(step.route, step.id, step.path));
    paths.push_back(withdrawal(step.route, step.id));
  }
  Result<> done;
  if (!paths.empty()) done = co_await api.change_paths(std::move(paths));
  for (const std::string& peer : what.tell_again)
    if (done) done = co_await api.tell_again(peer);
  co_return done;
}

asio::awaitable<void> wait_until_sent(Api& api, Timers& timers, Doubts& doubts) {
  const Instant give_up = timers.now() + sending_patience;
  bool sent = false;
  while (!sent && timers.now() < give_up) {
    const auto listed = co_await api.list_peers();
    if (!listed) co_return;  // so will be what comes next, which tells
    sent = doubts.all_is_sent(*listed);
    co_await timers.sleep_for(sent ? 1ms : 5ms);
  }
}

asio::awaitable<UpdatesSent> updates_sent(Api& api) {
  UpdatesSent out;
  const auto listed = co_await api.list_peers();
  if (!listed) co_return out;
  for (const api::Peer& peer : *listed) {
    const BgpPeerStatus status = status_from_api(peer);
    if (status.session_state == SessionState::established) out[status.neighbor_address] = status.sent.update;
  }
  co_return out;
}

asio::awaitable<void> wait_for_updates(Api& api, Timers& timers, UpdatesSent before, Duration patience) {
  const Instant give_up = timers.now() + patience;
  bool all = before.empty();
  while (!all && timers.now() < give_up) {
    co_await timers.sleep_for(20ms);
    const UpdatesSent now = co_await updates_sent(api);
    all = std::ranges::all_of(before, [&](const auto& one) {
      const auto found = now.find(one.first);
      return found == now.end() || found->second > one.second;
    });
  }
}

}  // namespace berth::gobgp
