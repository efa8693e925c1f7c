#include "gobgp/translate.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth::gobgp {
namespace {

constexpr std::uint32_t afi_ip = 1;
constexpr std::uint32_t afi_ip6 = 2;
constexpr std::uint32_t safi_unicast = 1;
constexpr std::uint32_t graceful_shutdown_community = 0xFFFF0000;  // 65535:0, RFC 8326
constexpr std::uint32_t admin_state_down = 2;
constexpr std::uint32_t remove_private_all = 1;
constexpr std::uint32_t remove_private_replace = 2;
constexpr std::uint32_t route_type_local = 3;
constexpr std::uint32_t accept_route = 1;
constexpr std::uint32_t reject_route = 2;
constexpr std::uint32_t direction_import = 1;
constexpr std::uint32_t add_path_receive_mode = 1;
constexpr std::uint32_t bgp_port = 179;
constexpr const char* policy_name = "berth-only-local";

std::uint32_t remove_private_number(const std::string& text) {
  if (text == "ALL") return remove_private_all;
  return text == "REPLACE" ? remove_private_replace : 0;
}

std::string remove_private_text(std::uint32_t number) {
  if (number == remove_private_all) return "ALL";
  return number == remove_private_replace ? "REPLACE" : "";
}

std::optional<IpFamily> family_from(const api::Family& family) {
  if (family.safi() != safi_unicast) return std::nullopt;
  if (family.afi() == afi_ip) return IpFamily::v4;
  if (family.afi() == afi_ip6) return IpFamily::v6;
  return std::nullopt;
}

// Zero means "the engine's default" in the model; here it is written out, so that it can be compared.
BgpPeerConfig completed(BgpPeerConfig peer, const BgpGlobal& global) {
  if (peer.local_as == 0) peer.local_as = global.as;
  if (peer.connect_retry_s == 0) peer.connect_retry_s = 120;
  if (peer.remote_port == bgp_port) peer.remote_port = 0;
  peer.deferral_time_s = std::clamp(peer.deferral_time_s, 1U, 65535U);  // its default for 0 is 360 s of silence
  if (peer.restart_time_s == 0) peer.restart_time_s = static_cast<std::uint32_t>(peer.hold_time_s);
  peer.restart_time_s = std::min(peer.restart_time_s, 4095U);
  if (peer.families.empty()) peer.families.push_back({peer.neighbor.family, peer.graceful_restart, false, 0});
  for (auto& family : peer.families) family.add_path_send_max = std::min(family.add_path_send_max, 255U);
  std::ranges::sort(peer.families, {}, &BgpPeerConfig::Family::family);
  peer.allow_own_as = std::min(peer.allow_own_as, 255U);
  return peer;
}

BgpMessageCounters counters_from(const api::Message& message) {
  return {.notification = message.notification(),
          .update = message.update(),
          .open = message.open(),
          .keepalive = message.keepalive(),
          .refresh = message.refresh(),
          .discarded = message.discarded(),
          .total = message.total(),
          .withdraw_update = message.withdraw_update(),
          .withdraw_prefix = message.withdraw_prefix()};
}

std::string time_text(bool present, std::int64_t seconds) {
  constexpr std::int64_t year_10000 = 253'402'300'800;
  if (!present || seconds <= 0 || seconds >= year_10000) return {};
  return to_rfc3339(WallTime{std::chrono::seconds{seconds}});
}

// gobgpd writes an address that is not there as text.
std::string address_text(const std::string& text) { return IpAddress::parse(text) && text != "0.0.0.0" ? text : ""; }

bool receives_several_paths(const api::Peer& peer) {
  for (const api::AfiSafi& ours : peer.afi_safis()) {
    if (ours.add_paths().config().send_max() == 0) continue;
    for (const api::Capability& capability : peer.state().remote_cap())
      for (const auto& theirs : capability.add_path().tuples())
        if (theirs.family().afi() == ours.config().family().afi() && theirs.family().safi() == ours.config().family().safi() &&
            (theirs.mode() & add_path_receive_mode) != 0)
          return true;
  }
  return false;
}

bool is_host_route(const api::IPAddressPrefix& prefix, const IpAddress& address) {
  return prefix.prefix_len() == static_cast<std::uint32_t>(address.bits());
}

std::optional<IpAddress> next_hop_of(const api::Path& path) {
  for (const api::Attribute& attribute : path.pattrs()) {
    if (attribute.has_next_hop()) return IpAddress::parse(attribute.next_hop().next_hop());
    if (attribute.has_mp_reach() && attribute.mp_reach().next_hops_size() > 0) return IpAddress::parse(attribute.mp_reach().next_hops(0));
  }
  return std::nullopt;
}

bool is_marked(const api::Path& path) {
  for (const api::Attribute& attribute : path.pattrs())
    if (attribute.has_communities() && std::ranges::find(attribute.communities().communities(), graceful_shutdown_community) !=
                                           attribute.communities().communities().end())
      return true;
  return false;
}

void set_prefix(const IpAddress& address, api::NLRI& nlri) {
  nlri.mutable_prefix()->set_prefix(address.to_string());
  nlri.mutable_prefix()->set_prefix_len(static_cast<std::uint32_t>(address.bits()));
}

}  // namespace

