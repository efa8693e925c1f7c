// What a BGP engine promises, shown with real programs on each side: the one that the engine runs, and gobgpds that play routers on
// loopback addresses. Each promise is a test for both engines; what is about one of them alone has its name before the dot.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "bird/control.hpp"
#include "bird/engine.hpp"
#include "gobgp/client.hpp"
#include "gobgp/engine.hpp"
#include "gobgp/translate.hpp"
#include "os/child_process.hpp"
#include "os/files.hpp"
#include "os/system_clock.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;
using gobgp::Client;

constexpr std::uint32_t our_as = 64512;
constexpr std::uint32_t router_as = 65000;

std::string gobgpd() {
  const char* named = std::getenv("BERTH_GOBGPD");
  return named != nullptr ? named : BERTH_GOBGPD_DEFAULT;
}

std::string bird_program() {
  const char* named = std::getenv("BERTH_BIRD");
  return named != nullptr ? named : BERTH_BIRD_DEFAULT;
}

// A port that is free on all loopback addresses now.
std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  if (probe < 0 || ::bind(probe, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    std::abort();
  ::close(probe);
  return ntohs(address.sin_port);
}

BgpRoute route(std::uint32_t number, std::uint32_t next_hop = 1) {
  return {IpAddress::v4(0xCB007100U + number), IpAddress::v4(0x0A000000U + next_hop)};  // 203.0.113.0/24 via 10.0.0.0/24
}

BgpRoutes plain(const std::set<BgpRoute>& routes) {
  BgpRoutes out;
  for (const BgpRoute& one : routes) out.emplace(one, BgpPath{});
  return out;
}

std::set<BgpRoute> keys_of(const BgpRoutes& routes) {
  std::set<BgpRoute> out;
  for (const auto& [route, path] : routes) out.insert(route);
  return out;
}

// Sixty addresses, each by these next hops.
std::set<BgpRoute> sixty(std::initializer_list<std::uint32_t> next_hops) {
  std::set<BgpRoute> out;
  for (std::uint32_t i = 1; i <= 60; ++i)
    for (const std::uint32_t next_hop : next_hops) out.insert(route(i, next_hop));
  return out;
}

// A TCP connection from one loopback address to a port at another; it ends at once.
bool connects(const char* from, std::uint16_t port) {
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{}, there{};
  here.sin_family = there.sin_family = AF_INET;
  there.sin_port = htons(port);
  ::inet_pton(AF_INET, from, &here.sin_addr);
  ::inet_pton(AF_INET, "127.0.0.1", &there.sin_addr);
  const bool done = ::bind(connection, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0 &&
                    ::connect(connection, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0;
  ::close(connection);
  return done;
}

// A router: accepts from 127.0.0.1, keeps routes over a restart, receives several paths for one prefix.
class Router {
 public:
  Router(const asio::any_io_executor& executor, Timers& timers, const std::string& folder, std::string address)
      : timers_(timers), address_(std::move(address)), port_(free_port()), socket_(folder + "/" + address_ + ".sock") {
    auto child = ChildProcess::start(executor,
                                     {.arguments = {gobgpd(), "--api-hosts", "unix://" + socket_, "--pprof-disable", "--metrics-path="},
                                      .environment = {},
                                      .on_line = [](std::string_view) {}});
    if (!child) throw std::runtime_error{child.error().text};
    child_ = std::move(*child);
    client_ = std::make_unique<Client>(executor, socket_);
  }

  asio::awaitable<void> start() {
    while (!co_await client_->get_bgp()) co_await timers_.sleep_for(10ms);
    const BgpGlobal global{
        .as = router_as, .router_id = address_, .listen_port = port_, .listen_addresses = {address_}, .use_multiple_paths = false};
    must(co_await client_->start_bgp(gobgp::to_api(global).value()));
    BgpPeerConfig peer;
    peer.neighbor = *IpAddress::parse("127.0.0.1");
    peer.peer_as = our_as;
    peer.passive = true;
    peer.hold_time_s = 9;
    peer.keepalive_interval_s = 3;
    peer.restart_time_s = 30;
    peer.families = {{IpFamily::v4, true, several_paths_, 0}, {IpFamily::v6, true, several_paths_, 0}};
    must(co_await client_->add_peer(gobgp::to_api(peer, global, false)));
  }

  // Before start(): it has no ADD-PATH.
  void take_one_path() { several_paths_ = false; }

  // How our side has to be configured for it.
  [[nodiscard]] BgpPeerConfig peer() const {
    BgpPeerConfig out;
    out.object = "router-" + address_;
    out.neighbor = *IpAddress::parse(address_);
    out.peer_as = router_as;
    out.remote_port = port_;
    out.hold_time_s = 9;
    out.keepalive_interval_s = 3;
    out.connect_retry_s = 1;
    out.families = {{IpFamily::v4, true, false, 10}, {IpFamily::v6, true, false, 10}};
    return out;
  }

  asio::awaitable<void> set_password(std::string password) {
    api::Peer peer = (co_await client_->list_peers()).value().front();
    peer.mutable_conf()->set_auth_password(std::move(password));
    must(co_await client_->update_peer(std::move(peer)));
  }

  static std::vector<std::uint32_t> as_path_of(const api::Path& path) {
    std::vector<std::uint32_t> out;
    for (const api::Attribute& attribute : path.pattrs())
      for (const auto& segment : attribute.as_path().segments()) out.insert(out.end(), segment.numbers().begin(), segment.numbers().end());
    return out;
  }

  asio::awaitable<std::set<BgpRoute>> routes() {
    std::set<BgpRoute> out;
    paths_.clear();
    as_paths_.clear();
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
      const auto paths = co_await client_->list_paths(gobgp::family_of(family));
      if (!paths) continue;
      for (const api::Path& path : *paths)
        if (const auto read = gobgp::path_from_api(path)) {
          out.insert(read->route);
          paths_.insert_or_assign(read->route, read->path.path);
          as_paths_.insert_or_assign(read->route, as_path_of(path));
        }
    }
    co_return out;
  }

  asio::awaitable<BgpPeerStatus> session() {
    const auto peers = co_await client_->list_peers();
    if (!peers || peers->empty()) co_return BgpPeerStatus{};
    co_return gobgp::status_from_api(peers->front());
  }

  // Of the routes last read.
  [[nodiscard]] const BgpRoutes& paths() const { return paths_; }
  [[nodiscard]] const std::map<BgpRoute, std::vector<std::uint32_t>>& as_paths() const { return as_paths_; }
  Client& client() { return *client_; }

 private:
  static void must(const Result<>& result) {
    if (!result) throw std::runtime_error{result.error().text};
  }

  Timers& timers_;
  std::string address_;
  std::uint16_t port_;
  bool several_paths_ = true;
  std::string socket_;
  std::unique_ptr<ChildProcess> child_;
  std::unique_ptr<Client> client_;
  BgpRoutes paths_;
  std::map<BgpRoute, std::vector<std::uint32_t>> as_paths_;
};

enum class Engine : std::uint8_t { gobgpd, bird };

class EngineTest : public ::testing::Test {
 protected:
  explicit EngineTest(Engine which) : which_(which) {}

  void SetUp() override {
    if (which_ == Engine::bird && ::access(bird_program().c_str(), X_OK) != 0)
      FAIL() << "no bird at " << bird_program() << ": run tools/setup lab, or set BERTH_BIRD to a BIRD 2.0";
    if (::access(gobgpd().c_str(), X_OK) != 0)
      FAIL() << "no gobgpd at " << gobgpd() << ": run tools/build-go gobgp, or set BERTH_GOBGPD to a gobgpd 4.x";
    std::string name = "/tmp/berth-bgp-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    if (std::getenv("BERTH_TEST_LOG") != nullptr)
      log::set_sink([](log::Level, std::string_view event, log::Fields fields) {
        std::string line{event};
        for (const auto& field : fields) line += fmt::format(" {}={}", field.key, field.value);
        std::fprintf(stderr, "%s\n", line.c_str());
      });
    desired_.global = BgpGlobal{
        .as = our_as, .router_id = "10.0.0.1", .listen_port = -1, .listen_addresses = {}, .use_multiple_paths = false};
  }

  void TearDown() override {
    if (tasks_) {
      tasks_->cancel();
      io_.restart();
      for (int i = 0; i < 300 && tasks_->size() > 0; ++i) io_.run_for(10ms);
      EXPECT_EQ(tasks_->size(), 0U) << "the engine's tasks do not end when cancelled";
    }
    tasks_.reset();
    engine_.reset();
    routers_.clear();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void make_engine(Duration read_back_interval = 60s, std::string program = "") {
    if (program.empty()) program = which_ == Engine::gobgpd ? gobgpd() : bird_program();
    if (which_ == Engine::gobgpd)
      engine_ = make_gobgp_engine(io_.get_executor(), *timers_, *rng_,
                                  {.program = program, .run_directory = folder_ + "/engine", .read_back_interval = read_back_interval});
    else
      engine_ = make_bird_engine(io_.get_executor(), *timers_, *rng_,
                                 {.program = program, .run_directory = folder_ + "/engine", .read_back_interval = read_back_interval});
    tasks_ = std::make_unique<TaskGroup>(io_.get_executor());
    tasks_->spawn("engine", engine_->run([this] { ++changes_; }));
  }

  Router& add_router(const std::string& address) {
    routers_.push_back(std::make_unique<Router>(io_.get_executor(), *timers_, folder_, address));
    return *routers_.back();
  }

  // Runs a test body; it fails rather than hangs.
  void play(std::function<asio::awaitable<void>()> body) {
    bool done = false;
    asio::co_spawn(io_, body(), [&](const std::exception_ptr& error) {
      done = true;
      io_.stop();
      if (error) std::rethrow_exception(error);
    });
    io_.run_for(60s);
    EXPECT_TRUE(done) << "the test did not end in time";
  }

  asio::awaitable<bool> until(std::function<asio::awaitable<bool>()> condition, Duration patience = 20s) {
    const Instant give_up = timers_->now() + patience;
    while (timers_->now() < give_up) {
      if (co_await condition()) co_return true;
      co_await timers_->sleep_for(10ms);
    }
    co_return false;
  }

  asio::awaitable<bool> has(Router& router, std::set<BgpRoute> routes, Duration patience = 20s) {
    return until(std::bind_front(&EngineTest::has_now, std::ref(router), std::move(routes)), patience);
  }
  // With their attributes, which are read with the routes.
  asio::awaitable<bool> has_paths(Router& router, BgpRoutes paths) {
    return until(std::bind_front(&EngineTest::has_paths_now, std::ref(router), std::move(paths)));
  }
  asio::awaitable<bool> is_up(Router& router) { return until(std::bind_front(&EngineTest::is_up_now, std::ref(router))); }
  // So many processes were started at least, and the last one answers.
  asio::awaitable<bool> runs(std::uint64_t start, Duration patience = 20s) {
    return until(std::bind_front(&EngineTest::runs_now, this, start), patience);
  }

  // A call that meets a new process before it serves is tried again, as the speaker does.
  asio::awaitable<bool> applies() { return until(std::bind_front(&EngineTest::applies_now, this)); }
  asio::awaitable<Result<>> apply() { return engine_->apply(std::make_shared<const BgpDesired>(desired_)); }

  asio::awaitable<void> begin(std::vector<Router*> routers) {
    for (Router* router : routers) {
      co_await router->start();
      desired_.peers.push_back(router->peer());
    }
    EXPECT_TRUE(co_await runs(0));
    EXPECT_TRUE(co_await applies());
  }

  static asio::awaitable<bool> has_now(Router& router, const std::set<BgpRoute>& routes) { co_return (co_await router.routes()) == routes; }
  static asio::awaitable<bool> has_paths_now(Router& router, const BgpRoutes& paths) {
    co_await router.routes();
    co_return router.paths() == paths;
  }
  static asio::awaitable<bool> is_up_now(Router& router) {
    co_return (co_await router.session()).session_state == SessionState::established;
  }
  asio::awaitable<bool> runs_now(std::uint64_t start) { co_return engine_->counters().starts >= start && engine_->running(); }
  asio::awaitable<bool> applies_now() { co_return (co_await apply()).has_value(); }

  // -- stories

  // Of two next hops that came at once one goes at once: each of them.
  asio::awaitable<void> take_one_of_two_paths_away(Router& router) {
    co_await begin({&router});
    EXPECT_TRUE(co_await is_up(router));
    for (const std::uint32_t stays : {1U, 2U}) {
      desired_.routes = plain(sixty({1, 2}));
      EXPECT_TRUE(co_await apply());
      EXPECT_TRUE(co_await until(std::bind_front(&EngineTest::has_so_many, std::ref(router), 60)));
      desired_.routes = plain(sixty({stays}));
      EXPECT_TRUE(co_await apply());
      EXPECT_TRUE(co_await has(router, sixty({stays}), 3s)) << "path " << stays;
      desired_.routes.clear();
      EXPECT_TRUE(co_await apply());
      EXPECT_TRUE(co_await has(router, {}));
    }
  }
  // Of two next hops that came at once the router has the newest in the end, which is gobgpd's best one.
  asio::awaitable<void> hear_the_best_of_two_paths(Router& router) {
    co_await begin({&router});
    EXPECT_TRUE(co_await is_up(router));
    desired_.routes = plain(sixty({1, 2}));
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(router, sixty({2}), 5s));
    desired_.routes = plain(sixty({1}));
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(router, sixty({1}), 3s));
  }
  asio::awaitable<void> be_called(std::uint16_t port) {
    desired_.global->listen_port = port;
    desired_.ranges = {*parse_ip_range("127.0.0.0/8")};
    co_await begin({});
    EXPECT_TRUE(engine_->take_callers().empty());
    EXPECT_TRUE(co_await until(std::bind_front(&EngineTest::connects_now, port)));
    const int before = changes_;
    std::set<IpAddress> callers;
    EXPECT_TRUE(co_await until(std::bind_front(&EngineTest::was_called, this, std::ref(callers))));
    EXPECT_EQ(callers, std::set<IpAddress>{*IpAddress::parse("127.0.0.9")});
    EXPECT_GT(changes_, before);
    EXPECT_TRUE(engine_->take_callers().empty());
    EXPECT_TRUE((co_await apply()).has_value()) << "and nothing else comes of it";
  }
  static asio::awaitable<bool> has_so_many(Router& router, std::size_t routes) { co_return (co_await router.routes()).size() == routes; }
  static asio::awaitable<bool> connects_now(std::uint16_t port) { co_return connects("127.0.0.9", port); }
  asio::awaitable<bool> was_called(std::set<IpAddress>& callers) {
    callers = engine_->take_callers();
    co_return !callers.empty();
  }

  // The pid of the program that the engine runs.
  pid_t engine_pid() {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto arguments = read_file(entry.path() / "cmdline", 1 << 20);
      if (arguments && arguments->find(folder_ + "/engine/") != std::string::npos) return std::stoi(name);
    }
    return -1;
  }

  const Engine which_;
  asio::io_context io_{1};
  std::unique_ptr<Timers> timers_ = make_system_timers(io_.get_executor());
  std::unique_ptr<Rng> rng_ = make_system_rng();
  std::string folder_;
  std::vector<std::unique_ptr<Router>> routers_;
  std::unique_ptr<BgpEngine> engine_;
  std::unique_ptr<TaskGroup> tasks_;
  BgpDesired desired_;
  int changes_ = 0;
};

