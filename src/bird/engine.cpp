// BIRD is told all there is by one file, and finds out by itself what is another than before: a session is touched only when its own
// lines are others, routes are sent and withdrawn one by one. So there is no order of steps to get right, and after a crash the process
// that comes next has its routes before it has a session.
//
// How a route survives us (RFC 4724): a process that has to go is killed, since a router keeps what it has of a session that ends
// without a NOTIFICATION; and each is started with -R, by which it says that it restarts (the R and F bits) and holds its routes back until
// every router has said what it has, or `graceful restart wait` is over. So it is started by the first apply(), when its peers are known.
//
// BIRD announces no events. It logs a line when a session comes or goes, and any line is a reason to look.
#include "bird/engine.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "base/bell.hpp"
#include "base/log.hpp"
#include "base/turns.hpp"
#include "bird/configuration.hpp"
#include "bird/control.hpp"
#include "bird/log.hpp"
#include "bird/replies.hpp"
#include "os/files.hpp"
#include "os/supervisor.hpp"
#include "speak/bgp/callers.hpp"
#include "speak/bgp/diff.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;
using bird::ProtocolState;

constexpr Duration look_interval = 5s;  // without a line in the log
constexpr Duration look_again_after = 20ms;  // lines come in bursts
constexpr int misses_to_kill = 2;  // questions in a row that met their deadline
constexpr Duration start_patience = 10s;
constexpr Duration terminate_patience = 2s;

// A port below those that the system gives to connections and that Kubernetes gives to Services, so that none of them takes it.
std::uint16_t unused_port(Rng& rng) {
  constexpr std::uint16_t first = 20'000, count = 10'000;
  std::uint16_t port = first;
  for (int attempt = 0; attempt < 50; ++attempt) {
    port = static_cast<std::uint16_t>(first + rng.next() % count);
    const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    const bool taken = probe >= 0 && ::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == EADDRINUSE;
    if (probe >= 0) ::close(probe);
    if (!taken) break;
  }
  return port;
}

class BirdEngine final : public BgpEngine {
 public:
  BirdEngine(asio::any_io_executor executor, Timers& timers, Rng& rng, BirdOptions options)
      : timers_(timers),
        rng_(rng),
        options_(std::move(options)),
        file_(options_.run_directory + "/bird.conf"),
        control_(executor, options_.run_directory + "/bird.ctl"),
        supervisor_(executor,
                    timers,
                    rng,
                    {.name = "bird",
                     .arguments = {options_.program, "-f", "-R", "-c", file_, "-s", options_.run_directory + "/bird.ctl"},
                     .environment = options_.environment,
                     .socket = options_.run_directory + "/bird.ctl",
                     .adopt = false,
                     .on_line = [this](std::string_view line) { note_line(line); }}),
        turns_(executor),
        asked_for_(executor),
        came_up_(executor),
        look_(executor) {}

  asio::awaitable<void> run(std::function<void()> changed) override {
    using namespace asio::experimental::awaitable_operators;
    changed_ = std::move(changed);
    try {
      co_await (supervise() || watch() || check());
    } catch (const asio::multiple_exceptions& all) {
      rethrow_innermost(all.first_exception());
    }
  }

  asio::awaitable<Result<>> apply(std::shared_ptr<const BgpDesired> desired) override {
    const auto turn = co_await turns_.take();
    desired_ = std::move(desired);
    co_return co_await make_so(desired_);
  }

  asio::awaitable<Result<std::vector<BgpPeerStatus>>> peers() override {
    if (!up_) {
      if (asked_) co_return fail(not_running());
      co_return std::vector<BgpPeerStatus>{};
    }
    if (const auto looked = co_await look(); !looked) co_return fail(looked.error());
    std::vector<BgpPeerStatus> out;
    const auto desired = desired_;
    if (!desired || !desired->global) co_return out;
    for (const BgpPeerConfig& peer : desired->peers) {
      const auto protocol = protocols_.find(bird::protocol_of(peer.neighbor));
      if (protocol == protocols_.end()) continue;
      BgpPeerStatus& status = out.emplace_back(bird::status_from(peer, *desired->global, protocol->second));
      if (const auto flaps = flaps_.find(protocol->first); flaps != flaps_.end()) status.flaps = flaps->second;
    }
    std::ranges::sort(out, {}, &BgpPeerStatus::neighbor_address);
    co_return out;
  }

