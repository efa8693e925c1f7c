#include "process.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration call_deadline = 2s, stream_deadline = 10s;  // the client's
constexpr Duration start_time_max = 60ms;
constexpr Duration stable_after = 10s;

template <class T>
struct Waiting {
  explicit Waiting(const asio::any_io_executor& executor) : bell(executor) {}
  Bell bell;
  std::optional<Result<T>> answer;
  void end(Result<T> how) {
    if (answer) return;
    answer = std::move(how);
    bell.ring();
  }
};

// What is sent at once is one message, mostly; it may break anywhere all the same, as between two messages.
Result<> stream(SimulatedGobgpd& gobgpd, const std::vector<api::Path>& paths, std::size_t most) {
  if (!std::ranges::all_of(paths, SimulatedGobgpd::can_read)) return gobgpd.change_paths(paths);
  for (std::size_t i = 0; i < most; ++i)
    if (const auto done = gobgpd.change_paths({paths[i]}); !done) return done;
  if (most < paths.size()) return fail(ErrorCode::unavailable, "gobgpd AddPathStream: the stream broke");
  return {};
}

std::vector<api::Path> withdrawals_first(const std::vector<api::Path>& paths) {
  std::vector<api::Path> out;
  std::ranges::copy_if(paths, std::back_inserter(out), &api::Path::is_withdraw);
  std::ranges::remove_copy_if(paths, std::back_inserter(out), &api::Path::is_withdraw);
  return out;
}

void lose_mark(api::Path& path) {
  constexpr std::uint32_t graceful_shutdown = 0xFFFF0000U;
  for (api::Attribute& attribute : *path.mutable_pattrs()) {
    if (!attribute.has_communities()) continue;
    api::Attribute::Communities kept;
    for (const std::uint32_t community : attribute.communities().communities())
      if (community != graceful_shutdown) kept.add_communities(community);
    *attribute.mutable_communities() = kept;
  }
}

}  // namespace

std::string_view to_string(BgpFlaw flaw) {
  switch (flaw) {
    case BgpFlaw::none: return "none";
    case BgpFlaw::paths_come_late: return "paths_come_late";
    case BgpFlaw::no_restart_bits: return "no_restart_bits";
    case BgpFlaw::stopped_with_goodbye: return "stopped_with_goodbye";
    case BgpFlaw::withdrawn_first: return "withdrawn_first";
    case BgpFlaw::additions_are_lost: return "additions_are_lost";
    case BgpFlaw::import_is_open: return "import_is_open";
    case BgpFlaw::everybody_hears: return "everybody_hears";
    case BgpFlaw::not_told_again: return "not_told_again";
    case BgpFlaw::add_path_believed: return "add_path_believed";
    case BgpFlaw::sessions_are_reset: return "sessions_are_reset";
    case BgpFlaw::strangers_stay: return "strangers_stay";
    case BgpFlaw::hang_for_ever: return "hang_for_ever";
    case BgpFlaw::lists_are_restless: return "lists_are_restless";
    case BgpFlaw::marks_are_lost: return "marks_are_lost";
    case BgpFlaw::slices_unheard: return "slices_unheard";
    case BgpFlaw::bad_edits_delete: return "bad_edits_delete";
  }
  return "unknown";
}

// -- the process ----------------------------------------------------------------------------------

// As Supervisor::run.
asio::awaitable<void> SimulatedProcess::run(std::function<void()> up, std::function<void()> down, std::function<void(std::string_view)>) {
  while (!stopping_) {
    const Instant begun = timers_.now();
    if (host_.runs() || co_await start()) {
      last_error_.clear();
      host_.gobgpd->on_death([weak = std::weak_ptr<Bell>{ended_}] {
        if (const auto bell = weak.lock()) bell->ring();
      });
      up();
      while (host_.runs()) co_await ended_->wait();
      last_error_ = "gobgpd ended: signal 9";
      down();
    }
    if (stopping_) break;
    if (timers_.now() - begun >= stable_after) backoff_.succeeded();
    co_await timers_.sleep_for(backoff_.next(host_.rng));
  }
}

asio::awaitable<bool> SimulatedProcess::start() {
  ++starts_;
  co_await timers_.sleep_for(host_.some(start_time_max));
  if (host_.rng.chance(host_.faults.starts_fail)) {
    last_error_ = "gobgpd ended at once: exit status 1";
    co_return false;
  }
  host_.gobgpd = std::make_shared<SimulatedGobgpd>(host_.time, host_.rng, host_.routers);
  co_return true;
}

