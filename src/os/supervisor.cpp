#include "os/supervisor.hpp"

#include <csignal>
#include <cstring>
#include <filesystem>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/log.hpp"
#include "os/files.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr Duration start_patience = 10s;   // from exec to an answer; tens of milliseconds usually
constexpr Duration stable_after = 10s;     // a run this long takes the back-off back
constexpr Duration foreign_interval = 250ms;

// The process that listens on the socket; absent if none does, 0 if it can't be seen from here.
std::optional<pid_t> server_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return std::nullopt;
  std::optional<pid_t> pid;
  if (::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    ucred server{};
    socklen_t size = sizeof server;
    pid = ::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0 ? server.pid : 0;
  }
  ::close(probe);
  return pid;
}

bool answers(const std::string& path) { return server_of(path).has_value(); }

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, Timers& timers, Rng& rng, SupervisorOptions options)
    : executor_(std::move(executor)), timers_(timers), rng_(rng), options_(std::move(options)) {}

asio::awaitable<void> Supervisor::run(std::function<void()> up, std::function<void()> down) {
  while (!stopping_) {
    const Instant begun = timers_.now();
    if (!options_.adopt) co_await kill_foreign();
    const bool foreign = answers(socket());
    if (foreign || co_await start()) {
      last_error_.clear();
      up();
      if (foreign) {
        log::info(options_.name + "_adopted", {{"socket", socket()}});
        adopted_ = true;
        co_await watch_foreign();
        adopted_ = false;
      } else {
        const ChildExit exit = co_await child_->wait();
        last_error_ = options_.name + " ended: " + exit.to_string();
        if (!stopping_) log::warning(options_.name + "_ended", {{"how", exit.to_string()}});
      }
      down();
    }
    child_.reset();
    if (stopping_) break;
    if (timers_.now() - begun >= stable_after) backoff_.succeeded();
    co_await timers_.sleep_for(backoff_.next(rng_));
  }
}

// True when it runs and its socket answers.
asio::awaitable<bool> Supervisor::start() {
  const auto failed = [this](const std::string& why) {
    if (why != last_error_) log::error(options_.name + "_not_started", {{"error", why}});
    last_error_ = why;
    return false;
  };
  if (const auto made = make_private_directory(std::filesystem::path{socket()}.parent_path()); !made) co_return failed(made.error().text);
  // A socket left by a killed process makes the next one end at once: "address already in use".
  if (const auto removed = remove_file(socket()); !removed) co_return failed(removed.error().text);
  auto child = ChildProcess::start(executor_,
                                   {.arguments = options_.arguments, .environment = options_.environment, .on_line = options_.on_line});
  if (!child) co_return failed(child.error().text);
  child_ = std::move(*child);
  ++starts_;
  const Instant give_up = timers_.now() + start_patience;
  for (Duration pause = 1ms; !answers(socket()); pause = std::min<Duration>(pause * 2, 20ms)) {
    if (child_->exit()) co_return failed(options_.name + " ended at once: " + child_->exit()->to_string());
    if (timers_.now() >= give_up) co_return failed(options_.name + " did not open its socket in time");
    co_await timers_.sleep_for(pause);
  }
  log::info(options_.name + "_started", {{"pid", child_->pid()}});
  co_return true;
}

// Its routers keep what they have of it, as after any other sudden end.
asio::awaitable<void> Supervisor::kill_foreign() {
  for (auto pid = server_of(socket()); pid && *pid > 0; pid = server_of(socket())) {
    log::warning(options_.name + "_of_another", {{"pid", *pid}, {"what", "it answers on our socket, and is killed"}});
    ::kill(*pid, SIGKILL);
    co_await timers_.sleep_for(20ms);
  }
}

asio::awaitable<void> Supervisor::watch_foreign() {
  while (answers(socket()) && !stopping_) co_await timers_.sleep_for(foreign_interval);
}

std::optional<pid_t> Supervisor::running() const {
  if (child_) return child_->exit() ? std::nullopt : std::optional{child_->pid()};
  return adopted_ ? server_of(socket()) : std::nullopt;
}

void Supervisor::signal(int number) {
  if (child_)
    child_->signal(number);
  else if (const auto pid = running(); pid && *pid > 0)
    ::kill(*pid, number);
}

asio::awaitable<void> Supervisor::terminate(Duration patience) {
  const auto pid = running();
  if (!pid) co_return;
  signal(SIGTERM);
  const Instant give_up = timers_.now() + patience;
  while (running() == pid && timers_.now() < give_up) co_await timers_.sleep_for(5ms);
  if (running() == pid) signal(SIGKILL);
}

void Supervisor::kill() { signal(SIGKILL); }

void Supervisor::stop_restarting() { stopping_ = true; }

}  // namespace berth
