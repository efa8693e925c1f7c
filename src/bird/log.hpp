// What BIRD logs. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/log.hpp"
#include "model/ip_address.hpp"

namespace berth::bird {

// Who connected, if the line says that there is no protocol for that address.
std::optional<IpAddress> caller(std::string_view line);

// Its level decides ours. Its info is detail to us.
log::Level level_of(std::string_view line);

}  // namespace berth::bird
