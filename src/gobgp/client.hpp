// GobgpClient: gobgpd's calls as awaitables. gRPC's own threads do nothing but post to the executor;
// every call has a deadline. The destructor cancels what is under way and waits until it has posted.
// Private to this folder.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "gobgp.pb.h"

namespace berth::gobgp {

class Client {
 public:
  Client(asio::any_io_executor executor, const std::string& socket);
  ~Client() { end(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Cancels every call, and returns when gRPC's threads have posted that they ended.
  void end();

  asio::awaitable<Result<api::Global>> get_bgp();
  asio::awaitable<Result<>> start_bgp(api::Global global);
  asio::awaitable<Result<>> stop_bgp(bool allow_graceful_restart);
  asio::awaitable<Result<>> add_peer(api::Peer peer);
  asio::awaitable<Result<>> update_peer(api::Peer peer);
  asio::awaitable<Result<>> delete_peer(std::string address);
  asio::awaitable<Result<>> enable_peer(std::string address);
  asio::awaitable<Result<std::vector<api::Peer>>> list_peers();
  asio::awaitable<Result<std::vector<api::Path>>> list_paths(api::Family family);
  // Additions and withdrawals, in this order, in messages of `batch`.
  asio::awaitable<Result<>> change_paths(std::vector<api::Path> paths);
  asio::awaitable<Result<>> set_policy_assignment(api::SetPolicyAssignmentRequest request);
  // Replaces the contents of all policies; what is assigned stays assigned, by name.
  asio::awaitable<Result<>> set_policies(api::SetPoliciesRequest request);
  // Sessions that are up get all routes once more, as the policies say now.
  asio::awaitable<Result<>> tell_again();
  // Calls `changed` on the executor with peers whose state changed, the latest of each, until the stream
  // breaks; returns why it did.
  asio::awaitable<Error> watch_peers(std::function<void(std::vector<api::Peer>)> changed);

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace berth::gobgp
