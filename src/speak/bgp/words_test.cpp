#include "speak/bgp/words.hpp"

#include <gtest/gtest.h>

namespace berth {
namespace {

BgpPeerConfig some_peer() {
  BgpPeerConfig out;
  out.neighbor = *IpAddress::parse("192.0.2.1");
  out.peer_as = 65000;
  return out;
}

bool says(const BgpPeerConfig& peer, std::string_view words) { return no_connection_text(peer).find(words) != std::string::npos; }

TEST(BgpWords, WithoutAConnectionItIsSaidWhatItMayBe) {
  BgpPeerConfig peer = some_peer();
  EXPECT_EQ(no_connection_text(peer),
            "no TCP connection to 192.0.2.1 port 179: it is refused, filtered, or the router does not expect this node");
  peer.remote_port = 1179;
  peer.auth_password = "secret";
  EXPECT_TRUE(says(peer, "192.0.2.1 port 1179") && says(peer, "a password that is not the router's") && !says(peer, "secret"));
  peer.local_address = "198.51.100.1";
  peer.bind_interface = "eth7";
  EXPECT_TRUE(says(peer, "from 198.51.100.1, which this node needs to have, through eth7 to 192.0.2.1"));
  peer.passive = true;
  EXPECT_EQ(no_connection_text(peer), "waits for the router to connect (passiveMode)");
}

TEST(BgpWords, TheAsThatWasExpected) { EXPECT_EQ(other_as_text(some_peer()), "it has another AS than the 65000 that its BgpPeer says"); }

}  // namespace
}  // namespace berth