asio::awaitable<void> SimulatedProcess::terminate(Duration patience) {
  const auto gobgpd = host_.gobgpd;
  if (!gobgpd || !gobgpd->alive()) co_return;
  // SIGTERM says goodbye, once it runs.
  gobgpd->after(host_.some(5ms), [raw = gobgpd.get()] { raw->terminate(); });
  const Instant give_up = timers_.now() + patience;
  while (gobgpd->alive() && timers_.now() < give_up) co_await timers_.sleep_for(5ms);
  gobgpd->kill();
}

void SimulatedProcess::kill() {
  if (host_.runs() && host_.flaw != BgpFlaw::hang_for_ever) host_.gobgpd->kill();
}

// -- calls ----------------------------------------------------------------------------------------

template <class T>
asio::awaitable<Result<T>> SimulatedApi::call(std::string name, Duration deadline, std::function<Result<T>(Gobgpd&)> what) {
  const auto unavailable = [name](std::string_view why) { return fail(ErrorCode::unavailable, fmt::format("gobgpd {}: {}", name, why)); };
  if (!gobgpd_->alive()) {
    co_await timers_.sleep_for(host_.some(host_.faults.delay_max));
    co_return unavailable("connection refused");
  }
  const auto waiting = std::make_shared<Waiting<T>>(executor_);
  gobgpd_->on_death([weak = std::weak_ptr{waiting}, lost = Result<T>{unavailable("the connection broke")}] {
    if (const auto call = weak.lock()) call->end(lost);
  });
  const CallFaults& faults = host_.faults;
  Duration work = host_.some(faults.delay_max);
  if (host_.rng.chance(faults.slow)) work = host_.some(faults.slow_max);
  gobgpd_->busy_until = std::max(gobgpd_->busy_until, timers_.now()) + work;
  if (work > faults.delay_max) faults.on_trouble(gobgpd_->busy_until);
  const Fate fate = host_.fate(name);
  const bool before = host_.rng.chance(faults.fails_before) || fate == Fate::not_done;
  const bool after = host_.rng.chance(faults.fails_after) || fate == Fate::done_unsaid;
  const Duration back = host_.some(faults.delay_max);
  gobgpd_->after(gobgpd_->busy_until - timers_.now(),
                 [gobgpd = std::weak_ptr{gobgpd_}, waiting, what = std::move(what), before, after, back, unavailable] {
                   const auto to = gobgpd.lock();
                   Result<T> answer = before ? Result<T>{unavailable("transport is closing")} : what(*to);
                   if (after) answer = unavailable("the answer was lost");
                   to->after(back, [waiting, answer = std::move(answer)] { waiting->end(answer); });
                 });
  const bool in_time = co_await waiting->bell.wait_until(timers_, timers_.now() + deadline);
  host_.on_call(fmt::format("  {}: {}", name, !in_time ? "no answer" : *waiting->answer ? "done" : waiting->answer->error().text));
  if (!in_time) co_return fail(ErrorCode::timed_out, fmt::format("gobgpd {}: Deadline Exceeded", name));
  co_return std::move(*waiting->answer);
}

asio::awaitable<Result<>> SimulatedApi::change(std::string name, std::function<Result<>(Gobgpd&)> what) {
  ++host_.changes;
  return call<void>(std::move(name), call_deadline, std::move(what));
}

asio::awaitable<Result<api::Global>> SimulatedApi::get_bgp() {
  ++host_.reads;
  auto answer = co_await call<api::Global>("GetBgp", call_deadline, [](Gobgpd& gobgpd) { return gobgpd.get_bgp(); });
  if (answer && host_.rng.chance(host_.faults.broken)) {
    const std::size_t how = host_.rng.below(4);
    if (how == 0) answer->Clear();
    if (how == 1) answer->set_router_id("nobody");
    if (how == 2) answer->set_listen_port(-7);
    if (how == 3) answer->add_listen_addresses("\xFF");
  }
  co_return answer;
}

asio::awaitable<Result<>> SimulatedApi::start_bgp(api::Global global) {
  return change("StartBgp", [global = std::move(global)](Gobgpd& gobgpd) { return gobgpd.start_bgp(global); });
}

asio::awaitable<Result<>> SimulatedApi::stop_bgp(bool allow_graceful_restart) {
  const bool allow = allow_graceful_restart && host_.flaw != BgpFlaw::stopped_with_goodbye;
  return change("StopBgp", [allow](Gobgpd& gobgpd) { return gobgpd.stop_bgp(allow); });
}

