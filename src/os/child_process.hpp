// ChildProcess: one program that we run and own. It has its own process group, dies when we die
// (PR_SET_PDEATHSIG) and is reaped by us; what it prints comes line by line.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/asio.hpp"
#include "base/result.hpp"

namespace berth {

struct ChildOptions {
  std::vector<std::string> arguments;    // the first is the program, looked up in PATH if it has no slash
  std::vector<std::string> environment;  // NAME=value: all there is
  // Called with each line of stdout and stderr, without the newline; longer ones come in pieces.
  std::function<void(std::string_view)> on_line;
  std::size_t longest_line = 8192;
};

struct ChildExit {
  int status = 0;  // exit status, if it was no signal
  int signal = 0;
  [[nodiscard]] std::string to_string() const;  // "exit status 1", "signal 9"
};

class ChildProcess {
 public:
  // Starts it. A program that can't be executed is an error here, not an exit later. To be called on the
  // thread that lives as long as the process: the kernel ties the child's life to it.
  static Result<std::unique_ptr<ChildProcess>> start(const asio::any_io_executor& executor, ChildOptions options);
  // Kills its process group if it still runs, and reaps it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] std::optional<ChildExit> exit() const;  // absent while it runs
  void signal(int number);                              // to its process group; nothing after its exit
  // Returns when it has ended. Any number may wait. *this must outlive the wait.
  asio::awaitable<ChildExit> wait();

 private:
  struct State;
  explicit ChildProcess(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace berth
