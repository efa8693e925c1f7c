#include "bird/log.hpp"

namespace berth::bird {

std::optional<IpAddress> caller(std::string_view line) {
  constexpr std::string_view words = "BGP: Unexpected connect from unknown address ";
  const auto at = line.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(at + words.size());
  return IpAddress::parse(rest.substr(0, rest.find_first_of(" \t")));
}

log::Level level_of(std::string_view line) {
  const auto is = [line](std::string_view word) { return line.find(word) != std::string_view::npos; };
  // Without an address of our own for a family there is no other next hop than those of the routes, which is how it should be.
  if (is("Missing next hop address")) return log::Level::debug;
  if (is("<ERR>") || is("<FATAL>") || is("<BUG>") || is("<CRIT>")) return log::Level::error;
  if (is("<WARN>") || is("<AUTH>")) return log::Level::warning;
  return is("<") ? log::Level::debug : log::Level::warning;  // before it has read where to log it says what is wrong
}

}  // namespace berth::bird
