// Where log lines go: stderr, one line an event, key=value or JSON.
#pragma once

#include <string_view>

#include "base/log.hpp"

namespace berth {

enum class LogFormat : std::uint8_t { key_value, json };

// Installs the sink of base/log.hpp for this process.
void install_log_sink(LogFormat format, log::Level least);

// One line without its newline, for tests. `time` is RFC 3339.
std::string format_log_line(LogFormat format, std::string_view time, log::Level level, std::string_view event, log::Fields fields);

}  // namespace berth
