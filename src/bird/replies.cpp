#include "bird/replies.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "bird/configuration.hpp"
#include "speak/bgp/words.hpp"

namespace berth::bird {
namespace {

constexpr std::size_t code_digits = 4;
constexpr std::size_t longest_line = 64 << 10;
constexpr int code_protocol = 1002, code_details = 1006, code_route = 1007;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

template <class T>
std::optional<T> number_from(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The next word, taken off `text`.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

// `  name: value`, when the line is that.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  line = trimmed(line);
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(name.size());
  if (!line.starts_with(':')) return std::nullopt;
  return trimmed(line.substr(1));
}

std::size_t indentation(std::string_view line) { return std::min(line.find_first_not_of(" \t"), line.size()); }

// The number of a line of statistics that counts: the last column.
std::uint64_t last_number(std::string_view columns) {
  std::uint64_t out = 0;
  while (!trimmed(columns).empty()) out = number_from<std::uint64_t>(take_word(columns)).value_or(0);
  return out;
}

// "6.123/9"
std::uint64_t after_slash(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash == std::string_view::npos ? 0 : number_from<std::uint64_t>(trimmed(text.substr(slash + 1))).value_or(0);
}

// Reads the lines of one protocol.
class ProtocolReader {
 public:
  static std::optional<ProtocolState> head(std::string_view line) {
    ProtocolState out;
    out.name = take_word(line);
    out.kind = take_word(line);
    take_word(line);  // its table
    out.state = take_word(line);
    out.since_s = number_from<std::int64_t>(take_word(line)).value_or(0);
    out.info = take_word(line);
    if (out.name.empty() || out.state.empty()) return std::nullopt;
    return out;
  }

  explicit ProtocolReader(ProtocolState& to) : to_(to) {}

  void read(std::string_view line) {
    if (const auto error = value_of(line, "Last error")) to_.last_error = clipped(*error, 200);
    if (const auto id = value_of(line, "Neighbor ID")) to_.neighbor_id = *id;
    if (const auto timer = value_of(line, "Hold timer")) to_.hold_time_s = after_slash(*timer);
    if (const auto timer = value_of(line, "Keepalive timer")) to_.keepalive_s = after_slash(*timer);
    const std::string_view text = trimmed(line);
    if (text == "Local capabilities") theirs_ = false;
    if (text == "Neighbor capabilities") theirs_ = true;
    if (theirs_ && text == "Graceful restart") to_.graceful_restart = true;
    if (const auto families = value_of(line, "TX"); families && !theirs_) sent_ = words(*families);
    if (const auto families = value_of(line, "RX"); families && theirs_)
      for (const std::string& family : words(*families)) to_.add_path_send |= sent_.contains(family);
    if (const auto routes = value_of(line, "Routes")) count_routes(*routes);
    if (const auto columns = value_of(line, "Export updates")) to_.updates += last_number(*columns);
    if (const auto columns = value_of(line, "Export withdraws")) to_.withdraws += last_number(*columns);
  }

 private:
  static std::set<std::string> words(std::string_view text) {
    std::set<std::string> out;
    while (!trimmed(text).empty()) out.emplace(take_word(text));
    return out;
  }
  // "0 imported, 2 exported, 0 preferred"
  void count_routes(std::string_view text) {
    std::uint64_t number = 0;
    while (!trimmed(text).empty()) {
      const std::string_view word = take_word(text);
      if (word.starts_with("exported")) to_.exported += number;
      number = number_from<std::uint64_t>(word).value_or(0);
    }
  }

  ProtocolState& to_;
  std::set<std::string> sent_;
  bool theirs_ = false;
};

// The numbers of "(1,2) (3, 4)", in groups.
std::vector<std::vector<std::uint32_t>> groups(std::string_view text) {
  std::vector<std::vector<std::uint32_t>> out;
  std::size_t at = 0;
  while ((at = text.find('(', at)) != std::string_view::npos) {
    const std::size_t end = text.find(')', at);
    if (end == std::string_view::npos) break;
    std::string_view inside = text.substr(at + 1, end - at - 1);
    std::vector<std::uint32_t>& group = out.emplace_back();
    while (!inside.empty()) {
      const std::size_t comma = std::min(inside.find(','), inside.size());
      if (const auto number = number_from<std::uint32_t>(trimmed(inside.substr(0, comma)))) group.push_back(*number);
      inside.remove_prefix(std::min(comma + 1, inside.size()));
    }
    at = end;
  }
  return out;
}

// Reads routes line by line: a head, its attributes, the next head.
class RouteReader {
 public:
  explicit RouteReader(ReadRoutes& to) : to_(to) {}
  ~RouteReader() { finish(); }
  RouteReader(const RouteReader&) = delete;
  RouteReader& operator=(const RouteReader&) = delete;

