#include "simulation.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/log.hpp"
#include "process.hpp"
#include "truth.hpp"
#include "users.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

// Which troubles a run has, and how much of each: a few kinds at a time find more than all at once.
struct Troubles {
  std::size_t processes = 1;
  std::optional<LeaseTimes> lease;
  Network network;
  Duration watch_lag{};  // of one kind of one process at a time
  Duration pause_max = 1s;
  double clock_error = 0;  // at most so much faster or slower
  // Per step.
  double crash = 0;
  double freeze = 0;
  double weather = 0;
  double compaction = 0;
  double restore = 0;
  double clock_jump = 0;
  // Per write.
  double crash_at_write = 0;
  double freeze_at_write = 0;
};

Duration up_to(SimRng& rng, Duration most) {
  return Duration{static_cast<Duration::rep>(rng.fraction() * static_cast<double>(most.count()))};
}

Troubles draw_troubles(SimRng& rng) {
  const double many = rng.fraction() * 0.5;
  const auto some = [&](double most) { return rng.chance(many) ? rng.fraction() * most : 0; };
  Troubles out;
  out.processes = 1 + rng.below(3);
  if (rng.chance(0.5)) out.lease.emplace();
  const Duration delays[] = {5ms, 50ms, 500ms};
  out.network.delay_max = delays[rng.below(3)];
  out.network.watch_delay_max = delays[rng.below(3)];
  out.network.failures = some(0.3);
  out.network.refusals = some(0.2);
  out.network.slow = some(0.2);
  out.network.slow_max = up_to(rng, 3min);
  out.network.watch_breaks = some(0.3);
  out.network.watch_stalls = some(0.1);
  out.network.stall_max = up_to(rng, 3min);
  out.network.stale_lists = some(1);
  if (rng.chance(many)) out.watch_lag = up_to(rng, 30s);
  const Duration pauses[] = {20ms, 300ms, 3s, 20s};
  out.pause_max = pauses[rng.below(4)];
  out.clock_error = some(0.1);
  out.crash = some(0.1);
  out.freeze = some(0.1);
  out.weather = some(0.03);
  out.compaction = some(0.05);
  out.restore = some(0.02);
  out.clock_jump = some(0.03);
  out.crash_at_write = some(0.05);
  out.freeze_at_write = some(0.05);
  return out;
}

class Run {
 public:
  explicit Run(const SimulationOptions& options)
      : options_(options),
        rng_(options.seed),
        troubles_(draw_troubles(rng_)),
        truth_(store_, time_, {.quarantine = 1s, .clock_error = troubles_.clock_error}),
        users_(store_, rng_) {
    const auto look = [this] { look_at_truth(); };
    listening_ = {store_.on_change<Service>(look), store_.on_change<AddressBlock>(look), store_.on_change<Pool>(look)};
    network_.on_trouble = [this](Instant until) { trouble_until_ = std::max(trouble_until_, until); };
  }

