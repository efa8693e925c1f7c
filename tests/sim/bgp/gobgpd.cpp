// The calls of SimulatedGobgpd, and what they show.
#include "gobgpd.hpp"

#include <algorithm>

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t unicast = 1;

std::optional<IpFamily> family_of(const api::Family& family) {
  if (family.safi() != unicast || (family.afi() != 1 && family.afi() != 2)) return std::nullopt;
  return family.afi() == 1 ? IpFamily::v4 : IpFamily::v6;
}

// Absent when it is not one of a shape that can be told to routers.
std::optional<RouteSeen> route_of(const api::Path& path) {
  RouteSeen out;
  bool has_next_hop = false;
  for (const api::Attribute& attribute : path.pattrs()) {
    std::string hop = attribute.next_hop().next_hop();
    if (attribute.mp_reach().next_hops_size() > 0) hop = attribute.mp_reach().next_hops(0);
    if (const auto address = IpAddress::parse(hop)) {
      out.next_hop = *address;
      has_next_hop = true;
    }
    if (attribute.has_multi_exit_disc()) out.med = attribute.multi_exit_disc().med();
    if (attribute.has_local_pref()) out.local_pref = attribute.local_pref().local_pref();
    for (const std::uint32_t community : attribute.communities().communities()) out.communities.insert(community);
    for (const auto& large : attribute.large_communities().communities())
      out.large_communities.emplace(large.global_admin(), large.local_data1(), large.local_data2());
  }
  if (!has_next_hop) return std::nullopt;
  return out;
}

std::optional<Prefix> prefix_of(const api::Path& path) {
  const auto address = IpAddress::parse(path.nlri().prefix().prefix());
  if (!address || path.nlri().prefix().prefix_len() > static_cast<std::uint32_t>(address->bits())) return std::nullopt;
  return Prefix{*address, path.nlri().prefix().prefix_len()};
}

}  // namespace

Result<> SimulatedGobgpd::serving() const {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: server stopped");
  if (global_.asn() == 0) return fail(ErrorCode::internal, "gobgpd: bgp server hasn't started yet");
  return {};
}

Result<api::Global> SimulatedGobgpd::get_bgp() {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: server stopped");
  return global_;
}

Result<> SimulatedGobgpd::start_bgp(const api::Global& global) {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: server stopped");
  const auto id = IpAddress::parse(global.router_id());
  if (!id || id->family != IpFamily::v4) return fail(ErrorCode::internal, "gobgpd: invalid router-id format: " + global.router_id());
  global_ = global;
  if (global_.listen_port() == 0) global_.set_listen_port(179);
  if (global_.listen_addresses_size() == 0) {
    global_.add_listen_addresses("0.0.0.0");
    global_.add_listen_addresses("::");
  }
  policies_ = {};
  return {};
}

Result<> SimulatedGobgpd::stop_bgp(bool allow_graceful_restart) {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: BGP server is not running");
  for (auto& [neighbor, peer] : peers_) remove(peer, !allow_graceful_restart || !peer.graceful);
  peers_.clear();
  table_.clear();
  global_ = {};
  stopped_ = true;
  return {};
}

