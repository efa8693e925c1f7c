// A controller's way to the API server with the faults that a test asked for.
#pragma once

#include <utility>
#include <vector>

#include "base/timers.hpp"
#include "reconcile/cluster.hpp"
#include "subject.hpp"

namespace berth::openelb {

class FaultyCluster final : public Cluster {
 public:
  FaultyCluster(Cluster& to, Timers& timers, const Faults& faults) : to_(to), timers_(timers), faults_(faults) {}

  [[nodiscard]] bool hangs() const { return done_; }

  asio::awaitable<Result<AddressBlock>> read_block(std::string name) override { return to_.read_block(std::move(name)); }
  asio::awaitable<Result<Service>> read_service(ObjectName name) override { return to_.read_service(std::move(name)); }
  asio::awaitable<Result<AddressBlock>> write_block(AddressBlock block) override { return count(to_.write_block(std::move(block))); }
  asio::awaitable<Result<>> delete_block(AddressBlock block) override { return count(to_.delete_block(std::move(block))); }
  asio::awaitable<Result<Service>> patch_service(ServicePatch patch) override {
    if (faults_.service_writes_refused) return refuse();
    return count(to_.patch_service(std::move(patch)));
  }
  asio::awaitable<Result<Pool>> patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) override {
    return count(to_.patch_pool_finalizers(std::move(pool), std::move(finalizers)));
  }
  asio::awaitable<Result<Pool>> patch_pool_status(std::string name, Pool::Status status) override {
    return count(to_.patch_pool_status(std::move(name), std::move(status)));
  }
  asio::awaitable<Result<>> patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) override {
    return count(to_.patch_bgp_conf_finalizers(std::move(conf), std::move(finalizers)));
  }
  asio::awaitable<Result<>> patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) override {
    return count(to_.patch_bgp_peer_finalizers(std::move(peer), std::move(finalizers)));
  }
  asio::awaitable<Result<>> patch_bgp_conf_status(std::string name, std::string node, std::optional<BgpConf::NodeStatus> status) override {
    return count(to_.patch_bgp_conf_status(std::move(name), std::move(node), std::move(status)));
  }
  asio::awaitable<Result<>> patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) override {
    return count(to_.patch_bgp_peer_status(std::move(name), std::move(node), std::move(status)));
  }
  asio::awaitable<Result<>> patch_bgp_peer_sessions(std::string name, BgpSessions sessions) override {
    return count(to_.patch_bgp_peer_sessions(std::move(name), std::move(sessions)));
  }
  asio::awaitable<WorkloadFate> workload_fate(ObjectName pod) override { return to_.workload_fate(std::move(pod)); }

 private:
  template <class Answer>
  asio::awaitable<Answer> count(asio::awaitable<Answer> write) {
    if (faults_.hangs_after == 0) co_await for_ever();
    const bool last = --faults_.hangs_after == 0;
    Answer answer = co_await std::move(write);
    if (last) {
      done_ = true;
      co_await for_ever();
    }
    co_return answer;
  }
  static asio::awaitable<Result<Service>> refuse() { co_return fail(ErrorCode::forbidden, "services/status is forbidden"); }
  asio::awaitable<void> for_ever() {
    for (;;) co_await timers_.sleep_for(std::chrono::hours{1});
  }

  Cluster& to_;
  Timers& timers_;
  Faults faults_;
  bool done_ = false;
};

}  // namespace berth::openelb
