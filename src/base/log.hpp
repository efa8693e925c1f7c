// One line an event: a level, an event name in snake_case, and key=value fields. The sink is set by
// app/ (observe/ has the real one); without a sink lines are dropped. Pure rooms (wire, model, plan
// and the cores of speak) never log. No secret is ever a field.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace berth::log {

enum class Level : std::uint8_t { debug, info, warning, error };

struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  Field(std::string_view k, T v) : key(k), value(fmt::format("{}", v)) {}
};
using Fields = std::initializer_list<Field>;
using Sink = std::function<void(Level, std::string_view event, Fields)>;

void set_sink(Sink sink);
void write(Level level, std::string_view event, Fields fields);

inline void debug(std::string_view event, Fields fields = {}) { write(Level::debug, event, fields); }
inline void info(std::string_view event, Fields fields = {}) { write(Level::info, event, fields); }
inline void warning(std::string_view event, Fields fields = {}) { write(Level::warning, event, fields); }
inline void error(std::string_view event, Fields fields = {}) { write(Level::error, event, fields); }

}  // namespace berth::log
