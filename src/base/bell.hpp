// Bell: "look again", without saying why. Rings before the wait are not lost, many rings wake once.
// One waiter at a time.
#pragma once

#include <optional>

#include <boost/asio/steady_timer.hpp>

#include "base/asio.hpp"
#include "base/timers.hpp"

namespace berth {

class Bell {
 public:
  explicit Bell(const asio::any_io_executor& executor);
  void ring();
  asio::awaitable<void> wait();
  // Returns true if rung, false if `deadline` came first. Without a deadline it only waits for a ring.
  asio::awaitable<bool> wait_until(Timers& timers, std::optional<Instant> deadline);

 private:
  bool rung_ = false;
  asio::steady_timer timer_;  // never expires; cancelled by ring()
};

}  // namespace berth
