#include "plan/bgp_config.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>
#include <type_traits>

#include <fmt/format.h>

#include "base/result.hpp"
#include "base/text.hpp"
#include "plan/advertise.hpp"

namespace berth {
namespace {

constexpr std::uint32_t default_send_max = 10;  // OpenELB's
// Nothing of what a router sends is used, but the engine keeps it. A hundred thousand is about 60 MB; a whole table of the internet is ten
// times that, which is a mistake at the router.
constexpr std::uint32_t default_maximum_prefixes = 100'000;
constexpr IpRange link_local{{IpFamily::v6, IpNumber{0xFE80} << 112}, {IpFamily::v6, (IpNumber{0xFEC0} << 112) - 1}};  // fe80::/10

Result<std::uint64_t> parse_seconds(std::string_view field, const std::string& text, std::uint64_t fallback, std::uint64_t least) {
  if (text.empty()) return fallback;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > 65535 || value < least)
    return fail(ErrorCode::invalid,
                fmt::format("spec.timers.config.{} is \"{}\": write whole seconds from {} to 65535", field, clipped(text, 40), least));
  return value;
}

bool is_cni_duty(const Labels& labels) { return labels.contains(keys::cni); }

// IPv4 notation is all that a router id is; an IPv6-only node gets one from its name (FNV-1a).
std::string router_id_of(const Node& node) {
  for (const IpAddress& ip : node.internal_ips)
    if (ip.family == IpFamily::v4) return ip.to_string();
  std::uint32_t hash = 2166136261U;
  for (const char c : node.name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return IpAddress::v4(hash | 0x01000000U).to_string();
}

void apply_graceful_restart(const GracefulRestart& from, BgpPeerConfig& to) {
  if (from.enabled) to.graceful_restart = *from.enabled;
  if (from.restart_time_s != 0) to.restart_time_s = std::min(from.restart_time_s, 4095U);  // 12 bits, RFC 4724 §3
  if (from.deferral_time_s != 0) to.deferral_time_s = from.deferral_time_s;
  to.notification_enabled = from.notification_enabled;
  to.long_lived_enabled = from.long_lived_enabled;
  to.stale_routes_time_s = from.stale_routes_time_s;
  to.helper_only = from.helper_only;
}

// What the BgpPeer does not say is as its group says. Nothing, 0 and false are not said.
BgpPeer in_group(BgpPeer peer, const BgpPeer& group) {
  const auto take = [](auto& to, const auto& from) {
    if (to == std::remove_cvref_t<decltype(to)>{}) to = from;
  };
  if (peer.password_secret.empty()) take(peer.auth_password, group.auth_password);
  if (peer.auth_password.empty()) take(peer.password_secret, group.password_secret);
  if (peer.neighbor_address.empty() && peer.neighbor_interface.empty()) take(peer.neighbor_annotation, group.neighbor_annotation);
  take(peer.description, group.description);
  take(peer.local_as, group.local_as);
  take(peer.peer_as, group.peer_as);
  take(peer.maximum_prefixes, group.maximum_prefixes);
  take(peer.admin_down, group.admin_down);
  take(peer.allow_own_as, group.allow_own_as);
  take(peer.remove_private_as, group.remove_private_as);
  take(peer.replace_peer_as, group.replace_peer_as);
  if (!peer.minimum_ttl) take(peer.ebgp_multihop_ttl, group.ebgp_multihop_ttl);
  if (peer.ebgp_multihop_ttl == 0) take(peer.minimum_ttl, group.minimum_ttl);
  take(peer.bfd, group.bfd);
  take(peer.connect_retry, group.connect_retry);
  take(peer.hold_time, group.hold_time);
  take(peer.keepalive_interval, group.keepalive_interval);
  take(peer.minimum_advertisement_interval, group.minimum_advertisement_interval);
  take(peer.passive, group.passive);
  take(peer.remote_port, group.remote_port);
  take(peer.tcp_mss, group.tcp_mss);
  take(peer.mtu_discovery, group.mtu_discovery);
  take(peer.local_address, group.local_address);
  take(peer.bind_interface, group.bind_interface);
  take(peer.graceful_restart, group.graceful_restart);
  take(peer.families, group.families);
  take(peer.node_selector, group.node_selector);
  return peer;
}

class Configurer {
 public:
  Configurer(const World& world, const std::string& node, const BgpDesired& previous, const std::set<IpAddress>& callers)
      : world_(world), node_(node), self_(world.nodes.find(node)), previous_(previous), callers_(callers) {}

  BgpConfiguration run() {
    const BgpConf* conf = world_.bgp_confs.find("default");
    if (conf == nullptr || conf->deleting || is_cni_duty(conf->labels)) return {};
    if (self_ == nullptr) {  // it left; sessions stay until this process is told to go
      report(*conf, fmt::format("there is no Node {}: a speaker needs the name of the Node it runs on (--node-name)", node_));
      out_.global = previous_.global;
      out_.peers = previous_.peers;
      out_.policy = previous_.policy;
      out_.own_next_hops = previous_.own_next_hops;
      return std::move(out_);
    }
    configure_peers(*conf);
    configure_global(*conf);
    check_advertisements(*conf);
    choose_policy(*conf);
    if (!out_.global) out_.peers.clear();
    return std::move(out_);
  }

 private:
  struct Neighbor {
    IpRange range;  // of one address, mostly
    std::string text;
    Zone zone = {};  // of neighborInterface
    [[nodiscard]] bool is_range() const { return range.first != range.last; }
    [[nodiscard]] bool is_link() const { return !zone.empty(); }
    [[nodiscard]] std::string words() const {
      return fmt::format("spec.conf.{} {}", is_link() ? "neighborInterface" : "neighborAddress", text);
    }
  };

  // What they say is used by plan/advertise.hpp.
  void check_advertisements(const BgpConf& conf) {
    const Advertiser advertiser{&conf};
    for (const std::string& problem : advertiser.problems()) report(conf, problem);
    for (std::size_t i = 0; i < conf.advertisements.size(); ++i)
      for (const std::string& peer : conf.advertisements[i].peers)
        if (world_.bgp_peers.find(peer) == nullptr)
          report(conf, fmt::format("spec.advertisements[{}].peers: there is no BgpPeer \"{}\"", i, clipped(peer, 60)));
  }

  void choose_policy(const BgpConf& conf) {
    if (conf.policy.empty()) return;
    out_.policy = previous_.policy;
    const PolicyConfigMap* map = world_.policy_config_maps.find(conf.policy);
    if (map == nullptr)
      report(conf, fmt::format("spec.policy: there is no ConfigMap \"{}\" in Berth's namespace{}; what was in force stays",
                               clipped(conf.policy, 60), world_.policy_config_maps.synced() ? "" : ", or it could not be read yet"));
    else if (!map->text)
      report(conf,
             fmt::format("spec.policy: the ConfigMap \"{}\" has no key \"gobgp.conf\"; what was in force stays", clipped(conf.policy, 60)));
    else
      out_.policy = *map->text;
  }

  void configure_global(const BgpConf& conf) {
    BgpGlobal global;
    const std::optional<std::uint32_t> of_rack = rack_as(conf);
    const bool by_rack = of_rack.has_value();
    global.as = of_rack.value_or(conf.as);
    if (global.as == 0) {
      report(conf, "spec.as is 0: set this cluster's AS number, 1 to 4294967295");
      out_.global = previous_.global;
      return;
    }
    global.router_id = router_id(conf, by_rack);
    global.listen_port = listen_port(conf);
    global.listen_addresses = conf.listen_addresses;
    if (std::ranges::any_of(conf.families, [](std::uint32_t family) { return family > 1; }))
      report(conf, "spec.families: only 0 (IPv4) and 1 (IPv6) are announced; the others count for nothing");
    global.use_multiple_paths = conf.use_multiple_paths;
    out_.global = std::move(global);
  }

  [[nodiscard]] std::optional<std::uint32_t> rack_as(const BgpConf& conf) const {
    const auto rack = self_->labels.find(keys::rack);
    if (rack == self_->labels.end()) return std::nullopt;
    const auto as = conf.as_per_rack.find(rack->second);
    if (as == conf.as_per_rack.end() || as->second == 0) return std::nullopt;
    return as->second;
  }

  // OpenELB puts a configured router id on every node alike, and routers may drop the second session.
  std::string router_id(const BgpConf& conf, bool by_rack) {
    const std::string own = router_id_of(*self_);
    if (conf.router_id.empty() || by_rack) return own;
    const auto written = IpAddress::parse(conf.router_id);
    if (!written || written->family != IpFamily::v4 || written->number == 0) {
      report(conf,
             fmt::format("spec.routerId \"{}\" is no IPv4 notation: the node's address {} is used", clipped(conf.router_id, 60), own));
      return own;
    }
    if (world_.nodes.rows().size() > 1) {
      report(conf, fmt::format("spec.routerId {} would be the same on every node: each node's own address is used instead; "
                               "leave the field empty",
                               conf.router_id));
      return own;
    }
    return conf.router_id;
  }

  std::int32_t listen_port(const BgpConf& conf) {
    if (conf.listen_port == -1) return -1;
    if (conf.listen_port < 0 || conf.listen_port > 65535) {
      report(conf, fmt::format("spec.listenPort {} is not from 1 to 65535, nor -1 for none: none is used", conf.listen_port));
      return -1;
    }
    if (conf.listen_port > 0) return conf.listen_port;
    const bool passive = std::ranges::any_of(out_.peers, &BgpPeerConfig::passive);
    const bool ranges = std::ranges::any_of(out_.ranges, &Zone::empty, &BgpNeighborRange::zone);
    return passive || ranges ? 179 : -1;
  }

  void configure_peers(const BgpConf& conf) {
    std::set<IpAddress> taken;
    std::set<std::string> groups;
    std::vector<std::pair<BgpPeerConfig, Neighbor>> ranges;  // after those that have an address of their own
    for (const auto& [name, peer] : world_.bgp_peers.rows()) groups.insert(peer.peer_group);
    for (const auto& [name, written] : world_.bgp_peers.rows()) {
      if (written.deleting || is_cni_duty(written.labels)) continue;
      if (written.neighbor_address.empty() && written.neighbor_annotation.empty() && written.neighbor_interface.empty() &&
          groups.contains(name))
        continue;  // no router
      const auto joined = join(written);
      if (!joined) {
        report(written, joined.error().text);
        keep_previous(name, taken);
        continue;
      }
      const BgpPeer& peer = *joined;
      if (peer.node_selector && !peer.node_selector->matches(self_->labels)) continue;
      const auto neighbor = neighbor_of(peer);
      auto config = neighbor ? configure_peer(conf, peer, *neighbor) : fail(neighbor.error());
      if (!config) {
        report(peer, config.error().text);
        keep_previous(name, taken);
        continue;
      }
      if (neighbor->is_range()) {
        note_range(conf, peer, *neighbor);
        ranges.emplace_back(std::move(*config), *neighbor);
        continue;
      }
      if (!taken.insert(config->neighbor).second) {
        report(peer, fmt::format("spec.conf.neighborAddress {} is another BgpPeer's too: the first by name is used",
                                 config->neighbor.to_string()));
        continue;
      }
      out_.peers.push_back(std::move(*config));
    }
    for (const auto& [config, range] : ranges) take_callers(config, range, taken);
    if (std::ranges::any_of(ranges, [](const auto& one) { return one.second.is_link(); })) out_.own_next_hops = self_->internal_ips;
    std::ranges::sort(out_.peers, {}, &BgpPeerConfig::neighbor);
  }

  void note_range(const BgpConf& conf, const BgpPeer& peer, const Neighbor& neighbor) {
    if (conf.listen_port == -1 && !neighbor.is_link())
      report(peer, fmt::format("spec.conf.neighborAddress {} is a range, whose routers connect: but spec.listenPort of the BgpConf is -1, "
                               "which is for none",
                               neighbor.text));
    for (const BgpNeighborRange& other : out_.ranges)
      if (other.zone == neighbor.zone && other.range.overlaps(neighbor.range))
        report(peer, fmt::format("{} overlaps {} of the BgpPeer \"{}\", who has the routers that are in both", neighbor.words(), other.text,
                                 other.object));
    out_.ranges.push_back({peer.name, neighbor.text, neighbor.range, neighbor.zone});
  }

  void take_callers(const BgpPeerConfig& of_all, const Neighbor& of, std::set<IpAddress>& taken) {
    for (auto caller = callers_.lower_bound(of.range.first); caller != callers_.end() && of.range.contains(*caller); ++caller) {
      if (caller->zone != of.zone || !taken.insert(*caller).second) continue;
      BgpPeerConfig& config = out_.peers.emplace_back(of_all);
      config.neighbor = *caller;
      if (config.bfd) config.bfd->neighbor = *caller;
    }
  }

  Result<BgpPeer> join(const BgpPeer& peer) const {
    if (peer.peer_group.empty()) return peer;
    const BgpPeer* group = world_.bgp_peers.find(peer.peer_group);
    const std::string name = clipped(peer.peer_group, 60);
    if (group == nullptr) return fail(ErrorCode::invalid, fmt::format("spec.conf.peerGroup: there is no BgpPeer \"{}\"", name));
    if (!group->peer_group.empty())
      return fail(ErrorCode::invalid,
                  fmt::format("spec.conf.peerGroup: the BgpPeer \"{}\" is in a group itself; take that out there", name));
    return in_group(peer, *group);
  }

  void keep_previous(const std::string& object, std::set<IpAddress>& taken) {
    for (const BgpPeerConfig& before : previous_.peers)
      if (before.object == object && taken.insert(before.neighbor).second) out_.peers.push_back(before);
  }

  // Of a range: with its first address in the place of the router's.
  Result<BgpPeerConfig> configure_peer(const BgpConf& conf, const BgpPeer& peer, const Neighbor& of) {
    const auto refuse = [](std::string text) { return fail(ErrorCode::invalid, std::move(text)); };
    const IpAddress neighbor = of.range.first;
    if (peer.peer_as == 0) return refuse("spec.conf.peerAs is 0: set the router's AS number, 1 to 4294967295");
    if (peer.remote_port > 65535) return refuse(fmt::format("spec.transport.remotePort {} is not from 1 to 65535", peer.remote_port));
    if (peer.ebgp_multihop_ttl > 255)
      return refuse(fmt::format("spec.ebgpMultihop.multihopTtl {} is not from 1 to 255", peer.ebgp_multihop_ttl));
    auto bfd = configure_bfd(peer, neighbor);
    if (!bfd) return fail(bfd.error());
    const auto password = password_of(peer);
    if (!password) return fail(password.error());
    if (of.is_range() && !password->empty())
      return refuse(
          fmt::format("{} is no one address, so it can't have a password: TCP MD5 (RFC 2385) is by address; "
                      "take authPassword or passwordSecret out, or write a BgpPeer with an address for each router",
                      of.words()));
    if (of.is_link() && (peer.ebgp_multihop_ttl != 0 || (*bfd && (*bfd)->multihop)))
      return refuse(of.words() + " has the router at its other end: take spec.ebgpMultihop and spec.bfd.multihop out");
    if (!of.is_link() && neighbor.is_link_local())
      return refuse(
          fmt::format("{} is link-local, so there may be one on each link: write spec.conf.neighborInterface instead", of.words()));
    const auto local = IpAddress::parse(peer.local_address);
    if (!peer.local_address.empty() && (!local || local->family != neighbor.family))
      return refuse(fmt::format("spec.transport.localAddress \"{}\" is no IP address of the family of the router's",
                                clipped(peer.local_address, 60)));
    if (peer.bind_interface.size() > 15 || peer.bind_interface.find_first_of("/ \t\n") != std::string::npos)
      return refuse(fmt::format("spec.transport.bindInterface \"{}\" is no name of an interface", clipped(peer.bind_interface, 60)));
    if (peer.minimum_ttl && (*peer.minimum_ttl < 1 || *peer.minimum_ttl > 255))
      return refuse(fmt::format("spec.ttlSecurity.minimumTtl {} is not from 1 to 255", *peer.minimum_ttl));
    if (peer.minimum_ttl && peer.ebgp_multihop_ttl != 0)
      return refuse("spec.ttlSecurity and spec.ebgpMultihop exclude each other: a router that is n hops away has minimumTtl 256 - n");
    const auto remote = IpAddress::parse(peer.remote_address);
    if (!peer.remote_address.empty() && !remote)
      return refuse(fmt::format("spec.transport.remoteAddress \"{}\" is no IP address", clipped(peer.remote_address, 60)));
    if (remote && *remote != neighbor)
      report(peer, fmt::format("spec.transport.remoteAddress {} has no effect: GoBGP connects to spec.conf.neighborAddress; put it there",
                               peer.remote_address));
    const std::uint32_t own = peer.local_as != 0 ? peer.local_as : rack_as(conf).value_or(conf.as);
    if (own == peer.peer_as && peer.remove_private_as != "NONE" && !peer.remove_private_as.empty())
      return refuse("spec.conf.removePrivateAs makes no sense for a router of our own AS: take it out");
    if (own == peer.peer_as && peer.replace_peer_as)
      return refuse("spec.conf.replacePeerAs makes no sense for a router of our own AS: take it out");

    BgpPeerConfig out;
    // RFC 4271 §4.2: 0 or at least 3; 0 would leave a dead session standing for ever.
    const auto hold = parse_seconds("holdTime", peer.hold_time, 90, 3);
    if (!hold) return fail(hold.error());
    const auto keepalive = parse_seconds("keepaliveInterval", peer.keepalive_interval, std::max<std::uint64_t>(*hold / 3, 1), 1);
    if (!keepalive) return fail(keepalive.error());
    const auto retry = parse_seconds("connectRetry", peer.connect_retry, out.connect_retry_s, 1);
    if (!retry) return fail(retry.error());
    const auto spacing = parse_seconds("minimumAdvertisementInterval", peer.minimum_advertisement_interval, 0, 0);
    if (!spacing) return fail(spacing.error());
    out.hold_time_s = *hold;
    out.keepalive_interval_s = *keepalive;
    out.connect_retry_s = *retry;
    out.minimum_advertisement_interval_s = *spacing;
    out.object = peer.name;
    out.neighbor = neighbor;
    out.peer_as = peer.peer_as;
    out.local_as = peer.local_as;
    out.auth_password = *password;
    out.description = peer.description;
    out.peer_group = peer.peer_group;
    out.admin_down = peer.admin_down;
    out.allow_own_as = peer.allow_own_as;
    out.remove_private_as = peer.remove_private_as == "NONE" ? "" : peer.remove_private_as;
    out.replace_peer_as = peer.replace_peer_as;
    out.ebgp_multihop_ttl = peer.ebgp_multihop_ttl;
    out.minimum_ttl = static_cast<std::uint32_t>(peer.minimum_ttl.value_or(0));
    out.passive = peer.passive;
    out.remote_address = peer.remote_address;
    out.remote_port = peer.remote_port;
    out.tcp_mss = peer.tcp_mss;
    out.mtu_discovery = peer.mtu_discovery;
    out.local_address = local ? local->to_string() : "";
    out.bind_interface = peer.bind_interface;
    out.bfd = *bfd;
    out.bfd_strict = peer.bfd && peer.bfd->strict;
    if (conf.graceful_restart) apply_graceful_restart(*conf.graceful_restart, out);
    if (peer.graceful_restart) apply_graceful_restart(*peer.graceful_restart, out);
    if (out.bfd && out.graceful_restart && !out.helper_only) out.bfd->restart_time = std::chrono::seconds{out.restart_time_s};
    auto families = configure_families(conf, peer, of, out.graceful_restart);
    if (!families) return fail(families.error());
    out.families = std::move(*families);
    for (auto& family : out.families)
      family.maximum_prefixes = peer.maximum_prefixes == 0 ? default_maximum_prefixes : peer.maximum_prefixes;
    return out;
  }

  Result<Neighbor> neighbor_of(const BgpPeer& peer) const {
    if (!peer.has_conf) return fail(ErrorCode::invalid, "spec.conf is missing: give spec.conf.neighborAddress and spec.conf.peerAs");
    const std::string& key = peer.neighbor_annotation;
    if (!key.empty() && !peer.neighbor_address.empty())
      return fail(ErrorCode::invalid, "spec.conf.neighborAddress and neighborAddressAnnotation exclude each other: take one out");
    std::string text = peer.neighbor_address;
    if (text.empty() && key.empty() && !peer.neighbor_interface.empty()) {
      const std::string name = clipped(peer.neighbor_interface, 60);
      if (const auto zone = Zone::of(peer.neighbor_interface)) return Neighbor{link_local, name, *zone};
      return fail(ErrorCode::invalid, fmt::format("spec.conf.neighborInterface \"{}\" is no name of an interface", name));
    }
    if (!key.empty()) {
      const auto annotation = self_->annotations.find(key);
      if (annotation == self_->annotations.end())
        return fail(ErrorCode::invalid, fmt::format("spec.conf.neighborAddressAnnotation: the Node {} has no annotation \"{}\" with the "
                                                    "router's address (a key has kubesphere.io/ in it)",
                                                    node_, clipped(key, 100)));
      text = annotation->second;
    }
    if (const auto neighbor = IpAddress::parse(text)) return Neighbor{{*neighbor, *neighbor}, text};
    if (text.find('/') != std::string::npos)
      if (const auto range = parse_ip_range(text)) return Neighbor{*range, text};
    const std::string_view wanted = "is no IP address, and no range like 192.0.2.0/24";
    if (!key.empty())
      return fail(ErrorCode::invalid, fmt::format("spec.conf.neighborAddressAnnotation: \"{}\", which the annotation \"{}\" of the Node {} "
                                                  "says, {}",
                                                  clipped(text, 60), clipped(key, 100), node_, wanted));
    return fail(ErrorCode::invalid, fmt::format("field Spec.Conf.NeighborAddress invalid: \"{}\" {}", clipped(text, 60), wanted));
  }

  Result<std::string> password_of(const BgpPeer& peer) const {
    if (peer.password_secret.empty()) return peer.auth_password;
    if (!peer.auth_password.empty())
      return fail(ErrorCode::invalid, "spec.conf.authPassword and passwordSecret exclude each other: take authPassword out");
    const PasswordSecret* secret = world_.password_secrets.find(peer.password_secret);
    if (secret == nullptr)
      return fail(ErrorCode::invalid,
                  fmt::format("spec.conf.passwordSecret: there is no Secret \"{}\" of type kubernetes.io/basic-auth in Berth's namespace{}",
                              clipped(peer.password_secret, 60), world_.password_secrets.synced() ? "" : ", or it could not be read yet"));
    if (!secret->password)
      return fail(ErrorCode::invalid,
                  fmt::format("spec.conf.passwordSecret: the Secret \"{}\" has no key \"password\"", clipped(peer.password_secret, 60)));
    return *secret->password;
  }

  // Ranges as MetalLB's, with the unit in the name: kube-vip once gave 300 ms to a field of microseconds.
  static Result<std::optional<BfdPeer>> configure_bfd(const BgpPeer& peer, const IpAddress& neighbor) {
    if (!peer.bfd) return std::optional<BfdPeer>{};
    const BgpPeer::Bfd& bfd = *peer.bfd;
    for (const auto& [field, value, least, most] : {std::tuple{"minTxIntervalMs", bfd.min_tx_ms, 10, 60'000},
                                                    {"minRxIntervalMs", bfd.min_rx_ms, 10, 60'000},
                                                    {"detectMultiplier", bfd.multiplier, 2, 255},
                                                    {"minimumTtl", bfd.min_ttl, 1, 254}})
      if (value < least || value > most)
        return fail(ErrorCode::invalid, fmt::format("spec.bfd.{} {} is not from {} to {}", field, value, least, most));
    return BfdPeer{.neighbor = neighbor,
                   .settings = {.min_tx = std::chrono::milliseconds{bfd.min_tx_ms},
                                .min_rx = std::chrono::milliseconds{bfd.min_rx_ms},
                                .multiplier = static_cast<std::uint8_t>(bfd.multiplier),
                                .passive = bfd.passive},
                   .multihop = bfd.multihop.value_or(peer.ebgp_multihop_ttl != 0),
                   .min_ttl = static_cast<std::uint8_t>(bfd.min_ttl)};
  }

  Result<std::vector<BgpPeerConfig::Family>> configure_families(const BgpConf& conf,
                                                                const BgpPeer& peer,
                                                                const Neighbor& of,
                                                                bool graceful_restart) {
    const IpFamily own = of.range.first.family;
    std::vector<BgpPeerConfig::Family> out;
    for (const BgpPeer::Family& written : peer.families) {
      if (!written.enabled) continue;
      if (!written.safi.empty() && written.safi != "SAFI_UNICAST")
        return fail(ErrorCode::invalid,
                    fmt::format("spec.afiSafis config.family.safi \"{}\": only SAFI_UNICAST is announced", clipped(written.safi, 40)));
      IpFamily family = own;
      if (written.afi == "AFI_IP")
        family = IpFamily::v4;
      else if (written.afi == "AFI_IP6")
        family = IpFamily::v6;
      else if (!written.afi.empty())
        return fail(ErrorCode::invalid,
                    fmt::format("spec.afiSafis config.family.afi \"{}\": write AFI_IP or AFI_IP6", clipped(written.afi, 40)));
      if (std::ranges::find(out, family, &BgpPeerConfig::Family::family) != out.end()) continue;
      out.push_back({family, graceful_restart, written.add_path_receive, std::min(written.add_path_send_max, 255U)});
    }
    if (!out.empty()) return out;
    // GoBGP's numbers of families, OpenELB's way to say what routers are told that have no afiSafis.
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
      if (std::ranges::find(conf.families, family == IpFamily::v4 ? 0U : 1U) != conf.families.end())
        out.push_back({family, graceful_restart, false, send_max()});
    if (!out.empty()) return out;
    if (of.is_link()) out.push_back({IpFamily::v4, graceful_restart, false, send_max()});  // RFC 8950
    out.push_back({own, graceful_restart, false, send_max()});
    return out;
  }

  // At least OpenELB's 10, and enough for every node. In steps, since a change resets the session; 255
  // is what the engine's field holds.
  [[nodiscard]] std::uint32_t send_max() const {
    const std::size_t nodes = world_.nodes.rows().size();
    if (nodes <= default_send_max) return default_send_max;
    return static_cast<std::uint32_t>(std::min<std::size_t>((nodes + 63) / 64 * 64, 255));
  }

  template <class T>
  void report(const T& object, std::string text) {
    out_.problems.push_back({std::is_same_v<T, BgpConf> ? "BgpConf" : "BgpPeer", object.name, object.uid, std::move(text)});
  }

  const World& world_;
  const std::string& node_;
  const Node* self_;
  const BgpDesired& previous_;
  const std::set<IpAddress>& callers_;
  BgpConfiguration out_;
};

}  // namespace

BgpConfiguration plan_bgp_configuration(const World& world,
                                        const std::string& node,
                                        const BgpDesired& previous,
                                        const std::set<IpAddress>& callers) {
  return Configurer{world, node, previous, callers}.run();
}

}  // namespace berth
