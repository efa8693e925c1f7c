#include "speak/bgp/words.hpp"

#include <fmt/format.h>

namespace berth {

std::string other_as_text(const BgpPeerConfig& peer) {
  return fmt::format("it has another AS than the {} that its BgpPeer says", peer.peer_as);
}

std::string no_connection_text(const BgpPeerConfig& peer) {
  constexpr std::uint32_t bgp_port = 179;
  if (peer.passive) return "waits for the router to connect (passiveMode)";
  std::string from = peer.local_address.empty() ? "" : " from " + peer.local_address + ", which this node needs to have,";
  if (!peer.bind_interface.empty()) from += " through " + peer.bind_interface;
  return fmt::format("no TCP connection{} to {} port {}: it is refused, filtered, or the router does not expect this node{}", from,
                     peer.neighbor.to_string(), peer.remote_port == 0 ? bgp_port : peer.remote_port,
                     peer.auth_password.empty() ? "" : "; a password that is not the router's looks the same");
}

}  // namespace berth
