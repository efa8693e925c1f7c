// Machines that connected though no BgpPeer has their address: in a range, they are routers. Which BgpPeer's, and whether they are peers,
// is for plan/bgp_config to say. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "base/time.hpp"
#include "model/ip_address.hpp"

namespace berth {

// For engines: who connected since somebody asked.
class Strangers {
 public:
  static constexpr std::size_t most = 1000;

  // False: it is noted already, or there are too many.
  bool note(const IpAddress& stranger) { return noted_.size() < most && noted_.insert(stranger).second; }
  std::set<IpAddress> take() { return std::exchange(noted_, {}); }

 private:
  std::set<IpAddress> noted_;
};

class Callers {
 public:
  static constexpr Duration patience = std::chrono::minutes{10};  // so long one is remembered that has no session
  static constexpr std::size_t most = 256;  // so many; when they are all there, nobody new counts

  // It connected, or has a session. False: there are too many.
  bool note(const IpAddress& caller, Instant now);
  // Only if it is known.
  void keep(const IpAddress& caller, Instant now);
  void forget_silent(Instant now);

  [[nodiscard]] const std::set<IpAddress>& known() const { return known_; }

 private:
  std::set<IpAddress> known_;
  std::map<IpAddress, Instant> heard_of_;
};

}  // namespace berth
