#include "simulation.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/log.hpp"
#include "speaker_process.hpp"
#include "truth.hpp"
#include "users.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

// Which troubles a run has, and how much of each: a few kinds at a time find more than all at once.
struct Troubles {
  CallFaults calls;
  Duration lag_max = 100ms;
  Duration pause_max = 1s;
  // Per step.
  double kill_gobgpd = 0;
  double hang = 0;
  double router = 0;
  double stranger = 0;
  double kill_berth = 0;
  double restart_berth = 0;
  double orphan = 0;  // of those killed: gobgpd lives on, and is adopted
};

class Run {
 public:
  explicit Run(const BgpSimulationOptions& options)
      : options_(options),
        rng_(options.seed),
        cluster_(time_, rng_),
        routers_(make_routers()),
        users_(time_, rng_, cluster_, routers_),
        truth_(time_, routers_, users_),
        host_{.time = time_, .rng = rng_, .routers = routers_, .faults = {}, .flaw = options.flaw, .gobgpd = nullptr} {
    draw_troubles();
    if (options.trace) host_.on_call = [this](const std::string& what) { say(what); };
    truth_.say = [this](const std::string& what) { say(what); };
    cluster_.on_change = [this] { truth_.intent_changed(); };
    users_.on_intent = [this] { truth_.intent_changed(); };
    users_.on_answering = [this] {
      if (berth_) berth_->speaker().probes_changed(users_.answering());
    };
    cluster_.distort_row = [this](TrueCluster::Row row) { return hears(row); };
  }

  BgpSimulationOutcome run() {
    users_.begin();
    start_berth();
    rest();
    const std::size_t rounds = 1 + rng_.below(3);
    for (std::size_t round = 0; round < rounds && fine(); ++round) {
      live_through(20 + rng_.below(40), true);
      if (fine()) rest();
      if (fine()) live_through(rng_.below(15), false);
    }
    if (fine()) be_quiet();
    if (fine()) drain();
    over_ = true;
    if (berth_) kill_berth();
    host_.gobgpd.reset();
    time_.run_for(10min);  // what is under way arrives nowhere
    outcome_.violation = violation_.empty() ? truth_.violation() : violation_;
    outcome_.deeds = users_.deeds();
    outcome_.calls = host_.reads + host_.changes;
    for (const auto& [address, router] : routers_) outcome_.sessions += router->sessions();
    outcome_.hash = rng_.next();
    return std::move(outcome_);
  }

 private:
  [[nodiscard]] bool fine() const { return violation_.empty() && truth_.violation().empty(); }
  void violated(std::string what) {
    if (!fine()) return;
    say("VIOLATION " + what);
    violation_ = std::move(what);
  }
  void say(const std::string& what) {
    if (options_.trace) outcome_.trace.push_back(fmt::format("{:9.3f}s {}", seconds(time_.now().since_start) - 3600, what));
  }
  void fault(const std::string& what, Duration lasts = {}) {
    ++outcome_.faults;
    say("-- " + what);
    truth_.trouble(time_.now() + lasts);
  }
  Duration up_to(Duration most) { return host_.some(most); }

  Routers make_routers() {
    Routers out;
    const std::size_t count = 2 + rng_.below(3);
    for (std::uint32_t i = 0; i < count; ++i) {
      RouterOptions options;
      options.address = IpAddress::v4(0xC0000200U + 10 + i);
      options.as = i == 2 ? 64512 : 65000 + i;
      options.graceful_restart = rng_.chance(0.85);
      options.names_families = rng_.chance(0.7);
      options.several_paths = rng_.chance(0.75);
      auto router = std::make_unique<SimulatedRouter>(time_, rng_, options);
      router->tell_route({IpAddress::v4(0xC6336400U + (i << 8U)), 24}, {options.address, {}, {}, {}, {}, 0});
      out.emplace(options.address, std::move(router));
    }
    return out;
  }

  void draw_troubles() {
    const double many = rng_.fraction() * 0.5;
    const auto some = [&](double most) { return rng_.chance(many) ? rng_.fraction() * most : 0; };
    CallFaults& calls = troubles_.calls;
    const Duration delays[] = {1ms, 5ms, 50ms};
    calls.delay_max = delays[rng_.below(3)];
    calls.fails_before = some(0.2);
    calls.fails_after = some(0.2);
    calls.half_done = some(0.5);
    calls.slow = some(0.1);
    calls.slow_max = up_to(15s);
    calls.events_break = some(0.3);
    calls.event_delay_max = rng_.chance(many) ? up_to(5s) : 5ms;
    calls.starts_fail = some(0.5);
    calls.strange = some(0.5);
    calls.broken = rng_.chance(0.1) ? rng_.fraction() * 0.3 : 0;
    calls.on_trouble = [this](Instant until) { truth_.trouble(until); };
    if (calls.broken > 0) truth_.nothing_is_kept();
    if (rng_.chance(many)) troubles_.lag_max = up_to(8s);
    const Duration pauses[] = {20ms, 300ms, 3s, 20s};
    troubles_.pause_max = pauses[rng_.below(4)];
    troubles_.kill_gobgpd = some(0.2);
    troubles_.hang = some(0.1);
    troubles_.router = some(0.3);
    troubles_.stranger = some(0.2);
    troubles_.kill_berth = some(0.1);
    troubles_.restart_berth = some(0.1);
    troubles_.orphan = some(1);
  }

