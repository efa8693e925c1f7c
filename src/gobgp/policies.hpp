// The policies that gobgpd works by: the audiences of routes, and after them the user's own. What is asked for and what gobgpd has may
// differ: a text that can't be read, or that gobgpd refuses, is as good as none that was ever written, and the last good one stays.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "gobgp/policy.hpp"
#include "gobgp/ports.hpp"
#include "model/bgp.hpp"

namespace berth::gobgp {

// Who hears the routes that have its number.
using Audiences = std::map<std::uint32_t, std::vector<BgpOffer>>;

class Policies {
 public:
  // The user's text and this node's next hops, in force with the next of the calls below.
  void take(const std::string& text, const std::vector<IpAddress>& own_next_hops);

  // Another process has none of ours, or nobody knows which.
  void forget();
  // For a server that was just started: no policy of a user's is assigned.
  void started() { users_assigned_ = false; }

  // Sends the audiences that are wanted, and beside them those that routes which are there may still have; or without these. One call at a
  // time. Errors: the client's.
  asio::awaitable<Result<>> widen(Api& client, const Audiences& wanted);
  asio::awaitable<Result<>> narrow(Api& client, const Audiences& wanted);

  // Those that were sent last.
  [[nodiscard]] const Audiences& audiences() const { return in_use_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<IpAddress>& own_next_hops() const { return own_next_hops_; }
  // What is wrong with the user's text, or has no effect.
  [[nodiscard]] std::vector<std::string> problems() const;

 private:
  asio::awaitable<Result<>> set(Api& client, const Audiences& audiences);
  asio::awaitable<Result<>> send(Api& client, const Audiences& audiences);

  std::string text_;  // as asked for
  std::vector<IpAddress> own_next_hops_;
  std::string problem_;
  RoutingPolicy users_, accepted_;  // the last good one, and the last that gobgpd took
  bool users_assigned_ = true;  // some of its policies are, or may be, among those that gobgpd uses
  Audiences in_use_;  // which routes that gobgpd has may name, also while nobody knows what its policies are
};

}  // namespace berth::gobgp
