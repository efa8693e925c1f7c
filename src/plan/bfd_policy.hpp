// What follows for BGP from what BFD says. Pure.
//
// A session of BFD that goes down takes the BGP session with it at once, whatever graceful restart would keep (RFC 5882 §4.3): the
// peer is held down, for a second, and for twice as long each time when it goes on flapping. Then BGP may come back by itself, for a
// router may have lost its BFD only; with `strict` it waits until BFD is up. A neighbour that says AdminDown means no failure
// (RFC 5882 §4.2): nothing follows, and strict does not wait for it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "model/bfd.hpp"
#include "model/bgp.hpp"

namespace berth {

struct BfdMemory {
  struct Neighbor {
    std::uint64_t downs = 0;  // those that were seen
    Instant held_until{};
    Duration hold{};  // the last one
  };
  std::map<IpAddress, Neighbor> neighbors;
};

struct BfdVerdict {
  std::map<IpAddress, std::string> held;  // peers to keep down, and why
  std::optional<Instant> wake_at;
};

BfdVerdict judge_bfd(const std::vector<BgpPeerConfig>& peers, const BfdReport& report, BfdMemory& memory, Instant now);

}  // namespace berth
