#include "gobgp/translate.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.hpp"
#include "speak/bgp/words.hpp"

namespace berth::gobgp {
namespace {

constexpr std::uint32_t afi_ip = 1;
constexpr std::uint32_t afi_ip6 = 2;
constexpr std::uint32_t safi_unicast = 1;
constexpr std::uint32_t audience_mark = 0x42455254;
constexpr std::uint32_t session_established = 6;
constexpr std::uint32_t admin_state_down = 2;
constexpr std::uint32_t admin_state_cut_off = 3;
constexpr std::uint32_t remove_private_all = 1;
constexpr std::uint32_t remove_private_replace = 2;
constexpr std::uint32_t route_type_local = 3;
constexpr std::uint32_t accept_route = 1;
constexpr std::uint32_t reject_route = 2;
constexpr std::uint32_t direction_import = 1;
constexpr std::uint32_t add_path_receive_mode = 1;
constexpr std::uint32_t bgp_port = 179;
constexpr std::uint32_t direction_export = 2;
constexpr std::uint32_t set_of_neighbors = 2;
constexpr std::uint32_t set_of_large_communities = 7;
constexpr std::uint32_t match_any = 1;
constexpr std::uint32_t match_none = 3;
constexpr std::uint32_t add_communities = 1;
constexpr std::uint32_t remove_communities = 2;
constexpr std::uint32_t replace_communities = 3;
constexpr std::uint32_t replace_med = 2;
constexpr const char* import_policy = "berth-only-local";
constexpr const char* export_policy = "berth-audiences";

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
  if (peer.remote_port == bgp_port) peer.remote_port = 0;
  peer.deferral_time_s = std::clamp(peer.deferral_time_s, 1U, 65535U);  // its default for 0 is 360 s of silence
  if (peer.restart_time_s == 0) peer.restart_time_s = static_cast<std::uint32_t>(peer.hold_time_s);
  peer.restart_time_s = std::min(peer.restart_time_s, 4095U);
  if (peer.families.empty()) peer.families.push_back({peer.neighbor.family, peer.graceful_restart, false, 0});
  for (auto& family : peer.families) family.add_path_send_max = std::min(family.add_path_send_max, 255U);
  std::ranges::sort(peer.families, {}, &BgpPeerConfig::Family::family);
  peer.allow_own_as = std::min(peer.allow_own_as, 255U);
  peer.minimum_ttl = std::min(peer.minimum_ttl, 255U);
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

bool has_add_path(const api::Peer& peer, const api::AfiSafi& ours) {
  if (ours.add_paths().config().send_max() == 0) return false;
  const api::Family& family = ours.config().family();
  for (const api::Capability& capability : peer.state().remote_cap())
    for (const auto& theirs : capability.add_path().tuples())
      if (theirs.family().afi() == family.afi() && theirs.family().safi() == family.safi() && (theirs.mode() & add_path_receive_mode) != 0)
        return true;
  return false;
}

std::optional<IpAddress> next_hop_of(const api::Path& path) {
  for (const api::Attribute& attribute : path.pattrs()) {
    if (attribute.has_next_hop()) return IpAddress::parse(attribute.next_hop().next_hop());
    if (attribute.has_mp_reach() && attribute.mp_reach().next_hops_size() > 0) return IpAddress::parse(attribute.mp_reach().next_hops(0));
  }
  return std::nullopt;
}

// An audience is a mark on the path, which the export policy takes off: a large community that nobody else may use (0 is reserved
// as its first part, RFC 8092 §5).
BgpCommunity mark_of(std::uint32_t audience) { return {true, 0, audience_mark, audience}; }

std::uint32_t number_of(const BgpCommunity& community) { return community.a << 16U | community.b; }

void set_attributes(const BgpPath& as, api::Path& path) {
  api::Attribute standard, large;
  const auto add_large = [&large](const BgpCommunity& community) {
    auto& to = *large.mutable_large_communities()->add_communities();
    to.set_global_admin(community.a);
    to.set_local_data1(community.b);
    to.set_local_data2(community.c);
  };
  for (const BgpCommunity& community : as.attributes.communities) {
    if (community.large)
      add_large(community);
    else
      standard.mutable_communities()->add_communities(number_of(community));
  }
  if (as.audience != 0) add_large(mark_of(as.audience));
  if (as.attributes.med) path.add_pattrs()->mutable_multi_exit_disc()->set_med(*as.attributes.med);
  if (as.attributes.local_pref) path.add_pattrs()->mutable_local_pref()->set_local_pref(*as.attributes.local_pref);
  if (standard.has_communities()) *path.add_pattrs() = std::move(standard);
  if (large.has_large_communities()) *path.add_pattrs() = std::move(large);
}

BgpPath attributes_of(const api::Path& path) {
  BgpPath out;
  for (const api::Attribute& attribute : path.pattrs()) {
    if (attribute.has_multi_exit_disc()) out.attributes.med = attribute.multi_exit_disc().med();
    if (attribute.has_local_pref()) out.attributes.local_pref = attribute.local_pref().local_pref();
    for (const std::uint32_t number : attribute.communities().communities())
      out.attributes.add({false, number >> 16U, number & 0xFFFFU, 0});
    for (const auto& large : attribute.large_communities().communities()) {
      const BgpCommunity community{true, large.global_admin(), large.local_data1(), large.local_data2()};
      if (community == mark_of(community.c))
        out.audience = community.c;
      else
        out.attributes.add(community);
    }
  }
  return out;
}

void set_prefix(const BgpRoute& route, api::NLRI& nlri) {
  nlri.mutable_prefix()->set_prefix(route.address.to_string());
  nlri.mutable_prefix()->set_prefix_len(static_cast<std::uint32_t>(route.length()));
}

void set_offer(const BgpOffer& offer, const std::string& mark, api::Statement::Actions& to) {
  api::CommunityAction standard, large;
  for (const BgpCommunity& community : offer.attributes.communities) {
    if (community.large)
      large.add_communities(fmt::format("{}:{}:{}", community.a, community.b, community.c));
    else
      standard.add_communities(fmt::format("{}:{}", community.a, community.b));
  }
  if (standard.communities_size() > 0) {
    standard.set_type(add_communities);
    *to.mutable_community() = std::move(standard);
  }
  // One action for large ones: instead of the mark, as there is nothing else on such a path.
  large.set_type(large.communities_size() > 0 ? replace_communities : remove_communities);
  if (large.communities_size() == 0) large.add_communities(mark);
  *to.mutable_large_community() = std::move(large);
  if (offer.attributes.med) {
    to.mutable_med()->set_type(replace_med);
    to.mutable_med()->set_value(*offer.attributes.med);
  }
  if (offer.attributes.local_pref) to.mutable_local_pref()->set_value(*offer.attributes.local_pref);
  if (offer.prepend > 0) {
    to.mutable_as_prepend()->set_asn(offer.prepend_as);
    to.mutable_as_prepend()->set_repeat(offer.prepend);
  }
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
  transport.set_local_address(peer.local_address);
  transport.set_bind_interface(peer.bind_interface);
  out.mutable_ttl_security()->set_enabled(peer.minimum_ttl != 0);
  out.mutable_ttl_security()->set_ttl_min(peer.minimum_ttl);
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
    if (family.maximum_prefixes == 0) continue;
    *to.mutable_prefix_limits()->mutable_family() = family_of(family.family);
    to.mutable_prefix_limits()->set_max_prefixes(family.maximum_prefixes);
  }
  return out;
}

BgpPeerConfig as_shown(const BgpPeerConfig& peer, const BgpGlobal& global) {
  BgpPeerConfig out = completed(peer, global);
  out.object.clear();
  out.description.clear();
  out.peer_group.clear();
  out.remote_address.clear();
  out.local_address.clear();  // it shows that of the connection instead
  out.minimum_advertisement_interval_s = 0;
  out.mtu_discovery = false;
  out.stale_routes_time_s = 0;
  return out;
}

std::optional<BgpPeerConfig> peer_from_api(const api::Peer& peer) {
  const api::PeerConf& conf = peer.conf();
  const auto neighbor = IpAddress::parse_scoped(conf.neighbor_address());
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
  out.bind_interface = peer.transport().bind_interface();
  out.minimum_ttl = peer.ttl_security().enabled() ? peer.ttl_security().ttl_min() : 0;
  out.graceful_restart = peer.graceful_restart().enabled();
  out.restart_time_s = peer.graceful_restart().restart_time();
  out.deferral_time_s = peer.graceful_restart().deferral_time();
  out.notification_enabled = peer.graceful_restart().notification_enabled();
  out.long_lived_enabled = peer.graceful_restart().longlived_enabled();
  out.helper_only = peer.graceful_restart().helper_only();
  for (const api::AfiSafi& from : peer.afi_safis())
    if (const auto family = family_from(from.config().family()))
      out.families.push_back({*family, from.mp_graceful_restart().config().enabled(), from.add_paths().config().receive(),
                              from.add_paths().config().send_max(), from.prefix_limits().max_prefixes()});
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
  if (is_cut_off(peer)) out.last_error = fmt::format("{}; a minute later it is tried again", too_many_routes_text);
  out.add_path_send = receives_several_paths(peer);
  out.graceful_restart = peer.graceful_restart().enabled() &&
                         std::ranges::any_of(state.remote_cap(), [](const api::Capability& c) { return c.has_graceful_restart(); });
  return out;
}

bool receives_several_paths(const api::Peer& peer) {
  return std::ranges::any_of(peer.afi_safis(), [&](const api::AfiSafi& family) { return has_add_path(peer, family); });
}

bool receives_one_path(const api::Peer& peer) {
  return peer.afi_safis().empty() ||
         !std::ranges::all_of(peer.afi_safis(), [&](const api::AfiSafi& family) { return has_add_path(peer, family); });
}

bool is_established(const api::PeerState& state) { return state.session_state() == session_established; }

bool is_cut_off(const api::Peer& peer) { return peer.state().admin_state() == admin_state_cut_off; }

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
  set_prefix(route, *out.mutable_nlri());
  *out.mutable_family() = family_of(route.address.family);
  out.set_identifier(id);
  out.set_is_withdraw(true);
  return out;
}

