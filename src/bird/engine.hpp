// The BGP engine BIRD 2.0: a child process that we supervise, configure by a file and ask over its control socket.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/timers.hpp"
#include "speak/bgp/engine.hpp"

namespace berth {

struct BirdOptions {
  std::string program = "/usr/sbin/bird";
  std::string run_directory = "/run/berth/bird";  // made with mode 0700; holds bird.conf (with passwords) and the socket bird.ctl
  std::vector<std::string> environment = {};      // of the process, NAME=value; nothing is inherited
  Duration read_back_interval = std::chrono::seconds{60};
  Duration drain_patience = std::chrono::seconds{1};  // for sessions to send the withdrawals
};

std::unique_ptr<BgpEngine> make_bird_engine(asio::any_io_executor executor, Timers& timers, Rng& rng, BirdOptions options);

}  // namespace berth
