// How a route survives us (RFC 4724). A router with graceful restart keeps what it has of a session that
// ends without a NOTIFICATION, until the session is back and End-of-RIB has come. So: a process that has
// to go is stopped without one; a new one has all its paths before it gets its peers, since End-of-RIB
// is sent when a session comes up; and each of these peers is told `local_restarting`, which sets the R
// and F bits without which routers drop what they kept.
//
// Nothing is believed that was not read back or acknowledged since: after a start, an error or a broken
// stream the engine is read before the next change, and slowly in any case.
#include "gobgp/engine.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "base/bell.hpp"
#include "base/log.hpp"
#include "base/turns.hpp"
#include "gobgp/client.hpp"
#include "gobgp/doubts.hpp"
#include "gobgp/log.hpp"
#include "gobgp/mirror.hpp"
#include "gobgp/policies.hpp"
#include "gobgp/process.hpp"
#include "gobgp/sessions.hpp"
#include "gobgp/telling.hpp"
#include "gobgp/translate.hpp"
#include "speak/bgp/callers.hpp"
#include "speak/bgp/diff.hpp"
#include "speak/bgp/words.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;
using gobgp::Api;
using gobgp::Audiences;
using gobgp::Mirror;

constexpr Duration ping_interval = 5s;
constexpr int misses_to_kill = 2;  // calls in a row that met their deadline
constexpr Duration restart_patience = 5s;
constexpr Duration terminate_patience = 2s;
constexpr Duration watch_again_after = 100ms;
// So long new sessions wait for routes that can't be changed; less than routers keep those of a former process.
constexpr Duration load_patience = 20s;

// Of several things to do all are tried, and the first error is told.
class FirstError {
 public:
  bool note(const Result<>& result, std::string_view doing) {
    if (result) return true;
    if (!error_) error_ = result.error().with(doing);
    return false;
  }
  [[nodiscard]] Result<> result() const {
    if (error_) return fail(*error_);
    return {};
  }

 private:
  std::optional<Error> error_;
};

class GobgpEngine final : public BgpEngine {
 public:
  GobgpEngine(asio::any_io_executor executor,
              Timers& timers,
              std::unique_ptr<gobgp::Process> process,
              std::function<std::shared_ptr<Api>()> connect,
              GobgpOptions options)
      : executor_(executor),
        timers_(timers),
        options_(std::move(options)),
        process_(std::move(process)),
        connect_(std::move(connect)),
        turns_(executor),
        came_up_(executor),
        watch_again_(executor),
        session_lost_(executor),
        doubt_(executor) {}
  // Tasks that were cancelled, and did not run since, hold the client too: it would end with the io_context, too late for gRPC's threads.
  ~GobgpEngine() override {
    if (client_) client_->end();
  }
  GobgpEngine(const GobgpEngine&) = delete;
  GobgpEngine& operator=(const GobgpEngine&) = delete;

  asio::awaitable<void> run(std::function<void()> changed) override {
    using namespace asio::experimental::awaitable_operators;
    changed_ = std::move(changed);
    try {
      co_await (process_->run([this] { up(); }, [this] { down(); }, [this](std::string_view line) { note_line(line); }) || watch() ||
                check() || renew_lost() || settle_doubts());
    } catch (const asio::multiple_exceptions& all) {
      rethrow_innermost(all.first_exception());  // a cancellation is one for each task
    }
  }

  asio::awaitable<Result<>> apply(std::shared_ptr<const BgpDesired> desired) override {
    const auto turn = co_await turns_.take();
    desired_ = std::move(desired);
    co_return co_await make_so(*std::shared_ptr<const BgpDesired>{desired_});
  }

  asio::awaitable<Result<std::vector<BgpPeerStatus>>> peers() override {
    const auto client = client_;
    if (!client) co_return fail(not_running());
    if (!mirror_.serves()) co_return std::vector<BgpPeerStatus>{};
    auto listed = co_await client->list_peers();
    if (!listed) co_return fail(note_error(listed.error()));
    note_peers(*listed);
    std::vector<BgpPeerStatus> out;
    for (const api::Peer& peer : *listed) {
      BgpPeerStatus status = gobgp::status_from_api(peer);
      complete(status);
      out.push_back(std::move(status));
    }
    std::ranges::sort(out, {}, &BgpPeerStatus::neighbor_address);
    co_return out;
  }

  BgpRoutes routes() const override {
    BgpRoutes out;
    if (mirror_.serves())
      for (const auto& [route, path] : mirror_.has().routes) out.emplace_hint(out.end(), route, path.path);
    return out;
  }

