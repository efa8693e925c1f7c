// Client: gobgpd's calls over gRPC. Its own threads do nothing but post to the executor; every call has a deadline. The destructor
// cancels what is under way and waits until it has posted. Private to this folder.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gobgp/ports.hpp"

namespace berth::gobgp {

class Client final : public Api {
 public:
  Client(asio::any_io_executor executor, const std::string& socket);
  ~Client() override { end(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void end() override;  // returns when gRPC's threads have posted that the calls ended
  asio::awaitable<Result<api::Global>> get_bgp() override;
  asio::awaitable<Result<>> start_bgp(api::Global global) override;
  asio::awaitable<Result<>> stop_bgp(bool allow_graceful_restart) override;
  asio::awaitable<Result<>> add_peer(api::Peer peer) override;
  asio::awaitable<Result<>> update_peer(api::Peer peer) override;
  asio::awaitable<Result<>> delete_peer(std::string address) override;
  asio::awaitable<Result<>> enable_peer(std::string address) override;
  asio::awaitable<Result<std::vector<api::Peer>>> list_peers() override;
  asio::awaitable<Result<std::vector<api::Path>>> list_paths(api::Family family) override;
  asio::awaitable<Result<>> change_paths(std::vector<api::Path> paths) override;  // in messages of 1,000
  asio::awaitable<Result<>> set_policy_assignment(api::SetPolicyAssignmentRequest request) override;
  asio::awaitable<Result<>> set_policies(api::SetPoliciesRequest request) override;
  asio::awaitable<Result<>> tell_again(std::string address) override;
  asio::awaitable<Error> watch_peers(std::function<void(std::vector<api::Peer>)> changed) override;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace berth::gobgp
