// Words for what is wrong between a router and its BgpPeer, the same whichever engine found out.
#pragma once

#include <string>
#include <string_view>

#include "model/bgp.hpp"

namespace berth {

inline constexpr std::string_view too_many_routes_text = "the router sent more routes than maximumPrefixes allows";
inline constexpr std::string_view nobody_called_text = "no router of this range has connected yet";

// After what the engine says of an OPEN with another AS than was expected (RFC 4271 §6.2), which has neither of the two in it.
std::string other_as_text(const BgpPeerConfig& peer);

// No engine tells why a connection does not come about; what it may be, then.
std::string no_connection_text(const BgpPeerConfig& peer);

}  // namespace berth