  BgpRoutes routes() const override {
    BgpRoutes out;
    for (const auto& [route, path] : mirror_.routes) out.emplace_hint(out.end(), route, path.path);
    return out;
  }

  // Before it is needed there is none to be missed.
  bool running() const override { return up_ || !asked_; }

  std::set<IpAddress> take_callers() override { return strangers_.take(); }

  BgpEngineCounters counters() const override {
    BgpEngineCounters out = counters_;
    out.starts = supervisor_.starts();
    return out;
  }

  std::vector<BgpEngineProblem> problems() const override {
    std::vector<BgpEngineProblem> out;
    const auto desired = desired_;
    if (!desired) return out;
    for (std::string& text : bird::shortcomings(*desired)) out.push_back({"", std::move(text)});
    for (const BgpPeerConfig& peer : desired->peers)
      for (std::string& text : bird::shortcomings(peer)) out.push_back({peer.object, std::move(text)});
    return out;
  }

  asio::awaitable<Result<>> stop(BgpStop how) override {
    const auto turn = co_await turns_.take();
    supervisor_.stop_restarting();
    stopped_ = true;
    Result<> done;
    if (up_ && how == BgpStop::drain) done = co_await withdraw_all();
    // SIGTERM says goodbye to routers, who would drop the routes; a kill does not.
    if (how == BgpStop::restart) supervisor_.kill();
    co_await supervisor_.terminate(terminate_patience);
    co_return done;
  }

 private:
  // -- the process ------------------------------------------------------------------------------------

  asio::awaitable<void> supervise() {
    while (!asked_) co_await asked_for_.wait();
    co_await supervisor_.run([this] { up(); }, [this] { down(); });
  }

  void up() {
    up_ = true;
    last_complaint_.clear();
    forget();
    came_up_.ring();
    look_.ring();
    changed_();
  }

  void down() {
    up_ = false;
    forget();
    if (!stopped_) changed_();
  }

  // It has read the file, but whether all of it was taken is known when it has been asked.
  void forget() {
    mirror_ = {};
    current_ = false;
    protocols_.clear();
    misses_ = 0;
  }

  void note_line(std::string_view line) {
    const log::Level level = bird::level_of(line);
    log::write(level, "bird", {{"line", line}});
    if (level == log::Level::error || (level == log::Level::warning && !up_)) last_complaint_ = line;
    if (line.find("Cannot open listening socket") != std::string_view::npos) {
      idle_port_ = 0;  // if it is that; a port that was asked for stays
      changed_();
    }
    if (const auto caller = bird::caller(line); caller && strangers_.note(*caller)) changed_();
    look_.ring();
  }

  Error not_running() const {
    std::string why = supervisor_.last_error();
    if (!why.empty() && !last_complaint_.empty()) why += ": " + last_complaint_;
    return {ErrorCode::unavailable, why.empty() ? "bird is starting" : "bird is not running: " + why};
  }

  // Until a process answers that was started after `starts` others.
  asio::awaitable<Result<>> wait_until_up(std::uint64_t starts) {
    const Instant give_up = timers_.now() + start_patience;
    while (!up_ || supervisor_.starts() <= starts) {
      if (timers_.now() >= give_up || (!up_ && !supervisor_.last_error().empty() && supervisor_.starts() == 0))
        co_return fail(not_running());
      co_await came_up_.wait_until(timers_, std::min(give_up, timers_.now() + 20ms));
    }
    co_return Result<>{};
  }

  asio::awaitable<Result<bird::Reply>> ask(std::string command) {
    auto reply = co_await control_.ask(std::move(command));
    if (reply) {
      misses_ = 0;
      co_return reply;
    }
    ++counters_.errors;
    if (reply.error().code != ErrorCode::timed_out) {
      misses_ = 0;
    } else if (++misses_ >= misses_to_kill) {
      misses_ = 0;
      log::error("bird_hangs", {{"error", reply.error().text}});
      supervisor_.kill();
    } else {
      look_.ring();  // an accident, or the first of several
    }
    co_return reply;
  }

  // -- looking ----------------------------------------------------------------------------------------

