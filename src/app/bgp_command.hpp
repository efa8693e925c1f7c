// `berth bgp`: sessions, BFD, routes and why an address has none, of the Berth that runs on this machine. It asks its debug.sock.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "app/flags.hpp"

namespace berth {

// Prints; the exit status: 0, 1 if nobody answers.
int run_bgp_command(const Flags& flags);

// What it prints for /debug/state.
std::string render_bgp(const boost::json::object& state);

}  // namespace berth
