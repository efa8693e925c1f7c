// What users write into BgpConf, BgpPeers, and annotations of Services.
#include <algorithm>

#include <fmt/format.h>

#include "users.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t first_as = 64512;

}  // namespace

std::vector<BgpConf::Advertisement> BgpUsers::some_advertisements() {
  std::vector<BgpConf::Advertisement> out(rng_.below(4));
  for (BgpConf::Advertisement& one : out) {
    if (rng_.chance(0.5)) one.pools = {rng_.chance(0.5) ? "blue" : "red"};
    for (const auto& [address, router] : routers_)
      if (rng_.chance(0.3)) one.peers.push_back("peer-" + address.to_string());
    if (rng_.chance(0.5)) one.communities.push_back(one_of<std::string>({"64512:1", "64512:2", "64512:5:6", "ours", "a mistake"}));
    if (rng_.chance(0.3)) one.med = static_cast<std::int64_t>(rng_.below(3)) * 10 - 5;
    if (rng_.chance(0.3)) one.local_pref = 100 + static_cast<std::int64_t>(rng_.below(3)) * 50;
    if (rng_.chance(0.2)) one.as_path_prepend = static_cast<std::int64_t>(rng_.below(4));
  }
  return out;
}

std::string BgpUsers::advertise() {
  const BgpConf* known = cluster_.find<BgpConf>("default");
  if (known == nullptr) return "nothing";
  BgpConf conf = *known;
  conf.advertisements = some_advertisements();
  cluster_.put(conf);
  return "other advertisements";
}

std::string BgpUsers::annotate() {
  if (held_.empty()) return "nothing";
  const auto chosen = std::next(held_.begin(), static_cast<std::ptrdiff_t>(rng_.below(held_.size())));
  const Service* known = cluster_.find<Service>(addresses_[chosen->first].service);
  if (known == nullptr) return "nothing";
  note_before(addresses_[chosen->first]);
  Service service = *known;
  service.annotations.clear();
  if (rng_.chance(0.4)) service.annotations[std::string{keys::bgp_communities}] = one_of<std::string>({"64512:9", "64512:9,ours", "1:2:3"});
  if (rng_.chance(0.3)) service.annotations[std::string{keys::bgp_med}] = std::to_string(rng_.below(100));
  if (rng_.chance(0.3)) service.annotations[std::string{keys::bgp_local_pref}] = std::to_string(rng_.below(300));
  if (rng_.chance(0.2)) service.annotations[std::string{keys::bgp_as_path_prepend}] = std::to_string(rng_.below(4));
  if (rng_.chance(0.3)) {
    std::string peers;
    for (const auto& [address, router] : routers_)
      if (rng_.chance(0.5)) peers += (peers.empty() ? "peer-" : ",peer-") + address.to_string();
    if (!peers.empty()) service.annotations[std::string{keys::bgp_peers}] = peers;
  }
  cluster_.put(service);
  return "annotations of " + service.name.to_string();
}

// -- BgpPeers -------------------------------------------------------------------------------------

void BgpUsers::put_peer(BgpPeer peer) {
  good_.insert_or_assign(peer.name, peer);
  bad_.erase(peer.name);
  unknown_.erase(peer.name);
  touched_[*IpAddress::parse(peer.neighbor_address)] = time_.now();
  cluster_.put(std::move(peer));
  on_intent();
}

const BgpPeer* BgpUsers::peer_that_is_well() {
  std::vector<const BgpPeer*> well;
  for (const auto& [name, peer] : good_)
    if (!bad_.contains(name)) well.push_back(&peer);
  return well.empty() ? nullptr : one_of(well);
}

std::string BgpUsers::edit_session() {
  const BgpPeer* known = peer_that_is_well();
  if (known == nullptr) return "nothing";
  BgpPeer peer = *known;
  SimulatedRouter& router = *routers_.at(*IpAddress::parse(peer.neighbor_address));
  switch (rng_.below(6)) {
    case 0:
      peer.auth_password = fmt::format("secret {}", ++uids_);
      router.set_password(peer.auth_password);
      break;
    case 1: peer.graceful_restart = GracefulRestart{.enabled = rng_.chance(0.7), .restart_time_s = 60}; break;
    case 2: peer.ebgp_multihop_ttl = static_cast<std::uint32_t>(1 + rng_.below(200)); break;
    case 3: peer.allow_own_as = static_cast<std::uint32_t>(rng_.below(4)); break;
    case 4: peer.passive = !peer.passive; break;
    default:
      for (BgpPeer::Family& family : peer.families) family.add_path_send_max = family.add_path_send_max == 0 ? 10 : 0;
  }
  if (peer.passive != known->passive) touched_server_ = time_.now();  // gobgpd may begin to listen, or end
  put_peer(peer);
  return "the session of " + peer.name + " is to be another";
}