Result<api::Global> to_api(const BgpGlobal& global) {
  api::Global out;
  const auto router_id = IpAddress::parse(global.router_id);
  if (!router_id || router_id->family != IpFamily::v4)
    return fail(ErrorCode::invalid, fmt::format("router id \"{}\" is no IPv4 notation", global.router_id));
  out.set_asn(global.as);
  out.set_router_id(global.router_id);
  out.set_listen_port(global.listen_port);
  out.set_use_multiple_paths(global.use_multiple_paths);
  for (const std::string& address : global.listen_addresses) {
    if (!IpAddress::parse(address)) return fail(ErrorCode::invalid, fmt::format("listen address \"{}\" is no IP address", address));
    out.add_listen_addresses(address);
  }
  return out;
}

BgpGlobal as_shown(BgpGlobal global) {
  if (global.listen_port == 0) global.listen_port = bgp_port;
  if (global.listen_addresses.empty()) global.listen_addresses = {"0.0.0.0", "::"};
  return global;
}

std::optional<BgpGlobal> from_api(const api::Global& global) {
  if (global.asn() == 0) return std::nullopt;
  return BgpGlobal{.as = global.asn(),
                   .router_id = global.router_id(),
                   .listen_port = global.listen_port(),
                   .listen_addresses = {global.listen_addresses().begin(), global.listen_addresses().end()},
                   .use_multiple_paths = global.use_multiple_paths()};
}

api::Peer to_api(const BgpPeerConfig& given, const BgpGlobal& global, bool restarting) {
  const BgpPeerConfig peer = completed(given, global);
  api::Peer out;
  api::PeerConf& conf = *out.mutable_conf();
  conf.set_auth_password(peer.auth_password);
  conf.set_description(peer.description);
  conf.set_local_asn(peer.local_as);
  conf.set_neighbor_address(peer.neighbor.to_string());
  conf.set_peer_asn(peer.peer_as);
  conf.set_remove_private(remove_private_number(peer.remove_private_as));
  conf.set_allow_own_asn(peer.allow_own_as);
  conf.set_replace_peer_asn(peer.replace_peer_as);
  conf.set_admin_down(peer.admin_down);
  out.mutable_ebgp_multihop()->set_enabled(peer.ebgp_multihop_ttl != 0);
  out.mutable_ebgp_multihop()->set_multihop_ttl(peer.ebgp_multihop_ttl);
  api::TimersConfig& timers = *out.mutable_timers()->mutable_config();
  timers.set_connect_retry(peer.connect_retry_s);
  timers.set_hold_time(peer.hold_time_s);
  timers.set_keepalive_interval(peer.keepalive_interval_s);
  timers.set_minimum_advertisement_interval(peer.minimum_advertisement_interval_s);
  api::Transport& transport = *out.mutable_transport();
  transport.set_mtu_discovery(peer.mtu_discovery);
  transport.set_passive_mode(peer.passive);
  transport.set_remote_address(peer.remote_address);
  transport.set_remote_port(peer.remote_port);
  transport.set_tcp_mss(peer.tcp_mss);
  api::GracefulRestart& restart = *out.mutable_graceful_restart();
  restart.set_enabled(peer.graceful_restart);
  restart.set_restart_time(peer.restart_time_s);
  restart.set_helper_only(peer.helper_only);
  restart.set_deferral_time(peer.deferral_time_s);
  restart.set_notification_enabled(peer.notification_enabled);
  restart.set_longlived_enabled(peer.long_lived_enabled);
  restart.set_stale_routes_time(peer.stale_routes_time_s);
  restart.set_local_restarting(restarting && peer.graceful_restart && !peer.helper_only);
  for (const BgpPeerConfig::Family& family : peer.families) {
    api::AfiSafi& to = *out.add_afi_safis();
    *to.mutable_config()->mutable_family() = family_of(family.family);
    to.mutable_config()->set_enabled(true);
    to.mutable_mp_graceful_restart()->mutable_config()->set_enabled(family.graceful_restart);
    to.mutable_add_paths()->mutable_config()->set_receive(family.add_path_receive);
    to.mutable_add_paths()->mutable_config()->set_send_max(family.add_path_send_max);
  }
  return out;
}

