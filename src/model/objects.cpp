#include "model/objects.hpp"

#include <algorithm>

namespace berth {

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::bgp: return "bgp";
    case Protocol::layer2: return "layer2";
    case Protocol::vip: return "vip";
  }
  return "bgp";
}

std::optional<Protocol> parse_protocol(std::string_view text) {
  if (text.empty() || text == "bgp") return Protocol::bgp;
  if (text == "layer2") return Protocol::layer2;
  if (text == "vip") return Protocol::vip;
  return std::nullopt;
}

std::string_view to_string(SessionState state) {
  switch (state) {
    case SessionState::unknown: return "UNKNOWN";
    case SessionState::idle: return "IDLE";
    case SessionState::connect: return "CONNECT";
    case SessionState::active: return "ACTIVE";
    case SessionState::open_sent: return "OPENSENT";
    case SessionState::open_confirm: return "OPENCONFIRM";
    case SessionState::established: return "ESTABLISHED";
  }
  return "UNKNOWN";
}

namespace {

// How many numbers up to and including `last` leave `rest` when divided by 256.
std::uint64_t ending_in(std::uint64_t last, std::uint64_t rest) { return last < rest ? 0 : (last - rest) / 256 + 1; }

std::uint64_t buggy_addresses(const IpRange& range) {
  if (range.first.family == IpFamily::v6) return 0;
  const auto first = static_cast<std::uint64_t>(range.first.number);
  const auto last = static_cast<std::uint64_t>(range.last.number);
  std::uint64_t out = 0;
  for (const std::uint64_t rest : {0U, 255U}) out += ending_in(last, rest) - (first == 0 ? 0 : ending_in(first - 1, rest));
  return out;
}

bool is_buggy(const IpAddress& ip) { return ip.family == IpFamily::v4 && (ip.number % 256 == 0 || ip.number % 256 == 255); }

}  // namespace

bool Pool::contains(const IpAddress& ip) const {
  return std::ranges::any_of(ranges, [&](const IpRange& range) { return range.contains(ip); });
}

bool Pool::offers(const IpAddress& ip) const {
  if (avoid_buggy_ips && is_buggy(ip)) return false;
  return std::ranges::any_of(offered, [&](const IpRange& range) { return range.contains(ip); });
}

std::int64_t Pool::size() const {
  constexpr std::uint64_t most = INT64_MAX;
  std::uint64_t out = 0;
  for (const IpRange& range : offered) {
    std::uint64_t size = range.size();
    if (avoid_buggy_ips) size -= buggy_addresses(range);
    out = size > most - out ? most : out + size;
  }
  return static_cast<std::int64_t>(out);
}

bool LabelSelector::matches(const Labels& labels) const {
  for (const auto& [key, value] : match_labels) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return std::ranges::all_of(match_expressions, [&](const Expression& e) {
    const auto found = labels.find(e.key);
    const bool present = found != labels.end();
    const bool listed = present && std::ranges::find(e.values, found->second) != e.values.end();
    if (e.operation == "In") return listed;
    if (e.operation == "NotIn") return !listed;
    if (e.operation == "Exists") return present;
    if (e.operation == "DoesNotExist") return !present;
    return false;
  });
}

}  // namespace berth