  // "203.0.113.1/32       blackhole [via_10_0_0_1 1795801465] * (200)"; a further route of the prefix begins with blanks.
  void head(std::string_view line) {
    if (line.starts_with("Table ") || trimmed(line).empty()) return;
    finish();
    if (indentation(line) == 0) route_ = route(take_word(line));
    const std::size_t open = line.find('[');
    protocol_ = open == std::string_view::npos ? "" : std::string{line.substr(open + 1, line.find_first_of(" ]", open) - open - 1)};
    in_route_ = true;
  }

  void attribute(std::string_view line) {
    if (line.starts_with("\t\t")) {
      add_communities(last_, line);
      return;
    }
    const std::size_t colon = line.find(':');
    if (!in_route_ || colon == std::string_view::npos) return;
    last_ = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (last_ == "BGP.next_hop") next_hop_ = IpAddress::parse(value);
    if (last_ == "BGP.med") path_.attributes.med = number_from<std::uint32_t>(value);
    if (last_ == "BGP.local_pref") path_.attributes.local_pref = number_from<std::uint32_t>(value);
    if (last_ == audience_attribute) path_.audience = number_from<std::uint32_t>(value).value_or(0);
    add_communities(last_, value);
  }

 private:
  // Without its next hop.
  static std::optional<BgpRoute> route(std::string_view prefix) {
    const std::size_t slash = prefix.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = IpAddress::parse(prefix.substr(0, slash));
    const auto length = number_from<int>(prefix.substr(slash + 1));
    if (!address || !length || *length < 1 || *length > address->bits()) return std::nullopt;
    return BgpRoute{*address, {}, static_cast<std::uint8_t>(*length == address->bits() ? 0 : *length)};
  }

  void add_communities(const std::string& attribute, std::string_view text) {
    const bool large = attribute == "BGP.large_community";
    if (!large && attribute != "BGP.community") return;
    for (const auto& group : groups(text))
      if (group.size() == (large ? 3U : 2U)) path_.attributes.add({large, group[0], group[1], large ? group[2] : 0});
  }

  void finish() {
    if (!in_route_) return;
    const bool ours = route_ && next_hop_ && protocol_ == protocol_of_next_hop(*next_hop_) && route_->address.family == next_hop_->family;
    if (ours) route_->next_hop = *next_hop_;
    if (!ours || !to_.routes.emplace(*route_, path_).second) ++to_.others;
    in_route_ = false;
    next_hop_.reset();
    path_ = {};
    last_.clear();
  }

