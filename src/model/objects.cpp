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
