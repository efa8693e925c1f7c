// The ports to gobgpd (gobgp/ports.hpp) in virtual time, with faults: GobgpHost is the machine on which at most one process runs,
// SimulatedProcess starts it again as gobgp/supervisor does, SimulatedApi carries calls there and answers back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../rng.hpp"
#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "flaws.hpp"
#include "gobgp/ports.hpp"
#include "gobgpd.hpp"

namespace berth::sim {

// What calls meet. Shares are between 0 and 1.
struct CallFaults {
  Duration delay_max = std::chrono::milliseconds{1};  // one way
  double fails_before = 0;  // share of calls that fail and do nothing
  double fails_after = 0;   // share of calls that are carried out, and whose answer is lost
  double half_done = 0;     // share of streams of paths that end in the middle
  double slow = 0;          // share of calls that take up to `slow_max`; those that come later wait
  Duration slow_max = std::chrono::seconds{5};
  double events_break = 0;  // share of events with which the stream breaks, unsaid
  Duration event_delay_max = std::chrono::milliseconds{5};  // each its own, so that they overtake each other
  double starts_fail = 0;   // share of processes that end at once
  double strange = 0;       // share of answers with numbers and texts that nobody knows, where sessions are described
  double broken = 0;        // share of answers that make no sense
  // Told when the last of a slow call will be over.
  std::function<void(Instant)> on_trouble = [](Instant) {};
};

// What becomes of one call.
enum class Fate : std::uint8_t { done, not_done, done_unsaid };

struct GobgpHost {
  testing::SimTimers& time;
  SimRng& rng;
  const Routers& routers;
  CallFaults faults;
  BgpFlaw flaw = BgpFlaw::none;
  std::shared_ptr<SimulatedGobgpd> gobgpd;  // the last one that was started
  std::uint64_t reads = 0;                  // calls
  std::uint64_t changes = 0;
  // For tests of one story: asked before chance is.
  std::function<Fate(std::string_view call)> fate = [](std::string_view) { return Fate::done; };

  std::function<void(const std::string&)> on_call = [](const std::string&) {};  // for traces

  [[nodiscard]] bool runs() const { return gobgpd != nullptr && gobgpd->alive(); }
  Duration some(Duration most) { return Duration{static_cast<Duration::rep>(rng.fraction() * static_cast<double>(most.count()))}; }
};

class SimulatedProcess final : public gobgp::Process {
 public:
  SimulatedProcess(const asio::any_io_executor& executor, Timers& timers, GobgpHost& host)
      : timers_(timers), host_(host), ended_(std::make_shared<Bell>(executor)) {}
  asio::awaitable<void> run(std::function<void()> up, std::function<void()> down, std::function<void(std::string_view)> logs) override;
  [[nodiscard]] std::uint64_t starts() const override { return starts_; }
  [[nodiscard]] const std::string& last_error() const override { return last_error_; }
  asio::awaitable<void> terminate(Duration patience) override;
  void kill() override;
  void stop_restarting() override { stopping_ = true; }

 private:
  asio::awaitable<bool> start();

  Timers& timers_;
  GobgpHost& host_;
  std::shared_ptr<Bell> ended_;
  Backoff backoff_{{.initial = std::chrono::milliseconds{50}, .limit = std::chrono::seconds{10}}};
  bool stopping_ = false;
  std::uint64_t starts_ = 0;
  std::string last_error_;
};

class SimulatedApi final : public gobgp::Api {
 public:
  // Of the process that runs now.
  SimulatedApi(asio::any_io_executor executor, Timers& timers, GobgpHost& host)
      : executor_(std::move(executor)), timers_(timers), host_(host), gobgpd_(host.gobgpd) {}
  ~SimulatedApi() override = default;
  void end() override {}

  asio::awaitable<Result<api::Global>> get_bgp() override;
  asio::awaitable<Result<>> start_bgp(api::Global global) override;
  asio::awaitable<Result<>> stop_bgp(bool allow_graceful_restart) override;
  asio::awaitable<Result<>> add_peer(api::Peer peer) override;
  asio::awaitable<Result<>> update_peer(api::Peer peer) override;
  asio::awaitable<Result<>> delete_peer(std::string address) override;
  asio::awaitable<Result<std::vector<api::Peer>>> list_peers() override;
  asio::awaitable<Result<std::vector<api::Path>>> list_paths(api::Family family) override;
  asio::awaitable<Result<>> change_paths(std::vector<api::Path> paths) override;
  asio::awaitable<Result<>> set_policy_assignment(api::SetPolicyAssignmentRequest request) override;
  asio::awaitable<Result<>> set_policies(api::SetPoliciesRequest request) override;
  asio::awaitable<Result<>> enable_peer(std::string) override { co_return Result<>{}; }  // nobody is cut off here
  asio::awaitable<Result<>> tell_again(std::string address) override;
  asio::awaitable<Error> watch_peers(std::function<void(std::vector<api::Peer>)> changed) override;

 private:
  using Gobgpd = SimulatedGobgpd;
  // One call: there, one after another, and back; within its deadline.
  template <class T>
  asio::awaitable<Result<T>> call(std::string name, Duration deadline, std::function<Result<T>(Gobgpd&)> what);
  asio::awaitable<Result<>> change(std::string name, std::function<Result<>(Gobgpd&)> what);
  void distort(api::Peer& peer, bool broken);
  void distort(api::Path& path);

  asio::any_io_executor executor_;
  Timers& timers_;
  GobgpHost& host_;
  std::shared_ptr<SimulatedGobgpd> gobgpd_;
};

}  // namespace berth::sim