api::Path to_api(const BgpRoute& route, std::uint32_t id, const BgpPath& as) {
  api::Path out;
  set_prefix(route, *out.mutable_nlri());
  *out.mutable_family() = family_of(route.address.family);
  out.set_identifier(id);
  out.add_pattrs()->mutable_origin()->set_origin(0);  // IGP
  if (route.address.family == IpFamily::v4 && route.next_hop.family == IpFamily::v4) {
    out.add_pattrs()->mutable_next_hop()->set_next_hop(route.next_hop.to_string());
  } else {
    api::Attribute::MpReach& reach = *out.add_pattrs()->mutable_mp_reach();
    *reach.mutable_family() = out.family();
    reach.add_next_hops(route.next_hop.to_string());
    set_prefix(route, *reach.add_nlris());
  }
  set_attributes(as, out);
  return out;
}

std::optional<ReadPath> path_from_api(const api::Path& path) {
  const api::IPAddressPrefix& prefix = path.nlri().prefix();
  const auto address = IpAddress::parse(prefix.prefix());
  const auto next_hop = next_hop_of(path);
  if (!address || !next_hop || prefix.prefix_len() == 0 || prefix.prefix_len() > static_cast<std::uint32_t>(address->bits()))
    return std::nullopt;
  const bool is_host_route = prefix.prefix_len() == static_cast<std::uint32_t>(address->bits());
  const auto length = static_cast<std::uint8_t>(is_host_route ? 0 : prefix.prefix_len());
  return ReadPath{{*address, *next_hop, length}, {path.identifier(), attributes_of(path)}};
}