  SimulationOutcome run() {
    users_.begin();
    slots_.resize(troubles_.processes);
    back_up();
    for (std::size_t i = 0; i < slots_.size(); ++i) start(i);
    const std::size_t rounds = 1 + rng_.below(3);
    for (std::size_t round = 0; round < rounds && fine(); ++round) {
      live_through(20 + rng_.below(60));
      if (fine()) settle();
    }
    if (fine()) rest();
    if (fine()) start_afresh();
    if (fine()) leave_nothing();
    if (!fine()) say_views();
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].process) kill(i);
    if (fine()) count_writes();
    outcome_.violation = violation_.empty() ? truth_.violation() : violation_;
    outcome_.hash = truth_.hash() ^ store_.version();
    outcome_.deeds = users_.deeds();
    return std::move(outcome_);
  }

 private:
  struct Slot {
    std::unique_ptr<Process> process;
    std::uint64_t born = 0;  // how many there were before it here
    std::uint64_t froze = 0;
  };

  [[nodiscard]] bool fine() const { return violation_.empty() && truth_.violation().empty(); }
  void violated(std::string what) {
    if (!fine()) return;
    say("VIOLATION " + what);
    violation_ = std::move(what);
  }
  // What each process believes, for whoever reads the trace.
  void say_views() {
    if (!options_.trace) return;
    for (const Slot& slot : slots_) {
      if (!slot.process) continue;
      const World& world = slot.process->keeper.world();
      say(fmt::format("{}: {}{}", slot.process->node(), slot.process->controller() != nullptr ? "leads" : "follows",
                      slot.process->timers.frozen() ? ", frozen" : ""));
      for (const auto& [name, block] : world.blocks.rows())
        say(fmt::format("  knows {} heard {} read {}", show(block), block.heard_at, block.read_at));
      for (const auto& [name, service] : world.services.rows()) say(fmt::format("  knows {} heard {}", show(service), service.heard_at));
      for (const auto& [name, pool] : world.pools.rows()) say("  knows " + show(pool));
      if (slot.process->controller() == nullptr) continue;
      const AddressPlanner& planner = slot.process->controller()->planner();
      for (const Pending& pending : planner.all_pending(false))
        say(fmt::format("  says of {}: {}", pending.service.to_string(), pending.text()));
      for (const auto& [name, write] : planner.block_writes()) say("  would write " + show(write.block));
      for (const auto& [name, count] : planner.block_reads()) say("  would read " + name);
    }
  }
  void say(const std::string& what) {
    if (options_.trace) outcome_.trace.push_back(fmt::format("{:9.3f}s {}", seconds(time_.now().since_start) - 3600, what));
  }
  void fault(const std::string& what) {
    ++outcome_.faults;
    say("-- " + what);
  }

  void look_at_truth() {
    if (options_.trace) trace_changes();
    const bool before = fine();
    truth_.look();
    if (before && !fine()) say("VIOLATION " + truth_.violation());
  }
  void trace_changes() {
    const auto tell = [this](const auto& log, std::size_t& position) {
      for (; position < log.size(); ++position)
        if (!log[position].by_user) say((log[position].deleted ? "  ended " : "  ") + show(log[position].row));
    };
    tell(store_.log<Pool>(), pools_traced_);
    tell(store_.log<AddressBlock>(), blocks_traced_);
    tell(store_.log<Service>(), services_traced_);
  }

  // -- processes ----------------------------------------------------------------------------------

  void start(std::size_t i) {
    Slot& slot = slots_[i];
    if (slot.process) return;
    ++slot.born;
    const std::string node = fmt::format("n{}", i);
    ControllerOptions controller;
    if (options_.flaw == Flaw::no_quarantine) controller.quarantine = {};
    slot.process = std::make_unique<Process>(io_, time_, store_, network_,
                                             ProcessOptions{.node = node,
                                                            .identity = fmt::format("{}_{}", node, slot.born),
                                                            .seed = rng_.next(),
                                                            .lease = troubles_.lease,
                                                            .controller = std::move(controller)});
    Process& process = *slot.process;
    process.cluster.flaw = options_.flaw;
    process.cluster.on_write = [this, i, born = slot.born](SimCluster::Moment moment) { at_write(i, born, moment); };
    if (options_.flaw == Flaw::wishes_change && !store_.services().empty())
      process.cluster.other_wish = {store_.services().begin()->first, slot.born % 2 == 0 ? "192.0.2.64" : "192.0.2.65"};
    if (!healed_ && troubles_.clock_error > 0)
      process.timers.rate(static_cast<std::int64_t>((rng_.fraction() * 2 - 1) * troubles_.clock_error * 1'000'000));
    process.timers.wall_offset = Duration{(static_cast<Duration::rep>(rng_.below(3)) - 1) * 3'600'000'000'000};
    if (!healed_ && troubles_.watch_lag > Duration{}) make_one_watch_late(process);
    say(fmt::format("-- start of {}", process.node()));
    process.start();
  }
  void make_one_watch_late(Process& process) {
    switch (rng_.below(3)) {
      case 0: process.cluster.watch_delay_max<Service>(troubles_.watch_lag); break;
      case 1: process.cluster.watch_delay_max<AddressBlock>(troubles_.watch_lag); break;
      default: process.cluster.watch_delay_max<Pool>(troubles_.watch_lag); break;
    }
  }

  void kill(std::size_t i) {
    Slot& slot = slots_[i];
    outcome_.writes += slot.process->cluster.writes;
    say(fmt::format("   {} ends after {} writes: {} of blocks, {} of Services, {} of pools' status", slot.process->node(),
                    slot.process->cluster.writes, slot.process->cluster.block_writes, slot.process->cluster.service_patches,
                    slot.process->cluster.pool_status_patches));
    slot.process->kill();
    slot.process.reset();
  }
  void crash(std::size_t i) {
    if (!slots_[i].process) return;
    fault(fmt::format("crash of n{}", i));
    kill(i);
    time_.call_at(time_.now() + up_to(rng_, rng_.chance(0.7) ? Duration{2s} : Duration{40s}), [this, i] { start(i); });
  }
  void freeze(std::size_t i) {
    Slot& slot = slots_[i];
    if (!slot.process || slot.process->timers.frozen()) return;
    fault(fmt::format("n{} freezes", i));
    slot.process->freeze();
    const std::uint64_t time = ++slot.froze;
    time_.call_at(time_.now() + up_to(rng_, rng_.chance(0.5) ? Duration{2s} : Duration{2min}), [this, i, time] {
      if (slots_[i].froze == time) thaw(i);
    });
  }
  void thaw(std::size_t i) {
    if (!slots_[i].process || !slots_[i].process->timers.frozen()) return;
    say(fmt::format("-- n{} goes on", i));
    slots_[i].process->thaw();
  }
  // What is said here happens between two turns of the loop, not within the process' own.
  void at_write(std::size_t i, std::uint64_t born, SimCluster::Moment) {
    if (healed_) return;
    const bool crashes = rng_.chance(troubles_.crash_at_write);
    const bool freezes = !crashes && rng_.chance(troubles_.freeze_at_write);
    if (!crashes && !freezes) return;
    time_.call_at(time_.now(), [this, i, born, crashes] {
      if (healed_ || !slots_[i].process || slots_[i].born != born) return;
      if (crashes)
        crash(i);
      else
        freeze(i);
    });
  }

  // -- trouble ------------------------------------------------------------------------------------

  void live_through(std::size_t steps) {
    healed_ = false;
    const Instant began = time_.now();
    network_ = with_hook(troubles_.network);
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].process && troubles_.watch_lag > Duration{}) make_one_watch_late(*slots_[i].process);
    for (std::size_t step = 0; step < steps && fine(); ++step) {
      pass(rng_.chance(0.3) ? Duration{} : up_to(rng_, troubles_.pause_max));
      if (rng_.chance(0.7)) say("user: " + users_.act());
      misfortune();
    }
    in_trouble_ = in_trouble_ + (time_.now() - began);
  }

  void misfortune() {
    const std::size_t i = rng_.below(slots_.size());
    if (rng_.chance(troubles_.crash)) crash(i);
    if (rng_.chance(troubles_.freeze)) freeze(i);
    if (rng_.chance(troubles_.weather)) bad_weather();
    if (rng_.chance(troubles_.compaction)) {
      fault("history is compacted");
      store_.compact();
    }
    if (rng_.chance(troubles_.clock_jump) && slots_[i].process) {
      fault(fmt::format("the clock of n{} jumps", i));
      slots_[i].process->timers.jump(up_to(rng_, 2min));
      truth_.clock_jumped();
    }
    if (rng_.chance(troubles_.restore)) restore_from_backup();
    if (troubles_.restore > 0 && rng_.chance(0.1)) back_up();
  }

  void bad_weather() {
    fault("bad weather");
    network_.refusals = 0.3 + 0.7 * rng_.fraction();
    const std::uint64_t mine = ++weathers_;
    time_.call_at(time_.now() + up_to(rng_, 1min), [this, mine] {
      if (mine == weathers_ && !healed_) network_.refusals = troubles_.network.refusals;
    });
  }

  void back_up() {
    if (++backups_ > SimStore::backups_max) return;
    backup_.emplace(store_.back_up());
    backed_up_ = time_.now();
  }
  // Nobody can tell that a store was restored from a backup younger than what its watches told last.
  void restore_from_backup() {
    if (backups_ >= SimStore::backups_max) return;
    if (const Instant earliest = backed_up_ + 6min; time_.now() < earliest) pass(earliest - time_.now());
    fault("the store is restored from a backup");
    store_.restore(*backup_);
    truth_.look_anew();
    pools_traced_ = store_.log<Pool>().size();
    blocks_traced_ = store_.log<AddressBlock>().size();
    services_traced_ = store_.log<Service>().size();
    back_up();
  }

  // -- rest ---------------------------------------------------------------------------------------

  Network with_hook(Network network) {
    network.on_trouble = network_.on_trouble;
    return network;
  }

  void heal() {
    say("-- faults end");
    healed_ = true;
    ++weathers_;
    network_ = with_hook({});
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      start(i);
      Process& process = *slots_[i].process;
      process.timers.rate(0);
      process.cluster.watch_delay_max<Service>(network_.watch_delay_max);
      process.cluster.watch_delay_max<AddressBlock>(network_.watch_delay_max);
      process.cluster.watch_delay_max<Pool>(network_.watch_delay_max);
      thaw(i);
    }
  }

  void settle() {
    heal();
    if (trouble_until_ > time_.now()) {
      in_trouble_ = in_trouble_ + (trouble_until_ - time_.now());
      pass(trouble_until_ - time_.now());
    }
    const Instant began = time_.now();
    const Duration limit = settle_time + (troubles_.lease ? lease_takeover : Duration{});
    while (fine() && time_.now() - began < limit) {
      pass(1s);
      if (unsettled().empty()) break;
    }
    outcome_.settled_in = std::max(outcome_.settled_in, time_.now() - began);
    if (fine()) pass(limit - (time_.now() - began));
    if (!fine()) return;
    if (const std::string problem = unsettled(); !problem.empty()) return violated("does not settle: " + problem);
    truth_.forget_causes();
    say("-- settled");
  }

  [[nodiscard]] std::string unsettled() const { return truth_.unsettled(); }

  void rest() {
    const std::uint64_t before = store_.changes();
    const Instant end = time_.now() + (troubles_.lease ? Duration{10min} : Duration{1h});
    while (fine() && time_.now() < end) {
      pass(10s);
      if (fine() && store_.changes() != before) violated("something is written though nothing happens");
    }
  }

  void start_afresh() {
    const std::uint64_t changes = store_.changes();
    const std::string state = truth_.state();
    for (std::size_t i = 0; i < slots_.size(); ++i) kill(i);
    say("-- a fresh start");
    start(0);
    pass(2min);
    if (!fine()) return;
    if (truth_.state() != state || (store_.changes() != changes && !truth_.remembers_freed()))
      violated("a fresh start changes what had settled");
    if (const std::string problem = unsettled(); !problem.empty()) violated("after a fresh start: " + problem);
  }

  void leave_nothing() {
    say("-- everything is deleted");
    users_.delete_everything();
    pass(settle_time);
    if (const std::string problem = truth_.left_over(); fine() && !problem.empty()) violated("left over: " + problem);
  }

  [[nodiscard]] std::uint64_t writes() const {
    std::uint64_t out = outcome_.writes;
    for (const Slot& slot : slots_)
      if (slot.process) out += slot.process->cluster.writes;
    return out;
  }
  void too_many_writes() { violated(fmt::format("{} writes for {} deeds and {} faults", writes(), users_.deeds(), outcome_.faults)); }

  // No loops of writes: so many for each deed and fault, and where several lead with different views, so many
  // a second while that lasts.
  void count_writes() {
    std::uint64_t allowed = 100 + 20 * (users_.deeds() + outcome_.faults) + 5000 * store_.restores();
    if (troubles_.processes > 1 && !troubles_.lease) allowed += static_cast<std::uint64_t>(10 * seconds(in_trouble_));
    if (writes() > allowed) too_many_writes();
  }

  void pass(Duration time) {
    const Instant end = time_.now() + time;
    while (fine() && time_.step(end)) {
      if (writes() > 100'000) too_many_writes();  // it would go on for minutes
    }
    if (fine()) time_.run_until(end);
  }

  const SimulationOptions options_;
  SimRng rng_;
  const Troubles troubles_;
  asio::io_context io_{1};
  testing::SimTimers time_{io_};
  SimStore store_;
  Network network_;
  Truth truth_;
  Users users_;
  std::vector<std::shared_ptr<void>> listening_;
  std::vector<Slot> slots_;
  std::optional<SimStore::Backup> backup_;
  Instant trouble_until_;
  Duration in_trouble_{};
  int backups_ = 0;
  Instant backed_up_;
  std::uint64_t weathers_ = 0;
  bool healed_ = false;
  std::string violation_;
  SimulationOutcome outcome_;
  std::size_t services_traced_ = 0;
  std::size_t blocks_traced_ = 0;
  std::size_t pools_traced_ = 0;
};

}  // namespace

std::string_view to_string(Flaw flaw) {
  switch (flaw) {
    case Flaw::none: return "none";
    case Flaw::services_unchecked: return "services_unchecked";
    case Flaw::blocks_unchecked: return "blocks_unchecked";
    case Flaw::holders_doubled: return "holders_doubled";
    case Flaw::wishes_change: return "wishes_change";
    case Flaw::no_quarantine: return "no_quarantine";
    case Flaw::finalizers_stay: return "finalizers_stay";
    case Flaw::blocks_stay: return "blocks_stay";
    case Flaw::pools_stay: return "pools_stay";
    case Flaw::events_are_lost: return "events_are_lost";
    case Flaw::status_is_not_read: return "status_is_not_read";
    case Flaw::status_is_lost: return "status_is_lost";
    case Flaw::notes_are_restless: return "notes_are_restless";
    case Flaw::lists_differ: return "lists_differ";
  }
  return "unknown";
}

SimulationOutcome run_simulation(const SimulationOptions& options) { return Run{options}.run(); }

}  // namespace berth::sim
