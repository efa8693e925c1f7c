#include "gobgp/mirror.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <ranges>
#include <tuple>
#include <utility>

#include "gobgp/translate.hpp"

namespace berth::gobgp {

void Mirror::forget() {
  has_.global.reset();
  has_.peers.clear();
  has_.audiences.reset();
  foreign_.clear();
  returning_.clear();
  cut_off_.clear();
}

// -- read back --------------------------------------------------------------------------------------

void Mirror::take(const api::Global& global,
                  const std::vector<api::Peer>& peers,
                  const std::vector<api::Path>& paths,
                  const BgpDesired* desired) {
  const auto shown = from_api(global);
  const std::optional<BgpGlobal> known = std::exchange(has_.global, shown);
  if (shown)
    for (const auto& guess : {desired != nullptr ? desired->global : std::nullopt, known})
      if (guess && as_shown(*guess) == *shown) has_.global = guess;
  take_peers(peers, desired);
  take_paths(paths);
  if (known || desired == nullptr) return;
  for (const BgpPeerConfig& peer : desired->peers)  // whoever began it may have died before it was done
    if (!has_.peers.contains(peer.neighbor)) returning_.insert(peer.neighbor);
}

void Mirror::take_peers(const std::vector<api::Peer>& peers, const BgpDesired* desired) {
  const auto known = std::exchange(has_.peers, {});
  cut_off_.clear();
  for (const api::Peer& peer : peers) {
    if (is_cut_off(peer)) cut_off_.push_back(peer.conf().neighbor_address());
    auto shown = peer_from_api(peer);
    if (!shown) continue;
    const BgpPeerConfig* guess = nullptr;
    if (desired != nullptr)
      for (const BgpPeerConfig& wanted : desired->peers)
        if (shows(wanted, *shown)) guess = &wanted;
    // What was acknowledged before what is wished: a field that gobgpd does not show may differ in these two.
    if (const auto before = known.find(shown->neighbor); before != known.end() && shows(before->second, *shown)) guess = &before->second;
    put(guess != nullptr ? *guess : *shown);
  }
}

bool Mirror::shows(const BgpPeerConfig& peer, const BgpPeerConfig& shown) const {
  return has_.global && peer.neighbor == shown.neighbor && as_shown(peer, *has_.global) == shown;
}

// A path of which nonsense is said is there all the same; given again under its number it replaces itself.
void Mirror::take_paths(const std::vector<api::Path>& paths) {
  const auto before = std::exchange(has_.routes, {});
  has_.missed.clear();
  ages_.clear();
  foreign_.clear();
  last_age_ += paths.size();
  std::uint64_t age = last_age_;  // the best one is listed first
  for (const api::Path& path : paths) {
    if (is_received(path)) continue;
    const auto read = path_from_api(path);
    if (read && read->path.id != 0 && has_.routes.emplace(read->route, read->path).second) {
      ages_.emplace(read->route, age--);
      continue;
    }
    api::Path removal = path;
    removal.set_is_withdraw(true);
    foreign_.push_back(std::move(removal));
  }
  for (const auto& [route, path] : before)
    if (!has_.routes.contains(route)) has_.missed.emplace(route, path.id);
}

// -- acknowledged -----------------------------------------------------------------------------------

void Mirror::started(const BgpGlobal& global) {
  has_ = {.global = global, .peers = {}, .routes = {}, .audiences = std::nullopt, .policy = {}};
  foreign_.clear();
}

void Mirror::put(const BgpPeerConfig& peer) {
  has_.peers.insert_or_assign(peer.neighbor, peer);
  returning_.erase(peer.neighbor);
}

std::vector<Mirror::Told> Mirror::changed(const RouteSteps& add, const RouteSteps& withdraw, bool ask) {
  std::vector<Told> out;
  const auto best_before = [&](const BgpSteps::RouteStep& step) { return ask ? best(step.route) : std::nullopt; };
  const auto note = [&](const BgpSteps::RouteStep& step, const std::optional<BgpRoute>& before) {
    if (!ask) return;
    const auto now = best(step.route);
    if (!now)
      out.push_back({step, before, true});
    else if (now != before || step.route == *now)
      out.push_back({{*now, has_.routes.at(*now).id, has_.routes.at(*now).path}, before, false});
  };
  foreign_.clear();
  for (const auto& step : add) {
    const auto before = best_before(step);
    has_.routes.insert_or_assign(step.route, BgpMirror::Path{step.id, step.path});
    ages_.insert_or_assign(step.route, ++last_age_);
    note(step, before);
  }
  for (const auto& step : worst_first(withdraw)) {
    const auto before = best_before(step);
    ages_.erase(step.route);
    if (const auto known = has_.routes.extract(step.route)) note({step.route, step.id, known.mapped().path}, before);
  }
  return out;
}

Mirror::Rank Mirror::rank(const BgpRoute& route) const {
  const auto path = has_.routes.find(route);
  const auto age = ages_.find(route);
  if (path == has_.routes.end() || age == ages_.end()) return {};
  const BgpAttributes& attributes = path->second.path.attributes;
  return {attributes.local_pref.value_or(100), -std::int64_t{attributes.med.value_or(0)}, age->second};
}

std::optional<BgpRoute> Mirror::best(const BgpRoute& of_its_prefix) const {
  std::optional<BgpRoute> out;
  for (auto at = has_.routes.lower_bound({of_its_prefix.address, {}}); at != has_.routes.end(); ++at) {
    if (at->first.address != of_its_prefix.address) break;
    if (at->first.length() == of_its_prefix.length() && (!out || rank(at->first) > rank(*out))) out = at->first;
  }
  return out;
}

Mirror::RouteSteps Mirror::worst_first(const RouteSteps& steps) const {
  std::vector<std::pair<Rank, const BgpSteps::RouteStep*>> ranked;
  ranked.reserve(steps.size());
  for (const auto& step : steps) ranked.emplace_back(rank(step.route), &step);
  std::ranges::sort(ranked);
  RouteSteps out;
  out.reserve(steps.size());
  for (const auto& [rank, step] : ranked) out.push_back(*step);
  return out;
}

void Mirror::withdrew_all() {
  foreign_.clear();
  has_.routes.clear();
  ages_.clear();
}

void Mirror::put_policies(Audiences audiences, std::string users, std::vector<IpAddress> own_next_hops) {
  has_.audiences = std::move(audiences);
  has_.policy = std::move(users);
  has_.own_next_hops = std::move(own_next_hops);
}

void Mirror::expect_back(const std::vector<BgpPeerConfig>& peers) {
  for (const BgpPeerConfig& peer : peers) returning_.insert(peer.neighbor);
}

// -- messages ---------------------------------------------------------------------------------------

std::vector<api::Path> Mirror::messages(const RouteSteps& add, const RouteSteps& withdraw) const {
  std::vector<api::Path> out;
  out.reserve(add.size() + withdraw.size() + foreign_.size());
  // A foreign path whose number one of ours is given is replaced by that; its removal would be that of ours.
  const auto number = [](const api::Path& path) {
    return std::tuple{path.nlri().prefix().prefix(), path.nlri().prefix().prefix_len(), path.identifier()};
  };
  std::set<std::tuple<std::string, std::uint32_t, std::uint32_t>> given;
  for (const auto& step : add) {
    out.push_back(to_api(step.route, step.id, step.path));
    if (!foreign_.empty()) given.insert(number(out.back()));
  }
  for (const auto& step : worst_first(withdraw)) out.push_back(withdrawal(step.route, step.id));
  std::ranges::copy_if(std::views::reverse(foreign_), std::back_inserter(out),
                       [&](const api::Path& path) { return !given.contains(number(path)); });
  return out;
}

std::vector<api::Path> Mirror::withdrawals_of_all() const {
  RouteSteps all;
  for (const auto& [route, path] : has_.routes) all.push_back({route, path.id, {}});
  return messages({}, all);
}

}  // namespace berth::gobgp