  // Of flaws: what the speaker does not hear, or hears otherwise.
  bool hears(TrueCluster::Row row) {
    if (row.as<EndpointSlice>() != nullptr && options_.flaw == BgpFlaw::slices_unheard) return !rng_.chance(0.1);
    if (auto* peer = row.as<BgpPeer>(); peer != nullptr && options_.flaw == BgpFlaw::bad_edits_delete)
      peer->deleting = !peer->has_conf || peer->peer_as == 0 || peer->hold_time == "1";
    return true;
  }

  // -- Berth --------------------------------------------------------------------------------------

  void start_berth() {
    if (berth_ || over_) return;
    say("-- start of Berth");
    truth_.trouble(time_.now());
    users_.speaker_begins();
    berth_ = std::make_unique<SpeakerProcess>(io_, time_, host_, rng_);
    berth_->speaker().probes_changed(users_.answering());
    cluster_.follow(berth_->view());
  }
  void forget_berth() {
    outcome_.starts += berth_->engine().counters().starts;
    berth_->kill();
    berth_.reset();
    truth_.trouble(time_.now());
  }
  void kill_berth() {
    forget_berth();
    if (host_.gobgpd) host_.gobgpd->kill();  // the kernel's doing
  }
  void start_later(Duration least, Duration most) {
    const Duration away = least + up_to(most - least);
    truth_.trouble(time_.now() + away);
    time_.call_at(time_.now() + away, [this] { start_berth(); });
  }

  // -- living -------------------------------------------------------------------------------------

  void live_through(std::size_t steps, bool with_faults) {
    if (with_faults) {
      host_.faults = troubles_.calls;
      cluster_.lag_max = troubles_.lag_max;
    }
    for (std::size_t i = 0; i < steps && fine(); ++i) {
      if (with_faults) {
        if (troubled_calls()) truth_.trouble(time_.now());
        draw_fault();
      }
      if (rng_.chance(0.7)) say("-- " + users_.deed());
      run_for(up_to(troubles_.pause_max));
      truth_.look();
    }
    host_.faults = {};
    host_.faults.delay_max = troubles_.calls.delay_max;
    cluster_.lag_max = 100ms;
    if (with_faults) truth_.trouble(time_.now() + troubles_.lag_max);
  }
  [[nodiscard]] bool troubled_calls() const {
    const CallFaults& calls = troubles_.calls;
    return calls.fails_before + calls.fails_after + calls.half_done + calls.slow + calls.events_break + calls.starts_fail > 0 ||
           troubles_.lag_max > 1s || calls.event_delay_max > 1s;
  }

  void draw_fault() {
    const auto happens = [&](double chance) { return rng_.chance(chance); };
    if (happens(troubles_.kill_gobgpd) && host_.runs()) {
      fault("gobgpd is killed");
      host_.gobgpd->kill();
    }
    if (happens(troubles_.hang) && host_.runs()) hang();
    if (happens(troubles_.router)) trouble_a_router();
    if (happens(troubles_.stranger) && host_.runs()) meddle();
    if (happens(troubles_.kill_berth) && berth_) {
      const bool orphan = rng_.chance(troubles_.orphan);
      fault(orphan ? "Berth is killed, gobgpd lives on" : "Berth is killed");
      if (orphan)
        forget_berth();
      else
        kill_berth();
      start_later(100ms, 20s);
    }
    if (happens(troubles_.restart_berth) && berth_) restart_berth();
  }

  void hang() {
    const Duration lasts = up_to(40s);
    const bool for_ever = rng_.chance(0.2);
    fault(for_ever ? "gobgpd hangs for ever" : "gobgpd hangs", lasts);
    host_.gobgpd->hang();
    if (for_ever) return;  // until the engine kills it
    time_.call_at(time_.now() + lasts, [weak = std::weak_ptr{host_.gobgpd}] {
      if (const auto gobgpd = weak.lock()) gobgpd->go_on();
    });
  }