struct BgpConformance : EngineTest, ::testing::WithParamInterface<Engine> {
  BgpConformance() : EngineTest(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(All, BgpConformance, ::testing::Values(Engine::gobgpd, Engine::bird), [](const auto& engine) {
  return engine.param == Engine::gobgpd ? "Gobgpd" : "Bird";
});

struct GobgpdEngine : EngineTest {
  GobgpdEngine() : EngineTest(Engine::gobgpd) {}
};

struct BirdEngine : EngineTest {
  BirdEngine() : EngineTest(Engine::bird) {}
  asio::awaitable<std::string> ask(std::string command) {
    bird::Control control{io_.get_executor(), folder_ + "/engine/bird.ctl"};
    const auto reply = co_await control.ask(std::move(command));
    std::string out;
    if (!reply) co_return reply.error().text;
    for (const auto& line : reply->lines) out += line.text + "\n";
    co_return out;
  }
};

TEST_P(BgpConformance, RoutesArriveAndLeaveWithEachNextHop) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    const BgpRoute six{*IpAddress::parse("2001:db8::1"), *IpAddress::parse("2001:db8:1::1")};
    desired_.routes = plain({route(1, 1), route(1, 2), route(2, 1), six});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ(engine_->routes(), desired_.routes);

    desired_.routes = plain({route(1, 2), route(1, 3), route(3, 1)});
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ(engine_->routes(), desired_.routes);

    const auto peers = co_await engine_->peers();
    EXPECT_TRUE(peers && peers->size() == 1);
    if (!peers || peers->empty()) co_return;
    EXPECT_EQ(peers->front().session_state, SessionState::established);
    EXPECT_TRUE(peers->front().add_path_send);
    EXPECT_TRUE(peers->front().graceful_restart);
    EXPECT_FALSE(peers->front().uptime.empty());
    EXPECT_GT(changes_, 1);
    EXPECT_EQ(engine_->counters().errors, 0U);
  });
}

