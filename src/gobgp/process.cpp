#include "gobgp/process.hpp"

#include <functional>
#include <string_view>
#include <utility>

#include "os/supervisor.hpp"

namespace berth::gobgp {
namespace {

class RealProcess final : public Process {
 public:
  RealProcess(asio::any_io_executor executor, Timers& timers, Rng& rng, const GobgpOptions& options)
      : supervisor_(std::move(executor),
                    timers,
                    rng,
                    {.name = "gobgpd",
                     .arguments = {options.program, "--api-hosts", "unix://" + socket_of(options), "--pprof-disable", "--metrics-path="},
                     .environment = options.environment,
                     .socket = socket_of(options),
                     .on_line = [this](std::string_view line) { logs_(line); }}) {}
  asio::awaitable<void> run(std::function<void()> up, std::function<void()> down, std::function<void(std::string_view)> logs) override {
    logs_ = std::move(logs);
    return supervisor_.run(std::move(up), std::move(down));
  }
  std::uint64_t starts() const override { return supervisor_.starts(); }
  const std::string& last_error() const override { return supervisor_.last_error(); }
  asio::awaitable<void> terminate(Duration patience) override { return supervisor_.terminate(patience); }
  void kill() override { supervisor_.kill(); }
  void stop_restarting() override { supervisor_.stop_restarting(); }

 private:
  std::function<void(std::string_view)> logs_ = [](std::string_view) {};
  Supervisor supervisor_;
};

}  // namespace

std::string socket_of(const GobgpOptions& options) { return options.run_directory + "/gobgpd.sock"; }

std::unique_ptr<Process> make_process(asio::any_io_executor executor, Timers& timers, Rng& rng, const GobgpOptions& options) {
  return std::make_unique<RealProcess>(std::move(executor), timers, rng, options);
}

}  // namespace berth::gobgp
