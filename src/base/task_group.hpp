// TaskGroup: the owner of running coroutines. Nothing in Berth is detached: every task belongs to a
// group, cancelling the group ends its tasks at their next suspension, and an exception that is not
// a cancellation is a bug of ours and aborts.
//
// What a task refers to must outlive it: `cancel()` followed by `co_await join()` is how an owner
// makes sure. The destructor cancels too, but can't wait; then the io_context must not run again.
#pragma once

#include <memory>
#include <string>

#include "base/asio.hpp"

namespace berth {

class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void spawn(std::string name, asio::awaitable<void> task);
  void cancel();
  asio::awaitable<void> join();  // returns when no task is left
  [[nodiscard]] std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace berth
