#include "bird/configuration.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace berth::bird {
namespace {

constexpr std::uint32_t bgp_port = 179;
constexpr std::size_t longest_password = 80;  // TCP_MD5SIG_MAXKEYLEN; BIRD's own lexer dies of some thousand characters
constexpr std::uint32_t longest_restart_time = 4095;  // 12 bits, RFC 4724 §3
constexpr std::uint32_t longest_stale_time = 0xFFFFFF;  // 24 bits, RFC 9494 §3

bool is_letter_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// With the prefix a name for BIRD. It is that of no other address, but for interfaces whose names differ in a punctuation mark alone.
std::string symbol(std::string_view prefix, const IpAddress& address) {
  std::string out{prefix};
  out += address.to_string();
  std::ranges::replace_if(out, [](char c) { return !is_letter_or_digit(c); }, '_');
  return out;
}

// One level of indentation is enough for whoever looks into the file.
class Text {
 public:
  template <class... Parts>
  void line(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Parts>(parts)...);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

bool is_internal(const BgpPeerConfig& peer, const BgpGlobal& global) {
  return peer.peer_as == (peer.local_as != 0 ? peer.local_as : global.as);
}

// BIRD's lexer knows no escapes: a text ends at the next quotation mark, and must end within its line.
std::optional<std::string> why_not(const BgpPeerConfig& peer) {
  if (peer.auth_password.find_first_of(std::string_view{"\"\n\0", 3}) != std::string::npos)
    return "its password has a quotation mark, a line break or a zero byte, which BIRD can't be given: choose another";
  if (peer.auth_password.size() > longest_password)
    return fmt::format("its password is longer than the {} bytes that TCP MD5 takes", longest_password);
  if (peer.neighbor.number == 0) return "its address is not that of a machine";
  if (peer.neighbor.is_link_local() && peer.neighbor.zone.empty()) return "BIRD needs the interface of a link-local address";
  return std::nullopt;
}

std::string attribute_statements(const BgpAttributes& attributes) {
  std::string out;
  for (const BgpCommunity& community : attributes.communities) {
    if (community.large)
      out += fmt::format(" bgp_large_community.add(({},{},{}));", community.a, community.b, community.c);
    else
      out += fmt::format(" bgp_community.add(({},{}));", community.a & 0xFFFFU, community.b & 0xFFFFU);
  }
  if (attributes.med) out += fmt::format(" bgp_med = {};", *attributes.med);
  if (attributes.local_pref) out += fmt::format(" bgp_local_pref = {};", *attributes.local_pref);
  return out;
}

std::string route_attributes(const BgpPath& path) {
  std::string out = attribute_statements(path.attributes);
  if (path.audience != 0) out += fmt::format(" {} = {};", audience_attribute, path.audience);
  return out.empty() ? ";" : " {" + out + " };";
}

void write_routes(const BgpDesired& desired, Text& text) {
  std::map<IpAddress, std::vector<std::string>> by_next_hop;
  for (const auto& [route, path] : desired.routes) {
    if (route.address.family != route.next_hop.family) continue;  // shortcomings() tells
    by_next_hop[route.next_hop].push_back(
        fmt::format("  route {}/{} blackhole{}", route.address.to_string(), route.length(), route_attributes(path)));
  }
  for (const auto& [next_hop, routes] : by_next_hop) {
    text.line("protocol static {} {{", protocol_of_next_hop(next_hop));
    text.line("  {} {{ import filter {{ bgp_next_hop = {}; accept; }}; }};", next_hop.family == IpFamily::v4 ? "ipv4" : "ipv6",
              next_hop.to_string());
    for (const std::string& route : routes) text.line("{}", route);
    text.line("}}");
  }
}

// What the router gets, and how.
std::string export_filter(const BgpDesired& desired, const IpAddress& neighbor, IpFamily family) {
  std::string out;
  if (neighbor.is_link_local()) {
    std::string others = "true";
    for (const IpAddress& own : desired.own_next_hops)
      if (own.family == family) others += fmt::format(" && bgp_next_hop != {}", own.to_string());
    out += fmt::format("    if {} then reject;\n", others);
  }
  out += fmt::format("    if defined({}) then ", audience_attribute);
  std::string cases;
  for (const auto& [audience, offers] : desired.audiences) {
    const auto offer = std::ranges::find_if(offers, [&](const BgpOffer& one) { return one.peers.contains(neighbor); });
    if (offer == offers.end()) continue;
    // BIRD takes a case without statements for one that is not there.
    cases += fmt::format("      {}: {{ {} = 0;{}", audience, audience_attribute, attribute_statements(offer->attributes));
    for (std::uint32_t i = 0; i < offer->prepend; ++i) cases += fmt::format(" bgp_path.prepend({});", offer->prepend_as);
    cases += " }\n";
  }
  out += cases.empty() ? "reject;\n" : fmt::format("case {} {{\n{}      else: reject;\n    }}\n", audience_attribute, cases);
  // Only a MED that the filter sets goes to another AS.
  out += "    if defined(bgp_med) then bgp_med = bgp_med;\n    accept;";
  return out;
}

void write_channel(const BgpDesired& desired, const BgpPeerConfig& peer, const BgpPeerConfig::Family& family, Text& text) {
  text.line("  {} {{", family.family == IpFamily::v4 ? "ipv4" : "ipv6");
  text.line("    import none;");
  // What is refused is counted only while it is kept.
  if (family.maximum_prefixes > 0) text.line("    import keep filtered yes; receive limit {} action restart;", family.maximum_prefixes);
  text.line("    next hop {};", peer.neighbor.is_link_local() ? "self" : "keep");
  if (peer.neighbor.is_link_local() && family.family == IpFamily::v4) text.line("    extended next hop on;");  // RFC 8950
  if (family.add_path_send_max > 0 || family.add_path_receive)
    text.line("    add paths {};", family.add_path_send_max == 0 ? "rx" : family.add_path_receive ? "on" : "tx");
  text.line("    export filter {{\n{}\n    }};", export_filter(desired, peer.neighbor, family.family));
  text.line("  }};");
}

std::uint32_t restart_time(const BgpPeerConfig& peer) {
  return peer.restart_time_s == 0 ? static_cast<std::uint32_t>(std::min<std::uint64_t>(peer.hold_time_s, longest_restart_time))
                                  : std::min(peer.restart_time_s, longest_restart_time);
}

std::uint64_t keepalive(const BgpPeerConfig& peer) {
  return std::clamp<std::uint64_t>(peer.keepalive_interval_s, 1, std::max<std::uint64_t>(peer.hold_time_s / 2, 1));
}

void write_session(const BgpPeerConfig& peer, const BgpGlobal& global, std::uint16_t idle_port, Text& text) {
  const std::uint64_t retry = std::clamp<std::uint64_t>(peer.connect_retry_s, 1, 65535);
  const std::int32_t port = global.listen_port > 0 ? global.listen_port : idle_port;
  text.line("  debug {{ states }};");
  text.line("  local port {} as {};", port, peer.local_as != 0 ? peer.local_as : global.as);
  const std::string interface = peer.neighbor.zone.empty() ? "" : fmt::format(" % '{}'", peer.neighbor.zone.name());
  text.line("  neighbor {}{} port {} as {};", peer.neighbor.without_zone().to_string(), interface,
            peer.remote_port == 0 ? bgp_port : peer.remote_port, peer.peer_as);
  // Elsewhere never `direct`, which asks for the router's net among this machine's; one hop is the same on the wire.
  const std::uint32_t near = peer.minimum_ttl == 0 ? 1 : 256 - std::min(peer.minimum_ttl, 255U);
  const std::uint32_t direct = is_internal(peer, global) && peer.minimum_ttl == 0 ? 255 : near;
  if (peer.neighbor.is_link_local())
    text.line("  direct;");
  else
    text.line("  multihop {};", peer.ebgp_multihop_ttl == 0 ? direct : std::min(peer.ebgp_multihop_ttl, 255U));
  if (peer.minimum_ttl > 0) text.line("  ttl security yes;");
  if (!peer.local_address.empty()) text.line("  source address {};", peer.local_address);
  if (peer.admin_down) text.line("  disabled yes;");
  if (peer.passive) text.line("  passive yes;");
  if (!peer.auth_password.empty()) text.line("  password \"{}\";", peer.auth_password);
  if (peer.allow_own_as > 0) text.line("  allow local as {};", std::min(peer.allow_own_as, 255U));
  text.line("  interpret communities no;");  // ours are for others
  text.line("  hold time {};", std::clamp<std::uint64_t>(peer.hold_time_s, 3, 65535));
  text.line("  keepalive time {};", keepalive(peer));
  text.line("  connect delay time 1;");
  text.line("  connect retry time {};", retry);
  text.line("  error wait time 1, {};", std::clamp<std::uint64_t>(retry, 1, 60));
  if (peer.graceful_restart && !peer.helper_only)
    text.line("  graceful restart yes; graceful restart time {};", restart_time(peer));
  else
    text.line("  graceful restart {};", peer.graceful_restart ? "aware" : "no");
  if (peer.long_lived_enabled && peer.graceful_restart) {
    text.line("  long lived graceful restart {};", peer.helper_only ? "aware" : "yes");
    if (peer.stale_routes_time_s > 0) text.line("  long lived stale time {};", std::min(peer.stale_routes_time_s, longest_stale_time));
  } else {
    text.line("  long lived graceful restart no;");
  }
}

void write_peer(const BgpDesired& desired, const BgpPeerConfig& peer, std::uint16_t idle_port, Text& text) {
  text.line("protocol bgp {} {{", protocol_of(peer.neighbor));
  write_session(peer, *desired.global, idle_port, text);
  std::map<IpFamily, BgpPeerConfig::Family> families;
  for (const BgpPeerConfig::Family& family : peer.families) families.emplace(family.family, family);
  if (families.empty())
    families.emplace(peer.neighbor.family, BgpPeerConfig::Family{.family = peer.neighbor.family, .add_path_send_max = 0});
  for (const auto& [number, family] : families) write_channel(desired, peer, family, text);
  text.line("}}");
}

// BIRD listens for the protocols that it has. So for those who may connect before they have one there is a neighbour that never does:
// the dummy address of RFC 7600, and one of the prefix of RFC 6666 that goes nowhere.
void write_listeners(const BgpDesired& desired, Text& text) {
  if (desired.global->listen_port <= 0) return;
  for (const auto& [family, channel, nobody] : {std::tuple{IpFamily::v4, "ipv4", "192.0.0.8"}, {IpFamily::v6, "ipv6", "100::8"}}) {
    if (std::ranges::find(desired.ranges, family, [](const IpRange& range) { return range.first.family; }) == desired.ranges.end())
      continue;
    text.line("protocol bgp listen_{} {{", channel);
    text.line("  local port {} as {};", desired.global->listen_port, desired.global->as);
    text.line("  neighbor {} external;", nobody);
    text.line("  multihop; passive yes; graceful restart no;");
    text.line("  {} {{ import none; export none; }};", channel);
    text.line("}}");
  }
}

// A process that is started again holds its routes back until every router said what it has, or this time is over.
std::uint32_t recovery_time(const BgpDesired& desired) {
  std::uint32_t out = 1;
  for (const BgpPeerConfig& peer : desired.peers)
    if (peer.graceful_restart && !peer.helper_only && !peer.admin_down) out = std::max(out, peer.deferral_time_s);
  return std::min(out, 65535U);
}

}  // namespace

std::string protocol_of(const IpAddress& neighbor) { return symbol("peer_", neighbor); }
std::string protocol_of_next_hop(const IpAddress& next_hop) { return symbol("via_", next_hop); }

Result<Configuration> configuration(const BgpDesired& desired, std::uint16_t idle_port) {
  Configuration out;
  Text text;
  text.line("# Written by Berth at every change; nobody else's edits stay.");
  text.line("log stderr all;");
  text.line("timeformat protocol \"%s\";");
  text.line("attribute int {};", audience_attribute);
  text.line("protocol static nothing {{ ipv4; }}");  // a file without a protocol is refused
  if (!desired.global) {
    text.line("router id 0.0.0.1;");  // it does not start without
    out.text = text.take();
    return out;
  }
  const auto router_id = IpAddress::parse(desired.global->router_id);
  if (!router_id || router_id->family != IpFamily::v4 || router_id->number == 0)
    return fail(ErrorCode::invalid, fmt::format("router id \"{}\" is no IPv4 notation", desired.global->router_id));
  text.line("router id {};", router_id->to_string());
  text.line("graceful restart wait {};", recovery_time(desired));
  write_routes(desired, text);
  write_listeners(desired, text);
  // Interfaces are nothing to it otherwise.
  if (std::ranges::any_of(desired.peers, &IpAddress::is_link_local, &BgpPeerConfig::neighbor)) text.line("protocol device {{ }}");
  for (const BgpPeerConfig& peer : desired.peers) {
    if (const auto why = why_not(peer))
      out.refused.push_back({ErrorCode::invalid, fmt::format("add peer {}: {}", peer.neighbor.to_string(), *why)});
    else
      write_peer(desired, peer, idle_port, text);
  }
  out.text = text.take();
  return out;
}

bool same_server(const BgpGlobal& a, const BgpGlobal& b) {
  const auto listens = [](const BgpGlobal& global) { return std::max(global.listen_port, 0); };
  return a.as == b.as && a.router_id == b.router_id && listens(a) == listens(b);
}

bool same_peer(const BgpPeerConfig& a, const BgpPeerConfig& b) {
  const BgpGlobal global{.as = 1, .router_id = {}, .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
  const auto written = [&](const BgpPeerConfig& peer) {
    Text text;
    write_peer({global, {}, {}, {}, {}}, peer, 1, text);
    return text.take();
  };
  return written(a) == written(b);
}

std::vector<std::string> shortcomings(const BgpPeerConfig& peer) {
  std::vector<std::string> out;
  if (const auto why = why_not(peer)) out.push_back("there is no session: " + *why);
  if (peer.minimum_advertisement_interval_s > 0)
    out.emplace_back("spec.timers.config.minimumAdvertisementInterval has no effect: BIRD sends changes at once");
  if (keepalive(peer) != peer.keepalive_interval_s)
    out.push_back(
        fmt::format("spec.timers.config.keepaliveInterval {} is more than half of the hold time, which BIRD does not take: {} is used",
                    peer.keepalive_interval_s, keepalive(peer)));
  if (peer.tcp_mss > 0) out.emplace_back("spec.transport.tcpMss has no effect: BIRD leaves the segments' size to the system");
  if (!peer.bind_interface.empty()) out.emplace_back("spec.transport.bindInterface has no effect: BIRD leaves the way to the system");
  if (peer.mtu_discovery) out.emplace_back("spec.transport.mtuDiscovery has no effect: BIRD leaves it to the system");
  if (peer.graceful_restart && peer.notification_enabled)
    out.emplace_back("spec.gracefulRestart.notificationEnabled has no effect: BIRD 2.0 does not know RFC 8538");
  if (peer.graceful_restart && std::ranges::any_of(peer.families, [](const auto& family) { return !family.graceful_restart; }))
    out.emplace_back("spec.afiSafis mpGracefulRestart has no effect: with BIRD graceful restart is for all families of a session, or none");
  return out;
}

std::vector<std::string> shortcomings(const BgpDesired& desired) {
  std::vector<std::string> out;
  if (desired.global && desired.global->listen_port > 0 && !desired.global->listen_addresses.empty())
    out.emplace_back("spec.listenAddresses has no effect: BIRD listens on all addresses");
  if (std::ranges::any_of(desired.routes, [](const auto& one) { return one.first.address.family != one.first.next_hop.family; }))
    out.emplace_back("spec.extendedNextHops has no effect: with BIRD IPv4 addresses have IPv4 next hops alone");
  if (!desired.policy.empty()) out.emplace_back("spec.policy has no effect: it is in GoBGP's language; say it by spec.advertisements");
  return out;
}

}  // namespace berth::bird
