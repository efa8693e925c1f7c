#include "kube/lease_elector.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "base/log.hpp"
#include "kube/encode.hpp"

namespace berth::kube {
namespace {

constexpr std::chrono::seconds release_limit{1};  // of each request: the process is about to end

std::string collection(const ObjectName& name) { return "/apis/coordination.k8s.io/v1/namespaces/" + name.space + "/leases"; }
std::string path(const ObjectName& name) { return collection(name) + "/" + name.name; }

// What is before the 16 hex digits; empty if there are none.
std::string_view node_of(std::string_view identity) {
  const std::size_t end = identity.rfind('_');
  if (end == std::string_view::npos) return {};
  const std::string_view digits = identity.substr(end + 1);
  if (digits.size() != 16 || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return {};
  return identity.substr(0, end);
}

}  // namespace

std::string lease_identity(std::string_view node, std::uint64_t chance) { return fmt::format("{}_{:016x}", node, chance); }

bool same_node(std::string_view identity, std::string_view other) {
  const std::string_view node = node_of(identity);
  return !node.empty() && node == node_of(other);
}

LeaseElector::LeaseElector(ApiClient& client, Timers& timers, Rng& rng, LeaseOptions options, std::function<void(bool)> changed)
    : client_(client), timers_(timers), rng_(rng), options_(std::move(options)), changed_(std::move(changed)) {}

asio::awaitable<void> LeaseElector::run() {
  for (;;) {
    const auto done = co_await attempt_in_time();
    if (!done && done.error().code != ErrorCode::cancelled && done.error().text != error_)
      log::warning("lease_attempt_failed", {{"error", done.error().text}});
    error_ = done ? "" : done.error().text;
    if (leading_ && timers_.now() - renewed_ >= options_.renew_deadline) {
      log::warning("lease_lost", {{"reason", "it could not be renewed in time"}});
      set_leading(false);
    }
    Duration wait = options_.retry_period +
                    Duration{static_cast<Duration::rep>(static_cast<double>(options_.retry_period.count()) * 0.2 * rng_.fraction())};
    if (leading_)
      wait = std::min(wait, std::max<Duration>(renewed_ + options_.renew_deadline - timers_.now(), std::chrono::milliseconds{1}));
    co_await timers_.sleep_for(wait);
  }
}

asio::awaitable<Result<>> LeaseElector::attempt_in_time() {
  using namespace asio::experimental::awaitable_operators;
  if (!leading_) co_return co_await attempt();
  auto first = co_await (attempt() || timers_.sleep_until(renewed_ + options_.renew_deadline));
  if (first.index() == 0) co_return std::move(std::get<0>(first));
  co_return fail(ErrorCode::timed_out, "the API server did not renew the Lease in time");
}

asio::awaitable<Result<>> LeaseElector::attempt() {
  if (leading_) {
    auto renewed = co_await write(false);
    // Another has it, or an unanswered renewal of ours got through, or somebody deleted it: look.
    const bool look = !renewed && (renewed.error().code == ErrorCode::conflict || renewed.error().code == ErrorCode::not_found);
    if (!look) co_return renewed;
  }
  if (auto read = co_await refresh(options_.retry_period * 2); !read) {
    if (read.error().code != ErrorCode::not_found) co_return read;
    lease_ = {};
    heir_ = false;
    co_return co_await write(true);
  }
  const bool ours = lease_.spec.holderIdentity == options_.identity;
  const bool free = lease_.spec.holderIdentity.empty() || timers_.now() - observed_ >= options_.duration;
  if (leading_ && !ours) {
    log::warning("lease_lost", {{"to", lease_.spec.holderIdentity}});
    set_leading(false);
  }
  const bool inherits = heir_ && same_node(options_.identity, lease_.spec.holderIdentity);
  if (inherits) log::info("lease_of_predecessor", {{"holder", lease_.spec.holderIdentity}});
  Result<> done;
  if (ours || free || inherits) done = co_await write(!leading_);
  // What got no answer may be tried again. A conflict says that the predecessor lives, or that another was faster.
  if (done || done.error().code == ErrorCode::conflict) heir_ = false;
  co_return done;
}

asio::awaitable<Result<>> LeaseElector::refresh(Duration limit) {
  auto lease = co_await client_.get<api::Lease>(path(options_.name), limit);
  if (!lease) co_return fail(lease.error());
  observe(std::move(*lease));
  co_return Result<>{};
}

void LeaseElector::observe(api::Lease lease) {
  if (lease.metadata.resourceVersion != lease_.metadata.resourceVersion) observed_ = timers_.now();
  lease_ = std::move(lease);
}

asio::awaitable<Result<>> LeaseElector::write(bool taking) {
  const Instant began = timers_.now();
  // Written by hand of the clock on the wall, which is for people; nobody of ours compares it.
  const std::string now = to_rfc3339_micro(timers_.wall_now());
  api::Lease next = lease_;
  next.metadata.name = options_.name.name;
  next.metadata.namespace_ = options_.name.space;
  next.spec.renewTime = now;
  next.spec.leaseDurationSeconds = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(options_.duration).count());
  if (taking && next.spec.holderIdentity != options_.identity) {
    next.spec.acquireTime = now;
    if (!next.metadata.resourceVersion.empty()) ++next.spec.leaseTransitions;
  }
  next.spec.holderIdentity = options_.identity;
  const Duration limit = options_.retry_period * 2;
  std::string body = encode(next);
  Result<api::Lease> written = next.metadata.resourceVersion.empty()
                                   ? co_await client_.create<api::Lease>(collection(options_.name), std::move(body), limit)
                                   : co_await client_.replace<api::Lease>(path(options_.name), std::move(body), limit);
  if (!written) co_return fail(written.error());
  observe(std::move(*written));
  renewed_ = began;
  if (!leading_) set_leading(true);
  co_return Result<>{};
}

void LeaseElector::set_leading(bool leading) {
  leading_ = leading;
  changed_(leading);
}

asio::awaitable<void> LeaseElector::release() {
  if (!leading_) co_return;
  set_leading(false);
  auto released = co_await give_up();
  if (!released && released.error().code == ErrorCode::conflict) {  // a renewal of ours whose answer we did not hear, or another
    released = co_await refresh(release_limit);
    if (released && lease_.spec.holderIdentity == options_.identity) released = co_await give_up();
  }
  if (!released) log::warning("lease_not_released", {{"error", released.error().text}});
}

asio::awaitable<Result<>> LeaseElector::give_up() {
  api::Lease next = lease_;
  next.spec.holderIdentity.clear();
  next.spec.leaseDurationSeconds = 1;
  next.spec.renewTime = to_rfc3339_micro(timers_.wall_now());
  std::string body = encode(next);
  const auto written = co_await client_.replace<api::Lease>(path(options_.name), std::move(body), release_limit);
  if (!written) co_return fail(written.error());
  co_return Result<>{};
}

}  // namespace berth::kube
