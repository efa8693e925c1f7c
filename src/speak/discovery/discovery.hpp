// RouterDiscovery: on each interface that is wanted, advertises this machine as a router without a way (RFC 4861 §6.2.4), so that its
// neighbour learns its link-local address, and hears which routers are there.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/bell.hpp"
#include "base/timers.hpp"
#include "speak/discovery/transport.hpp"

namespace berth {

class RouterDiscovery {
 public:
  RouterDiscovery(const asio::any_io_executor& executor, Timers& timers, Rng& rng, DiscoveryTransport& transport);

  asio::awaitable<void> run();  // until cancelled
  void want(const std::set<Zone>& interfaces);
  // Called for each advertisement of another router.
  void on_router(std::function<void(const IpAddress&)> listener) { router_ = std::move(listener); }
  // Called when problems() changes.
  void on_problem(std::function<void()> listener) { problem_ = std::move(listener); }
  // Why nothing is heard on an interface, in words.
  [[nodiscard]] const std::map<Zone, std::string>& problems() const { return problems_; }

 private:
  struct Link {
    bool open = false;
    int initial_left = 0;  // advertisements in quick succession
    Instant due{};
    Instant advertised{};
  };
  void receive(const Zone& interface, const RouterDatagram& datagram);
  [[nodiscard]] Duration some(Duration most) { return std::chrono::duration_cast<Duration>(most * rng_.fraction()); }
  void look(const Zone& interface, Link& link);
  Result<> advertise(const Zone& interface, Link& link);

  Timers& timers_;
  Rng& rng_;
  DiscoveryTransport& transport_;
  Bell bell_;
  std::function<void(const IpAddress&)> router_;
  std::function<void()> problem_;
  std::map<Zone, Link> links_;
  std::map<Zone, std::string> problems_;
};

}  // namespace berth