Result<SimulatedGobgpd::Peer> SimulatedGobgpd::completed(api::Peer conf) const {
  Peer out;
  const auto neighbor = IpAddress::parse(conf.conf().neighbor_address());
  if (!neighbor) return fail(ErrorCode::internal, "gobgpd: NeighborAddress is not configured");
  out.neighbor = *neighbor;
  if (conf.conf().local_asn() == 0) conf.mutable_conf()->set_local_asn(global_.asn());
  if (conf.conf().local_asn() == conf.conf().peer_asn()) {
    if (conf.conf().remove_private() != 0) return fail(ErrorCode::internal, "gobgpd: can't set remove-private-as for iBGP peer");
    if (conf.conf().replace_peer_asn()) return fail(ErrorCode::internal, "gobgpd: can't set replace-peer-as for iBGP peer");
  }
  api::TimersConfig& timers = *conf.mutable_timers()->mutable_config();
  if (timers.connect_retry() == 0) timers.set_connect_retry(120);
  if (timers.hold_time() == 0) timers.set_hold_time(90);
  if (timers.keepalive_interval() == 0) timers.set_keepalive_interval(timers.hold_time() / 3);
  if (conf.afi_safis_size() == 0) {
    api::Family& family = *conf.add_afi_safis()->mutable_config()->mutable_family();
    family.set_afi(neighbor->family == IpFamily::v4 ? 1 : 2);
    family.set_safi(unicast);
  }
  for (api::AfiSafi& family : *conf.mutable_afi_safis()) family.mutable_config()->set_enabled(true);
  if (conf.graceful_restart().enabled()) {
    api::GracefulRestart& restart = *conf.mutable_graceful_restart();
    if (restart.restart_time() == 0) restart.set_restart_time(static_cast<std::uint32_t>(timers.hold_time()));
    if (restart.deferral_time() == 0) restart.set_deferral_time(360);
  }
  if (conf.ebgp_multihop().enabled() && conf.ebgp_multihop().multihop_ttl() == 0) conf.mutable_ebgp_multihop()->set_multihop_ttl(255);
  out.restarting = conf.graceful_restart().local_restarting();
  conf.mutable_transport()->clear_remote_address();
  conf.mutable_transport()->clear_mtu_discovery();
  conf.mutable_graceful_restart()->clear_stale_routes_time();
  conf.mutable_graceful_restart()->clear_local_restarting();
  conf.clear_state();
  out.conf = std::move(conf);
  return out;
}

// What makes gobgpd say goodbye and begin anew.
bool SimulatedGobgpd::other_session(const api::Peer& a, const api::Peer& b) {
  api::Peer one = a, other = b;
  one.clear_timers();
  other.clear_timers();
  return one.SerializeAsString() != other.SerializeAsString();
}

Result<> SimulatedGobgpd::add_peer(const api::Peer& peer) {
  if (const auto answers = serving(); !answers) return answers;
  auto made = completed(peer);
  if (!made) return fail(made.error());
  const IpAddress neighbor = made->neighbor;
  if (peers_.contains(neighbor)) return fail(ErrorCode::internal, "gobgpd: can't overwrite the existing peer: " + neighbor.to_string());
  begin(peers_.emplace(neighbor, std::move(*made)).first->second);
  return {};
}

Result<> SimulatedGobgpd::update_peer(const api::Peer& peer) {
  if (const auto answers = serving(); !answers) return answers;
  auto made = completed(peer);
  if (!made) return fail(made.error());
  const auto known = peers_.find(made->neighbor);
  if (known == peers_.end()) return fail(ErrorCode::internal, "gobgpd: neighbor that has " + made->neighbor.to_string() + " doesn't exist");
  if (!other_session(known->second.conf, made->conf)) {
    *known->second.conf.mutable_timers() = made->conf.timers();
    return {};
  }
  remove(known->second, true);
  known->second = std::move(*made);
  begin(known->second);
  return {};
}

Result<> SimulatedGobgpd::delete_peer(const std::string& address) {
  if (const auto answers = serving(); !answers) return answers;
  const auto neighbor = IpAddress::parse(address);
  const auto known = neighbor ? peers_.find(*neighbor) : peers_.end();
  if (known == peers_.end()) return fail(ErrorCode::internal, "gobgpd: can't delete a peer configuration for " + address);
  remove(known->second, true);
  peers_.erase(known);
  return {};
}

Result<std::vector<api::Peer>> SimulatedGobgpd::list_peers() {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: server stopped");
  std::vector<api::Peer> out;
  for (const auto& [neighbor, peer] : peers_) out.push_back(shown(peer));
  return out;
}

