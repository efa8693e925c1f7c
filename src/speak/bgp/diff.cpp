#include "speak/bgp/diff.hpp"

#include <algorithm>
#include <set>

namespace berth {
namespace {

// Gives out the numbers of one address. Those of paths to be withdrawn count as taken, since they go last.
class PathNumbers {
 public:
  explicit PathNumbers(const BgpMirror& mirror) : mirror_(mirror) {}

  std::uint32_t next(const BgpRoute& route) {
    if (!address_ || *address_ != route.address) look_at(route.address);
    if (const auto known = mirror_.missed.find(route); known != mirror_.missed.end() && taken_.insert(known->second).second)
      return known->second;
    while (taken_.contains(lowest_) || kept_free_.contains(lowest_)) ++lowest_;
    return lowest_++;
  }

 private:
  void look_at(const IpAddress& address) {
    address_ = address;
    taken_.clear();
    kept_free_.clear();
    lowest_ = 1;
    const auto all_of = [&](const auto& routes, const auto& each) {
      for (auto it = routes.lower_bound(BgpRoute{address, {}}); it != routes.end() && it->first.address == address; ++it) each(it->second);
    };
    all_of(mirror_.routes, [&](const BgpMirror::Path& path) { taken_.insert(path.id); });
    all_of(mirror_.missed, [&](std::uint32_t number) { kept_free_.insert(number); });
  }

  const BgpMirror& mirror_;
  std::optional<IpAddress> address_;
  std::set<std::uint32_t> taken_, kept_free_;
  std::uint32_t lowest_ = 1;
};

void diff_routes(const BgpDesired& desired, const BgpMirror& mirror, bool all, BgpSteps& steps) {
  PathNumbers numbers{mirror};
  auto there = mirror.routes.begin();
  const auto withdraw = [&] {
    if (!all) steps.withdraw_routes.push_back({there->first, there->second.id});
    ++there;
  };
  for (const auto& [route, path] : desired.routes) {
    while (there != mirror.routes.end() && there->first < route) withdraw();
    if (there == mirror.routes.end() || route < there->first) {
      steps.add_routes.push_back({route, numbers.next(route), path});
      continue;
    }
    if (all || there->second.path != path) steps.add_routes.push_back({route, there->second.id, path});
    // gobgpd does not withdraw it by itself from whom the new audience leaves out (4.8, with ADD-PATH).
    if (!all && there->second.path.audience != path.audience) steps.tell_again = true;
    ++there;
  }
  while (there != mirror.routes.end()) withdraw();
}

void diff_peers(const BgpDesired& desired, const BgpMirror& mirror, bool all, BgpSteps& steps) {
  std::set<IpAddress> wanted;
  for (const BgpPeerConfig& peer : desired.peers) {
    wanted.insert(peer.neighbor);
    const auto there = mirror.peers.find(peer.neighbor);
    if (all || there == mirror.peers.end())
      steps.add_peers.push_back(peer);
    else if (!same_session(there->second, peer))
      steps.update_peers.push_back(peer);
  }
  if (all) return;
  for (const auto& [neighbor, peer] : mirror.peers)
    if (!wanted.contains(neighbor)) steps.delete_peers.push_back(neighbor);
}

// Routes name an audience by a number that stands for what was asked, so that a route never has one that the engine does not know:
// all are there before the routes are changed, and those without a route go afterwards.
void diff_audiences(const BgpDesired& desired, const BgpMirror& mirror, bool all, BgpSteps& steps) {
  if (all) return;  // a server begins with those that are wanted
  if (!mirror.audiences) {
    steps.widen_audiences = !desired.audiences.empty() || !desired.policy.empty() || !desired.own_next_hops.empty();
    steps.narrow_audiences = steps.tell_again = true;
    return;
  }
  if (mirror.policy != desired.policy || mirror.own_next_hops != desired.own_next_hops) steps.widen_audiences = steps.tell_again = true;
  for (const auto& [number, offers] : desired.audiences) {
    const auto there = mirror.audiences->find(number);
    if (there == mirror.audiences->end() || there->second != offers) steps.widen_audiences = true;
    if (there != mirror.audiences->end() && there->second != offers) steps.tell_again = true;
  }
  for (const auto& [number, offers] : *mirror.audiences) steps.narrow_audiences |= !desired.audiences.contains(number);
}

}  // namespace

bool same_session(const BgpPeerConfig& a, const BgpPeerConfig& b) {
  BgpPeerConfig other = b;
  other.object = a.object;
  other.description = a.description;
  other.peer_group = a.peer_group;
  other.bfd = a.bfd;
  other.bfd_strict = a.bfd_strict;
  return a == other;
}

BgpSteps diff(const BgpDesired& desired, const BgpMirror& mirror) {
  BgpSteps steps;
  steps.stop_server = mirror.global && mirror.global != desired.global;
  if (!desired.global) return steps;
  steps.start_server = steps.stop_server || !mirror.global;
  diff_peers(desired, mirror, steps.start_server, steps);
  diff_audiences(desired, mirror, steps.start_server, steps);
  diff_routes(desired, mirror, steps.start_server, steps);
  return steps;
}

}  // namespace berth