bool is_received(const api::Path& path) { return IpAddress::parse_scoped(path.neighbor_ip()).has_value(); }

std::vector<api::SetPolicyAssignmentRequest> policy_assignments(const RoutingPolicy& users) {
  std::vector<api::SetPolicyAssignmentRequest> out;
  const auto assign = [&out](std::uint32_t direction, std::uint32_t otherwise, const char* first) -> api::PolicyAssignment& {
    auto& assignment = *out.emplace_back().mutable_assignment();
    assignment.set_name("global");
    assignment.set_direction(direction);
    assignment.add_policies()->set_name(first);
    assignment.set_default_action(otherwise);
    return assignment;
  };
  assign(direction_import, reject_route, import_policy);
  auto& exported = assign(direction_export, users.reject_by_default ? reject_route : accept_route, export_policy);
  for (const std::string& name : users.exported) exported.add_policies()->set_name(name);
  return out;
}

api::SetPoliciesRequest policies(const std::map<std::uint32_t, std::vector<BgpOffer>>& audiences,
                                 const RoutingPolicy& users,
                                 const std::vector<IpAddress>& own_next_hops) {
  api::SetPoliciesRequest out;
  for (const api::DefinedSet& set : users.sets) *out.add_defined_sets() = set;
  for (const api::Policy& policy : users.policies) *out.add_policies() = policy;
  api::Policy& import = *out.add_policies();
  import.set_name(import_policy);
  api::Statement& local = *import.add_statements();
  local.set_name(import_policy);
  local.mutable_conditions()->set_route_type(route_type_local);
  local.mutable_actions()->set_route_action(accept_route);

  api::Policy& to = *out.add_policies();
  to.set_name(export_policy);
  const auto add_set = [&out](std::uint32_t type, const std::string& name) -> api::DefinedSet& {
    api::DefinedSet& set = *out.add_defined_sets();
    set.set_defined_type(type);
    set.set_name(name);
    return set;
  };
  const auto add_named = [&to](const std::string& name) -> api::Statement& {
    api::Statement& statement = *to.add_statements();
    statement.set_name(name);
    return statement;
  };
  const auto add_statement = [&add_named](const std::string& name, const std::string& marks) -> api::Statement& {
    api::Statement& statement = add_named(name);
    statement.mutable_conditions()->mutable_large_community_set()->set_type(match_any);
    statement.mutable_conditions()->mutable_large_community_set()->set_name(marks);
    return statement;
  };
  if (!own_next_hops.empty()) {
    const std::string links = "berth-links";
    add_set(set_of_neighbors, links).add_list("fe80::/10");
    const auto add_for_links = [&](const std::string& name) -> api::Statement& {
      api::Statement& statement = add_named(name);
      statement.mutable_conditions()->mutable_neighbor_set()->set_type(match_any);
      statement.mutable_conditions()->mutable_neighbor_set()->set_name(links);
      return statement;
    };
    // A condition on next hops has no opposite, so what goes is marked, and what has no mark does not go.
    const std::string mark = fmt::format("0:{}:0", audience_mark);  // no audience has this number
    add_set(set_of_large_communities, links).add_list("^" + mark + "$");
    api::Statement& own = add_for_links("berth-links-own");
    for (const IpAddress& next_hop : own_next_hops) own.mutable_conditions()->add_next_hop_in_list(next_hop.to_string());
    own.mutable_actions()->mutable_nexthop()->set_self(true);
    own.mutable_actions()->mutable_large_community()->set_type(add_communities);
    own.mutable_actions()->mutable_large_community()->add_communities(mark);
    api::Statement& others = add_for_links("berth-links-others");
    others.mutable_conditions()->mutable_large_community_set()->set_type(match_none);
    others.mutable_conditions()->mutable_large_community_set()->set_name(links);
    others.mutable_actions()->set_route_action(reject_route);
    api::Statement& unmark = add_for_links("berth-links-unmark");
    unmark.mutable_actions()->mutable_large_community()->set_type(remove_communities);
    unmark.mutable_actions()->mutable_large_community()->add_communities("^" + mark + "$");
  }
  for (const auto& [audience, offers] : audiences) {
    const std::string marks = fmt::format("berth-{}", audience);
    const std::string pattern = fmt::format("^0:{}:{}$", audience_mark, audience);
    add_set(set_of_large_communities, marks).add_list(pattern);
    for (std::size_t i = 0; i < offers.size(); ++i) {
      const BgpOffer& offer = offers[i];
      if (offer.peers.empty()) continue;
      const std::string name = fmt::format("{}-{}", marks, i);
      api::DefinedSet& neighbors = add_set(set_of_neighbors, name);
      for (const IpAddress& peer : offer.peers) neighbors.add_list(fmt::format("{}/{}", peer.without_zone().to_string(), peer.bits()));
      api::Statement& statement = add_statement(name, marks);
      statement.mutable_conditions()->mutable_neighbor_set()->set_type(match_any);
      statement.mutable_conditions()->mutable_neighbor_set()->set_name(name);
      set_offer(offer, pattern, *statement.mutable_actions());
      if (users.exported.empty() && !users.reject_by_default) statement.mutable_actions()->set_route_action(accept_route);
    }
    add_statement(marks + "-nobody-else", marks).mutable_actions()->set_route_action(reject_route);
  }
  // A route that the engine read back may have a mark that nothing is known of any more: then it goes to nobody. Besides, without a
  // statement gobgpd takes a policy for one that is not there.
  add_set(set_of_large_communities, "berth-unknown").add_list(fmt::format("^0:{}:", audience_mark));
  add_statement("berth-unknown", "berth-unknown").mutable_actions()->set_route_action(reject_route);
  return out;
}

}  // namespace berth::gobgp
