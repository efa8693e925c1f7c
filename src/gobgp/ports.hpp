// What the engine sees of gobgpd: its calls, and the process that answers them. client and supervisor are the real bodies, with gRPC and
// a child process; tests/sim/bgp has simulated ones in virtual time, and tests/conformance/bgp holds both to the same suite.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "gobgp.pb.h"

namespace berth::gobgp {

// One process's calls, as awaitables that resume on the executor. Each ends by a deadline, with timed_out.
class Api {
 public:
  virtual ~Api() = default;
  // Cancels every call; none is under way when it returns.
  virtual void end() = 0;

  virtual asio::awaitable<Result<api::Global>> get_bgp() = 0;
  virtual asio::awaitable<Result<>> start_bgp(api::Global global) = 0;
  virtual asio::awaitable<Result<>> stop_bgp(bool allow_graceful_restart) = 0;
  virtual asio::awaitable<Result<>> add_peer(api::Peer peer) = 0;
  virtual asio::awaitable<Result<>> update_peer(api::Peer peer) = 0;
  virtual asio::awaitable<Result<>> delete_peer(std::string address) = 0;
  virtual asio::awaitable<Result<>> enable_peer(std::string address) = 0;
  virtual asio::awaitable<Result<std::vector<api::Peer>>> list_peers() = 0;
  virtual asio::awaitable<Result<std::vector<api::Path>>> list_paths(api::Family family) = 0;
  // Additions and withdrawals, in this order. An error may come after some of them.
  virtual asio::awaitable<Result<>> change_paths(std::vector<api::Path> paths) = 0;
  virtual asio::awaitable<Result<>> set_policy_assignment(api::SetPolicyAssignmentRequest request) = 0;
  // Replaces the contents of all policies; what is assigned stays assigned, by name.
  virtual asio::awaitable<Result<>> set_policies(api::SetPoliciesRequest request) = 0;
  // Sessions of this peer, or "all", that are up get all routes once more, as the policies say now.
  virtual asio::awaitable<Result<>> tell_again(std::string address) = 0;
  // Calls `changed` on the executor with peers whose state changed, the latest of each, until the stream
  // breaks; returns why it did.
  virtual asio::awaitable<Error> watch_peers(std::function<void(std::vector<api::Peer>)> changed) = 0;
};

// Keeps one gobgpd running, and starts it again when it ends.
class Process {
 public:
  virtual ~Process() = default;
  // Until cancelled, or stopped. `up` is called when it answers, `down` when it is gone, `logs` with each line that it writes; one that was
  // there before writes elsewhere.
  virtual asio::awaitable<void> run(std::function<void()> up, std::function<void()> down, std::function<void(std::string_view)> logs) = 0;
  [[nodiscard]] virtual std::uint64_t starts() const = 0;
  [[nodiscard]] virtual const std::string& last_error() const = 0;

  // SIGTERM, and SIGKILL if it has not ended within `patience`.
  virtual asio::awaitable<void> terminate(Duration patience) = 0;
  virtual void kill() = 0;
  virtual void stop_restarting() = 0;  // the next exit is the last
};

}  // namespace berth::gobgp