TEST_P(BgpConformance, ARouterWithoutAddPathKeepsNoPathThatIsGone) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  router.take_one_path();
  play([&] { return take_one_of_two_paths_away(router); });
}

TEST_P(BgpConformance, ApplyingTheSameAgainSendsNothing) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const BgpEngineCounters before = engine_->counters();
    EXPECT_TRUE(co_await apply());
    EXPECT_EQ(engine_->counters().paths_added, before.paths_added);
    EXPECT_EQ(engine_->counters().peers_changed, before.peers_changed);
  });
}

TEST_P(BgpConformance, AnEditOfOnePeerTouchesOnlyItsSession) {
  make_engine();
  Router& first = add_router("127.0.0.2");
  Router& second = add_router("127.0.0.3");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&first, &second});
    EXPECT_TRUE(co_await has(first, keys_of(desired_.routes)));
    EXPECT_TRUE(co_await has(second, keys_of(desired_.routes)));
    const std::uint64_t opens = (co_await first.session()).received.open;
    const std::uint64_t second_opens = (co_await second.session()).received.open;

    desired_.peers[0].description = "a name only";
    desired_.peers[1].restart_time_s = 60;
    EXPECT_TRUE(co_await apply());
    EXPECT_EQ(engine_->counters().peers_changed, 3U);
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> {
      const BgpPeerStatus status = co_await second.session();
      co_return status.session_state == SessionState::established&& status.received.open > second_opens;
    }));
    EXPECT_TRUE(co_await has(second, keys_of(desired_.routes)));
    const BgpPeerStatus untouched = co_await first.session();
    EXPECT_EQ(untouched.received.open, opens);
    EXPECT_EQ(untouched.session_state, SessionState::established);

    desired_.peers.pop_back();
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(second, {}));
    EXPECT_TRUE(co_await has(first, keys_of(desired_.routes)));
  });
}

