// Between Berth's nouns and gobgpd's messages. Pure. Whatever gobgpd answers is only looked at, never
// trusted: what makes no sense is left out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gobgp.pb.h"
#include "gobgp/policy.hpp"
#include "model/bgp.hpp"
#include "model/objects.hpp"
#include "speak/bgp/diff.hpp"

namespace berth::gobgp {

inline constexpr std::uint32_t table_global = 1;

// Checked first, since gobgpd panics on an address it can't parse.
Result<api::Global> to_api(const BgpGlobal& global);
// How gobgpd shows `global` when it is read back, with defaults filled in.
BgpGlobal as_shown(BgpGlobal global);
// Absent when the server has not been started.
std::optional<BgpGlobal> from_api(const api::Global& global);

// `restarting`: the routes that the router has of us may be those of a process that is gone.
api::Peer to_api(const BgpPeerConfig& peer, const BgpGlobal& global, bool restarting);
// How gobgpd shows `peer`: defaults filled in, and without what it takes but does not show.
BgpPeerConfig as_shown(const BgpPeerConfig& peer, const BgpGlobal& global);
std::optional<BgpPeerConfig> peer_from_api(const api::Peer& peer);

BgpPeerStatus status_from_api(const api::Peer& peer);
bool is_established(const api::PeerState& state);
// Whether gobgpd ended the session because the router sent more than the maximum of prefixes.
bool is_cut_off(const api::Peer& peer);
// In a family of the session the router has ADD-PATH (RFC 7911), and is sent several paths of a prefix; in a family it is sent only the
// best one.
bool receives_several_paths(const api::Peer& peer);
bool receives_one_path(const api::Peer& peer);
// Why a session ended, in a few words; empty if the event says nothing of it.
std::string disconnect_text(const api::PeerState& state);

api::Family family_of(IpFamily family);
api::Path to_api(const BgpRoute& route, std::uint32_t id, const BgpPath& as);
api::Path withdrawal(const BgpRoute& route, std::uint32_t id);
struct ReadPath {
  BgpRoute route;
  BgpMirror::Path path;
};
// Absent when the path is not one of the shape we add.
std::optional<ReadPath> path_from_api(const api::Path& path);
// Whether a router sent it.
bool is_received(const api::Path& path);

// No route is accepted from anybody but us, and a route with an audience goes to nobody else; then come the user's. They replace all
// that there was before. With own next hops (BgpDesired) link-local peers get only routes by these.
api::SetPoliciesRequest policies(const std::map<std::uint32_t, std::vector<BgpOffer>>& audiences,
                                 const RoutingPolicy& users,
                                 const std::vector<IpAddress>& own_next_hops = {});
// To be made after those: they hold the policies by name.
std::vector<api::SetPolicyAssignmentRequest> policy_assignments(const RoutingPolicy& users);

}  // namespace berth::gobgp
