#include "os/child_process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace berth {

std::string ChildExit::to_string() const { return signal != 0 ? fmt::format("signal {}", signal) : fmt::format("exit status {}", status); }

struct ChildProcess::State : std::enable_shared_from_this<ChildProcess::State> {
  State(const asio::any_io_executor& executor, pid_t child, int pidfd, int pipe, ChildOptions with)
      : options(std::move(with)), pid(child), exit_descriptor(executor, pidfd), output(executor, pipe), ended(executor) {
    ended.expires_at(asio::steady_timer::time_point::max());
  }

  void read_output() {
    output.async_read_some(asio::buffer(chunk), [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
      if (error || self->closed) return self->flush_line();
      self->split(std::string_view{self->chunk.data(), size});
      self->read_output();
    });
  }

  void split(std::string_view text) {
    while (!text.empty()) {
      const std::size_t newline = text.find('\n');
      const std::size_t take = std::min({newline, text.size(), options.longest_line - line.size()});
      line.append(text.substr(0, take));
      text.remove_prefix(take);
      const bool ended_here = !text.empty() && text.front() == '\n';
      if (ended_here) text.remove_prefix(1);
      if (ended_here || line.size() >= options.longest_line) flush_line();
    }
  }

  void flush_line() {
    if (!line.empty() && options.on_line && !closed) options.on_line(line);
    line.clear();
  }

  void watch_exit() {
    exit_descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](boost::system::error_code error) {
      if (!error && !self->closed) self->reap(0);
    });
  }

  void reap(int flags) {
    if (exit) return;
    int status = 0;
    pid_t got = 0;
    do got = ::waitpid(pid, &status, flags);
    while (got < 0 && errno == EINTR);
    if (got == 0) return;
    exit.emplace();
    if (got > 0 && WIFEXITED(status)) exit->status = WEXITSTATUS(status);
    if (got > 0 && WIFSIGNALED(status)) exit->signal = WTERMSIG(status);
    ended.cancel();
  }

  void close() {
    closed = true;
    boost::system::error_code ignored;
    exit_descriptor.close(ignored);
    output.close(ignored);
    ended.cancel();
  }

  ChildOptions options;
  pid_t pid;
  asio::posix::stream_descriptor exit_descriptor;
  asio::posix::stream_descriptor output;
  asio::steady_timer ended;  // cancelled when it has ended
  std::optional<ChildExit> exit;
  bool closed = false;
  std::string line;
  std::array<char, 4096> chunk{};
};

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

tl::unexpected<Error> failed(std::string_view doing, const std::string& program, int error) {
  return fail(error == ENOENT ? ErrorCode::not_found : ErrorCode::internal,
              fmt::format("{} {}: {}", doing, program, std::generic_category().message(error)));
}

// Runs in the child of a process with threads: system calls only, no memory, no locks.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output, int null, int report, pid_t parent) {
  const auto give_up = [report] {
    const int error = errno;
    if (::write(report, &error, sizeof error) < 0) ::_exit(126);
    ::_exit(127);
  };
  ::setpgid(0, 0);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up();
  if (::getppid() != parent) ::_exit(127);  // it died before we asked to die with it
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(null, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0) give_up();
  // Libraries open sockets that a program would inherit: it would hold our ports, and our connections, when we are gone.
  constexpr int first = 3, last_of_old_kernels = 1023;
  if (::close_range(first, ~0U, CLOSE_RANGE_CLOEXEC) != 0)  // Linux 5.11
    for (int other = first; other <= last_of_old_kernels; ++other) ::fcntl(other, F_SETFD, FD_CLOEXEC);
  ::execvpe(arguments[0], arguments, environment);
  give_up();
  ::_exit(127);
}

struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    for (int& end : ends)
      if (end >= 0) ::close(end);
  }
  bool open() { return ::pipe2(ends, O_CLOEXEC) == 0; }
  int release(int which) { return std::exchange(ends[which], -1); }
  void close(int which) {
    if (const int end = release(which); end >= 0) ::close(end);
  }
};

// The error number of a failed exec; 0 when the program runs.
int exec_error(int report) {
  int error = 0;
  ssize_t got = 0;
  do got = ::read(report, &error, sizeof error);
  while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

}  // namespace

ChildProcess::ChildProcess(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const asio::any_io_executor& executor, ChildOptions options) {
  if (options.arguments.empty()) return fail(ErrorCode::invalid, "start a program: none is named");
  const std::string program = options.arguments.front();
  const std::vector<char*> arguments = pointers(options.arguments);
  const std::vector<char*> environment = pointers(options.environment);
  Pipe output;
  Pipe report;
  Pipe null;
  null.ends[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null.ends[0] < 0 || !output.open() || !report.open()) return failed("start", program, errno);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return failed("start", program, errno);
  if (child == 0) become(arguments.data(), environment.data(), output.ends[1], null.ends[0], report.ends[1], parent);
  ::setpgid(child, child);  // here too: a signal to the group must find it at once
  output.close(1);
  report.close(1);
  const int error = exec_error(report.ends[0]);
  const int pidfd = error != 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (pidfd < 0) {
    const int why = error != 0 ? error : errno;
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    return failed("start", program, why);
  }
  auto state = std::make_shared<State>(executor, child, pidfd, output.release(0), std::move(options));
  state->read_output();
  state->watch_exit();
  return std::unique_ptr<ChildProcess>{new ChildProcess{std::move(state)}};
}

ChildProcess::~ChildProcess() {  // NOLINT(bugprone-exception-escape): cancelling a timer throws nothing
  signal(SIGKILL);
  state_->reap(0);
  state_->close();
}

pid_t ChildProcess::pid() const { return state_->pid; }
std::optional<ChildExit> ChildProcess::exit() const { return state_->exit; }

void ChildProcess::signal(int number) {
  if (!state_->exit) ::kill(-state_->pid, number);
}

asio::awaitable<ChildExit> ChildProcess::wait() {
  const auto state = state_;
  while (!state->exit) {
    co_await state->ended.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!state->exit && (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error{asio::error::operation_aborted};
  }
  co_return *state->exit;
}

}  // namespace berth
