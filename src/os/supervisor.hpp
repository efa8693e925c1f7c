// Supervisor: keeps one program running that is driven through a unix socket, in a private directory: started again with back-off when it
// ends, and given up when it does not open its socket in time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.hpp"
#include "os/child_process.hpp"

namespace berth {

struct SupervisorOptions {
  std::string name;                    // the program's, for messages and the log
  std::vector<std::string> arguments;  // the first is the program
  std::vector<std::string> environment;
  std::string socket;  // in a directory that is made with mode 0700
  // What to do with one that answers on the socket already: it is taken for ours, or killed.
  bool adopt = true;
  std::function<void(std::string_view)> on_line;
};

class Supervisor {
 public:
  Supervisor(asio::any_io_executor executor, Timers& timers, Rng& rng, SupervisorOptions options);

  // Until cancelled, or stopped. `up` is called when the socket answers, `down` when the program is gone.
  asio::awaitable<void> run(std::function<void()> up, std::function<void()> down);

  [[nodiscard]] const std::string& socket() const { return options_.socket; }
  [[nodiscard]] std::uint64_t starts() const { return starts_; }
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

  // Of these, adopted or not, it is ours now.
  // SIGTERM, and SIGKILL if it has not ended within `patience`.
  asio::awaitable<void> terminate(Duration patience);
  void kill();
  void stop_restarting();  // the next exit is the last

 private:
  asio::awaitable<bool> start();
  asio::awaitable<void> kill_foreign();
  [[nodiscard]] std::optional<pid_t> running() const;
  void signal(int number);
  asio::awaitable<void> watch_foreign();

  asio::any_io_executor executor_;
  Timers& timers_;
  Rng& rng_;
  const SupervisorOptions options_;
  Backoff backoff_{{.initial = std::chrono::milliseconds{50}, .limit = std::chrono::seconds{10}}};
  std::unique_ptr<ChildProcess> child_;
  bool adopted_ = false;
  bool stopping_ = false;
  std::uint64_t starts_ = 0;
  std::string last_error_;
};

}  // namespace berth
