#include "speak/bgp/speaker.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

// How often sessions are read without a change being announced, for counters and metrics.
constexpr Duration sessions_interval = 10s;

std::optional<Instant> earliest(std::optional<Instant> a, std::optional<Instant> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

// A line for each session that came up or went down; what lies between is detail.
void log_changes(const std::vector<BgpPeerStatus>& before, const std::vector<BgpPeerStatus>& now) {
  const auto is_up = [](const std::vector<BgpPeerStatus>& sessions, const std::string& neighbor) {
    const auto found = std::ranges::find(sessions, neighbor, &BgpPeerStatus::neighbor_address);
    return found != sessions.end() && found->session_state == SessionState::established;
  };
  for (const BgpPeerStatus& session : now)
    if (is_up(now, session.neighbor_address) && !is_up(before, session.neighbor_address))
      log::info("bgp_session_up", {{"neighbor", session.neighbor_address},
                                   {"peer_as", session.peer_as},
                                   {"graceful_restart", session.graceful_restart ? "yes" : "no"},
                                   {"add_path", session.add_path_send ? "yes" : "no"}});
  for (const BgpPeerStatus& session : before) {
    if (!is_up(before, session.neighbor_address) || is_up(now, session.neighbor_address)) continue;
    const auto found = std::ranges::find(now, session.neighbor_address, &BgpPeerStatus::neighbor_address);
    log::warning("bgp_session_down",
                 {{"neighbor", session.neighbor_address},
                  {"reason", found == now.end() ? "it is configured no more, or the engine is gone" : found->last_error}});
  }
}

}  // namespace

BgpSpeaker::BgpSpeaker(const asio::any_io_executor& executor,
                       Timers& timers,
                       Rng& rng,
                       const World& world,
                       BgpEngine& engine,
                       RouteOptions options)
    : timers_(timers), rng_(rng), world_(world), engine_(engine), options_(std::move(options)), bell_(executor) {}

void BgpSpeaker::engine_changed() {
  applied_ = nullptr;  // the engine knows what differs; nothing is sent for what does not
  sessions_changed_ = true;
  retry_at_.reset();
  bell_.ring();
}

asio::awaitable<void> BgpSpeaker::run() {
  for (;;) {
    const Instant begun = timers_.now();
    if (plan()) {
      const bool wanted = applied_ == nullptr || !(*applied_ == *desired_);
      if (wanted && (!retry_at_ || *retry_at_ <= begun)) co_await apply();
    }
    if (sessions_changed_ || timers_.now() - sessions_read_ >= sessions_interval) co_await read_sessions();
    if (report_ && counters_.plans > 0) report_();
    const auto next = earliest(earliest(routes_.wake_at, retry_at_), sessions_read_ + sessions_interval);
    co_await bell_.wait_until(timers_, next);
    const Duration planning{static_cast<Duration::rep>(counters_.last_plan_seconds * 1e9)};
    co_await timers_.sleep_until(pace_.next(begun, planning));
  }
}

// True if there is something to hold the engine to.
bool BgpSpeaker::plan() {
  if (!world_.bgp_confs.synced() || !world_.bgp_peers.synced() || !world_.nodes.synced()) return false;
  const Instant begun = timers_.now();
  auto routes = plan_routes(world_, memory_, options_, begun);
  if (!routes) return false;
  BgpConfiguration configuration = plan_bgp_configuration(world_, options_.node, *desired_);
  routes_ = std::move(*routes);
  problems_ = std::move(configuration.problems);
  BgpDesired next{std::move(configuration.global), std::move(configuration.peers), {}, false};
  if (next.global) next.routes = routes_.routes;
  if (!(next == *desired_)) desired_ = std::make_shared<const BgpDesired>(std::move(next));
  ++counters_.plans;
  counters_.last_plan_seconds = seconds(timers_.now() - begun);
  return true;
}

asio::awaitable<void> BgpSpeaker::apply() {
  const std::shared_ptr<const BgpDesired> wanted = desired_;
  const Instant begun = timers_.now();
  ++counters_.applies;
  // Set before the wait: a change that the engine announces meanwhile takes it back.
  applied_ = wanted;
  const Result<> done = co_await engine_.apply(wanted);
  counters_.last_apply_seconds = seconds(timers_.now() - begun);
  if (done) {
    backoff_.succeeded();
    retry_at_.reset();
    last_error_.clear();
    co_return;
  }
  applied_ = nullptr;
  ++counters_.failures;
  retry_at_ = timers_.now() + backoff_.next(rng_);
  if (last_error_ != done.error().text) log::warning("bgp_apply_failed", {{"error", done.error().text}});
  last_error_ = done.error().text;
}

asio::awaitable<void> BgpSpeaker::read_sessions() {
  sessions_changed_ = false;
  sessions_read_ = timers_.now();
  if (!desired_->global) {
    sessions_.clear();
    co_return;
  }
  Result<std::vector<BgpPeerStatus>> read = co_await engine_.peers();
  if (!read && read.error().code != ErrorCode::unavailable) co_return;
  std::vector<BgpPeerStatus> now = read ? std::move(*read) : std::vector<BgpPeerStatus>{};  // without an engine there is none
  log_changes(sessions_, now);
  sessions_ = std::move(now);
}

asio::awaitable<void> BgpSpeaker::stop(BgpStop how, Duration notice) {
  if (how == BgpStop::drain && !desired_->routes.empty()) {
    BgpDesired marked = *desired_;
    marked.graceful_shutdown = true;
    const Result<> done = co_await engine_.apply(std::make_shared<const BgpDesired>(std::move(marked)));
    if (done) co_await timers_.sleep_for(notice);
  }
  const Result<> stopped = co_await engine_.stop(how);
  if (!stopped) log::warning("bgp_stop_failed", {{"error", stopped.error().text}});
}

}  // namespace berth
