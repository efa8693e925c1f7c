// One process of Berth in the simulation: WorldKeeper, watches, leader election and the Controller, on a
// clock of its own. It is born with an empty memory, may be frozen, and dies without a word.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "base/task_group.hpp"
#include "clock.hpp"
#include "cluster.hpp"
#include "reconcile/controller.hpp"

namespace berth::sim {

struct LeaseTimes {
  Duration duration = std::chrono::seconds{15};
  Duration renew_deadline = std::chrono::seconds{10};
  Duration retry_period = std::chrono::seconds{2};
};

// Leader election as kube/lease_elector does it, without HTTP.
class SimElector {
 public:
  SimElector(SimCluster& cluster,
             Timers& timers,
             SimRng& rng,
             std::string node,
             std::string identity,
             const LeaseTimes& times,
             std::function<void(bool)> changed);
  asio::awaitable<void> run();  // until cancelled
  [[nodiscard]] bool leading() const { return leading_; }

 private:
  asio::awaitable<void> attempt();
  asio::awaitable<bool> write();
  void observe(Lease lease);
  void set_leading(bool leading);

  SimCluster& cluster_;
  Timers& timers_;
  SimRng& rng_;
  const std::string node_;
  const std::string identity_;
  const LeaseTimes times_;
  std::function<void(bool)> changed_;
  Lease lease_;
  Instant observed_;
  Instant renewed_;
  bool leading_ = false;
};

struct ProcessOptions {
  std::string node;
  std::string identity;
  std::uint64_t seed = 0;
  std::optional<LeaseTimes> lease;  // without: it leads from the first moment on
  ControllerOptions controller;     // node and identity are set from above
};

class Process {
 public:
  Process(asio::io_context& io, testing::SimTimers& world, SimStore& store, const Network& network, ProcessOptions options);
  ~Process();  // kill() comes before
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start();
  // As SIGKILL: what it has sent still arrives. Not to be called from one of its own tasks.
  void kill();
  // SIGSTOP and SIGCONT.
  void freeze() { timers.freeze(); }
  void thaw() { timers.thaw(); }

  [[nodiscard]] const Controller* controller() const { return controller_ ? &*controller_ : nullptr; }
  [[nodiscard]] const std::string& node() const { return options_.node; }

  ProcessTimers timers;
  RecordingEvents events;
  SimCluster cluster;
  WorldKeeper keeper;

 private:
  asio::awaitable<void> follow_leadership();

  asio::io_context& io_;
  const ProcessOptions options_;
  SimRng rng_;
  Bell leadership_;
  bool leading_ = false;
  std::optional<SimElector> elector_;
  std::optional<Controller> controller_;
  std::optional<TaskGroup> controller_tasks_;
  TaskGroup tasks_;
};

}  // namespace berth::sim
