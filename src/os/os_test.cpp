#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "os/child_process.hpp"
#include "os/files.hpp"
#include "os/system_clock.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

class Folder {
 public:
  Folder() {
    std::string name = "/tmp/berth-os-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

template <class T>
T run(asio::io_context& io, asio::awaitable<T> task) {
  std::optional<T> out;
  asio::co_spawn(io, std::move(task), [&](const std::exception_ptr& error, T value) {
    if (error) std::rethrow_exception(error);
    out = std::move(value);
    io.stop();
  });
  io.restart();
  io.run();
  return std::move(*out);
}

TEST(SystemTimers, SleepsAtLeastAsLongAsAsked) {
  asio::io_context io{1};
  const auto timers = make_system_timers(io.get_executor());
  const Instant begun = timers->now();
  const auto sleep = [](Timers& t, Instant at) -> asio::awaitable<bool> {
    co_await t.sleep_until(at);
    co_return true;
  };
  EXPECT_TRUE(run(io, sleep(*timers, begun + 20ms)));
  EXPECT_GE(timers->now() - begun, 20ms);
  EXPECT_TRUE(run(io, sleep(*timers, begun)));
  EXPECT_GT(timers->wall_now().since_epoch.count(), 1'600'000'000'000'000);
}

TEST(SystemRng, DiffersFromOneToTheNext) { EXPECT_NE(make_system_rng()->next(), make_system_rng()->next()); }

TEST(Files, PrivateDirectoryIsMadeAndTightened) {
  const Folder folder;
  const std::string path = folder / "a/b";
  ASSERT_TRUE(make_private_directory(path));
  ::chmod(path.c_str(), 0755);
  ASSERT_TRUE(make_private_directory(path));
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700U);
}

TEST(Files, PrivateDirectoryRefusesLinksAndStrangers) {
  const Folder folder;
  std::filesystem::create_directory(folder / "real");
  std::filesystem::create_symlink(folder / "real", folder / "link");
  EXPECT_FALSE(make_private_directory(folder / "link"));
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown((folder / "real").c_str(), 12345, 12345), 0);
  EXPECT_EQ(make_private_directory(folder / "real").error().code, ErrorCode::forbidden);
}

TEST(Files, ReadIsBounded) {
  const Folder folder;
  std::ofstream{folder / "f"} << "hello";
  EXPECT_EQ(read_file(folder / "f", 5).value(), "hello");
  EXPECT_EQ(read_file(folder / "f", 4).error().code, ErrorCode::invalid);
  EXPECT_EQ(read_file(folder / "none", 4).error().code, ErrorCode::not_found);
  EXPECT_TRUE(remove_file(folder / "f"));
  EXPECT_TRUE(remove_file(folder / "f"));
}

asio::awaitable<ChildExit> wait(ChildProcess& child) { co_return co_await child.wait(); }

TEST(Files, APrivateFileIsReplacedWholeAndFollowsNoLink) {
  const Folder folder;
  ASSERT_TRUE(write_private_file(folder / "f", "one"));
  ASSERT_TRUE(write_private_file(folder / "f", "another"));
  EXPECT_EQ(read_file(folder / "f", 100).value(), "another");
  struct stat found{};
  ASSERT_EQ(::stat((folder / "f").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  std::ofstream{folder / "theirs"} << "untouched";
  std::filesystem::create_symlink(folder / "theirs", folder / "f.new");
  ASSERT_TRUE(write_private_file(folder / "f", "third"));
  EXPECT_EQ(read_file(folder / "theirs", 100).value(), "untouched");
  EXPECT_FALSE(write_private_file(folder / "none/f", "x"));
}

TEST(ChildProcess, GivesLinesAndExitStatus) {
  asio::io_context io{1};
  std::vector<std::string> lines;
  ChildOptions options{.arguments = {"/bin/sh", "-c", "echo one; echo $GREETING >&2; printf 12345678abc; exit 3"},
                       .environment = {"GREETING=two"},
                       .on_line = [&](std::string_view line) { lines.emplace_back(line); },
                       .longest_line = 8};
  auto child = ChildProcess::start(io.get_executor(), std::move(options));
  ASSERT_TRUE(child) << child.error().text;
  const ChildExit exit = run(io, wait(**child));
  io.restart();
  io.run_for(50ms);
  EXPECT_EQ(exit.status, 3);
  EXPECT_EQ(exit.to_string(), "exit status 3");
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "12345678", "abc"}));
}

TEST(ChildProcess, AProgramThatIsMissingIsAnError) {
  asio::io_context io{1};
  const auto child = ChildProcess::start(io.get_executor(), {.arguments = {"/no/such/program"}, .environment = {}, .on_line = {}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::not_found);
  EXPECT_NE(child.error().text.find("/no/such/program"), std::string::npos);
}

TEST(ChildProcess, InheritsNothing) {
  asio::io_context io{1};
  const int ours = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as sockets of libraries are
  std::vector<std::string> lines;
  auto child = ChildProcess::start(io.get_executor(), {.arguments = {"/bin/sh", "-c", "ls /proc/self/fd/" + std::to_string(ours)},
                                                       .environment = {"PATH=/bin:/usr/bin"},
                                                       .on_line = [&](std::string_view line) { lines.emplace_back(line); }});
  ASSERT_TRUE(child);
  EXPECT_NE(run(io, wait(**child)).status, 0) << ::testing::PrintToString(lines);
  ::close(ours);
}

TEST(ChildProcess, SignalEndsItWithItsGroup) {
  asio::io_context io{1};
  auto child = ChildProcess::start(
      io.get_executor(), {.arguments = {"/bin/sh", "-c", "sleep 100 & wait"}, .environment = {"PATH=/bin:/usr/bin"}, .on_line = {}});
  ASSERT_TRUE(child);
  (*child)->signal(SIGTERM);
  EXPECT_EQ(run(io, wait(**child)).signal, SIGTERM);
  (*child)->signal(SIGTERM);  // after its exit: nothing
}

TEST(ChildProcess, DestructionKillsAndReaps) {
  asio::io_context io{1};
  pid_t pid = 0;
  {
    auto child = ChildProcess::start(io.get_executor(), {.arguments = {"/bin/sleep", "100"}, .environment = {}, .on_line = {}});
    ASSERT_TRUE(child);
    pid = (*child)->pid();
    EXPECT_FALSE((*child)->exit());
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  io.run();
}

}  // namespace
}  // namespace berth
