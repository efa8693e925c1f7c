// Turns: one at a time, a mutex for coroutines of one thread.
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/asio.hpp"

namespace berth {

class Turns {
 public:
  explicit Turns(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

 private:
  struct State {
    explicit State(const asio::any_io_executor& executor) : freed(executor, asio::steady_timer::time_point::max()) {}
    bool taken = false;
    asio::steady_timer freed;
  };

 public:
  class Turn {
   public:
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Turn(Turn&&) = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {  // NOLINT(bugprone-exception-escape): cancelling a timer throws nothing
      if (!state_) return;
      state_->taken = false;
      state_->freed.cancel();
    }

   private:
    std::shared_ptr<State> state_;
  };

  asio::awaitable<Turn> take() {
    const auto state = state_;
    while (state->taken) {
      co_await state->freed.async_wait(asio::as_tuple(asio::use_awaitable));
      if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
        throw boost::system::system_error{asio::error::operation_aborted};
    }
    state->taken = true;
    co_return Turn{state};
  }

 private:
  std::shared_ptr<State> state_;
};

// What `a || b` throws when it is cancelled is a cancellation for each; one is enough.
[[noreturn]] inline void rethrow_innermost(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const asio::multiple_exceptions& all) {
    rethrow_innermost(all.first_exception());
  }
}

}  // namespace berth