  ReadRoutes& to_;
  bool in_route_ = false;
  std::optional<BgpRoute> route_;  // its next hop apart
  std::optional<IpAddress> next_hop_;
  std::string protocol_;
  std::string last_;  // attribute, whose value may go on in the next line
  BgpPath path_;
};

std::string time_text(std::int64_t seconds) {
  constexpr std::int64_t year_10000 = 253'402'300'800;
  if (seconds <= 0 || seconds >= year_10000) return {};
  return to_rfc3339(WallTime{std::chrono::seconds{seconds}});
}

// What it says of an OPEN with another AS than the one expected has neither of the two in it.
std::string last_error_text(const BgpPeerConfig& peer, const ProtocolState& protocol) {
  if (protocol.last_error.find("Route limit exceeded") != std::string::npos)
    return fmt::format("{}: {}", protocol.last_error, too_many_routes_text);
  if (protocol.last_error != "BGP Error: Bad peer AS") return protocol.last_error;
  return protocol.last_error + "; " + other_as_text(peer);
}

// BIRD tells of a refused connection, not of one that was never answered.
std::string connecting_text(const BgpPeerConfig& peer, const ProtocolState& protocol) {
  std::string out = no_connection_text(peer);
  if (!peer.passive && !protocol.last_error.empty()) out += fmt::format(" ({})", last_error_text(peer, protocol));
  return out;
}

}  // namespace

bool ReplyReader::feed(std::string_view bytes) {
  rest_.append(bytes);
  return read_lines();
}

bool ReplyReader::read_lines() {
  std::size_t begin = 0;
  while (!complete_) {
    const std::size_t end = rest_.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line{rest_.data() + begin, end - begin};
    size_ += line.size() + 1;
    if (line.size() > longest_line || size_ > limit_) return false;
    if (line.starts_with(' ')) {
      if (reply_.lines.empty()) return false;
      reply_.lines.push_back({reply_.lines.back().code, std::string{line.substr(1)}});
    } else if (line.starts_with('+')) {
      // an echo of the log, which nobody asked for
    } else {
      if (line.size() <= code_digits || !std::all_of(line.begin(), line.begin() + code_digits, is_digit)) return false;
      const char separator = line[code_digits];
      if (separator != ' ' && separator != '-') return false;
      reply_.lines.push_back({*number_from<int>(line.substr(0, code_digits)), std::string{line.substr(code_digits + 1)}});
      complete_ = separator == ' ';
    }
    begin = end + 1;
  }
  rest_.erase(0, begin);
  return complete_ || rest_.size() <= longest_line;
}

Reply ReplyReader::take() {
  Reply out = std::exchange(reply_, {});
  complete_ = false;
  size_ = 0;
  (void)read_lines();  // what makes no sense is found again by the next feed()
  return out;
}

std::vector<ProtocolState> protocols_from(const Reply& reply) {
  std::vector<ProtocolState> out;
  std::optional<ProtocolReader> details;
  ProtocolState current;
  const auto keep = [&] {
    if (details) out.push_back(std::exchange(current, {}));
    details.reset();
  };
  for (const Reply::Line& line : reply.lines) {
    if (line.code == code_protocol) {
      keep();
      auto head = ProtocolReader::head(line.text);
      if (!head) continue;
      current = std::move(*head);
      details.emplace(current);
    } else if (line.code == code_details && details) {
      details->read(line.text);
    }
  }
  keep();
  return out;
}

void routes_from(const Reply& reply, ReadRoutes& to) {
  RouteReader reader{to};
  for (const Reply::Line& line : reply.lines) {
    if (line.code == code_route)
      reader.head(line.text);
    else if (line.code > code_route && line.code < 2000)
      reader.attribute(line.text);
  }
}

SessionState session_state(const ProtocolState& protocol) {
  constexpr std::array<std::pair<std::string_view, SessionState>, 8> words{{{"Established", SessionState::established},
                                                                            {"OpenConfirm", SessionState::open_confirm},
                                                                            {"OpenSent", SessionState::open_sent},
                                                                            {"Connect", SessionState::connect},
                                                                            {"Active", SessionState::active},
                                                                            {"Passive", SessionState::active},
                                                                            {"Idle", SessionState::idle},
                                                                            {"Down", SessionState::idle}}};
  for (const auto& [word, state] : words)
    if (protocol.info == word) return state;
  return SessionState::idle;
}

BgpPeerStatus status_from(const BgpPeerConfig& peer, const BgpGlobal& global, const ProtocolState& protocol) {
  BgpPeerStatus out;
  out.neighbor_address = peer.neighbor.to_string();
  out.description = peer.description;
  out.peer_group = peer.peer_group;
  out.local_as = peer.local_as != 0 ? peer.local_as : global.as;
  out.peer_as = peer.peer_as;
  out.session_state = session_state(protocol);
  out.admin_down = peer.admin_down;
  const bool up = out.session_state == SessionState::established;
  if (up && IpAddress::parse(protocol.neighbor_id)) out.router_id = protocol.neighbor_id;
  out.connect_retry_s = peer.connect_retry_s;
  out.hold_time_s = peer.hold_time_s;
  out.keepalive_interval_s = peer.keepalive_interval_s;
  out.negotiated_hold_time_s = protocol.hold_time_s;
  out.sent.update = protocol.updates;
  out.sent.withdraw_update = out.sent.withdraw_prefix = protocol.withdraws;
  (up ? out.uptime : out.downtime) = time_text(protocol.since_s);
  out.add_path_send = up && protocol.add_path_send;
  out.graceful_restart = up && peer.graceful_restart && protocol.graceful_restart;
  if (out.session_state == SessionState::connect || out.session_state == SessionState::active)
    out.last_error = connecting_text(peer, protocol);
  else if (!up)
    out.last_error = last_error_text(peer, protocol);
  return out;
}

}  // namespace berth::bird