TEST_P(BgpConformance, AKilledEngineLosesNoRouteAtTheRouter) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    for (std::uint32_t i = 1; i <= 200; ++i) desired_.routes.emplace(route(i), BgpPath{});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const std::uint64_t opens = (co_await router.session()).received.open;

    EXPECT_EQ(::kill(engine_pid(), SIGKILL), 0);
    EXPECT_TRUE(co_await runs(2));
    EXPECT_TRUE(engine_->routes().empty());
    EXPECT_TRUE(co_await apply());
    bool back = false;
    std::size_t least = desired_.routes.size();
    const Instant settled_by = timers_->now() + 20s;
    std::optional<Instant> up_at;
    while (timers_->now() < settled_by && (!up_at || timers_->now() < *up_at + 2s)) {
      least = std::min(least, (co_await router.routes()).size());
      const BgpPeerStatus status = co_await router.session();
      back = status.session_state == SessionState::established && status.received.open > opens;
      if (back && !up_at) up_at = timers_->now();
      co_await timers_->sleep_for(5ms);
    }
    EXPECT_TRUE(back);
    EXPECT_EQ(least, desired_.routes.size());
    EXPECT_EQ((co_await router.session()).received.withdraw_prefix, 0U);
    EXPECT_EQ(engine_->counters().drift_repaired, 0U);
  });
}

