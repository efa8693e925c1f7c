#include "plan/advertise.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

constexpr std::int64_t most_prepend = 10;
constexpr std::int64_t most_number = 4'294'967'295;
constexpr std::string_view annotations_begin = "berth.kubesphere.io/bgp-";
constexpr std::size_t most_of_a_list = 64;

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 11> well_known{{{"graceful-shutdown", 0},
                                                                                 {"accept-own", 1},
                                                                                 {"llgr-stale", 6},
                                                                                 {"no-llgr", 7},
                                                                                 {"blackhole", 666},
                                                                                 {"no-export", 65281},
                                                                                 {"no-advertise", 65282},
                                                                                 {"no-export-subconfed", 65283},
                                                                                 {"local-as", 65283},
                                                                                 {"no-peer", 65284},
                                                                                 {"nopeer", 65284}}};

std::optional<std::uint32_t> number(std::string_view text, std::int64_t most) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || out < 0 || out > most) return std::nullopt;
  return static_cast<std::uint32_t>(out);
}

std::vector<std::string_view> parts(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// FNV-1a: the same in every process, so that a restart changes no route.
std::uint32_t hash_of(const Advertising& advertising) {
  std::uint32_t out = 2166136261U;
  const auto add = [&out](std::string_view text) {
    for (const char c : text) out = (out ^ static_cast<unsigned char>(c)) * 16777619U;
    out = (out ^ 0xFFU) * 16777619U;
  };
  const auto add_say = [&](const Advertising::Say& say) {
    for (const std::string& peer : say.peers) add(peer);
    for (const BgpCommunity& community : say.attributes.communities)
      add(fmt::format("{}{}:{}:{}", community.large ? "large:" : "", community.a, community.b, community.c));
    const auto text = [](const std::optional<std::uint32_t>& value) { return value ? std::to_string(*value) : "-"; };
    add(fmt::format("{}/{}/{}", text(say.attributes.med), text(say.attributes.local_pref), text(say.prepend)));
  };
  if (advertising.service) add_say(*advertising.service);
  add("pool");
  for (const Advertising::Say& say : advertising.pool) add_say(say);
  return out;
}

// The first one that says something counts.
void join(const Advertising::Say& more, Advertising::Say& to) {
  for (const BgpCommunity& community : more.attributes.communities) to.attributes.add(community);
  if (!to.attributes.med) to.attributes.med = more.attributes.med;
  if (!to.attributes.local_pref) to.attributes.local_pref = more.attributes.local_pref;
  if (!to.prepend) to.prepend = more.prepend;
}

int shortest_prefix(IpFamily family) { return family == IpFamily::v4 ? 8 : 16; }

// Of a range that was written as one.
int prefix_length(const IpRange& range) {
  int length = range.first.bits();
  for (IpNumber rest = range.last.number - range.first.number; rest != 0; rest >>= 1U) --length;
  return length;
}

bool concerns(const Advertising::Say& say, const BgpPeerConfig& peer) {
  return say.peers.empty() || say.peers.contains(peer.object) || (!peer.peer_group.empty() && say.peers.contains(peer.peer_group));
}

// Absent: this router does not get it.
std::optional<Advertising::Say> for_peer(const Advertising& advertising, const BgpPeerConfig& peer) {
  Advertising::Say out;
  if (advertising.service) {
    if (!concerns(*advertising.service, peer)) return std::nullopt;
    join(*advertising.service, out);
  }
  bool wanted = advertising.pool.empty();
  for (const Advertising::Say& say : advertising.pool) {
    if (!concerns(say, peer)) continue;
    wanted = true;
    join(say, out);
  }
  if (!wanted) return std::nullopt;
  return out;
}

bool same_for_everybody(const Advertising& advertising) {
  const auto is_plain = [](const Advertising::Say& say) { return say.peers.empty() && say.prepend.value_or(0) == 0; };
  return (!advertising.service || is_plain(*advertising.service)) && std::ranges::all_of(advertising.pool, is_plain);
}

}  // namespace

Result<BgpCommunity> parse_community(std::string_view text, const std::map<std::string, std::string>& names) {
  const std::string_view given = text;
  if (const auto named = names.find(std::string{text}); named != names.end()) text = named->second;
  for (const auto& [name, low] : well_known)
    if (text == name) return BgpCommunity{false, 65535, low, 0};
  constexpr std::string_view prefix = "large:";
  const bool large = text.starts_with(prefix);
  const auto written = parts(large ? text.substr(prefix.size()) : text, ':');
  if (written.size() == 3) {
    const auto a = number(written[0], most_number), b = number(written[1], most_number), c = number(written[2], most_number);
    if (a && b && c) return BgpCommunity{true, *a, *b, *c};
  } else if (written.size() == 2 && !large) {
    const auto a = number(written[0], 65535), b = number(written[1], 65535);
    if (a && b) return BgpCommunity{false, *a, *b, 0};
  }
  return fail(ErrorCode::invalid,
              fmt::format("community \"{}\": write A:B with numbers up to 65535, A:B:C with numbers up to 4294967295, a "
                          "well-known name as no-export, or a name of spec.communityNames",
                          clipped(given, 60)));
}

