// The gobgpd that the contract speaks of: a real one, with real ones as routers on loopback addresses, or that of the simulation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "gobgp/ports.hpp"
#include "model/bgp.hpp"

namespace berth::contract {

struct RouterKind {
  bool graceful_restart = true;
  bool several_paths = true;
};

// What a router has, as far as the contract looks.
struct RouteAtRouter {
  IpAddress address;
  IpAddress next_hop;
  std::set<std::uint32_t> communities = {};
  auto operator<=>(const RouteAtRouter&) const = default;
};

class Gobgpd {
 public:
  virtual ~Gobgpd() = default;
  // Of a process that answers; StartBgp has not been called.
  virtual gobgp::Api& api() = 0;
  // A router that takes a session of AS 64512, and how such a session has to be configured. Router 0 is the first.
  virtual BgpPeerConfig add_router(RouterKind kind) = 0;
  virtual std::set<RouteAtRouter> table(std::size_t router) = 0;
  virtual std::uint64_t sessions(std::size_t router) = 0;  // that came up at it
  virtual void pass(Duration time) = 0;

  [[nodiscard]] asio::any_io_executor executor() { return io_.get_executor(); }
  // Runs a call to its end.
  template <class T>
  T run(asio::awaitable<T> call) {
    std::optional<T> out;
    asio::co_spawn(io_, std::move(call), [&out](const std::exception_ptr& error, T answer) {
      if (!error) out = std::move(answer);
    });
    for (int i = 0; i < 5'000 && !out; ++i) pass(std::chrono::milliseconds{5});
    return std::move(out.value());
  }
  bool eventually(const std::function<bool()>& so, Duration patience = std::chrono::seconds{20}) {
    for (Duration waited{}; waited < patience; waited += std::chrono::milliseconds{20}) {
      if (so()) return true;
      pass(std::chrono::milliseconds{20});
    }
    return so();
  }

 protected:
  asio::io_context io_{1};
};

std::unique_ptr<Gobgpd> make_real_gobgpd();
std::unique_ptr<Gobgpd> make_simulated_gobgpd();

}  // namespace berth::contract
