// What gobgpd logs. It is the only place where it says why a session ended, or does not come about: its API has fields for that, which
// 4.8 leaves empty.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "model/ip_address.hpp"

namespace berth::gobgp {

struct SessionTrouble {
  IpAddress neighbor;
  std::string text;             // one line, at most some hundred bytes
  bool wrong_router_as = false;  // its OPEN says another AS than was expected (RFC 4271 §6.2)
  bool vague = false;            // what was told of it a moment ago says more
};

// Absent: the line is about something else, or not understood.
std::optional<SessionTrouble> session_trouble(std::string_view line);

// Who connected, if the line says that there is no peer with that address.
std::optional<IpAddress> caller(std::string_view line);

// One JSON object a line; its level decides ours. Its info is detail to us.
log::Level level_of(std::string_view line);

}  // namespace berth::gobgp