asio::awaitable<Result<>> SimulatedApi::add_peer(api::Peer peer) {
  if (host_.flaw == BgpFlaw::no_restart_bits) peer.mutable_graceful_restart()->clear_local_restarting();
  return change("AddPeer", [peer = std::move(peer)](Gobgpd& gobgpd) { return gobgpd.add_peer(peer); });
}

asio::awaitable<Result<>> SimulatedApi::update_peer(api::Peer peer) {
  return change("UpdatePeer", [peer = std::move(peer)](Gobgpd& gobgpd) { return gobgpd.update_peer(peer); });
}

asio::awaitable<Result<>> SimulatedApi::delete_peer(std::string address) {
  return change("DeletePeer", [address = std::move(address)](Gobgpd& gobgpd) { return gobgpd.delete_peer(address); });
}

asio::awaitable<Result<std::vector<api::Peer>>> SimulatedApi::list_peers() {
  ++host_.reads;
  auto answer = co_await call<std::vector<api::Peer>>("ListPeer", stream_deadline, [](Gobgpd& gobgpd) { return gobgpd.list_peers(); });
  if (!answer) co_return answer;
  for (api::Peer& peer : *answer) {
    if (host_.rng.chance(host_.faults.strange)) distort(peer, false);
    if (host_.rng.chance(host_.faults.broken)) distort(peer, true);
    if (host_.flaw == BgpFlaw::add_path_believed)
      for (const api::AfiSafi& family : peer.afi_safis()) {
        auto& tuple = *peer.mutable_state()->add_remote_cap()->mutable_add_path()->add_tuples();
        *tuple.mutable_family() = family.config().family();
        tuple.set_mode(1);
      }
  }
  co_return answer;
}

asio::awaitable<Result<std::vector<api::Path>>> SimulatedApi::list_paths(api::Family family) {
  ++host_.reads;
  auto answer = co_await call<std::vector<api::Path>>("ListPath", stream_deadline,
                                                      [family = std::move(family)](Gobgpd& gobgpd) { return gobgpd.list_paths(family); });
  if (!answer) co_return answer;
  for (api::Path& path : *answer)
    if (host_.rng.chance(host_.faults.broken)) distort(path);
  if (host_.flaw == BgpFlaw::strangers_stay) std::erase_if(*answer, [](const api::Path& path) { return path.identifier() == 0; });
  if (host_.flaw == BgpFlaw::lists_are_restless && !answer->empty())
    answer->front().add_pattrs()->mutable_multi_exit_disc()->set_med(static_cast<std::uint32_t>(host_.reads));
  co_return answer;
}

asio::awaitable<Result<>> SimulatedApi::change_paths(std::vector<api::Path> paths) {
  if (paths.empty()) co_return Result<>{};
  ++host_.changes;
  if (host_.flaw == BgpFlaw::withdrawn_first) paths = withdrawals_first(paths);
  if (host_.flaw == BgpFlaw::additions_are_lost)
    std::erase_if(paths, [&](const api::Path& path) { return !path.is_withdraw() && host_.rng.chance(0.1); });
  if (host_.flaw == BgpFlaw::marks_are_lost)
    for (api::Path& path : paths) lose_mark(path);
  if (paths.empty()) co_return Result<>{};
  const std::size_t most = host_.rng.chance(host_.faults.half_done) ? host_.rng.below(paths.size()) : paths.size();
  if (host_.flaw == BgpFlaw::paths_come_late && gobgpd_->peers() == 0) {
    gobgpd_->after(15s, [gobgpd = std::weak_ptr{gobgpd_}, paths = std::move(paths)] { (void)gobgpd.lock()->change_paths(paths); });
    co_return Result<>{};
  }
  co_return co_await call<void>("AddPathStream", stream_deadline,
                                [paths = std::move(paths), most](Gobgpd& gobgpd) { return stream(gobgpd, paths, most); });
}

asio::awaitable<Result<>> SimulatedApi::set_policy_assignment(api::SetPolicyAssignmentRequest request) {
  constexpr std::uint32_t import_direction = 1;
  const bool lost = host_.flaw == BgpFlaw::import_is_open && request.assignment().direction() == import_direction;
  return change("SetPolicyAssignment",
                [request = std::move(request), lost](Gobgpd& gobgpd) { return lost ? Result<>{} : gobgpd.set_policy_assignment(request); });
}