  bool running() const override { return client_ != nullptr; }

  std::vector<BgpEngineProblem> problems() const override {
    std::vector<BgpEngineProblem> out;
    for (std::string& problem : policies_.problems()) out.push_back({"", std::move(problem)});
    return out;
  }

  std::set<IpAddress> take_callers() override { return strangers_.take(); }

  BgpEngineCounters counters() const override {
    BgpEngineCounters out = counters_;
    out.starts = process_->starts();
    return out;
  }

  asio::awaitable<Result<>> stop(BgpStop how) override {
    const auto turn = co_await turns_.take();
    process_->stop_restarting();
    stopped_ = true;
    FirstError errors;
    bool stopped = false;
    if (const auto client = client_; client && mirror_.serves()) {
      if (how == BgpStop::drain) errors.note(co_await withdraw_all(*client), "withdraw all routes");
      stopped = errors.note(co_await client->stop_bgp(how == BgpStop::restart), "stop BGP");
    }
    // SIGTERM says goodbye to routers, who would drop the routes; a kill does not.
    if (!stopped && how == BgpStop::restart) process_->kill();
    mirror_.stopped();
    co_await process_->terminate(terminate_patience);
    co_return errors.result();
  }

 private:
  // -- the process ------------------------------------------------------------------------------------

  void up() {
    client_ = connect_();
    forget();
    came_up_.ring();
    watch_again_.ring();
    changed_();
  }

  void down() {
    client_.reset();
    forget();
    if (!stopped_) changed_();
  }

  void forget() {
    policies_.forget();
    sessions_ = {};
    doubts_ = {};
    mirror_.forget();
    tell_again_ = true;  // perhaps
    not_changed_since_.reset();
    made_so_ = false;
    read_back_needed_ = true;
    misses_ = 0;
  }

  Error not_running() const {
    const std::string& why = process_->last_error();
    return {ErrorCode::unavailable, why.empty() ? "gobgpd is starting" : "gobgpd is not running: " + why};
  }

  asio::awaitable<Result<>> restart_process() {
    const std::uint64_t before = process_->starts();
    came_up_ = Bell{executor_};
    co_await process_->terminate(terminate_patience);
    const Instant give_up = timers_.now() + restart_patience;
    while (timers_.now() < give_up && (!client_ || process_->starts() == before)) co_await came_up_.wait_until(timers_, give_up);
    if (!client_ || process_->starts() == before)
      co_return fail(ErrorCode::unavailable, "gobgpd did not come back after its planned restart");
    co_return Result<>{};
  }

  // A call that met its deadline may be an accident; several in a row are an engine that hangs.
  Error note_error(const Error& error) {
    ++counters_.errors;
    read_back_needed_ = true;
    if (error.code != ErrorCode::timed_out) {
      misses_ = 0;
    } else if (++misses_ >= misses_to_kill) {
      misses_ = 0;
      log::error("gobgpd_hangs", {{"error", error.text}});
      process_->kill();
    }
    return error;
  }

  // -- events and slow checks -------------------------------------------------------------------------

  asio::awaitable<void> watch() {
    for (;;) {
      const auto client = client_;
      if (!client) {
        co_await watch_again_.wait();
        continue;
      }
      const std::weak_ptr<int> alive = alive_;
      const Error why = co_await client->watch_peers([this, alive](const std::vector<api::Peer>& peers) {
        if (alive.expired()) return;
        for (const api::Peer& peer : peers) note_event(peer.state());
        changed_();
      });
      if (client_ == client) {
        log::warning("gobgpd_events_broke", {{"error", why.text}});
        read_back_needed_ = true;
        changed_();
      }
      co_await timers_.sleep_for(watch_again_after);
    }
  }

  void note_line(std::string_view line) {
    log::write(gobgp::level_of(line), "gobgpd", {{"line", line}});
    if (const auto caller = gobgp::caller(line); caller && strangers_.note(*caller)) changed_();
    const auto trouble = gobgp::session_trouble(line);
    if (!trouble) return;
    const auto peer = mirror_.has().peers.find(trouble->neighbor);
    if (peer == mirror_.has().peers.end()) return;
    sessions_.note(peer->second, *trouble, timers_.now());
    changed_();
  }

