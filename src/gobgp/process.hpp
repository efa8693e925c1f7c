// The real gobgpd: a child process that is supervised.
#pragma once

#include <memory>
#include <string>

#include "base/asio.hpp"
#include "base/timers.hpp"
#include "gobgp/engine.hpp"
#include "gobgp/ports.hpp"

namespace berth::gobgp {

// Where it answers: a unix socket in the run directory.
std::string socket_of(const GobgpOptions& options);

std::unique_ptr<Process> make_process(asio::any_io_executor executor, Timers& timers, Rng& rng, const GobgpOptions& options);

}  // namespace berth::gobgp
