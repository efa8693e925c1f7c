// What goes over the simulated sessions between gobgpd and routers.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "model/ip_address.hpp"

namespace berth::sim {

struct Prefix {
  IpAddress address;
  std::uint32_t length = 0;
  auto operator<=>(const Prefix&) const = default;
};

// A route as a router gets it.
struct RouteSeen {
  IpAddress next_hop;
  std::set<std::uint32_t> communities;
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> large_communities;
  std::optional<std::uint32_t> med;
  std::optional<std::uint32_t> local_pref;  // iBGP only
  std::uint32_t prepended = 0;
  auto operator<=>(const RouteSeen&) const = default;
};
std::string show(const RouteSeen& route);

// What the OPEN of the speaker says.
struct Open {
  std::uint32_t as = 0;
  std::uint32_t router_as = 0;  // what it takes the router's for
  std::string password;
  std::uint64_t hold_time_s = 0;
  bool graceful_restart = false;
  std::uint32_t restart_time_s = 0;
  std::set<IpFamily> restartable;  // families in the capability of graceful restart
  bool forwarding = false;         // the R bit, and with it the F bit of each of them
  std::set<IpFamily> families;
  std::set<IpFamily> several_paths;  // ADD-PATH, to send
};

// How a session ended, as an end of it hears.
enum class Ended : std::uint8_t { lost, notification, hold_timer };

// One session. Both ends hold it; what is under way in it when it ended is void.
struct Connection {
  bool router_end = true;   // still open there
  bool speaker_end = true;
  std::function<void(Ended)> tell_speaker;                                    // the router, or the line, ended it
  std::function<void(IpFamily)> end_of_rib;                                   // of the router
  std::function<void(Prefix, std::optional<RouteSeen>)> update_from_router;  // absent: withdrawn
};

}  // namespace berth::sim
