#include "reconcile/controller.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view service_component = "OpenELBController";
constexpr std::string_view pool_component = "EIPController";
constexpr Duration sessions_interval = 2s;

ObjectReference reference(const ObjectName& name, const Uid& uid) { return {"v1", "Service", name.space, name.name, uid}; }
ObjectReference reference(const Pool& pool) { return {"network.kubesphere.io/v1alpha2", "Eip", "", pool.name, pool.uid}; }

// OpenELB tells failures to choose a pool and failures to take from it apart.
bool is_choice_failure(PendingReason reason) {
  switch (reason) {
    case PendingReason::invalid_request:
    case PendingReason::no_pool:
    case PendingReason::wanted_ip_no_pool:
    case PendingReason::pool_disabled:
    case PendingReason::pool_deleting:
    case PendingReason::pool_not_bound:
    case PendingReason::pool_selector: return true;
    case PendingReason::pool_missing:
    case PendingReason::pool_invalid:
    case PendingReason::pool_full:
    case PendingReason::pool_family:
    case PendingReason::pool_quota:
    case PendingReason::wanted_ip_outside:
    case PendingReason::wanted_ip_not_given:
    case PendingReason::wanted_ip_in_use:
    case PendingReason::wanted_ip_reserved:
    case PendingReason::being_released: return false;
  }
  return false;
}

// Of one Service, writes that only change its condition.
constexpr Duration tell_interval = 1s;

// Services that come while others are being served are a stream, until none did for this long. In a stream no more than a
// tenth of the time goes into writes of one block, and those that wait meanwhile ride in the next together: what a write
// costs the API server is about what three Services cost it. A single write is taken to have cost 15 ms at most, so nobody waits for long.
constexpr Duration stream_ends_after = 200ms;
constexpr int block_write_share = 10;
constexpr Duration block_write_cost_max = 15ms;

bool only_tells(const ServiceWrite& write) {
  const ServicePatch& patch = write.patch;
  return patch.labels.empty() && patch.annotations.empty() && !patch.finalizers && !patch.ingress;
}

}  // namespace

Controller::Controller(asio::any_io_executor executor,
                       Timers& timers,
                       Rng& rng,
                       Cluster& cluster,
                       EventSink& events,
                       WorldKeeper& keeper,
                       ControllerOptions options)
    : executor_(executor),
      timers_(timers),
      rng_(rng),
      cluster_(cluster),
      events_(events),
      keeper_(keeper),
      options_(std::move(options)),
      bell_(executor),
      queue_short_(executor),
      planner_(
          {.quarantine = options_.quarantine, .mark_prefix = options_.identity, .classless = options_.classless, .pools = options_.pools}),
      idle_since_(timers.now()),
      tasks_(executor) {}

asio::awaitable<void> Controller::run() {
  for (;;) {
    const Instant begun = timers_.now();
    wake_at_.reset();
    planner_.plan(keeper_.world(), {begun, timers_.wall_now()});
    ++counters_.plans;
    if (const auto at = planner_.wake_at()) wake(*at);
    for (const ObjectName& name : planner_.take_changed()) {
      enqueue(name);
      tell(name);
    }
    enqueue_postponed();
    start_block_work();
    start_service_work();
    if (busy()) idle_since_ = timers_.now();
    start_pool_work();
    start_bgp_upkeep();
    tell_pools();
    forget_what_is_gone();
    const Duration took = timers_.now() - begun;
    counters_.last_plan_seconds = seconds(took);
    co_await bell_.wait_until(timers_, wake_at_);
    co_await timers_.sleep_until(pace_.next(begun, took));
    // While more writes are planned than can be under way, a new plan would mostly say the same again.
    if (queue_is_long()) co_await queue_short_.wait_until(timers_, begun + took * 20);
  }
}

asio::awaitable<void> Controller::ended() {
  tasks_.cancel();
  co_await tasks_.join();
}

void Controller::wake(Instant at) {
  if (!wake_at_ || at < *wake_at_) wake_at_ = at;
}

// -- what is under way ----------------------------------------------------------------------------

bool Controller::may_start(const std::string& key) {
  if (in_flight_.contains(key)) return false;
  const auto failure = failures_.find(key);
  if (failure == failures_.end() || failure->second.retry_at <= timers_.now()) return true;
  wake(failure->second.retry_at);
  return false;
}

void Controller::start(const std::string& key, asio::awaitable<void> work) {
  in_flight_.insert(key);
  tasks_.spawn(key, std::move(work));
}

void Controller::ended(const std::string& key) {
  in_flight_.erase(key);
  bell_.ring();
}