  asio::awaitable<void> watch() {
    for (;;) {
      co_await look_.wait_until(timers_, timers_.now() + look_interval);
      co_await timers_.sleep_for(look_again_after);
      if (!up_ || stopped_) continue;
      const auto before = states();
      const auto looked = co_await look();
      if (looked && states() != before) changed_();
    }
  }

  // What is another when a session came or went; attempts to get one are no news.
  std::vector<std::tuple<std::string, std::string, bool, std::int64_t>> states() const {
    std::vector<std::tuple<std::string, std::string, bool, std::int64_t>> out;
    for (const auto& [name, protocol] : protocols_)
      if (protocol.kind == "BGP") out.emplace_back(name, protocol.state, protocol.info == "Established", protocol.since_s);
    return out;
  }

  asio::awaitable<Result<>> look() {
    const std::uint64_t start = supervisor_.starts();
    const auto reply = co_await ask("show protocols all");
    if (!reply) co_return fail(reply.error());
    if (!up_ || start != supervisor_.starts()) co_return fail(not_running());
    std::map<std::string, ProtocolState> now;
    for (ProtocolState& protocol : bird::protocols_from(*reply)) {
      std::string name = protocol.name;
      now.insert_or_assign(std::move(name), std::move(protocol));
    }
    for (const auto& [name, before] : protocols_) {
      if (before.info != "Established") continue;
      const auto found = now.find(name);
      if (found != now.end() && (found->second.info != before.info || found->second.since_s != before.since_s)) ++flaps_[name];
    }
    protocols_ = std::move(now);
    co_return Result<>{};
  }

  // -- making it so -----------------------------------------------------------------------------------

  asio::awaitable<Result<>> make_so(std::shared_ptr<const BgpDesired> desired) {
    if (stopped_) co_return fail(ErrorCode::cancelled, "bird was stopped");
    if (idle_port_ == 0) idle_port_ = unused_port(rng_);
    auto wanted = bird::configuration(*desired, idle_port_);
    if (!wanted) co_return fail(wanted.error().with("configure bird"));
    if (!asked_ && !desired->global) co_return Result<>{};
    if (!up_ || !current_ || wanted->text != taken_) {
      if (auto done = co_await configure(*desired, wanted->text); !done) co_return done;
    }
    if (!wanted->refused.empty()) co_return fail(wanted->refused.front());
    co_return Result<>{};
  }

  asio::awaitable<Result<>> configure(const BgpDesired& desired, const std::string& text) {
    if (auto made = make_private_directory(options_.run_directory); !made) co_return made;
    if (auto written = write_private_file(file_, text); !written) co_return written;
    const bool another = mirror_.global && desired.global && !bird::same_server(*mirror_.global, *desired.global);
    std::uint64_t starts = 0;
    if (another && up_) {
      log::info("bird_planned_restart", {});
      starts = supervisor_.starts();
      supervisor_.kill();
    }
    asked_ = true;
    asked_for_.ring();
    if (auto up = co_await wait_until_up(starts); !up) co_return up;
    if (const auto reply = co_await ask("configure"); !reply) {
      // The next process must not find what this one refused.
      if (reply.error().code == ErrorCode::invalid && !taken_.empty()) (void)write_private_file(file_, taken_);
      co_return fail(reply.error());
    }
    acknowledge(desired, text);
    look_.ring();
    co_return Result<>{};
  }

  void acknowledge(const BgpDesired& desired, const std::string& text) {
    taken_ = text;
    current_ = true;
    mirror_.global = desired.global;
    mirror_.audiences = desired.audiences;
    const BgpSteps steps = desired.global ? diff(desired, mirror_) : BgpSteps{};
    counters_.paths_added += steps.add_routes.size();
    counters_.paths_withdrawn += desired.global ? steps.withdraw_routes.size() : mirror_.routes.size();
    counters_.peers_changed += steps.add_peers.size() + steps.delete_peers.size();
    for (const BgpPeerConfig& peer : steps.update_peers)
      counters_.peers_changed += bird::same_peer(mirror_.peers.at(peer.neighbor), peer) ? 0U : 1U;
    mirror_.peers.clear();
    for (const BgpPeerConfig& peer : desired.peers) mirror_.peers.emplace(peer.neighbor, peer);
    take_routes(desired.global ? desired.routes : BgpRoutes{});
  }