TEST_P(BgpConformance, AnotherRouterIdIsAPlannedRestartThatLosesNoRoute) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    for (std::uint32_t i = 1; i <= 50; ++i) desired_.routes.emplace(route(i), BgpPath{});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    desired_.global->router_id = "10.0.0.9";
    EXPECT_TRUE(co_await applies());
    std::size_t least = desired_.routes.size();
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> {
      least = std::min(least, (co_await router.routes()).size());
      const BgpPeerStatus status = co_await router.session();
      co_return status.session_state == SessionState::established&& status.router_id == "10.0.0.9";
    }));
    EXPECT_EQ(least, desired_.routes.size());
    EXPECT_EQ(engine_->counters().starts, 2U);
  });
}

TEST_P(BgpConformance, StopToRestartKeepsRoutesAtTheRouter) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const auto stopped = co_await engine_->stop(BgpStop::restart);
    EXPECT_TRUE(stopped) << stopped.error().text;
    EXPECT_TRUE(co_await until(
        [&]() -> asio::awaitable<bool> { co_return (co_await router.session()).session_state != SessionState::established; }));
    EXPECT_EQ(engine_pid(), -1);
    co_await timers_->sleep_for(1s);
    EXPECT_EQ(co_await router.routes(), keys_of(desired_.routes));
  });
}

TEST_P(BgpConformance, DrainMarksThenWithdrawsBeforeTheSessionEnds) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    BgpPath marked;
    marked.attributes.add(graceful_shutdown_community);
    for (auto& [one, path] : desired_.routes) path = marked;
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has_paths(router, desired_.routes));
    const auto stopped = co_await engine_->stop(BgpStop::drain);
    EXPECT_TRUE(stopped) << stopped.error().text;
    EXPECT_TRUE(co_await has(router, {}, 1s));
    EXPECT_EQ((co_await router.session()).received.withdraw_prefix, 2U);
    EXPECT_EQ(engine_pid(), -1);
  });
}

TEST_P(BgpConformance, AttributesReachTheRouterAndChangeInPlace) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    BgpPath& path = desired_.routes.begin()->second;
    path.attributes = {{{false, 64512, 100, 0}, {true, 64512, 1, 2}}, 50, {}};
    co_await begin({&router});
    EXPECT_TRUE(co_await has_paths(router, desired_.routes));
    EXPECT_EQ(engine_->routes(), desired_.routes);
    path.attributes.communities.clear();
    path.attributes.med = 60;
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has_paths(router, desired_.routes));
    EXPECT_EQ((co_await router.session()).received.withdraw_prefix, 0U);
  });
}

// Three routers, three treatments of one route; another one goes to all.
TEST_P(BgpConformance, AnAudienceGetsWhatItIsOffered) {
  make_engine();
  Router& first = add_router("127.0.0.2");
  Router& second = add_router("127.0.0.3");
  Router& third = add_router("127.0.0.4");
  play([&]() -> asio::awaitable<void> {
    const BgpRoute all = route(1), some = route(2);
    desired_.routes = plain({all, some});
    desired_.routes[some].audience = 7;
    const BgpAttributes low{{{false, 64512, 1, 0}}, 10, {}}, high{{{true, 64512, 2, 3}}, 20, {}};
    desired_.audiences = {{7, {{{first.peer().neighbor}, low, 2, our_as}, {{second.peer().neighbor}, high, 0, 0}}}};
    co_await begin({&first, &second, &third});
    EXPECT_TRUE(co_await has(first, {all, some}));
    EXPECT_TRUE(co_await has(second, {all, some}));
    EXPECT_TRUE(co_await has(third, {all}));
    EXPECT_EQ(first.paths().at(some).attributes, low);
    EXPECT_EQ(first.paths().at(some).audience, 0U) << "the mark is ours alone";
    EXPECT_EQ(first.as_paths().at(some), (std::vector<std::uint32_t>{our_as, our_as, our_as}));
    EXPECT_EQ(second.paths().at(some).attributes, high);
    EXPECT_EQ(second.paths().at(some).audience, 0U);
    EXPECT_EQ(second.as_paths().at(some), std::vector<std::uint32_t>{our_as});
    EXPECT_EQ(first.paths().at(all), BgpPath{});

    // Another offer of the same number: no route changes, but routers hear of it, and who is left out loses it.
    desired_.audiences[7] = {{{first.peer().neighbor}, high, 0, 0}, {{third.peer().neighbor}, low, 0, 0}};
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(second, {all}));
    EXPECT_TRUE(co_await has(third, {all, some}));
    EXPECT_TRUE(co_await has_paths(first, {{all, {}}, {some, {high, 0}}}));

    // To all again, and nothing is left of it; nobody's session was touched.
    desired_.routes[some].audience = 0;
    desired_.audiences.clear();
    EXPECT_TRUE(co_await apply());
    for (Router* router : {&first, &second, &third}) {
      EXPECT_TRUE(co_await has_paths(*router, desired_.routes));
      EXPECT_EQ((co_await router->session()).flaps, 0U);
    }
  });
}

