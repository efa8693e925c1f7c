#include "base/bell.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth {

Bell::Bell(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

void Bell::ring() {
  rung_ = true;
  timer_.cancel();
}

asio::awaitable<void> Bell::wait() {
  // A loop, because a cancelled wait_until() may leave a stale wake-up behind.
  while (!rung_) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  rung_ = false;
}

asio::awaitable<bool> Bell::wait_until(Timers& timers, std::optional<Instant> deadline) {
  using namespace asio::experimental::awaitable_operators;
  if (!deadline || rung_) {
    co_await wait();
    co_return true;
  }
  const auto first = co_await (wait() || timers.sleep_until(*deadline));
  co_return first.index() == 0;
}

}  // namespace berth
