// BfdSpeaker: the sessions of this node, one a neighbour. It finds the session of what comes (RFC 5880 §6.3, RFC 5881 §3), checks
// the TTL (RFC 5881 §5), sends what sessions want sent, and tells what became of them. What follows from a session that is down
// is decided elsewhere (plan/bfd_policy.hpp).
//
// It runs on a thread of its own (app/liveness.hpp), so that work on long lists does not look like a death.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "model/bfd.hpp"
#include "speak/bfd/session.hpp"
#include "speak/bfd/transport.hpp"

namespace berth {

class BfdSpeaker {
 public:
  BfdSpeaker(const asio::any_io_executor& executor, Timers& timers, Rng& rng, BfdTransport& transport);

  asio::awaitable<void> run();  // until cancelled
  // The sessions that there should be; others end as AdminDown. One a neighbour.
  void configure(const std::vector<BfdPeer>& peers);
  // Called when a session changes its state, and once a second.
  void on_report(std::function<void(BfdReport)> listener) { report_ = std::move(listener); }
  // Before a restart in order: neighbours are asked to wait for the process that comes next (BfdPeer::restart_time). Returns when
  // they agreed, a second later at most. run() goes on.
  asio::awaitable<void> rest();
  // AdminDown to every neighbour that does not wait for us, repeated for a moment: the end is no failure (RFC 5882 §4.2). run() must
  // have been cancelled.
  asio::awaitable<void> end();

  [[nodiscard]] BfdReport state() const;

 private:
  struct Known {
    BfdPeer peer;
    BfdSession session;
    BfdState told = BfdState::down;
    std::string last_down;
    std::string send_error;
  };

  asio::awaitable<void> open();
  void take(const BfdDatagram& datagram);
  void drop(std::string_view reason) { ++drops_[std::string{reason}]; }
  void settle(Known& known);
  void forget(std::map<IpAddress, Known>::iterator known);
  [[nodiscard]] Instant next(Instant now) const;
  std::uint32_t new_discriminator();
  [[nodiscard]] bool is_taken(std::uint32_t discriminator) const;
  void report();

  Timers& timers_;
  Rng& rng_;
  BfdTransport& transport_;
  Bell bell_;
  std::function<void(BfdReport)> report_;
  std::map<IpAddress, Known> sessions_;
  std::map<std::string, std::uint64_t> drops_;  // by reason
  std::string trouble_;
  bool opened_ = false;
  Instant report_at_{};
};

}  // namespace berth
