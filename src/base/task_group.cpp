#include "base/task_group.hpp"

#include <exception>
#include <list>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/check.hpp"

namespace berth {

struct TaskGroup::State {
  explicit State(asio::any_io_executor e) : executor(std::move(e)), idle(executor) {
    idle.expires_at(asio::steady_timer::time_point::max());
  }
  asio::any_io_executor executor;
  std::list<asio::cancellation_signal> running;
  std::list<asio::cancellation_signal> ended;  // for a turn: see spawn()
  asio::steady_timer idle;  // cancelled whenever a task ends
  bool cancelled = false;
};

namespace {

void refuse_unless_cancelled(const std::string& name, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const asio::multiple_exceptions& e) {  // of `a || b`, both cancelled
    refuse_unless_cancelled(name, e.first_exception());
  } catch (const boost::system::system_error& e) {
    if (e.code() != asio::error::operation_aborted) check_failed(name, e.what(), __FILE__, __LINE__);
  } catch (const std::exception& e) {
    check_failed(name, e.what(), __FILE__, __LINE__);
  }
}

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() { cancel(); }

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
  if (state_->cancelled) return;  // the task never starts; its frame dies here
  auto position = state_->running.emplace(state_->running.end());
  auto ended = [state = state_, position, name = std::move(name)](const std::exception_ptr& error) {
    // Cancelled from outside the loop, Asio only queues the signal: what it points into must outlive that.
    state->ended.splice(state->ended.end(), state->running, position);
    asio::post(state->executor, [state, position] { state->ended.erase(position); });
    state->idle.cancel();
    if (error) refuse_unless_cancelled(name, error);
  };
  asio::co_spawn(state_->executor, std::move(task), asio::bind_cancellation_slot(position->slot(), std::move(ended)));
}

void TaskGroup::cancel() {
  state_->cancelled = true;
  // Copies of nothing: emit() may end a task at once, so step over it first.
  for (auto it = state_->running.begin(); it != state_->running.end();) {
    auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

asio::awaitable<void> TaskGroup::join() {
  auto state = state_;
  while (!state->running.empty()) co_await state->idle.async_wait(asio::as_tuple(asio::use_awaitable));
}

std::size_t TaskGroup::size() const { return state_->running.size(); }

}  // namespace berth