Advertiser::Advertiser(const BgpConf* conf) : names_(conf == nullptr ? std::map<std::string, std::string>{} : conf->community_names) {
  if (conf == nullptr) return;
  for (const auto& [name, value] : names_)
    if (const auto read = parse_community(value, {}); !read)
      problems_.push_back(fmt::format("spec.communityNames {}: {}", clipped(name, 60), read.error().text));
  for (std::size_t i = 0; i < conf->advertisements.size(); ++i) read(conf->advertisements[i], i);
}

void Advertiser::read(const BgpConf::Advertisement& from, std::size_t at) {
  Entry entry{{from.pools.begin(), from.pools.end()}, from.service_selector, from.node_selector, {}, {}};
  entry.say.peers = {from.peers.begin(), from.peers.end()};
  const auto wrong = [&](std::string_view text) { problems_.push_back(fmt::format("spec.advertisements[{}].{}", at, text)); };
  for (const std::string& text : from.communities) {
    if (const auto community = parse_community(text, names_); community)
      entry.say.attributes.add(*community);
    else
      wrong("communities: " + community.error().text);
  }
  const auto take = [&](std::string_view field, std::int64_t value, std::int64_t most, std::optional<std::uint32_t>& to) {
    if (value < 0 || value > most)
      wrong(fmt::format("{} {} is not from 0 to {}", field, value, most));
    else
      to = static_cast<std::uint32_t>(value);
  };
  if (from.local_pref) take("localPref", *from.local_pref, most_number, entry.say.attributes.local_pref);
  if (from.med) take("med", *from.med, most_number, entry.say.attributes.med);
  if (from.as_path_prepend != 0) take("asPathPrepend", from.as_path_prepend, most_prepend, entry.say.prepend);
  for (const std::string& text : from.aggregates) {
    const auto range = parse_ip_range(text, "");
    if (range && text.find('/') != std::string::npos && prefix_length(*range) >= shortest_prefix(range->first.family))
      entry.aggregates.push_back(*range);
    else
      wrong(fmt::format("aggregates: \"{}\": write address/length, with a length of at least {} (IPv4) or {} (IPv6)", clipped(text, 60),
                        shortest_prefix(IpFamily::v4), shortest_prefix(IpFamily::v6)));
  }
  by_pool_alone_ = by_pool_alone_ && !entry.services && !entry.nodes && entry.aggregates.empty();
  entries_.push_back(std::move(entry));
}

bool Advertiser::Entry::speaks_for(const Subject& subject) const {
  if (!pools.empty() && !pools.contains(subject.pool)) return false;
  return !services || std::ranges::any_of(subject.services, [&](const Service* one) { return services->matches(one->labels); });
}

std::optional<Advertising::Say> Advertiser::say_of(const Service& service, std::string& problem) const {
  const auto first = service.annotations.lower_bound(annotations_begin);
  if (first == service.annotations.end() || !first->first.starts_with(annotations_begin)) return std::nullopt;
  Advertising::Say out;
  const auto wrong = [&](std::string_view key, std::string_view text) {
    problem += fmt::format("{}annotation {}: {}", problem.empty() ? "" : "; ", key, text);
  };
  const auto take = [&](std::string_view key, std::int64_t most, std::optional<std::uint32_t>& to) {
    const auto found = service.annotations.find(key);
    if (found == service.annotations.end()) return;
    if (const auto value = number(trimmed(found->second), most); value)
      to = value;
    else
      wrong(key, fmt::format("\"{}\" is not a number from 0 to {}", clipped(found->second, 60), most));
  };
  const auto each = [&](std::string_view key, auto&& use) {
    const auto found = service.annotations.find(key);
    if (found == service.annotations.end()) return;
    const auto items = parts(found->second, ',');
    if (items.size() > most_of_a_list) return wrong(key, fmt::format("more than {} items", most_of_a_list));
    for (const std::string_view item : items)
      if (!trimmed(item).empty()) use(trimmed(item));
  };
  each(keys::bgp_communities, [&](std::string_view item) {
    if (const auto read = parse_community(item, names_); read)
      out.attributes.add(*read);
    else
      wrong(keys::bgp_communities, read.error().text);
  });
  each(keys::bgp_peers, [&](std::string_view item) { out.peers.emplace(item); });
  take(keys::bgp_local_pref, most_number, out.attributes.local_pref);
  take(keys::bgp_med, most_number, out.attributes.med);
  take(keys::bgp_as_path_prepend, most_prepend, out.prepend);
  return out;
}

Advertiser::Subject Advertiser::subject(const IpAddress& address,
                                        const std::string& pool,
                                        const std::vector<const Service*>& services,
                                        std::string& problem) const {
  Subject out{address, pool, {}, true, services};
  bool by_all = true;
  for (const Service* service : services) {
    if (service->external_traffic_policy == TrafficPolicy::local) out.may_aggregate = false;
    auto one = say_of(*service, problem);
    by_all = by_all && one && !one->peers.empty();
    if (!one) continue;
    if (!out.said) out.said.emplace();
    out.said->peers.merge(one->peers);
    join(*one, *out.said);
  }
  if (out.said && !by_all) out.said->peers.clear();  // who shares the address goes to all
  if (out.said) out.may_aggregate = false;
  return out;
}