std::string BgpUsers::edit_harmlessly() {
  const BgpPeer* known = peer_that_is_well();
  if (known == nullptr) return "nothing";
  BgpPeer peer = *known;
  if (rng_.chance(0.5))
    peer.description = fmt::format("the {}th", ++uids_);
  else
    peer.hold_time = peer.hold_time == "120" ? "90" : "120";  // counts from the next session on
  good_.insert_or_assign(peer.name, peer);
  cluster_.put(peer);
  return "a harmless edit of " + peer.name;
}

std::string BgpUsers::edit_badly() {
  const BgpPeer* known = peer_that_is_well();
  // What was written a moment ago the speaker may never see without the mistake.
  if (known == nullptr || speaker_is_new() || time_.now() - touched(*IpAddress::parse(known->neighbor_address)) < 2min) return "nothing";
  BgpPeer peer = *known;
  switch (rng_.below(5)) {
    case 0: peer.neighbor_address = "192.0.2.256"; break;
    case 1: peer.peer_as = 0; break;
    case 2: peer.hold_time = "1"; break;
    case 3: peer.connect_retry = "soon"; break;
    default: peer.has_conf = false;
  }
  bad_.insert(peer.name);
  cluster_.put(peer);
  return "a bad edit of " + peer.name;
}

std::string BgpUsers::repair() {
  if (bad_.empty()) return "nothing";
  const std::string name = *bad_.begin();
  if (good_.at(name).passive) touched_server_ = time_.now();  // a speaker that began meanwhile listens from now on
  put_peer(good_.at(name));
  return name + " is repaired";
}

std::string BgpUsers::stop_or_start_peer() {
  const BgpPeer* known = peer_that_is_well();
  if (known == nullptr) return "nothing";
  BgpPeer peer = *known;
  peer.admin_down = !peer.admin_down;
  put_peer(peer);
  return fmt::format("{} is {}", peer.name, peer.admin_down ? "shut down" : "let up");
}

std::string BgpUsers::remove_or_add_peer() {
  const auto chosen = std::next(routers_.begin(), static_cast<std::ptrdiff_t>(rng_.below(routers_.size())));
  const std::string name = "peer-" + chosen->first.to_string();
  if (!good_.contains(name)) {
    BgpPeer peer = some_peer(*chosen->second);
    chosen->second->set_password("");
    put_peer(peer);
    return name + " is added";
  }
  if (good_.at(name).passive) touched_server_ = time_.now();
  touched_[chosen->first] = time_.now();
  good_.erase(name);
  bad_.erase(name);
  unknown_.erase(name);
  cluster_.remove<BgpPeer>(name);
  on_intent();
  return name + " is removed";
}

// -- BgpConf --------------------------------------------------------------------------------------

std::string BgpUsers::edit_global() {
  const BgpConf* known = cluster_.find<BgpConf>("default");
  if (known == nullptr) return "nothing";
  BgpConf conf = *known;
  if (conf_is_bad_) conf.as = first_as;
  conf_is_bad_ = false;
  const bool mended = conf.as != known->as;
  const std::size_t what = rng_.below(4);
  switch (what) {
    case 0: conf.as = conf.as == first_as ? first_as + 1 : first_as; break;
    case 1: conf.use_multiple_paths = !conf.use_multiple_paths; break;
    case 2: conf.listen_port = one_of<std::int32_t>({-1, 0, 1790}); break;
    default: conf.graceful_restart = GracefulRestart{.enabled = {}, .restart_time_s = static_cast<std::uint32_t>(60 + rng_.below(100))};
  }
  if (what < 3 || mended) touched_server_ = time_.now();
  if (what == 3)
    for (const auto& [address, router] : routers_) touched_[address] = time_.now();
  as_ = conf.as;
  cluster_.put(conf);
  on_intent();
  return what == 3 ? "another graceful restart" : "another server";
}

std::string BgpUsers::edit_global_badly() {
  const BgpConf* known = cluster_.find<BgpConf>("default");
  if (known == nullptr || speaker_is_new() || conf_is_bad_ || time_.now() - touched_server_ < 2min) return "nothing";
  BgpConf conf = *known;
  conf.as = 0;
  conf_is_bad_ = true;
  cluster_.put(conf);
  return "a bad edit of BgpConf";
}

std::string BgpUsers::remove_or_add_conf() {
  // Whether the speaker saw that it was away nobody knows, at first; and by that a peer that is written badly stays or goes.
  if (cluster_.find<BgpConf>("default") == nullptr && !bad_.empty() && time_.now() - touched_server_ < 30s) return "nothing";
  touched_server_ = time_.now();
  if (cluster_.find<BgpConf>("default") != nullptr) {
    cluster_.remove<BgpConf>("default");
    conf_is_bad_ = false;
    unknown_.insert(bad_.begin(), bad_.end());  // nothing goes on as before
    for (const auto& [address, router] : routers_) touched_[address] = time_.now();
    as_.reset();
    on_intent();
    return "BgpConf is deleted";
  }
  BgpConf conf;
  conf.name = "default";
  conf.as = first_as;
  conf.listen_port = -1;
  conf.community_names = {{"ours", "64512:777"}};
  as_ = conf.as;
  cluster_.put(conf);
  on_intent();
  return "BgpConf is created";
}

}  // namespace berth::sim
