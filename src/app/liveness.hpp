// Liveness: what watches other machines at millisecond intervals, on a thread of its own: BFD with routers, probes of nodes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/task_group.hpp"
#include "base/timers.hpp"
#include "model/bfd.hpp"
#include "os/bfd_sockets.hpp"
#include "os/loop_thread.hpp"
#include "os/tcp_probes.hpp"
#include "speak/bfd/speaker.hpp"
#include "speak/probe/prober.hpp"

namespace berth {

class Liveness {
 public:
  // Called on `home`: `bfd` soon after a session changed its state, and once a second while there are sessions; `probes` when nodes
  // answer that did not, or the other way round.
  struct Listeners {
    std::function<void(BfdReport)> bfd;
    std::function<void(AnsweringNodes)> probes;
  };
  Liveness(asio::any_io_executor home, std::uint16_t probe_port, Listeners listeners);
  ~Liveness();

  void configure(std::vector<BfdPeer> peers);
  void configure(ProbeTargets targets);
  // Before a restart in order: routers are asked to wait for the process that comes next. A second at most.
  asio::awaitable<void> rest();
  // Routers that do not wait are told that this is no failure (AdminDown). Returns after that; nothing is told any more.
  asio::awaitable<void> end();

 private:
  // All that lives on the second thread.
  struct There;

  std::shared_ptr<Listeners> listeners_;  // gone with us, while a report is on its way
  LoopThread thread_;
  std::unique_ptr<There> there_;
};

}  // namespace berth
