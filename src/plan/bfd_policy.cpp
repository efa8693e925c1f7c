#include "plan/bfd_policy.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr Duration first_hold = 1s;
constexpr Duration longest_hold = 60s;
constexpr Duration calm = 60s;  // so long after a hold, the next is a first one again

void hold(BfdMemory::Neighbor& neighbor, Instant now) {
  const bool again = neighbor.hold != Duration::zero() && now - neighbor.held_until < calm;
  neighbor.hold = again ? std::min(neighbor.hold * 2, longest_hold) : first_hold;
  neighbor.held_until = now + neighbor.hold;
}

}  // namespace

BfdVerdict judge_bfd(const std::vector<BgpPeerConfig>& peers, const BfdReport& report, BfdMemory& memory, Instant now) {
  BfdVerdict out;
  const auto is_asked = [&](const IpAddress& ip) {
    const auto peer = std::ranges::find(peers, ip, &BgpPeerConfig::neighbor);
    return peer != peers.end() && peer->bfd;
  };
  std::erase_if(memory.neighbors, [&](const auto& item) { return !is_asked(item.first); });
  for (const BgpPeerConfig& peer : peers) {
    if (!peer.bfd) continue;
    const auto status = std::ranges::find(report.sessions, peer.neighbor, &BfdStatus::neighbor);
    if (status == report.sessions.end()) {  // not begun yet
      if (peer.bfd_strict) out.held.emplace(peer.neighbor, "BFD is not up yet (spec.bfd.strict)");
      continue;
    }
    BfdMemory::Neighbor& neighbor = memory.neighbors[peer.neighbor];
    if (status->downs < neighbor.downs) neighbor.downs = 0;  // the session was begun anew
    if (status->downs > neighbor.downs) {
      neighbor.downs = status->downs;
      if (!status->remote_admin_down) hold(neighbor, now);
    }
    if (now < neighbor.held_until) {
      out.held.emplace(peer.neighbor, fmt::format("BFD went down: {}", status->last_down));
      if (!out.wake_at || neighbor.held_until < *out.wake_at) out.wake_at = neighbor.held_until;
    } else if (peer.bfd_strict && !status->up && !status->remote_admin_down) {
      out.held.emplace(peer.neighbor, fmt::format("BFD is {} (spec.bfd.strict){}", status->state,
                                                  status->last_down.empty() ? "" : "; it went down: " + status->last_down));
    }
  }
  return out;
}

}  // namespace berth