TEST_P(BgpConformance, AnAudienceOutlivesTheEngine) {
  make_engine();
  Router& first = add_router("127.0.0.2");
  Router& second = add_router("127.0.0.3");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    desired_.routes[route(2)].audience = 7;
    desired_.audiences = {{7, {{{first.peer().neighbor}, {}, 0, 0}}}};
    co_await begin({&first, &second});
    EXPECT_TRUE(co_await has(first, {route(1), route(2)}));
    EXPECT_TRUE(co_await has(second, {route(1)}));
    EXPECT_EQ(::kill(engine_pid(), SIGKILL), 0);
    EXPECT_TRUE(co_await runs(2));
    EXPECT_TRUE(co_await applies());
    EXPECT_TRUE(co_await is_up(second));
    EXPECT_TRUE(co_await has(first, {route(1), route(2)}));
    EXPECT_EQ(co_await second.routes(), std::set<BgpRoute>{route(1)});
  });
}

TEST_F(GobgpdEngine, ARouterWithoutAddPathHasTheBestOfTwoPathsInTheEnd) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  router.take_one_path();
  play([&] { return hear_the_best_of_two_paths(router); });
}

TEST_F(GobgpdEngine, ReadBackRepairsWhatSomebodyElseChanged) {
  make_engine(500ms);
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ(engine_->counters().drift_repaired, 0U);
    Client behind{io_.get_executor(), folder_ + "/engine/gobgpd.sock"};
    EXPECT_TRUE(co_await behind.change_paths({gobgp::withdrawal(route(1), 1), gobgp::to_api(route(9), 7, {})}));
    EXPECT_TRUE(co_await has(router, {route(2), route(9)}, 450ms));
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes), 3s));
    EXPECT_EQ(engine_->counters().drift_repaired, 2U);
  });
}

TEST_F(GobgpdEngine, NothingComesInFromARouter) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await router.client().change_paths({gobgp::to_api(route(77), 1, {})}));
    EXPECT_TRUE(co_await has(router, {route(1), route(77)}));
    co_await timers_->sleep_for(300ms);
    Client behind{io_.get_executor(), folder_ + "/engine/gobgpd.sock"};
    const auto paths = co_await behind.list_paths(gobgp::family_of(IpFamily::v4));
    EXPECT_TRUE(paths && paths->size() == 1);
  });
}

TEST_F(GobgpdEngine, ALiveEngineIsAdoptedAndOnlyDifferencesAreSent) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const std::uint64_t opens = (co_await router.session()).received.open;

    const auto second = make_gobgp_engine(io_.get_executor(), *timers_, *rng_, {.program = gobgpd(), .run_directory = folder_ + "/engine"});
    TaskGroup tasks{io_.get_executor()};
    tasks.spawn("second", second->run([] {}));
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> { co_return second->running(); }));
    desired_.routes = plain({route(2), route(3)});
    EXPECT_TRUE(co_await second->apply(std::make_shared<const BgpDesired>(desired_)));
    const BgpEngineCounters counters = second->counters();
    EXPECT_EQ(counters.starts, 0U);
    EXPECT_EQ(counters.peers_changed, 0U);
    EXPECT_EQ(counters.paths_added, 1U);
    EXPECT_EQ(counters.paths_withdrawn, 1U);
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ((co_await router.session()).received.open, opens);
    tasks.cancel();
    co_await tasks.join();
  });
}

TEST_F(GobgpdEngine, AnAdoptedEngineIsReplacedWhenItsServerHasToBeAnother) {
  std::filesystem::create_directory(folder_ + "/engine");
  auto orphan = ChildProcess::start(io_.get_executor(), {.arguments = {gobgpd(), "--api-hosts", "unix://" + folder_ + "/engine/gobgpd.sock",
                                                                       "--pprof-disable", "--metrics-path="},
                                                         .environment = {},
                                                         .on_line = [](std::string_view) {}});
  ASSERT_TRUE(orphan);
  play([&]() -> asio::awaitable<void> {
    Client client{io_.get_executor(), folder_ + "/engine/gobgpd.sock"};
    while (!co_await client.get_bgp()) co_await timers_->sleep_for(10ms);
    make_engine();
    EXPECT_TRUE(co_await runs(0));
    EXPECT_TRUE(co_await apply());
    EXPECT_EQ(engine_->counters().starts, 0U) << "adopted";
    desired_.global->as = our_as + 1;
    EXPECT_TRUE(co_await applies());
    EXPECT_EQ(engine_->counters().starts, 1U);
    const auto global = co_await client.get_bgp();
    EXPECT_TRUE(global && global->asn() == our_as + 1);
  });
}

TEST_P(BgpConformance, AStrangerThatConnectsIsTold) {
  make_engine();
  play([&] { return be_called(free_port()); });
}