void Controller::succeeded(const std::string& key) { failures_.erase(key); }

void Controller::failed(const std::string& key, std::string_view doing, const Error& error) {
  if (error.code == ErrorCode::conflict || error.code == ErrorCode::already_exists || error.code == ErrorCode::not_found) {
    ++counters_.conflicts;
  } else {
    ++counters_.errors;
    log::warning("write_failed", {{"doing", doing}, {"object", key}, {"code", to_string(error.code)}, {"error", error.text}});
  }
  Failure& failure = failures_[key];
  failure.retry_at = timers_.now() + failure.backoff.next(rng_);
}

// -- blocks ---------------------------------------------------------------------------------------

void Controller::start_block_work() {
  std::size_t started = 0;
  const Instant now = timers_.now();
  const bool serving = services_in_flight_ > 0 || !ready_.empty();
  for (const auto& [name, write] : planner_.block_writes()) {
    if (started >= options_.block_writes_in_flight) break;
    const std::string key = "block " + name;
    if (!may_start(key)) continue;
    if (serving) streaming_until_ = now + stream_ends_after;
    const auto allowed = block_allowed_.find(name);
    if (streaming_until_ > now && allowed != block_allowed_.end() && allowed->second > now) {
      wake(allowed->second);
      continue;
    }
    ++started;
    start(key, write_block(key, write));
  }
  for (const auto& [name, readers] : planner_.block_reads()) {
    const std::string key = "block " + name;
    if (may_start(key)) start(key, read_block(key, name));
  }
}

asio::awaitable<void> Controller::write_block(std::string key, BlockWrite write) {
  const std::uint64_t begun = keeper_.begin();
  const Instant begun_at = timers_.now();
  ++counters_.block_writes;
  const std::string name = write.block.name;
  Result<> done;
  if (write.block.addresses.empty()) {
    done = co_await cluster_.delete_block(std::move(write.block));
    if (done) keeper_.block_gone(name, begun);
  } else {
    Result<AddressBlock> written = co_await cluster_.write_block(std::move(write.block));
    if (written)
      keeper_.heard(std::move(*written), begun);
    else
      done = fail(written.error());
  }
  block_allowed_[name] = begun_at + block_write_share * std::min<Duration>(timers_.now() - begun_at, block_write_cost_max);
  if (done) {
    succeeded(key);
  } else {
    failed(key, "write the address block", done.error());
    // Read again, plan again (B6): also after an unclear end, for the write may have been done.
    const Result<> read = co_await refresh_block(name);
    if (read && (done.error().code == ErrorCode::conflict || done.error().code == ErrorCode::already_exists)) succeeded(key);
  }
  ended(key);
}

asio::awaitable<void> Controller::read_block(std::string key, std::string name) {
  const Result<> read = co_await refresh_block(name);
  if (read)
    succeeded(key);
  else
    failed(key, "read the address block", read.error());
  ended(key);
}

asio::awaitable<Result<>> Controller::refresh_block(std::string name) {
  const std::uint64_t begun = keeper_.begin();
  Result<AddressBlock> block = co_await cluster_.read_block(name);
  if (block) {
    keeper_.heard(std::move(*block), begun);
    co_return Result<>{};
  }
  if (block.error().code == ErrorCode::not_found) {
    planner_.block_was_absent(name, begun);
    keeper_.block_gone(name, begun);
    co_return Result<>{};
  }
  co_return fail(block.error());
}

// -- services -------------------------------------------------------------------------------------

void Controller::enqueue(const ObjectName& name) {
  if (planner_.service_write(name) == nullptr && !planner_.wants_read(name)) return;
  if (is_ready_.insert(name).second) ready_.push_back(name);
}

void Controller::enqueue_postponed() {
  while (!postponed_.empty() && postponed_.begin()->first <= timers_.now()) {
    enqueue(postponed_.begin()->second);
    postponed_.erase(postponed_.begin());
  }
  if (!postponed_.empty()) wake(postponed_.begin()->first);
}

