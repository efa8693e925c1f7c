// Supervisor: keeps one gobgpd running and its control socket in a private directory. An engine that
// already answers on the socket is adopted, not replaced. Private to this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "gobgp/ports.hpp"
#include "os/child_process.hpp"

namespace berth::gobgp {

struct SupervisorOptions {
  std::string program;
  std::string run_directory;
  std::vector<std::string> environment;
};

class Supervisor final : public Process {
 public:
  Supervisor(asio::any_io_executor executor, Timers& timers, Rng& rng, SupervisorOptions options);

  asio::awaitable<void> run(std::function<void()> up, std::function<void()> down) override;

  [[nodiscard]] std::string socket() const { return options_.run_directory + "/gobgpd.sock"; }
  [[nodiscard]] std::uint64_t starts() const override { return starts_; }
  [[nodiscard]] const std::string& last_error() const override { return last_error_; }

  // Adopted or not, it is ours now.
  asio::awaitable<void> terminate(Duration patience) override;
  void kill() override;
  void stop_restarting() override;

 private:
  asio::awaitable<bool> start();
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

}  // namespace berth::gobgp