TEST_P(BgpConformance, NoConfigurationEndsSessionsAndRoutes) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    desired_ = {};
    EXPECT_TRUE(co_await applies());
    EXPECT_TRUE(co_await has(router, {}));
    EXPECT_TRUE(engine_->routes().empty());
    const auto peers = co_await engine_->peers();
    EXPECT_TRUE(peers && peers->empty());
  });
}

TEST_P(BgpConformance, AHungEngineIsReplaced) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ(::kill(engine_pid(), SIGSTOP), 0);
    EXPECT_TRUE(co_await runs(2, 30s));
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
  });
}

TEST_P(BgpConformance, AnotherPasswordEndsTheSessionUntilTheRouterHasIt) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const std::uint64_t opens = (co_await router.session()).received.open;
    desired_.peers[0].auth_password = "correct horse";
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(co_await has(router, {}));
    co_await router.set_password("correct horse");
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_GT((co_await router.session()).received.open, 0U);
    EXPECT_EQ(opens, 1U);
    const auto peers = co_await engine_->peers();
    EXPECT_TRUE(peers && peers->size() == 1);
  });
}

TEST_F(GobgpdEngine, APeerThatIsRefusedIsToldAndTheRestIsDone) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    co_await begin({&router});
    desired_.routes = plain({route(1)});
    BgpPeerConfig refused;
    refused.neighbor = *IpAddress::parse("127.0.0.9");
    refused.peer_as = our_as;
    refused.remove_private_as = "ALL";  // not for iBGP
    desired_.peers.push_back(refused);
    const auto applied = co_await apply();
    EXPECT_FALSE(applied);
    if (!applied) EXPECT_NE(applied.error().text.find("add peer 127.0.0.9"), std::string::npos) << applied.error().text;
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    desired_.peers.pop_back();
    EXPECT_TRUE(co_await apply());
  });
}

TEST_P(BgpConformance, AMissingProgramIsAnErrorThatNamesIt) {
  make_engine(60s, "/no/such/program");
  play([&]() -> asio::awaitable<void> {
    co_await timers_->sleep_for(50ms);
    const auto applied = co_await apply();
    EXPECT_FALSE(applied);
    if (applied) co_return;
    EXPECT_EQ(applied.error().code, ErrorCode::unavailable);
    EXPECT_NE(applied.error().text.find("/no/such/program"), std::string::npos) << applied.error().text;
  });
}

TEST_P(BgpConformance, ItEndsWellWithCallsUnderWay) {
  make_engine();
  for (std::uint32_t i = 1; i <= 5'000; ++i)
    desired_.routes.emplace(BgpRoute{IpAddress::v4(0x0B000000U + i), IpAddress::v4(0x0A000001U)}, BgpPath{});
  play([&]() -> asio::awaitable<void> {
    co_await begin({});
    tasks_->spawn("apply", [](BgpEngine& engine, BgpDesired desired) -> asio::awaitable<void> {
      for (;;) {
        for (auto& [one, path] : desired.routes) path.attributes.med = path.attributes.med.value_or(0) + 1;
        (void)co_await engine.apply(std::make_shared<const BgpDesired>(desired));
      }
    }(*engine_, desired_));
    co_await timers_->sleep_for(100ms);
  });
  const std::uint64_t added = engine_->counters().paths_added;
  EXPECT_GT(added, 0U);
  tasks_.reset();  // without a turn of the loop: gRPC's threads are still at it
  engine_.reset();
}

// Not a promise but a figure: one route more, and many.
TEST_P(BgpConformance, TenThousandRoutesAndThenOneByOne) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    Instant begun = timers_->now();
    EXPECT_TRUE(co_await runs(0));
    std::fprintf(stderr, "exec to running: %.1f ms\n", 1e3 * seconds(timers_->now() - begun));
    co_await begin({&router});
    for (std::uint32_t i = 1; i <= 10'000; ++i)
      desired_.routes.emplace(BgpRoute{IpAddress::v4(0x0B000000U + i), IpAddress::v4(0x0A000001U)}, BgpPath{});
    begun = timers_->now();
    EXPECT_TRUE(co_await apply());
    RecordProperty("ten_thousand_routes_us", static_cast<int>((timers_->now() - begun) / 1us));
    std::fprintf(stderr, "10000 routes: %.2f ms\n", 1e3 * seconds(timers_->now() - begun));
    std::vector<double> times;
    for (std::uint32_t i = 1; i <= 101; ++i) {
      desired_.routes.emplace(route(i), BgpPath{});
      const auto next = std::make_shared<const BgpDesired>(desired_);
      begun = timers_->now();
      EXPECT_TRUE(co_await engine_->apply(next));
      times.push_back(seconds(timers_->now() - begun));
    }
    std::ranges::sort(times);
    std::fprintf(stderr, "one route among 10000: median %.3f ms, p90 %.3f ms\n", 1e3 * times[50], 1e3 * times[90]);
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> { co_return (co_await router.routes()).size() == desired_.routes.size(); }));
    const auto status = read_file(fmt::format("/proc/{}/status", engine_pid()), 1 << 20);
    for (const std::string_view key : {"VmRSS:", "VmHWM:"})
      if (const auto at = status ? status->find(key) : std::string::npos; at != std::string::npos)
        std::fprintf(stderr, "%s %s\n", which_ == Engine::gobgpd ? "gobgpd" : "bird",
                     status->substr(at, status->find('\n', at) - at).c_str());
  });
}