void Controller::start_service_work() {
  while (!ready_.empty() && services_in_flight_ < options_.service_writes_in_flight) {
    const ObjectName name = std::move(ready_.front());
    ready_.pop_front();
    is_ready_.erase(name);
    const std::string key = "service " + name.to_string();
    if (in_flight_.contains(key)) continue;  // its end looks again
    if (!may_start(key)) {
      postponed_.emplace(failures_.at(key).retry_at, name);
      continue;
    }
    if (planner_.wants_read(name)) {
      ++services_in_flight_;
      start(key, read_service(key, name));
      continue;
    }
    const ServiceWrite* write = planner_.service_write(name);
    if (write == nullptr) continue;
    // The world moved since this was planned, often by our own write: the next plan knows better.
    const Service* known = keeper_.world().services.find(name);
    if (known == nullptr || known->version != write->patch.version) continue;
    // Who writes the condition against us, another that leads or a user, gets no war.
    if (only_tells(*write)) {
      Instant& again = tell_again_[name];
      if (again > timers_.now()) {
        postponed_.emplace(again, name);
        wake(again);
        continue;
      }
      again = timers_.now() + tell_interval;
    }
    ++services_in_flight_;
    start(key, write_service(key, *write));
  }
  if (!queue_is_long()) queue_short_.ring();
}

void Controller::service_work_ended(const std::string& key, const ObjectName& name) {
  --services_in_flight_;
  in_flight_.erase(key);
  enqueue(name);
  start_service_work();
  bell_.ring();
}

asio::awaitable<void> Controller::write_service(std::string key, ServiceWrite write) {
  ++counters_.service_writes;
  const ObjectName name = write.patch.name;
  const Uid uid = write.patch.uid;
  const auto tell_normal = [&](std::string reason, std::string text) {
    events_.post({reference(name, uid), false, std::string{service_component}, std::move(reason), std::move(text)});
  };
  Result<Service> written = co_await cluster_.patch_service(std::move(write.patch));
  if (written) {
    succeeded(key);
    switch (write.kind) {
      case ServiceWrite::Kind::publish:
        if (write.newly.empty()) break;
        ++counters_.assigned;
        if (write.since != Instant{}) counters_.allocation_seconds += seconds(timers_.now() - write.since);
        told_services_.erase(name);
        for (const IpAddress& ip : write.newly) tell_normal("AssignIP", "success to assign ip: " + ip.to_string());
        break;
      case ServiceWrite::Kind::clear:
        planner_.was_cleared(name, write.giving_back);
        ++counters_.released;
        tell_normal("ReleaseIP", "success to release ip: " + write.giving_back.ip.to_string());
        break;
      case ServiceWrite::Kind::strip:
      case ServiceWrite::Kind::tell: break;
    }
    keeper_.heard(std::move(*written));
  } else {
    failed(key, "write the Service's status", written.error());
    const ErrorCode code = written.error().code;
    if (code == ErrorCode::forbidden || code == ErrorCode::invalid)
      events_.post({reference(name, uid), true, std::string{service_component}, "UpdateServiceStatus", written.error().text});
    const Result<> read = co_await refresh_service(name);
    if (read && (code == ErrorCode::conflict || code == ErrorCode::not_found)) succeeded(key);
  }
  service_work_ended(key, name);
}

asio::awaitable<void> Controller::read_service(std::string key, ObjectName name) {
  const Result<> read = co_await refresh_service(name);
  if (read)
    succeeded(key);
  else
    failed(key, "read the Service", read.error());
  service_work_ended(key, name);
}

asio::awaitable<Result<>> Controller::refresh_service(ObjectName name) {
  const std::uint64_t begun = keeper_.begin();
  Result<Service> service = co_await cluster_.read_service(name);
  if (service) {
    planner_.service_was_read(name, begun, service->uid, service->version);
    keeper_.heard(std::move(*service), begun);
    co_return Result<>{};
  }
  if (service.error().code != ErrorCode::not_found) co_return fail(service.error());
  planner_.service_was_read(name, begun, {});
  keeper_.gone(name, begun);
  co_return Result<>{};
}

// -- pools ----------------------------------------------------------------------------------------

void Controller::start_pool_work() {
  // A block on its way may hold an address of a pool that was deleted meanwhile.
  const auto block = in_flight_.lower_bound("block ");
  const bool blocks_in_flight = block != in_flight_.end() && block->starts_with("block ");
  for (const auto& [name, write] : planner_.pool_writes()) {
    if (write.pool.deleting && blocks_in_flight) continue;
    const std::string key = "pool " + name;
    if (may_start(key)) start(key, write_pool(key, write));
  }
  pools_to_tell_.merge(planner_.take_changed_pools());
  // The view for people follows behind: when nothing waits to be published, or two seconds late.
  const Instant now = timers_.now();
  for (auto next = pools_to_tell_.begin(); next != pools_to_tell_.end();) {
    const auto at = next++;
    const Pool* pool = keeper_.world().pools.find(*at);
    if (pool == nullptr) {
      pools_to_tell_.erase(at);
      continue;
    }
    const auto allowed = pool_status_allowed_.find(*at);
    if (allowed != pool_status_allowed_.end() && allowed->second > now) {
      wake(allowed->second);
      continue;
    }
    if (busy() && allowed != pool_status_allowed_.end() && now < allowed->second + 2s) {
      wake(now + 50ms);
      continue;
    }
    Pool::Status status = planner_.pool_status(*pool, keeper_.world(), timers_.wall_now());
    if (pool->status == status) {
      pools_to_tell_.erase(at);
      continue;
    }
    const std::string key = "pool status " + *at;
    if (may_start(key)) start(key, write_pool_status(key, *at, std::move(status)));
  }
}

