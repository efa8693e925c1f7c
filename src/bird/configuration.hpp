// From what BGP is asked for to the text of bird.conf. Pure. Texts from objects are never trusted: nothing but a password gets into the
// file as it is, and one that BIRD could not read, or would read as something else, is refused.
//
// One static protocol for each next hop has its host routes, as BIRD keeps one route of a prefix for each protocol. They are blackholes
// that nobody forwards by; the next hop is an attribute, so that it need not be reachable from here. One BGP protocol for each peer takes
// nothing in, and its export filter says what this router gets (audiences).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/bgp.hpp"

namespace berth::bird {

// The names in the file, by which BIRD's answers are understood.
inline constexpr std::string_view audience_attribute = "berth_audience";
std::string protocol_of(const IpAddress& neighbor);
std::string protocol_of_next_hop(const IpAddress& next_hop);

struct Configuration {
  std::string text;
  std::vector<Error> refused;  // peers that are left out, each with the reason
};

// `idle_port`: where BIRD listens when nobody should connect; it can't do without. It answers configured neighbours only. Errors: what
// concerns all of it.
Result<Configuration> configuration(const BgpDesired& desired, std::uint16_t idle_port);

// A process that is configured for the one can't be configured for the other without ending all sessions in a way that loses routes.
bool same_server(const BgpGlobal& a, const BgpGlobal& b);

// Two configurations of a peer that are one for BIRD.
bool same_peer(const BgpPeerConfig& a, const BgpPeerConfig& b);

// What is asked for and BIRD 2.0 does not do, a sentence each.
std::vector<std::string> shortcomings(const BgpPeerConfig& peer);
std::vector<std::string> shortcomings(const BgpDesired& desired);  // beside those of its peers

}  // namespace berth::bird