// -- BIRD alone ------------------------------------------------------------------------------------------

TEST_F(BirdEngine, ReadBackRepairsWhatSomebodyElseChanged) {
  make_engine(500ms);
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    EXPECT_EQ(engine_->counters().drift_repaired, 0U);
    std::string text = read_file(folder_ + "/engine/bird.conf", 1 << 20).value();
    const std::string line = fmt::format("  route {}/32 blackhole;\n", route(1).address.to_string());
    text.replace(text.find(line), line.size(), fmt::format("  route {}/32 blackhole;\n", route(9).address.to_string()));
    EXPECT_TRUE(write_private_file(folder_ + "/other.conf", text));
    co_await ask("configure \"" + folder_ + "/other.conf\"");
    const auto repaired = [&](std::uint64_t differences) {
      return until([this, differences]() -> asio::awaitable<bool> { co_return engine_->counters().drift_repaired == differences; });
    };
    EXPECT_TRUE(co_await repaired(2));
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    co_await ask("disable peer_127_0_0_2");
    EXPECT_TRUE(co_await repaired(3));
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
  });
}

TEST_F(BirdEngine, NothingComesInFromARouter) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await router.client().change_paths({gobgp::to_api(route(77), 1, {})}));
    EXPECT_TRUE(co_await has(router, {route(1), route(77)}));
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> {
      co_return (co_await ask("show protocols all")).find("Import updates:              1          0          1") != std::string::npos;
    }));
    const std::string shown = co_await ask("show route all");
    EXPECT_EQ(shown.find(route(77).address.to_string()), std::string::npos) << shown;
  });
}

TEST_F(BirdEngine, OneThatAnswersAlreadyIsReplacedAndLosesNoRoute) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1), route(2)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const pid_t before = engine_pid();
    tasks_.reset();  // and of the first engine nothing is left that would start another
    const auto second = make_bird_engine(io_.get_executor(), *timers_, *rng_,
                                         {.program = bird_program(), .run_directory = folder_ + "/engine"});
    TaskGroup tasks{io_.get_executor()};
    tasks.spawn("second", second->run([] {}));
    EXPECT_TRUE(co_await second->apply(std::make_shared<const BgpDesired>(desired_)));
    EXPECT_NE(engine_pid(), before);
    std::size_t least = 2;
    EXPECT_TRUE(co_await until([&]() -> asio::awaitable<bool> {
      least = std::min(least, (co_await router.routes()).size());
      const BgpPeerStatus status = co_await router.session();
      co_return status.session_state == SessionState::established&& status.received.open > 1;
    }));
    EXPECT_EQ(least, 2U);
    tasks.cancel();
    co_await tasks.join();
  });
}

TEST_F(BirdEngine, APeerThatIsRefusedIsToldAndTheRestIsDone) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    co_await begin({&router});
    desired_.routes = plain({route(1)});
    BgpPeerConfig refused;
    refused.object = "refused";
    refused.neighbor = *IpAddress::parse("127.0.0.9");
    refused.peer_as = our_as;
    refused.auth_password = "\"; }";
    refused.tcp_mss = 1000;
    desired_.peers.push_back(refused);
    const auto applied = co_await apply();
    EXPECT_FALSE(applied);
    if (!applied) EXPECT_NE(applied.error().text.find("add peer 127.0.0.9"), std::string::npos) << applied.error().text;
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const auto shortcomings = engine_->problems();
    EXPECT_EQ(shortcomings.size(), 2U);
    for (const BgpEngineProblem& one : shortcomings) EXPECT_EQ(one.object, "refused");
    desired_.peers.pop_back();
    EXPECT_TRUE(co_await apply());
    EXPECT_TRUE(engine_->problems().empty());
  });
}

TEST_F(BirdEngine, ItsFileIsForNobodyElse) {
  make_engine();
  play([&]() -> asio::awaitable<void> {
    co_await begin({});
    EXPECT_EQ(std::filesystem::status(folder_ + "/engine").permissions(), std::filesystem::perms::owner_all);
    EXPECT_EQ(std::filesystem::status(folder_ + "/engine/bird.conf").permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  });
}

// A file that BIRD refuses does not become that of the next process.
TEST_F(BirdEngine, WhatIsRefusedAltogetherChangesNothing) {
  make_engine();
  Router& router = add_router("127.0.0.2");
  play([&]() -> asio::awaitable<void> {
    desired_.routes = plain({route(1)});
    co_await begin({&router});
    EXPECT_TRUE(co_await has(router, keys_of(desired_.routes)));
    const std::string before = read_file(folder_ + "/engine/bird.conf", 1 << 20).value();
    const auto good = desired_;
    desired_.global->router_id = "none";
    EXPECT_FALSE(co_await apply());
    EXPECT_EQ(read_file(folder_ + "/engine/bird.conf", 1 << 20).value(), before);
    desired_ = good;
    EXPECT_TRUE(co_await apply());
    EXPECT_EQ((co_await router.session()).flaps, 0U);
  });
}

}  // namespace
}  // namespace berth
