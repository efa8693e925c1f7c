#include "observe/log_sink.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "base/time.hpp"

namespace berth {
namespace {

std::string_view name_of(log::Level level) {
  switch (level) {
    case log::Level::debug: return "debug";
    case log::Level::info: return "info";
    case log::Level::warning: return "warning";
    case log::Level::error: return "error";
  }
  return "info";
}

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::value(boost::json::string_view{text.data(), text.size()}));
}

// A value as it is, where nothing in it could be taken for the next field.
std::string plain_or_quoted(std::string_view text) {
  const bool plain = !text.empty() &&
                     std::ranges::all_of(text, [](char c) { return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f; });
  return plain ? std::string{text} : quoted(text);
}

}  // namespace

std::string format_log_line(LogFormat format, std::string_view time, log::Level level, std::string_view event, log::Fields fields) {
  std::string line;
  if (format == LogFormat::json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","event":{})", time, name_of(level), quoted(event));
    for (const log::Field& field : fields) line += fmt::format(",{}:{}", quoted(field.key), quoted(field.value));
    return line + "}";
  }
  line = fmt::format("time={} level={} event={}", time, name_of(level), event);
  for (const log::Field& field : fields) line += fmt::format(" {}={}", field.key, plain_or_quoted(field.value));
  return line;
}

void install_log_sink(LogFormat format, log::Level least) {
  auto logger = std::make_shared<spdlog::logger>("berth", std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_pattern("%v");
  log::set_sink([logger, format, least](log::Level level, std::string_view event, log::Fields fields) {
    if (level < least) return;
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
    const std::string line = format_log_line(format, to_rfc3339_micro(WallTime{now}), level, event, fields);
    logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
    logger->flush();
  });
}

}  // namespace berth