  void trouble_a_router() {
    const auto chosen = std::next(routers_.begin(), static_cast<std::ptrdiff_t>(rng_.below(routers_.size())));
    const Duration away = rng_.chance(0.5) ? up_to(2s) : up_to(60s);
    const std::string name = chosen->first.to_string();
    switch (rng_.below(3)) {
      case 0: fault(name + ": the line breaks", away); return chosen->second->cut(away);
      case 1: fault(name + " ends the session", away); return chosen->second->reset(away);
      default: fault(name + " starts anew", away); return chosen->second->reboot(away);
    }
  }

  // Somebody else with gobgpd's API.
  void meddle() {
    const IpAddress ours = IpAddress::v4(0xCB007101U + static_cast<std::uint32_t>(rng_.below(8)));
    const IpAddress other = IpAddress::v4(0xC0A80001U + static_cast<std::uint32_t>(rng_.below(5)));
    api::Path path;
    path.mutable_family()->set_afi(1);
    path.mutable_family()->set_safi(1);
    path.add_pattrs()->mutable_origin();
    path.add_pattrs()->mutable_next_hop()->set_next_hop("10.9.9.9");
    const std::size_t how = rng_.below(3);
    const IpAddress address = how == 0 ? other : ours;
    path.mutable_nlri()->mutable_prefix()->set_prefix(address.to_string());
    path.mutable_nlri()->mutable_prefix()->set_prefix_len(32);
    path.set_identifier(how == 0 ? static_cast<std::uint32_t>(rng_.below(2)) : 1);
    path.set_is_withdraw(how == 2);
    fault("a stranger changes " + address.to_string());
    truth_.meddled({address, 32});
    (void)host_.gobgpd->change_paths({path});
  }

  void restart_berth() {
    fault("Berth is restarted", 30s);
    berth_->end(BgpStop::restart);
    const Instant give_up = time_.now() + 30s;
    while (!berth_->ended() && time_.now() < give_up) run_for(10ms);
    kill_berth();
    start_later(100ms, 20s);
  }

  // In small steps, so that calls for ever are seen.
  void run_for(Duration time) {
    constexpr std::uint64_t most_steps = 200'000;
    const Instant end = time_.now() + time;
    std::uint64_t steps = 0;
    while (time_.step(end))
      if (++steps > most_steps) return violated("something is done for ever");
    time_.run_until(end);
  }

  // -- the ends -----------------------------------------------------------------------------------

  void rest() {
    host_.faults.delay_max = troubles_.calls.delay_max;
    run_for(20s);  // Berth is back by then
    start_berth();
    users_.mend();
    for (const auto& [address, router] : routers_) router->let_in();
    say("-- rest");
    run_for(bgp_settle_time);
    if (!fine()) return;
    truth_.look();
    truth_.settled();
    if (!fine()) return;
    if (!berth_->speaker().applied()) violated("does not settle: nothing is applied: " + berth_->speaker().last_error());
    if (berth_->engine().routes() != berth_->speaker().desired().routes) violated("does not settle: the engine remembers other routes");
  }

  void be_quiet() {
    run_for(1min);  // what was begun
    const std::uint64_t reads = host_.reads, changes = host_.changes;
    run_for(10min);
    truth_.settled();
    if (host_.changes != changes) violated(fmt::format("{} changes for nothing", host_.changes - changes));
    // A ping every 5 s, sessions every 10 s, all once a minute.
    if (host_.reads - reads > 260) violated(fmt::format("asks for ever: {} calls in ten minutes", host_.reads - reads));
  }

  void drain() {
    say("-- drain");
    truth_.berth_drains();
    berth_->end(BgpStop::drain);
    run_for(4s);
    truth_.all_marked();
    run_for(20s);
    if (!berth_->ended()) violated("the drain does not end");
    for (const auto& [address, router] : routers_)
      if (!router->table().empty()) violated("something is left after the drain");
  }

  const BgpSimulationOptions options_;
  BgpSimulationOutcome outcome_;
  asio::io_context io_{1};
  testing::SimTimers time_{io_};
  SimRng rng_;
  TrueCluster cluster_;
  Routers routers_;
  BgpUsers users_;
  BgpTruth truth_;
  Troubles troubles_;
  GobgpHost host_;
  std::unique_ptr<SpeakerProcess> berth_;
  bool over_ = false;
  std::string violation_;
};

}  // namespace

BgpSimulationOutcome run_bgp_simulation(const BgpSimulationOptions& options) {
  log::set_sink([](log::Level, std::string_view, log::Fields) {});
  return Run{options}.run();
}

}  // namespace berth::sim