asio::awaitable<Result<>> SimulatedApi::set_policies(api::SetPoliciesRequest request) {
  constexpr std::uint32_t accept = 1;
  if (host_.flaw == BgpFlaw::everybody_hears)
    for (api::Policy& policy : *request.mutable_policies())
      for (api::Statement& statement : *policy.mutable_statements()) statement.mutable_actions()->set_route_action(accept);
  return change("SetPolicies", [request = std::move(request), reset = host_.flaw == BgpFlaw::sessions_are_reset](Gobgpd& gobgpd) {
    if (reset) {
      const auto peers = gobgpd.list_peers();
      for (const api::Peer& peer : *peers) (void)gobgpd.delete_peer(peer.conf().neighbor_address());
      for (const api::Peer& peer : *peers) (void)gobgpd.add_peer(peer);
    }
    return gobgpd.set_policies(request);
  });
}

asio::awaitable<Result<>> SimulatedApi::tell_again(std::string address) {
  return change("ResetPeer", [address = std::move(address), lost = host_.flaw == BgpFlaw::not_told_again](Gobgpd& gobgpd) {
    return lost ? Result<>{} : gobgpd.soft_reset_out(address);
  });
}

asio::awaitable<Error> SimulatedApi::watch_peers(std::function<void(std::vector<api::Peer>)> changed) {
  const auto waiting = std::make_shared<Waiting<void>>(executor_);
  if (!gobgpd_->alive()) waiting->end(fail(ErrorCode::unavailable, "gobgpd WatchEvent: connection refused"));
  gobgpd_->on_death([weak = std::weak_ptr{waiting}] {
    if (const auto stream = weak.lock()) stream->end(fail(ErrorCode::unavailable, "gobgpd WatchEvent: the connection broke"));
  });
  gobgpd_->on_event = [this, weak = std::weak_ptr{waiting}, changed](const api::Peer& peer) {
    if (weak.expired()) return;  // and *this with it
    const bool breaks = host_.rng.chance(host_.faults.events_break);
    api::Peer told = peer;
    if (host_.rng.chance(host_.faults.strange)) distort(told, false);
    if (host_.rng.chance(host_.faults.broken)) distort(told, true);
    host_.time.call_at(host_.time.now() + host_.some(host_.faults.event_delay_max), [weak, changed, told, breaks] {
      const auto stream = weak.lock();
      if (!stream || stream->answer) return;
      if (breaks) return stream->end(fail(ErrorCode::unavailable, "gobgpd WatchEvent: the stream broke"));
      changed({told});
    });
  };
  co_await waiting->bell.wait();
  co_return waiting->answer->error();
}

// -- odd answers ----------------------------------------------------------------------------------

void SimulatedApi::distort(api::Peer& peer, bool broken) {
  api::PeerState& state = *peer.mutable_state();
  const auto any = [this] { return static_cast<std::uint32_t>(host_.rng.next()); };
  if (!broken) {
    switch (host_.rng.below(6)) {
      case 0: state.set_session_state(any()); break;
      case 1: state.set_disconnect_reason(any()); break;
      case 2: state.set_disconnect_message("\x01\x7F \xC3"); break;
      case 3: state.set_router_id("invalid IP"); break;
      case 4: peer.mutable_timers()->mutable_state()->mutable_uptime()->set_seconds(static_cast<std::int64_t>(host_.rng.next())); break;
      default: state.add_remote_cap()->mutable_add_path()->add_tuples()->set_mode(any()); break;
    }
    return;
  }
  switch (host_.rng.below(8)) {
    case 0: peer.Clear(); break;
    case 1: peer.clear_conf(); break;
    case 2: peer.mutable_conf()->set_neighbor_address("no address"); break;
    case 3: peer.clear_state(); break;
    case 4: peer.mutable_conf()->set_remove_private(any()); break;
    case 5: peer.add_afi_safis()->mutable_config()->mutable_family()->set_afi(any()); break;
    case 6: peer.mutable_graceful_restart()->set_restart_time(any()); break;
    default: peer.clear_timers(); break;
  }
}

void SimulatedApi::distort(api::Path& path) {
  switch (host_.rng.below(7)) {
    case 0: path.Clear(); break;
    case 1: path.clear_nlri(); break;
    case 2: path.mutable_nlri()->mutable_prefix()->set_prefix("::ffff:1.2.3"); break;
    case 3: path.mutable_nlri()->mutable_prefix()->set_prefix_len(static_cast<std::uint32_t>(host_.rng.next())); break;
    case 4: path.clear_pattrs(); break;
    case 5: path.set_identifier(0); break;
    default: path.mutable_family()->set_afi(77); break;
  }
}

}  // namespace berth::sim