asio::awaitable<void> Controller::write_pool(std::string key, PoolWrite write) {
  const ObjectReference eip = reference(write.pool);
  const std::string_view what = write.pool.deleting ? "the Eip can't go: " : "no address is given out before Berth's finalizer is on: ";
  Result<Pool> written = co_await cluster_.patch_pool_finalizers(std::move(write.pool), std::move(write.finalizers));
  if (written) {
    succeeded(key);
    keeper_.heard(std::move(*written));
  } else {
    failed(key, "write the Eip's finalizer", written.error());
    const ErrorCode code = written.error().code;
    if (code == ErrorCode::forbidden || code == ErrorCode::invalid)
      events_.post(
          {eip, true, std::string{pool_component}, "add/update eip", fmt::format("{}: {}{}", options_.node, what, written.error().text)});
  }
  ended(key);
}

asio::awaitable<void> Controller::write_pool_status(std::string key, std::string name, Pool::Status status) {
  const Instant begun = timers_.now();
  ++counters_.pool_status_writes;
  Result<Pool> written = co_await cluster_.patch_pool_status(name, std::move(status));
  // At most once a second, and not for more than a twentieth of the time: the write grows with the map. But
  // one that hung does not silence the view for minutes.
  const Instant now = timers_.now();
  pool_status_allowed_[name] = now + std::clamp<Duration>((now - begun) * 20, 1s, 30s);
  if (written) {
    succeeded(key);
    keeper_.heard(std::move(*written));
  } else {
    failed(key, "write the Eip's status", written.error());
  }
  ended(key);
}

// -- BGP objects ----------------------------------------------------------------------------------

void Controller::start_bgp_upkeep() {
  const World& world = keeper_.world();
  const auto has_finalizer = [](const std::vector<std::string>& finalizers) {
    return std::ranges::find(finalizers, keys::service_finalizer) != finalizers.end();
  };
  const auto is_left = [&](const std::string& node) { return world.nodes.synced() && world.nodes.find(node) == nullptr; };
  for (const auto& [name, conf] : world.bgp_confs.rows()) {
    const std::string key = "bgpconf " + name;
    if (conf.deleting && has_finalizer(conf.finalizers) && may_start(key)) start(key, write_conf_finalizers(key, conf));
    for (const auto& [node, status] : conf.nodes_status)
      if (is_left(node) && may_start(key)) start(key, drop_conf_status(key, name, node));
  }
  for (const auto& [name, peer] : world.bgp_peers.rows()) {
    const std::string key = "bgppeer " + name;
    if (peer.deleting && has_finalizer(peer.finalizers) && may_start(key)) start(key, write_peer_finalizers(key, peer));
    for (const auto& [node, session] : peer.node_sessions)
      if (is_left(node) && may_start(key)) start(key, drop_peer_status(key, name, node));
    tell_sessions(peer);
  }
}

// What kubectl shows of all speakers' sessions in one word: sessions of a node that is not ready are not known to be up.
void Controller::tell_sessions(const BgpPeer& peer) {
  const World& world = keeper_.world();
  const auto is_up = [&](const std::string& name) {
    const Node* node = world.nodes.find(name);
    return !world.nodes.synced() || (node != nullptr && node->ready);
  };
  BgpSessions sessions;
  std::size_t up = 0;
  for (const auto& [node, session] : peer.node_sessions) {
    if (!session.established || !is_up(node)) continue;
    ++up;
    sessions.since = std::max(sessions.since, session.uptime);  // all in UTC, so the order of texts is that of times
    sessions.prefixes = std::max(sessions.prefixes, session.prefixes);
  }
  sessions.up = fmt::format("{}/{}", up, peer.node_sessions.size());
  if (peer.node_sessions.empty() && peer.sessions.up.empty()) return;
  if (peer.sessions == sessions) return;
  if (const auto allowed = sessions_allowed_.find(peer.name); allowed != sessions_allowed_.end() && allowed->second > timers_.now())
    return wake(allowed->second);
  const std::string key = "bgppeer sessions " + peer.name;
  if (may_start(key)) start(key, write_sessions(key, peer.name, std::move(sessions)));
}

