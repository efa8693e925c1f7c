// The port to a BGP engine. gobgp/ and bird/ are its bodies; another engine is another body and nothing
// else changes (docs/adr). Declarative: the caller says what should be, the engine reads back what is and
// changes only the difference.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "model/bgp.hpp"
#include "model/objects.hpp"

namespace berth {

enum class BgpStop : std::uint8_t {
  restart,  // graceful restart: routers keep the routes until we are back
  drain,    // withdraw everything, wait until routers had time to hear it, end the sessions
};

// What of the desired an engine can't do, or could not do, and did otherwise.
struct BgpEngineProblem {
  std::string object;  // name of the BgpPeer; empty: the BgpConf
  std::string text;  // names the field, and says what stands instead
  bool operator==(const BgpEngineProblem&) const = default;
};

struct BgpEngineCounters {
  std::uint64_t starts = 0;        // processes started, the first included
  std::uint64_t paths_added = 0;
  std::uint64_t paths_withdrawn = 0;
  std::uint64_t peers_changed = 0;
  std::uint64_t errors = 0;
  std::uint64_t drift_repaired = 0;  // differences found by the slow read-back that nobody announced
};

class BgpEngine {
 public:
  virtual ~BgpEngine() = default;

  // Runs the engine's process and event stream until cancelled. `changed` is called (on the one
  // thread) when a session changes state, a
  // stranger connects, or the engine came up with nothing in it: call apply() again.
  virtual asio::awaitable<void> run(std::function<void()> changed) = 0;

  // Makes the engine's server, peers and routes what `desired` says. A session is touched only when
  // its own configuration changed; routes are loaded before peers are added. Errors: unavailable while
  // the process is starting (changed() will follow), otherwise what failed; what could be done was done.
  virtual asio::awaitable<Result<>> apply(std::shared_ptr<const BgpDesired> desired) = 0;

  // What the engine says of its sessions now.
  virtual asio::awaitable<Result<std::vector<BgpPeerStatus>>> peers() = 0;

  // Routes in the engine's table as last acknowledged or read back: for /debug/state and metrics.
  [[nodiscard]] virtual BgpRoutes routes() const = 0;
  [[nodiscard]] virtual bool running() const = 0;
  // Of what was applied last, whatever apply() answered.
  [[nodiscard]] virtual std::vector<BgpEngineProblem> problems() const = 0;
  [[nodiscard]] virtual BgpEngineCounters counters() const = 0;

  // Machines that connected since the last call, and that are no peer's. changed() is called when there are any.
  virtual std::set<IpAddress> take_callers() = 0;

  // Ends sessions as `how` says, then the process. run() may be cancelled afterwards.
  virtual asio::awaitable<Result<>> stop(BgpStop how) = 0;
};

}  // namespace berth
