// Controller: the loop that gives Services their addresses. wake -> plan -> start the writes that the
// plan allows -> wait. It carries out and retries; what to do is decided in plan/allocate.hpp alone.
//
// Writes are started, not awaited in order: at most one per object, bounded in number, and each answer
// goes into World and rings the bell, so that the publishing of one block overlaps the taking of the next.
// A conflict reads the object afresh; any other error waits, per object, with back-off.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "base/pace.hpp"
#include "base/task_group.hpp"
#include "base/timers.hpp"
#include "plan/allocate.hpp"
#include "reconcile/cluster.hpp"
#include "reconcile/world_keeper.hpp"

namespace berth {

struct ControllerOptions {
  std::string node;      // for OpenELB's event texts
  std::string identity;  // unique for this process: marks begin with it
  std::size_t service_writes_in_flight = 32;
  std::size_t block_writes_in_flight = 16;
  Duration quarantine = std::chrono::seconds{1};
  ClasslessServices classless = ClasslessServices::annotated;
  PoolRules pools = {};
};

struct ControllerCounters {
  std::uint64_t plans = 0;
  std::uint64_t block_writes = 0;
  std::uint64_t service_writes = 0;
  std::uint64_t pool_status_writes = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t errors = 0;
  std::uint64_t assigned = 0;
  std::uint64_t released = 0;
  double last_plan_seconds = 0;
  double allocation_seconds = 0;  // in all, from the claim first seen to the address shown
};

class Controller {
 public:
  Controller(asio::any_io_executor executor,
             Timers& timers,
             Rng& rng,
             Cluster& cluster,
             EventSink& events,
             WorldKeeper& keeper,
             ControllerOptions options);

  // Works until cancelled; then `co_await ended()` before this object goes.
  asio::awaitable<void> run();
  asio::awaitable<void> ended();
  void look_again() { bell_.ring(); }

  // True while addresses are being taken or published: what is of less weight waits.
  [[nodiscard]] bool busy() const { return !in_flight_.empty() || !ready_.empty(); }
  [[nodiscard]] const AddressPlanner& planner() const { return planner_; }
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
  [[nodiscard]] std::size_t queued() const { return ready_.size() + postponed_.size(); }
  [[nodiscard]] const ControllerCounters& counters() const { return counters_; }

 private:
  void start_block_work();
  void enqueue(const ObjectName& name);
  void enqueue_postponed();
  void start_service_work();
  void service_work_ended(const std::string& key, const ObjectName& name);
  [[nodiscard]] bool queue_is_long() const { return ready_.size() > options_.service_writes_in_flight; }
  void start_pool_work();
  void start_bgp_upkeep();
  void tell_sessions(const BgpPeer& peer);
  void tell(const ObjectName& name);
  void tell_pending(const Pending& pending, bool misaddressed);
  void tell_pools();
  void forget_what_is_gone();

  // Starts `work` for `key` unless one is under way or the key waits after a failure.
  bool may_start(const std::string& key);
  void start(const std::string& key, asio::awaitable<void> work);
  void ended(const std::string& key);
  void succeeded(const std::string& key);
  void failed(const std::string& key, std::string_view doing, const Error& error);
  void wake(Instant at);

  asio::awaitable<void> write_block(std::string key, BlockWrite write);
  asio::awaitable<void> read_block(std::string key, std::string name);
  asio::awaitable<Result<>> refresh_block(std::string name);
  asio::awaitable<void> read_service(std::string key, ObjectName name);
  asio::awaitable<Result<>> refresh_service(ObjectName name);
  asio::awaitable<void> write_service(std::string key, ServiceWrite write);
  asio::awaitable<void> write_pool(std::string key, PoolWrite write);
  asio::awaitable<void> write_pool_status(std::string key, std::string name, Pool::Status status);
  asio::awaitable<void> write_conf_finalizers(std::string key, BgpConf conf);
  asio::awaitable<void> write_peer_finalizers(std::string key, BgpPeer peer);
  asio::awaitable<void> drop_conf_status(std::string key, std::string name, std::string node);
  asio::awaitable<void> drop_peer_status(std::string key, std::string name, std::string node);
  asio::awaitable<void> write_sessions(std::string key, std::string name, BgpSessions sessions);

  asio::any_io_executor executor_;
  Timers& timers_;
  Rng& rng_;
  Cluster& cluster_;
  EventSink& events_;
  WorldKeeper& keeper_;
  const ControllerOptions options_;

  Bell bell_;
  Bell queue_short_;
  Pace pace_{5};
  AddressPlanner planner_;
  std::deque<ObjectName> ready_;  // Services with something to write or to read, in the order to start it
  std::set<ObjectName> is_ready_;
  std::multimap<Instant, ObjectName> postponed_;  // until then
  std::map<ObjectName, Instant> tell_again_;      // not before
  std::set<std::string> in_flight_;
  std::size_t services_in_flight_ = 0;
  struct Failure {
    Backoff backoff{{.initial = std::chrono::milliseconds{50}, .limit = std::chrono::seconds{30}}};
    Instant retry_at;
  };
  std::map<std::string, Failure> failures_;
  Instant streaming_until_;                       // Services come while others are being served
  std::map<std::string, Instant> block_allowed_;  // of blocks written lately: in a stream, not before
  std::set<std::string> pools_to_tell_;  // whose status may not be as it should
  std::map<std::string, Instant> pool_status_allowed_;
  std::map<std::string, Instant> sessions_allowed_;  // of BgpPeers' status: not before
  Instant idle_since_;
  std::optional<Instant> wake_at_;
  std::map<ObjectName, std::string> told_services_;
  std::map<std::string, std::string> told_pools_;
  ControllerCounters counters_;
  TaskGroup tasks_;  // last: its tasks refer to everything above
};

}  // namespace berth