  void note_event(const api::PeerState& state) {
    const auto neighbor = IpAddress::parse_scoped(state.neighbor_address());
    if (!neighbor || !mirror_.has().peers.contains(*neighbor)) return;
    if (sessions_.note(*neighbor, state, timers_.now())) session_lost_.ring();
    if (gobgp::is_established(state)) note_all_told();
  }

  void note_peers(const std::vector<api::Peer>& peers) {
    doubts_.seen(peers, timers_.now());
    doubt_.ring();
  }

  void note_all_told() {
    doubts_.told_all(timers_.now());
    doubt_.ring();
  }

  // `next` tells when, or that nobody knows; `changed` rings when it may be another time.
  template <class Next>
  asio::awaitable<void> wait_until_due(Bell& changed, Next next) {
    for (std::optional<Instant> at = next(); !at || *at > timers_.now(); at = next()) co_await changed.wait_until(timers_, at);
  }

  asio::awaitable<void> settle_doubts() {
    for (;;) {
      co_await wait_until_due(doubt_, [this] { return doubts_.next_look(); });
      const auto turn = co_await turns_.take();
      const auto client = client_;
      if (!client || !mirror_.serves() || stopped_) {
        doubts_ = {};
        continue;
      }
      if (!made_so_) {  // between two policies a soft reset would take routes away
        doubts_.look_later(timers_.now());
        continue;
      }
      const auto listed = co_await client->list_peers();
      if (client != client_) continue;
      const auto cure = listed ? doubts_.look(*listed, mirror_, timers_.now()) : gobgp::Doubts::Cure{};
      const Result<> done = listed ? co_await gobgp::cure(*client, cure, mirror_.has().audiences) : Result<>{fail(listed.error())};
      if (done) {
        if (!cure.withdraw_again.empty()) changed_();  // the policies were not narrowed for it
        continue;
      }
      note_error(done.error());
      doubts_.not_cured(cure, timers_.now());
      changed_();
    }
  }

  asio::awaitable<void> renew_lost() {
    for (;;) {
      co_await wait_until_due(session_lost_, [this] { return sessions_.next_due(); });
      const auto turn = co_await turns_.take();
      co_await renew(sessions_.take_due(timers_.now()));
      if (read_back_needed_) changed_();
    }
  }

  asio::awaitable<void> renew(std::set<IpAddress> due) {
    const auto client = client_;
    if (!client || !mirror_.serves() || stopped_) co_return;
    const auto listed = co_await client->list_peers();
    if (!listed) {
      note_error(listed.error());
      co_return;  // what was lost is lost; the next session does as it can
    }
    for (const api::Peer& shown : *listed) {
      const auto neighbor = IpAddress::parse_scoped(shown.conf().neighbor_address());
      if (!neighbor || !due.contains(*neighbor) || gobgp::is_established(shown.state()) || gobgp::is_cut_off(shown)) continue;
      const auto known = mirror_.has().peers.find(*neighbor);
      if (known == mirror_.has().peers.end() || client != client_) continue;
      const BgpPeerConfig peer = known->second;
      const bool restarting = shown.graceful_restart().local_restarting();
      sessions_.renewed(*neighbor, timers_.now());
      if (!co_await delete_peer(*client, *neighbor)) continue;  // noted: it is read back, and put right
      static_cast<void>(co_await set_peer(*client, peer, true, restarting));
    }
  }

  // What the engine does not tell with its sessions.
  void complete(BgpPeerStatus& status) const {
    const auto neighbor = IpAddress::parse_scoped(status.neighbor_address);
    if (!neighbor) return;
    if (const std::string error = sessions_.last_error(*neighbor); !error.empty() && status.session_state != SessionState::established)
      status.last_error = error;
    if (!desired_) return;
    const auto wanted = std::ranges::lower_bound(desired_->peers, *neighbor, {}, &BgpPeerConfig::neighbor);
    if (wanted == desired_->peers.end() || wanted->neighbor != *neighbor) return;
    status.description = wanted->description;
    status.peer_group = wanted->peer_group;
    const bool connects = status.session_state == SessionState::connect || status.session_state == SessionState::active;
    if (status.last_error.empty() && connects) status.last_error = no_connection_text(*wanted);
  }

  asio::awaitable<void> check() {
    Instant read_back_at = timers_.now() + options_.read_back_interval;
    for (;;) {
      co_await timers_.sleep_for(std::min<Duration>(ping_interval, options_.read_back_interval));
      if (!client_ || stopped_) continue;
      if (timers_.now() >= read_back_at) {
        co_await repair_drift();
        read_back_at = timers_.now() + options_.read_back_interval;
      } else if (const auto client = client_; client) {
        const auto answer = co_await client->get_bgp();
        if (answer)
          misses_ = 0;
        else if (client == client_)
          note_error(answer.error());
      }
    }
  }