api::Peer SimulatedGobgpd::shown(const Peer& peer) const {
  api::Peer out = peer.conf;
  out.mutable_graceful_restart()->set_local_restarting(peer.restarting);
  out.mutable_timers()->mutable_config()->clear_minimum_advertisement_interval();
  api::PeerState& state = *out.mutable_state();
  state.set_neighbor_address(peer.neighbor.to_string());
  state.set_peer_asn(peer.conf.conf().peer_asn());
  state.set_local_asn(peer.conf.conf().local_asn());
  state.set_session_state(peer.state);
  state.set_admin_state(peer.conf.conf().admin_down() ? 2 : 1);
  state.set_flops(peer.flaps);
  state.set_router_id(peer.connection ? peer.neighbor.to_string() : "invalid IP");
  state.mutable_messages()->mutable_sent()->set_open(peer.opens);
  state.mutable_messages()->mutable_sent()->set_update(peer.updates);
  state.set_disconnect_reason(peer.disconnect_reason);
  state.set_out_q(static_cast<std::uint32_t>(peer.waiting.size()));
  if (!peer.connection) return out;
  if (peer.graceful) state.add_remote_cap()->mutable_graceful_restart();
  for (const IpFamily family : peer.several_paths) {
    auto& tuple = *state.add_remote_cap()->mutable_add_path()->add_tuples();
    tuple.mutable_family()->set_afi(family == IpFamily::v4 ? 1 : 2);
    tuple.mutable_family()->set_safi(unicast);
    tuple.set_mode(1);
  }
  return out;
}

Result<std::vector<api::Path>> SimulatedGobgpd::list_paths(const api::Family& family) {
  if (const auto answers = serving(); !answers) return fail(answers.error());
  std::vector<api::Path> out;
  for (const auto& [prefix, destination] : table_) {
    if (family_of(family) != prefix.address.family) continue;
    Destination best_first = destination;
    std::ranges::sort(best_first, {}, rank);
    for (const Path& path : best_first) {
      api::Path message = path.message;
      message.set_neighbor_ip(path.source.empty() ? "invalid IP" : path.source);
      message.set_is_withdraw(false);
      out.push_back(std::move(message));
    }
  }
  return out;
}

bool SimulatedGobgpd::can_read(const api::Path& path) {
  return prefix_of(path) && family_of(path.family()) && (path.is_withdraw() || route_of(path));
}

Result<> SimulatedGobgpd::change_paths(const std::vector<api::Path>& paths) {
  // All of a message is read before anything is done.
  if (!std::ranges::all_of(paths, can_read)) return fail(ErrorCode::internal, "gobgpd: nexthop not found");
  if (const auto answers = serving(); !answers) return answers;
  for (const api::Path& message : paths) {
    const Prefix prefix = *prefix_of(message);
    Destination& destination = table_[prefix];
    std::optional<Path> old_best;
    if (const Path* before = best(destination)) old_best = *before;
    const auto known = std::ranges::find_if(
        destination, [&](const Path& path) { return path.source.empty() && path.identifier == message.identifier(); });
    if (message.is_withdraw()) {
      if (known != destination.end()) {
        const Path gone = std::move(*known);
        destination.erase(known);
        propagate(prefix, gone, true, old_best);
      }
    } else {
      Path path{{}, message.identifier(), 0, *route_of(message), message, ++ages_};
      if (known != destination.end()) {
        path.number = known->number;
        *known = path;
      } else {
        path.number = 1;
        while (std::ranges::find(destination, path.number, &Path::number) != destination.end()) ++path.number;
        destination.push_back(path);
      }
      propagate(prefix, path, false, old_best);
    }
    if (destination.empty()) table_.erase(prefix);
  }
  return {};
}

Result<> SimulatedGobgpd::set_policy_assignment(const api::SetPolicyAssignmentRequest& request) {
  if (const auto answers = serving(); !answers) return answers;
  return policies_.assign(request);
}

Result<> SimulatedGobgpd::set_policies(const api::SetPoliciesRequest& request) {
  if (stopped_) return fail(ErrorCode::internal, "gobgpd: server stopped");
  return policies_.set(request);
}

Result<> SimulatedGobgpd::soft_reset_out(const std::string& address) {
  if (const auto answers = serving(); !answers) return answers;
  const auto one = IpAddress::parse(address);
  if (address != "all" && (!one || !peers_.contains(*one)))
    return fail(ErrorCode::internal, "gobgpd: neighbor that has " + address + " doesn't exist");
  for (auto& [neighbor, peer] : peers_)
    if (peer.connection && (!one || neighbor == *one)) tell_all(peer, true);
  return {};
}

std::size_t SimulatedGobgpd::paths() const {
  std::size_t out = 0;
  for (const auto& [prefix, destination] : table_) out += destination.size();
  return out;
}

}  // namespace berth::sim
