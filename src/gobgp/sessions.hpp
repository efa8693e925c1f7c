// What gobgpd's events and its log tell of sessions: which are up, why each of them ended, and which peers have to be made anew. Pure.
//
// What gobgpd 4.8 had to say in a session that was lost may be left in a channel of its, with the mark of the session's end: then the
// next one says nothing, or what is not true any more (some of a hundred did). A peer that is made anew has nothing left. It is also
// called at once, not after the five seconds for which gobgpd lets a lost one rest.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/time.hpp"
#include "gobgp.pb.h"
#include "gobgp/log.hpp"
#include "model/bgp.hpp"

namespace berth::gobgp {

class Sessions {
 public:
  // What is told of a peer that gobgpd was given. The first answers whether a session was lost.
  bool note(const IpAddress& neighbor, const api::PeerState& state, Instant now);
  void note(const BgpPeerConfig& peer, const SessionTrouble& trouble, Instant now);

  // When the first of those that were lost is due to be made anew.
  [[nodiscard]] std::optional<Instant> next_due() const;
  std::set<IpAddress> take_due(Instant now);
  // It is made anew now: if its next session is lost soon, it rests before the next time.
  void renewed(const IpAddress& neighbor, Instant now) { known_[neighbor].renewed = now; }

  // Why the last session ended, or did not come about; empty if nobody said.
  [[nodiscard]] std::string last_error(const IpAddress& neighbor) const;

  void forget(const IpAddress& neighbor) { known_.erase(neighbor); }

 private:
  struct Error {
    std::string text;
    Instant at;
  };
  struct Known {
    bool up = false;
    std::optional<Instant> due;      // to be made anew
    std::optional<Instant> renewed;  // when that last was
    std::optional<Error> error;
  };
  std::map<IpAddress, Known> known_;
};

}  // namespace berth::gobgp
