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
  if (read)
    sessions_ = std::move(*read);
  else if (read.error().code == ErrorCode::unavailable)
    sessions_.clear();  // without an engine there is none
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