std::vector<Advertiser::Announced> Advertiser::judge(const Subject& subject, const Labels& node) {
  const bool of_pool = by_pool_alone_ && !subject.said;
  if (of_pool)
    if (const auto known = of_pool_.find(subject.pool); known != of_pool_.end()) return {{subject.address, 0, known->second}};
  bool spoken_for = false;
  std::map<std::pair<IpAddress, std::uint8_t>, Advertising> routes;
  for (const Entry& entry : entries_) {
    if (!entry.speaks_for(subject)) continue;
    spoken_for = true;
    if (entry.nodes && !entry.nodes->matches(node)) continue;
    std::pair<IpAddress, std::uint8_t> to{subject.address, 0};
    if (subject.may_aggregate)
      for (const IpRange& aggregate : entry.aggregates)
        if (aggregate.contains(subject.address)) to = {aggregate.first, static_cast<std::uint8_t>(prefix_length(aggregate))};
    Advertising& advertising = routes[to];
    if (to.second == 0) advertising.service = subject.said;
    advertising.pool.push_back(entry.say);
  }
  if (!spoken_for) routes[{subject.address, 0}].service = subject.said;
  std::vector<Announced> out;
  for (auto& [to, advertising] : routes) out.push_back({to.first, to.second, path_of(std::move(advertising))});
  if (of_pool) of_pool_.emplace(subject.pool, out.front().path);
  return out;
}

void Advertiser::forget(std::uint32_t number) {
  numbered_.erase(number);
  std::erase_if(of_pool_, [number](const auto& item) { return item.second.audience == number; });
}

BgpPath Advertiser::path_of(Advertising advertising) {
  if (same_for_everybody(advertising)) return {for_peer(advertising, {})->attributes, 0};
  std::uint32_t at = std::max(hash_of(advertising), 1U);
  for (auto known = numbered_.find(at); known != numbered_.end() && known->second != advertising; known = numbered_.find(at))
    at = std::max(at + 1, 1U);
  numbered_.emplace(at, std::move(advertising));
  return {{}, at};
}

std::map<std::uint32_t, std::vector<BgpOffer>> offers(const AdvertisingByNumber& numbered,
                                                      const std::vector<BgpPeerConfig>& peers,
                                                      std::uint32_t as) {
  std::map<std::uint32_t, std::vector<BgpOffer>> out;
  for (const auto& [at, advertising] : numbered) {
    std::map<std::tuple<BgpAttributes, std::uint32_t, std::uint32_t>, std::set<IpAddress>> same;
    for (const BgpPeerConfig& peer : peers) {
      const auto say = for_peer(advertising, peer);
      if (!say) continue;
      const std::uint32_t own = peer.local_as != 0 ? peer.local_as : as;
      const std::uint32_t prepend = peer.peer_as == own ? 0 : say->prepend.value_or(0);
      same[{say->attributes, prepend, prepend == 0 ? 0 : own}].insert(peer.neighbor);
    }
    auto& list = out[at];
    for (auto& [how, who] : same) list.push_back({std::move(who), std::get<0>(how), std::get<1>(how), std::get<2>(how)});
  }
  return out;
}

std::map<IpAddress, std::uint32_t> prefixes_by_peer(const BgpDesired& desired) {
  // Prefixes whose paths are for the same audiences count together.
  struct Kind {
    IpFamily family;
    bool is_own;  // a path is by this node
    std::set<std::uint32_t> audiences;
    auto operator<=>(const Kind&) const = default;
  };
  std::map<Kind, std::uint32_t> prefixes;
  for (auto it = desired.routes.begin(); it != desired.routes.end();) {
    const IpAddress address = it->first.address;
    std::map<int, Kind> by_length;
    for (; it != desired.routes.end() && it->first.address == address; ++it) {
      Kind& kind = by_length.try_emplace(it->first.length(), Kind{address.family, false, {}}).first->second;
      kind.audiences.insert(it->second.audience);
      kind.is_own |= std::ranges::find(desired.own_next_hops, it->first.next_hop) != desired.own_next_hops.end();
    }
    for (auto& [length, kind] : by_length) ++prefixes[std::move(kind)];
  }
  std::map<IpAddress, std::uint32_t> out;
  for (const BgpPeerConfig& peer : desired.peers) {
    const auto is_for_it = [&](std::uint32_t audience) {
      const auto offers = desired.audiences.find(audience);
      return audience == 0 || (offers != desired.audiences.end() && std::ranges::any_of(offers->second, [&](const BgpOffer& offer) {
                                 return offer.peers.contains(peer.neighbor);
                               }));
    };
    std::uint32_t& told = out[peer.neighbor];
    for (const auto& [kind, count] : prefixes)
      if (std::ranges::find(peer.families, kind.family, &BgpPeerConfig::Family::family) != peer.families.end() &&
          (kind.is_own || !peer.neighbor.is_link_local()) && std::ranges::any_of(kind.audiences, is_for_it))
        told += count;
  }
  return out;
}

}  // namespace berth
