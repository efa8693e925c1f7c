// Leader election by a Lease, as client-go does it: it keeps two controllers from working against each
// other; what keeps addresses unique is elsewhere (plan/allocate.hpp). Clocks are never compared: a
// leader is taken for dead when its Lease did not change for `duration` of our own monotonic time.
//
// A process that is restarted while it leads need not wait for that: it finds a holder of its own node,
// takes it for its predecessor, and takes the Lease, by compare-and-swap and only when it first looks.
// Were the holder alive all the same (an update that starts the new pod beside the old one), it would
// hear of it at its next renewal; and having looked long ago, it could not take the Lease back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/timers.hpp"
#include "kube/api_client.hpp"
#include "kube/api_types.hpp"
#include "model/names.hpp"

namespace berth::kube {

// `<node>_<16 hex digits>`: another holder of this form and of the same node is this process's predecessor.
std::string lease_identity(std::string_view node, std::uint64_t chance);
// Whether both are of this form, and of one node.
bool same_node(std::string_view identity, std::string_view other);

struct LeaseOptions {
  ObjectName name;
  std::string identity;  // unique for this process
  Duration duration = std::chrono::seconds{15};
  Duration renew_deadline = std::chrono::seconds{10};  // below duration
  Duration retry_period = std::chrono::seconds{2};
};

class LeaseElector {
 public:
  // `changed` is told true when leading begins and false when it ends.
  LeaseElector(ApiClient& client, Timers& timers, Rng& rng, LeaseOptions options, std::function<void(bool)> changed);

  asio::awaitable<void> run();      // until cancelled; then call release()
  asio::awaitable<void> release();  // gives the Lease up, so that another need not wait for its end

  [[nodiscard]] bool leading() const { return leading_; }
  [[nodiscard]] const std::string& holder() const { return lease_.spec.holderIdentity; }
  [[nodiscard]] const std::string& error() const { return error_; }  // of the last attempt, or empty

 private:
  asio::awaitable<Result<>> attempt_in_time();  // a leader's ends by its deadline, whatever it waits for
  asio::awaitable<Result<>> attempt();
  asio::awaitable<Result<>> refresh(Duration limit);
  asio::awaitable<Result<>> write(bool taking);
  asio::awaitable<Result<>> give_up();
  void observe(api::Lease lease);
  void set_leading(bool leading);

  ApiClient& client_;
  Timers& timers_;
  Rng& rng_;
  const LeaseOptions options_;
  std::function<void(bool)> changed_;
  api::Lease lease_;       // as last seen
  Instant observed_;       // when it last changed
  Instant renewed_;        // when our last successful renewal began
  bool leading_ = false;
  bool heir_ = true;       // it has not looked yet
  std::string error_;
};

}  // namespace berth::kube