  asio::awaitable<void> repair_drift() {
    const auto turn = co_await turns_.take();
    const auto desired = desired_;
    if (!desired || !client_) co_return;
    const bool known = read_back_needed_;  // that something went wrong: then a difference is no drift
    if (const auto read = co_await read_back(); !read) co_return;
    co_await try_those_cut_off();
    const std::size_t differences = diff(*desired, mirror_.has()).size() + mirror_.foreign();
    if (differences == 0 && !has_to_tell_again()) co_return;
    if (!known && differences > 0) {
      counters_.drift_repaired += differences;
      log::warning("gobgpd_drift", {{"differences", differences}});
    }
    const auto repaired = co_await make_so(*desired);
    if (!repaired) log::warning("gobgpd_drift_not_repaired", {{"error", repaired.error().text}});
    changed_();
  }

  // gobgpd would never try them again by itself.
  asio::awaitable<void> try_those_cut_off() {
    for (const std::string& neighbor : mirror_.take_cut_off()) {
      const auto client = client_;
      if (!client) co_return;
      if (const auto done = co_await client->enable_peer(neighbor); !done) note_error(done.error());
    }
  }

  // -- reading back -----------------------------------------------------------------------------------

  asio::awaitable<Result<>> read_back() {
    const auto client = client_;
    if (!client) co_return fail(not_running());
    auto global = co_await client->get_bgp();
    if (!global) {
      // After StopBgp this is all that a server says, for ever.
      if (global.error().text.find("server stopped") != std::string::npos) process_->kill();
      co_return fail(note_error(global.error()).with("read back"));
    }
    misses_ = 0;
    if (global->asn() == 0) {
      // Started once more it would keep its peers, and lose its policies.
      const auto peers = co_await client->list_peers();
      if (!peers) co_return fail(note_error(peers.error()).with("read back"));
      if (mirror_.serves() || !peers->empty()) {
        process_->kill();
        co_return fail(ErrorCode::internal, "gobgpd has peers and says that it runs no BGP: it is started anew");
      }
      forget();
      read_back_needed_ = false;
      co_return Result<>{};
    }
    auto peers = co_await client->list_peers();
    if (!peers) co_return fail(note_error(peers.error()).with("read back"));
    std::vector<api::Path> paths;
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
      auto listed = co_await client->list_paths(gobgp::family_of(family));
      if (!listed) co_return fail(note_error(listed.error()).with("read back"));
      std::ranges::move(*listed, std::back_inserter(paths));
    }
    if (client != client_) co_return fail(not_running());
    mirror_.take(*global, *peers, paths, desired_.get());
    note_peers(*peers);
    read_back_needed_ = false;
    co_return Result<>{};
  }

  // -- making it so -----------------------------------------------------------------------------------

  asio::awaitable<Result<>> make_so(const BgpDesired& desired) {
    made_so_ = false;
    auto made = co_await try_to_make_so(desired);
    made_so_ = made.has_value();
    co_return made;
  }

  asio::awaitable<Result<>> try_to_make_so(const BgpDesired& desired) {
    if (!client_) co_return fail(not_running());
    if (read_back_needed_) {
      if (auto read = co_await read_back(); !read) co_return read;
    }
    const BgpSteps steps = diff(desired, mirror_.has());
    policies_.take(desired.policy, desired.own_next_hops);
    if (steps.stop_server) {
      if (auto stopped = co_await stop_server(desired.global.has_value()); !stopped) co_return stopped;
    }
    if (steps.start_server) {
      mirror_.expect_back(desired.peers);
      if (auto started = co_await start_server(*desired.global, desired.audiences); !started) co_return started;
    }
    const auto client = client_;
    if (!client) co_return fail(not_running());
    FirstError errors;
    for (const IpAddress& neighbor : steps.delete_peers)
      if (errors.note(co_await delete_peer(*client, neighbor), "delete peer " + neighbor.to_string())) sessions_.forget(neighbor);
    if (steps.widen_audiences && !errors.note(co_await note_policies(policies_.widen(*client, desired.audiences)), "set policies"))
      co_return errors.result();
    const bool changed = co_await change_routes(*client, steps, errors);
    if (changed)
      not_changed_since_.reset();
    else if (!not_changed_since_)
      not_changed_since_ = timers_.now();
    if (steps.narrow_audiences && changed && !doubts_.any_gone())  // else after that: settle_doubts()
      errors.note(co_await note_policies(policies_.narrow(*client, desired.audiences)), "set policies");
    for (const BgpPeerConfig& peer : steps.update_peers)
      errors.note(co_await set_peer(*client, peer, false, false), "change peer " + peer.neighbor.to_string());
    // Nobody new while gobgpd might pass on what routers tell it; nor, for a while, before the routes are right: End-of-RIB would come
    // too early, or a router would hear what is not for it any more.
    if (!mirror_.has().audiences || (not_changed_since_ && timers_.now() < *not_changed_since_ + load_patience)) co_return errors.result();
    for (const BgpPeerConfig& peer : steps.add_peers)
      errors.note(co_await set_peer(*client, peer, true, mirror_.is_expected_back(peer.neighbor)), "add peer " + peer.neighbor.to_string());
    co_return errors.result();
  }

  // gobgpd withdraws nothing from a router that the policies leave out, except in a soft reset and only what is there. So that comes
  // between the additions and the withdrawals, and without it nothing is withdrawn.
  asio::awaitable<bool> change_routes(Api& client, const BgpSteps& steps, FirstError& errors) {
    tell_again_ = tell_again_ || steps.tell_again;
    if (!has_to_tell_again())
      co_return errors.note(co_await change_routes(client, steps.add_routes, steps.withdraw_routes), "change routes");
    if (!errors.note(co_await change_routes(client, steps.add_routes, {}), "change routes")) co_return false;
    if (!errors.note(co_await tell_again(client), "tell routes again")) {
      mirror_.forget_policies();
      co_return false;
    }
    tell_again_ = false;
    co_return errors.note(co_await change_routes(client, {}, steps.withdraw_routes), "change routes");
  }

  [[nodiscard]] bool has_to_tell_again() const { return tell_again_ && mirror_.serves(); }

  asio::awaitable<Result<>> tell_again(Api& client) {
    const auto done = co_await gobgp::tell_all_again(client);
    if (!done) co_return fail(note_error(done.error()));
    note_all_told();
    co_return done;
  }

  // To be started again (with another configuration), or not to run BGP at all. A stopped server can't be
  // used again: the process goes in either case.
  asio::awaitable<Result<>> stop_server(bool to_come_back) {
    log::info("gobgpd_planned_restart", {{"graceful", to_come_back ? "yes" : "no"}});
    const auto client = client_;
    if (!client) co_return fail(not_running());
    if (const auto stopped = co_await client->stop_bgp(to_come_back); !stopped) {
      note_error(stopped.error());
      process_->kill();  // without a word to the routers, who keep the routes
    }
    if (auto back = co_await restart_process(); !back) co_return back;
    co_return co_await read_back();
  }

  asio::awaitable<Result<>> start_server(const BgpGlobal& global, const Audiences& audiences) {
    const auto client = client_;
    if (!client) co_return fail(not_running());
    auto message = gobgp::to_api(global);
    if (!message) co_return fail(message.error().with("start BGP"));
    if (const auto started = co_await client->start_bgp(std::move(*message)); !started) co_return fail(note_error(started.error()));
    policies_.started();
    tell_again_ = false;
    // A server without these policies would pass routes on from router to router, so it must not stay.
    if (const auto guarded = co_await note_policies(policies_.narrow(*client, audiences)); !guarded) {
      process_->kill();
      co_return guarded;
    }
    if (client != client_) co_return fail(not_running());
    mirror_.started(global);
    mirror_.put_policies(audiences, policies_.text(), policies_.own_next_hops());
    co_return Result<>{};
  }

  asio::awaitable<Result<>> change_routes(Api& client, const Mirror::RouteSteps& add, const Mirror::RouteSteps& withdraw) {
    std::vector<api::Path> paths = mirror_.messages(add, withdraw);
    if (paths.empty()) co_return Result<>{};
    if (doubts_.may_wait(withdraw)) co_await gobgp::wait_until_sent(client, timers_, doubts_);
    const auto sent = co_await client.change_paths(std::move(paths));
    if (!sent) {
      doubts_.failed(add, withdraw, timers_.now());
      doubt_.ring();
      co_return fail(note_error(sent.error()));
    }
    doubts_.changed(mirror_.changed(add, withdraw, doubts_.any_concerned()), withdraw, timers_.now());
    doubt_.ring();
    counters_.paths_added += add.size();
    counters_.paths_withdrawn += withdraw.size();
    co_return Result<>{};
  }

  asio::awaitable<Result<>> note_policies(asio::awaitable<Result<>> sending) {
    mirror_.forget_policies();  // nobody knows, until it is done
    if (const auto sent = co_await std::move(sending); !sent) co_return fail(note_error(sent.error()));
    mirror_.put_policies(policies_.audiences(), policies_.text(), policies_.own_next_hops());
    co_return Result<>{};
  }

  asio::awaitable<Result<>> set_peer(Api& client, const BgpPeerConfig& peer, bool is_new, bool restarting) {
    if (!mirror_.serves()) co_return fail(not_running());
    api::Peer message = gobgp::to_api(peer, *mirror_.has().global, restarting);
    const auto done = is_new ? co_await client.add_peer(std::move(message)) : co_await client.update_peer(std::move(message));
    if (!done) co_return fail(note_error(done.error()));
    ++counters_.peers_changed;
    const auto before = mirror_.has().peers.find(peer.neighbor);
    const bool other_limit = before != mirror_.has().peers.end() && before->second.families != peer.families;
    mirror_.put(peer);
    // It may have been cut off by the former limit.
    if (other_limit && !peer.admin_down)
      if (const auto enabled = co_await client.enable_peer(peer.neighbor.to_string()); !enabled)
        co_return fail(note_error(enabled.error()));
    co_return Result<>{};
  }

  asio::awaitable<Result<>> delete_peer(Api& client, const IpAddress& neighbor) {
    const auto done = co_await client.delete_peer(neighbor.to_string());
    if (!done) co_return fail(note_error(done.error()));
    ++counters_.peers_changed;
    mirror_.erase(neighbor);
    co_return Result<>{};
  }

  // -- draining ---------------------------------------------------------------------------------------

  asio::awaitable<Result<>> withdraw_all(Api& client) {
    std::vector<api::Path> paths = mirror_.withdrawals_of_all();
    if (paths.empty()) co_return Result<>{};
    const auto sent_before = co_await gobgp::updates_sent(client);
    const std::size_t withdrawn = mirror_.has().routes.size();
    if (const auto sent = co_await client.change_paths(std::move(paths)); !sent) co_return fail(note_error(sent.error()));
    counters_.paths_withdrawn += withdrawn;
    mirror_.withdrew_all();
    co_await gobgp::wait_for_updates(client, timers_, sent_before, options_.drain_patience);
    co_await timers_.sleep_for(100ms);  // the rest of what was begun
    co_return Result<>{};
  }

  asio::any_io_executor executor_;
  Timers& timers_;
  const GobgpOptions options_;
  const std::unique_ptr<gobgp::Process> process_;
  const std::function<std::shared_ptr<Api>()> connect_;
  Turns turns_;
  Bell came_up_;
  Bell watch_again_;
  Bell session_lost_;
  Bell doubt_;
  std::function<void()> changed_ = [] {};
  std::shared_ptr<Api> client_;  // there is one while the process answers
  std::shared_ptr<const BgpDesired> desired_;
  Mirror mirror_;
  gobgp::Sessions sessions_;
  gobgp::Doubts doubts_;
  gobgp::Policies policies_;
  Strangers strangers_;
  std::optional<Instant> not_changed_since_;  // routes are not as they should be, though that was tried
  bool tell_again_ = true;  // somebody was left out, and not all was told again since
  bool made_so_ = false;  // all of the last desired is in gobgpd
  bool read_back_needed_ = true;
  bool stopped_ = false;
  int misses_ = 0;
  BgpEngineCounters counters_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace

std::unique_ptr<BgpEngine> make_gobgp_engine(asio::any_io_executor executor, Timers& timers, Rng& rng, GobgpOptions options) {
  auto process = gobgp::make_process(executor, timers, rng, options);
  return make_gobgp_engine(
      executor, timers, std::move(process),
      [executor, socket = gobgp::socket_of(options)] { return std::make_shared<gobgp::Client>(executor, socket); }, std::move(options));
}

std::unique_ptr<BgpEngine> make_gobgp_engine(asio::any_io_executor executor,
                                             Timers& timers,
                                             std::unique_ptr<gobgp::Process> process,
                                             std::function<std::shared_ptr<gobgp::Api>()> connect,
                                             GobgpOptions options) {
  return std::make_unique<GobgpEngine>(std::move(executor), timers, std::move(process), std::move(connect), std::move(options));
}

}  // namespace berth