BgpPeerConfig as_shown(const BgpPeerConfig& peer, const BgpGlobal& global) {
  BgpPeerConfig out = completed(peer, global);
  out.object.clear();
  out.description.clear();
  out.remote_address.clear();
  out.minimum_advertisement_interval_s = 0;
  out.mtu_discovery = false;
  out.stale_routes_time_s = 0;
  return out;
}

std::optional<BgpPeerConfig> peer_from_api(const api::Peer& peer) {
  const api::PeerConf& conf = peer.conf();
  const auto neighbor = IpAddress::parse(conf.neighbor_address());
  if (!neighbor) return std::nullopt;
  BgpPeerConfig out;
  out.neighbor = *neighbor;
  out.peer_as = conf.peer_asn();
  out.local_as = conf.local_asn();
  out.auth_password = conf.auth_password();
  out.admin_down = conf.admin_down();
  out.allow_own_as = conf.allow_own_asn();
  out.remove_private_as = remove_private_text(conf.remove_private());
  out.replace_peer_as = conf.replace_peer_asn();
  out.ebgp_multihop_ttl = peer.ebgp_multihop().enabled() ? peer.ebgp_multihop().multihop_ttl() : 0;
  out.connect_retry_s = peer.timers().config().connect_retry();
  out.hold_time_s = peer.timers().config().hold_time();
  out.keepalive_interval_s = peer.timers().config().keepalive_interval();
  out.passive = peer.transport().passive_mode();
  out.remote_port = peer.transport().remote_port() == bgp_port ? 0 : peer.transport().remote_port();
  out.tcp_mss = peer.transport().tcp_mss();
  out.graceful_restart = peer.graceful_restart().enabled();
  out.restart_time_s = peer.graceful_restart().restart_time();
  out.deferral_time_s = peer.graceful_restart().deferral_time();
  out.notification_enabled = peer.graceful_restart().notification_enabled();
  out.long_lived_enabled = peer.graceful_restart().longlived_enabled();
  out.helper_only = peer.graceful_restart().helper_only();
  for (const api::AfiSafi& from : peer.afi_safis())
    if (const auto family = family_from(from.config().family()))
      out.families.push_back({*family, from.mp_graceful_restart().config().enabled(), from.add_paths().config().receive(),
                              from.add_paths().config().send_max()});
  std::ranges::sort(out.families, {}, &BgpPeerConfig::Family::family);
  return out;
}

BgpPeerStatus status_from_api(const api::Peer& peer) {
  const api::PeerState& state = peer.state();
  const api::TimersConfig& timers = peer.timers().config();
  BgpPeerStatus out;
  out.neighbor_address = peer.conf().neighbor_address();
  out.description = peer.conf().description();
  out.local_as = peer.conf().local_asn();
  out.peer_as = peer.conf().peer_asn();
  out.peer_group = peer.conf().peer_group();
  constexpr std::array states{SessionState::unknown,   SessionState::idle,         SessionState::connect,    SessionState::active,
                              SessionState::open_sent, SessionState::open_confirm, SessionState::established};
  if (state.session_state() < states.size()) out.session_state = states[state.session_state()];
  out.admin_down = peer.conf().admin_down() || state.admin_state() == admin_state_down;
  out.router_id = address_text(state.router_id());
  out.flaps = state.flops();
  out.out_queue = state.out_q();
  out.connect_retry_s = timers.connect_retry();
  out.hold_time_s = timers.hold_time();
  out.keepalive_interval_s = timers.keepalive_interval();
  out.minimum_advertisement_interval_s = timers.minimum_advertisement_interval();
  const api::TimersState& times = peer.timers().state();
  out.negotiated_hold_time_s = times.negotiated_hold_time();
  out.uptime = time_text(times.has_uptime(), times.uptime().seconds());
  out.downtime = time_text(times.has_downtime(), times.downtime().seconds());
  out.received = counters_from(state.messages().received());
  out.sent = counters_from(state.messages().sent());
  out.last_error = disconnect_text(state);
  out.add_path_send = receives_several_paths(peer);
  out.graceful_restart = peer.graceful_restart().enabled() &&
                         std::ranges::any_of(state.remote_cap(), [](const api::Capability& c) { return c.has_graceful_restart(); });
  return out;
}