  void take_routes(const BgpRoutes& routes) {
    mirror_.routes.clear();
    for (const auto& [route, path] : routes) mirror_.routes.emplace_hint(mirror_.routes.end(), route, BgpMirror::Path{1, path});
  }

  // -- reading back -----------------------------------------------------------------------------------

  asio::awaitable<void> check() {
    for (;;) {
      co_await timers_.sleep_for(options_.read_back_interval);
      if (up_ && !stopped_) co_await repair_drift();
    }
  }

  // Somebody with the control socket may have disabled a protocol, or configured another file.
  asio::awaitable<void> repair_drift() {
    const auto turn = co_await turns_.take();
    const auto desired = desired_;
    if (!up_ || !desired || !desired->global || !current_) co_return;
    bird::ReadRoutes read;
    for (const char* table : {"master4", "master6"}) {
      const auto reply = co_await ask(fmt::format("show route table {} all", table));
      if (!reply) co_return;
      bird::routes_from(*reply, read);
    }
    if (const auto looked = co_await look(); !looked || !up_ || !current_) co_return;
    take_routes(read.routes);
    const BgpSteps steps = diff(*desired, mirror_);
    std::vector<std::string> disabled;
    for (const BgpPeerConfig& peer : desired->peers)
      if (const auto found = protocols_.find(bird::protocol_of(peer.neighbor));
          !peer.admin_down && found != protocols_.end() && found->second.state == "down")
        disabled.push_back(found->first);
    const std::size_t differences = steps.add_routes.size() + steps.withdraw_routes.size() + read.others + disabled.size();
    if (differences == 0) co_return;
    counters_.drift_repaired += differences;
    log::warning("bird_drift", {{"differences", differences}});
    current_ = false;
    for (const std::string& protocol : disabled) (void)co_await ask("enable " + protocol);
    const auto repaired = co_await make_so(desired);
    if (!repaired) log::warning("bird_drift_not_repaired", {{"error", repaired.error().text}});
    changed_();
  }

  // -- draining ---------------------------------------------------------------------------------------

  asio::awaitable<Result<>> withdraw_all() {
    if (!desired_ || !desired_->global || mirror_.routes.empty()) co_return Result<>{};
    BgpDesired empty = *desired_;
    empty.routes.clear();
    const auto wanted = bird::configuration(empty, idle_port_);
    if (!wanted) co_return fail(wanted.error());
    if (const auto done = co_await configure(empty, wanted->text); !done) co_return fail(done.error().with("withdraw all routes"));
    const Instant give_up = timers_.now() + options_.drain_patience;
    while (timers_.now() < give_up) {
      if (const auto looked = co_await look(); !looked) break;
      if (std::ranges::all_of(protocols_, [](const auto& one) { return one.second.exported == 0; })) break;
      co_await timers_.sleep_for(20ms);
    }
    co_await timers_.sleep_for(100ms);  // the rest of what was begun
    co_return Result<>{};
  }

  Timers& timers_;
  Rng& rng_;
  const BirdOptions options_;
  const std::string file_;
  bird::Control control_;
  Supervisor supervisor_;
  Turns turns_;
  Bell asked_for_;
  Bell came_up_;
  Bell look_;
  std::function<void()> changed_ = [] {};
  bool asked_ = false;  // for a process
  bool up_ = false;  // and it answers
  bool stopped_ = false;
  int misses_ = 0;
  std::uint16_t idle_port_ = 0;
  std::shared_ptr<const BgpDesired> desired_;
  std::string taken_;  // the text that a BIRD took last
  bool current_ = false;  // and that this one is known to have
  BgpMirror mirror_;  // and what it said
  std::map<std::string, ProtocolState> protocols_;  // as looked at last
  std::map<std::string, std::uint32_t> flaps_;
  std::string last_complaint_;
  Strangers strangers_;
  BgpEngineCounters counters_;
};

}  // namespace

std::unique_ptr<BgpEngine> make_bird_engine(asio::any_io_executor executor, Timers& timers, Rng& rng, BirdOptions options) {
  return std::make_unique<BirdEngine>(std::move(executor), timers, rng, std::move(options));
}

}  // namespace berth
