// The BGP engine gobgpd 4.x: a child process that we supervise and drive over gRPC on a unix socket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/timers.hpp"
#include "speak/bgp/engine.hpp"

namespace berth {

namespace gobgp {
class Api;
class Process;
}  // namespace gobgp

struct GobgpOptions {
  std::string program = "gobgpd";
  std::string run_directory = "/run/berth/gobgp";  // made with mode 0700; holds the socket gobgpd.sock
  std::vector<std::string> environment = {};       // of the process, NAME=value; nothing is inherited
  Duration read_back_interval = std::chrono::seconds{60};
  Duration drain_patience = std::chrono::seconds{1};  // for sessions to send the withdrawals
};

std::unique_ptr<BgpEngine> make_gobgp_engine(asio::any_io_executor executor, Timers& timers, Rng& rng, GobgpOptions options);
// The same on ports of the caller's. `connect` gives the calls of the process that has just come up.
std::unique_ptr<BgpEngine> make_gobgp_engine(asio::any_io_executor executor,
                                             Timers& timers,
                                             std::unique_ptr<gobgp::Process> process,
                                             std::function<std::shared_ptr<gobgp::Api>()> connect,
                                             GobgpOptions options);

}  // namespace berth