std::string disconnect_text(const api::PeerState& state) {
  constexpr std::array reasons{"",
                               "administratively down",
                               "hold timer expired",
                               "notification sent",
                               "notification received",
                               "read failed",
                               "write failed",
                               "idle timer expired",
                               "restart timer expired",
                               "graceful restart",
                               "invalid message",
                               "hard reset",
                               "deconfigured",
                               "wrong AS number"};
  std::string text = state.disconnect_reason() < reasons.size() ? reasons[state.disconnect_reason()] : "unknown reason";
  if (!state.disconnect_message().empty()) {
    if (!text.empty()) text += ": ";
    text += clipped(state.disconnect_message(), 200);
  }
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

api::Family family_of(IpFamily family) {
  api::Family out;
  out.set_afi(family == IpFamily::v4 ? afi_ip : afi_ip6);
  out.set_safi(safi_unicast);
  return out;
}

api::Path withdrawal(const BgpRoute& route, std::uint32_t id) {
  api::Path out;
  set_prefix(route.address, *out.mutable_nlri());
  *out.mutable_family() = family_of(route.address.family);
  out.set_identifier(id);
  out.set_is_withdraw(true);
  return out;
}

api::Path to_api(const BgpRoute& route, std::uint32_t id, bool graceful_shutdown) {
  api::Path out;
  set_prefix(route.address, *out.mutable_nlri());
  *out.mutable_family() = family_of(route.address.family);
  out.set_identifier(id);
  out.add_pattrs()->mutable_origin()->set_origin(0);  // IGP
  if (route.address.family == IpFamily::v4 && route.next_hop.family == IpFamily::v4) {
    out.add_pattrs()->mutable_next_hop()->set_next_hop(route.next_hop.to_string());
  } else {
    api::Attribute::MpReach& reach = *out.add_pattrs()->mutable_mp_reach();
    *reach.mutable_family() = out.family();
    reach.add_next_hops(route.next_hop.to_string());
    set_prefix(route.address, *reach.add_nlris());
  }
  if (graceful_shutdown) out.add_pattrs()->mutable_communities()->add_communities(graceful_shutdown_community);
  return out;
}

std::optional<ReadPath> path_from_api(const api::Path& path) {
  const api::IPAddressPrefix& prefix = path.nlri().prefix();
  const auto address = IpAddress::parse(prefix.prefix());
  const auto next_hop = next_hop_of(path);
  if (!address || !next_hop || !is_host_route(prefix, *address)) return std::nullopt;
  return ReadPath{{*address, *next_hop}, {path.identifier(), is_marked(path)}};
}

bool is_received(const api::Path& path) { return IpAddress::parse(path.neighbor_ip()).has_value(); }

api::AddPolicyRequest only_local_policy() {
  api::AddPolicyRequest out;
  out.mutable_policy()->set_name(policy_name);
  api::Statement& statement = *out.mutable_policy()->add_statements();
  statement.set_name(policy_name);
  statement.mutable_conditions()->set_route_type(route_type_local);
  statement.mutable_actions()->set_route_action(accept_route);
  return out;
}

api::SetPolicyAssignmentRequest only_local_assignment() {
  api::SetPolicyAssignmentRequest out;
  out.mutable_assignment()->set_name("global");
  out.mutable_assignment()->set_direction(direction_import);
  out.mutable_assignment()->add_policies()->set_name(policy_name);
  out.mutable_assignment()->set_default_action(reject_route);
  return out;
}

}  // namespace berth::gobgp
