// Words for what is wrong between a router and its BgpPeer, the same whichever engine found out.
#pragma once

#include <string>
#include <string_view>

#include "model/bgp.hpp"

namespace berth {

inline constexpr std::string_view too_many_routes_text = "the router sent more routes than maximumPrefixes allows";
inline constexpr std::string_view nobody_called_text = "no router of this range has connected yet";
inline constexpr std::string_view nobody_heard_text = "no router has advertised itself on this interface yet (RFC 4861)";

inline constexpr std::string_view one_path_on_a_link_text =
    "spec.conf.neighborInterface: the router takes one path of each address (no ADD-PATH), and hears of an address only where the engine "
    "prefers this node's own: let it receive several paths, or run `berth speaker` on each node";

// After what the engine says of an OPEN with another AS than was expected (RFC 4271 §6.2), which has neither of the two in it.
std::string other_as_text(const BgpPeerConfig& peer);

// No engine tells why a connection does not come about; what it may be, then.
std::string no_connection_text(const BgpPeerConfig& peer);

}  // namespace berth