asio::awaitable<void> Controller::write_conf_finalizers(std::string key, BgpConf conf) {
  std::vector<std::string> rest = conf.finalizers;
  std::erase(rest, std::string{keys::service_finalizer});
  const Result<> done = co_await cluster_.patch_bgp_conf_finalizers(std::move(conf), std::move(rest));
  if (done)
    succeeded(key);
  else
    failed(key, "remove OpenELB's finalizer", done.error());
  ended(key);
}

asio::awaitable<void> Controller::write_peer_finalizers(std::string key, BgpPeer peer) {
  std::vector<std::string> rest = peer.finalizers;
  std::erase(rest, std::string{keys::service_finalizer});
  const Result<> done = co_await cluster_.patch_bgp_peer_finalizers(std::move(peer), std::move(rest));
  if (done)
    succeeded(key);
  else
    failed(key, "remove OpenELB's finalizer", done.error());
  ended(key);
}

asio::awaitable<void> Controller::drop_conf_status(std::string key, std::string name, std::string node) {
  const Result<> done = co_await cluster_.patch_bgp_conf_status(std::move(name), std::move(node), std::nullopt);
  if (done)
    succeeded(key);
  else
    failed(key, "remove the status of a node that left", done.error());
  ended(key);
}

asio::awaitable<void> Controller::drop_peer_status(std::string key, std::string name, std::string node) {
  const Result<> done = co_await cluster_.patch_bgp_peer_status(std::move(name), std::move(node), std::nullopt);
  if (done)
    succeeded(key);
  else
    failed(key, "remove the status of a node that left", done.error());
  ended(key);
}

asio::awaitable<void> Controller::write_sessions(std::string key, std::string name, BgpSessions sessions) {
  const Result<> done = co_await cluster_.patch_bgp_peer_sessions(name, std::move(sessions));
  sessions_allowed_[name] = timers_.now() + sessions_interval;  // a session that flaps is not a write each time
  if (done)
    succeeded(key);
  else
    failed(key, "write how many sessions are up", done.error());
  ended(key);
}

// -- telling people -------------------------------------------------------------------------------

void Controller::tell(const ObjectName& name) {
  if (const Pending* pending = planner_.pending(name))
    tell_pending(*pending, planner_.is_misaddressed(name));
  else
    told_services_.erase(name);
}

void Controller::tell_pending(const Pending& pending, bool misaddressed) {
  if (pending.refusals.empty() || pending.refusals.front().reason == PendingReason::being_released) return;
  std::string text = pending.text();
  std::string& told = told_services_[pending.service];
  if (told == pending.uid.text + text) return;
  told = pending.uid.text + text;
  const PendingReason reason = pending.refusals.front().reason;
  log::info("service_pending", {{"service", pending.service.to_string()}, {"reason", to_string(reason)}, {"text", text}});
  const bool choice = misaddressed || is_choice_failure(reason);
  events_.post({reference(pending.service, pending.uid), true, std::string{service_component},
                choice ? "ConstructRequest" : "AssignIPFailed",
                misaddressed ? text
                : choice     ? "failed to construct allocate request: " + text
                             : text});
}

// Objects that are gone leave nothing behind here.
void Controller::forget_what_is_gone() {
  const Instant now = timers_.now();
  std::erase_if(tell_again_, [&](const auto& item) { return item.second < now; });
  std::erase_if(block_allowed_, [&](const auto& item) { return item.second < now; });
  std::erase_if(failures_, [&](const auto& item) { return item.second.retry_at + 1min < now; });
  const auto gone = [&](const auto& item) { return keeper_.world().pools.find(item.first) == nullptr; };
  std::erase_if(pool_status_allowed_, gone);
  std::erase_if(told_pools_, gone);
  std::erase_if(sessions_allowed_, [&](const auto& item) { return item.second < now; });
}

void Controller::tell_pools() {
  for (const auto& [name, pool] : keeper_.world().pools.rows()) {
    const auto told = told_pools_.find(name);
    if (pool.invalid.empty()) {
      if (told != told_pools_.end()) told_pools_.erase(told);
      continue;
    }
    if (told != told_pools_.end() && told->second == pool.invalid) continue;
    told_pools_[name] = pool.invalid;
    log::warning("eip_invalid", {{"eip", name}, {"error", pool.invalid}});
    events_.post({reference(pool), true, std::string{pool_component}, "add/update eip", options_.node + ": " + pool.invalid});
  }
}

}  // namespace berth
