#include "gobgp/log.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include "base/text.hpp"
#include "speak/bgp/words.hpp"

namespace berth::gobgp {
namespace {

namespace json = boost::json;

constexpr std::size_t longest_line = 16 << 10;
constexpr std::int64_t open_error = 2, bad_peer_as = 2, cease = 6;

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) return {};
  return {found->get_string().data(), found->get_string().size()};
}

std::int64_t number_of(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

// RFC 4271 §4.5 and §6, RFC 4486, RFC 8538, RFC 9384; of a subcode that has no name only the code's.
std::string words_of(std::int64_t code, std::int64_t subcode) {
  static constexpr std::array<std::string_view, 4> header{"", "connection not synchronized", "bad message length", "bad message type"};
  static constexpr std::array<std::string_view, 8> open{
      "", "unsupported version",    "bad peer AS",           "bad BGP identifier", "unsupported optional parameter",
      "", "unacceptable hold time", "unsupported capability"};
  static constexpr std::array<std::string_view, 12> update{"",
                                                           "malformed attribute list",
                                                           "unrecognized well-known attribute",
                                                           "missing well-known attribute",
                                                           "attribute flags error",
                                                           "attribute length error",
                                                           "invalid ORIGIN",
                                                           "",
                                                           "invalid NEXT_HOP",
                                                           "optional attribute error",
                                                           "invalid network field",
                                                           "malformed AS_PATH"};
  static constexpr std::array<std::string_view, 11> ceased{"",
                                                           "maximum number of prefixes reached",
                                                           "administrative shutdown",
                                                           "peer de-configured",
                                                           "administrative reset",
                                                           "connection rejected",
                                                           "other configuration change",
                                                           "connection collision resolution",
                                                           "out of resources",
                                                           "hard reset",
                                                           "BFD down"};
  struct Code {
    std::string_view name;
    std::span<const std::string_view> subcodes;
  };
  static constexpr std::array<Code, 8> codes{Code{"unknown error", {}}, {"message header error", header}, {"OPEN error", open},
                                             {"UPDATE error", update},  {"hold timer expired", {}},       {"state machine error", {}},
                                             {"cease", ceased},         {"ROUTE-REFRESH error", {}}};
  const auto& [name, subcodes] = codes.at(code > 0 && code < static_cast<std::int64_t>(codes.size()) ? static_cast<std::size_t>(code) : 0);
  std::string out{name};
  if (subcode > 0 && subcode < static_cast<std::int64_t>(subcodes.size()) && !subcodes[static_cast<std::size_t>(subcode)].empty())
    out += fmt::format(", {}", subcodes[static_cast<std::size_t>(subcode)]);
  return out + fmt::format(" (code {}, subcode {})", code, subcode);
}

// gobgpd's words, where they say more than a NOTIFICATION that was told before.
std::string_view words_of(std::string_view reason) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> known{
      std::pair<std::string_view, std::string_view>{"hold-timer-expired", "hold timer expired: the router said nothing for too long"},
      {"read-failed", "the connection broke"},
      {"write-failed", "the connection broke"},
      {"admin-down", "administratively down"},
      {"graceful-restart", "the connection broke; the router may be restarting"}};
  const auto* const found = std::ranges::find(known, reason, &std::pair<std::string_view, std::string_view>::first);
  return found != known.end() ? found->second : std::string_view{};
}

// What is said of a machine.
struct Line {
  IpAddress about;
  json::object object;
};
std::optional<Line> read_line(std::string_view line) {
  if (line.size() > longest_line || !line.starts_with('{') || line.find("\"Key\"") == std::string_view::npos) return std::nullopt;
  json::error_code error;
  json::value read = json::parse(line, error);
  if (error || !read.is_object()) return std::nullopt;
  const auto about = IpAddress::parse_scoped(text_of(read.get_object(), "Key"));
  if (!about) return std::nullopt;
  return Line{*about, std::move(read.get_object())};
}

}  // namespace

std::optional<IpAddress> caller(std::string_view line) {
  constexpr std::string_view message = "Can't find configuration for a new passive connection";
  if (line.find(message) == std::string_view::npos) return std::nullopt;
  const auto read = read_line(line);
  if (!read || text_of(read->object, "msg") != message) return std::nullopt;
  return read->about;
}

std::optional<SessionTrouble> session_trouble(std::string_view line) {
  const auto read = read_line(line);
  if (!read) return std::nullopt;
  const json::object& object = read->object;
  const std::string_view message = text_of(object, "msg");
  SessionTrouble out{read->about, {}};
  if (message == "Peer Down") {
    out.text = words_of(text_of(object, "Reason"));
    out.vague = true;
  } else if (message == "prefix limit reached") {
    out.text = too_many_routes_text;
  } else if (message == "sent notification" || message == "received notification") {
    const bool sent = message == "sent notification";
    const std::int64_t code = number_of(object, "Code"), subcode = number_of(object, "Subcode");
    if (sent && code == cease) return std::nullopt;  // it was Berth that ended it, and says why elsewhere
    out.text = fmt::format("NOTIFICATION {} the router: {}", sent ? "sent to" : "received from", words_of(code, subcode));
    out.wrong_router_as = sent && code == open_error && subcode == bad_peer_as;
    // RFC 9003: what the router's operator has to say.
    if (const std::string_view why = text_of(object, "Communicated-Reason"); code == cease && !why.empty())
      out.text += fmt::format(": \"{}\"", clipped(why, 200));
  }
  std::ranges::replace_if(out.text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  if (out.text.empty()) return std::nullopt;
  return out;
}

log::Level level_of(std::string_view line) {
  const auto has = [line](std::string_view level) { return line.find(level) != std::string_view::npos; };
  if (has("\"level\":\"ERROR\"") || has("\"level\":\"FATAL\"") || line.starts_with("panic:") || line.starts_with("fatal error:"))
    return log::Level::error;
  return has("\"level\":\"WARN") ? log::Level::warning : log::Level::debug;
}

}  // namespace berth::gobgp
