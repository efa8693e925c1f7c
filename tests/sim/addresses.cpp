#include "addresses.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <variant>

#include <fmt/format.h>

#include "plan/allocate.hpp"
#include "plan/testing/builders.hpp"
#include "reconcile/world_keeper.hpp"
#include "rng.hpp"
#include "store.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;
using berth::testing::ip;

// Fewer addresses than Services, on both sides of a block's border.
constexpr std::string_view pool_range = "192.0.2.63-192.0.2.65";
const std::vector<std::string> addresses{"192.0.2.63", "192.0.2.64", "192.0.2.65"};
const std::vector<std::string> names{"a", "b", "c", "d"};

std::string show(const AddressBlock& block) {
  std::string out = block.name + "@" + block.version.text + "{";
  for (const auto& [address, entry] : block.addresses) {
    out += " " + address.to_string() + ":";
    for (const Holder& holder : entry.holders)
      out += holder.service.name + "/" + holder.uid.text + (holder.state == HolderState::held ? "" : "(freeing " + holder.mark + ")");
    if (entry.holders.empty()) out += "quarantine(" + entry.reserved_for + ")";
  }
  return out + " }";
}
std::string show(const Service& service) {
  std::string out = service.name.name + "/" + service.uid.text + "@" + service.version.text;
  for (const Ingress& entry : service.ingress) out += " " + entry.ip;
  if (service.deleting) out += " deleting";
  if (!std::holds_alternative<Claim>(judge_claim(service))) out += " no-claim";
  if (!service.finalizers.empty()) out += " fin";
  return out;
}

// What a process asks of the API server, on its way there or back.
struct BlockPut {
  AddressBlock block;
  AddressBlock base;  // what it was planned from
};
struct BlockRead {
  std::string name;
};
struct ServiceRead {
  ObjectName name;
};
struct PoolPut {
  PoolWrite write;
};
using Request = std::variant<BlockPut, BlockRead, ServiceRead, ServiceWrite, PoolPut>;
using Answer = std::variant<std::monostate, Result<>, Result<AddressBlock>, Result<Service>, Result<Pool>>;

struct Op {
  std::size_t sender = 0;
  std::uint64_t incarnation = 0;
  std::string key;
  Request request;
  std::uint64_t begun = 0;
  Answer answer;           // monostate: not arrived yet
  bool abandoned = false;  // nobody waits for the answer any more
  double fate = 9;         // drawn when first looked at; below the run's share it is frozen on the way
};

// One process: what Controller does with a plan, cut at every point where it waits.
class Process {
 public:
  Process(std::size_t index, Mutant mutant, Duration quarantine) : index_(index), mutant_(mutant), quarantine_(quarantine) {}

  void start(const SimStore& store, SimRng& rng, bool stale_list) {
    ++incarnation_;
    keeper_ = std::make_unique<WorldKeeper>();
    planner_.emplace(AllocationOptions{.quarantine = quarantine_, .mark_prefix = fmt::format("p{}.{}", index_, incarnation_)});
    cleared_ever_.clear();
    in_flight_.clear();
    list(store.service_log(), keeper_->services(), services_read_, rng, stale_list);
    list(store.block_log(), keeper_->blocks(), blocks_read_, rng, stale_list);
    list(store.pool_log(), keeper_->pools(), pools_read_, rng, stale_list);
    keeper_->namespaces().replace({}, {"1"}, false);
  }

  [[nodiscard]] bool alive() const { return keeper_ != nullptr; }
  void die() { keeper_.reset(); }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }

  // One event of one watch. False if there was none.
  enum class Watch : std::uint8_t { services, blocks, pools };
  bool hear(const SimStore& store, Watch watch) {
    switch (watch) {
      case Watch::services: return hear_one(store.service_log(), keeper_->services(), services_read_);
      case Watch::blocks: return hear_one(store.block_log(), keeper_->blocks(), blocks_read_);
      case Watch::pools: return hear_one(store.pool_log(), keeper_->pools(), pools_read_);
    }
    return false;
  }
  void hear_all(const SimStore& store) {
    for (const Watch watch : {Watch::services, Watch::blocks, Watch::pools})
      while (hear(store, watch)) {
      }
  }

  AddressPlan plan(Instant now) {
    if (mutant_ == Mutant::b5_clear_of_an_earlier_mark) recall_clearings();
    const Moment moment{now, WallTime{std::chrono::duration_cast<std::chrono::microseconds>(now.since_start)}};
    planner_->plan(keeper_->world(), moment);
    planner_->take_changed();
    return summary(*planner_, keeper_->world(), moment);
  }

  // Plans, and starts at most `most` of what may be done now.
  void work(Instant now, std::size_t most, SimRng& rng, std::deque<Op>& network) {
    AddressPlan next = plan(now);
    std::vector<std::pair<std::string, Request>> todo;
    for (BlockWrite& write : next.block_writes) {
      if (mutant_ == Mutant::b3_freeing_only_in_mind) freeing_in_mind(write);
      AddressBlock base;
      if (const AddressBlock* known = keeper_->world().blocks.find(write.block.name)) base = *known;
      if (write.block.addresses == base.addresses) continue;
      std::string key = "block " + write.block.name;
      todo.emplace_back(std::move(key), BlockPut{std::move(write.block), std::move(base)});
    }
    for (const std::string& name : next.block_reads) todo.emplace_back("block " + name, BlockRead{name});
    for (const ObjectName& name : next.service_reads) todo.emplace_back("service " + name.name, ServiceRead{name});
    for (ServiceWrite& write : next.service_writes) {
      std::string key = "service " + write.patch.name.name;
      todo.emplace_back(std::move(key), std::move(write));
    }
    for (PoolWrite& write : next.pool_writes) todo.emplace_back("pool", PoolPut{std::move(write)});
    for (std::size_t i = 0; i < most && !todo.empty(); ++i) {
      const std::size_t pick = rng.below(todo.size());
      auto [key, request] = std::move(todo[pick]);
      todo.erase(todo.begin() + static_cast<std::ptrdiff_t>(pick));
      if (in_flight_.contains(key)) continue;
      send(key, std::move(request), network);
    }
  }

  // What Controller does when an answer comes; `timed_out` when it gives up waiting.
  void answered(const Op& op, bool timed_out, std::deque<Op>& network) {
    in_flight_.erase(op.key);
    std::visit([&](const auto& request) { handle(op, request, timed_out, network); }, op.request);
  }

 private:
  template <class T>
  void list(const EventLog<T>& log, TableFeed<T>& feed, std::size_t& position, SimRng& rng, bool stale) {
    position = log.size() - (stale ? rng.below(std::min<std::size_t>(log.size(), 10) + 1) : 0);
    std::map<typename T::Key, T> rows;
    for (std::size_t i = 0; i < position; ++i) {
      if (log[i].deleted)
        rows.erase(log[i].row.key());
      else
        rows[log[i].row.key()] = log[i].row;
    }
    std::vector<T> listed;
    for (auto& [key, row] : rows) listed.push_back(std::move(row));
    feed.replace(std::move(listed), position == 0 ? ResourceVersion{"0"} : log[position - 1].version, false);
  }

  template <class T>
  static bool hear_one(const EventLog<T>& log, TableFeed<T>& feed, std::size_t& position) {
    if (position >= log.size()) return false;
    const Event<T>& event = log[position++];
    if (event.deleted)
      feed.erase(event.row.key(), event.version);
    else
      feed.upsert(event.row);
    return true;
  }

  void send(const std::string& key, Request request, std::deque<Op>& network) {
    const std::uint64_t begun = keeper_->begin();
    if (mutant_ == Mutant::b4_publish_without_read)
      if (const auto* read = std::get_if<BlockRead>(&request))
        if (const AddressBlock* known = keeper_->world().blocks.find(read->name)) {
          keeper_->heard(AddressBlock{*known}, begun);
          return;
        }
    if (mutant_ == Mutant::b7_trust_cached_absence)
      if (const auto* read = std::get_if<ServiceRead>(&request)) {
        const Service* known = keeper_->world().services.find(read->name);
        planner_->service_was_read(read->name, begun, known != nullptr ? known->uid : Uid{});
        return;
      }
    if (auto* write = std::get_if<ServiceWrite>(&request); write != nullptr && write->kind == ServiceWrite::Kind::clear) {
      if (mutant_ == Mutant::b5_remove_without_clear) {
        planner_->was_cleared(write->patch.name, write->giving_back);
        return;
      }
    }
    in_flight_.insert(key);
    network.push_back({index_, incarnation_, key, std::move(request), begun, {}, false, 9});
  }

  void handle(const Op& op, const BlockPut& put, bool timed_out, std::deque<Op>& network) {
    if (timed_out) return send(op.key, BlockRead{put.block.name}, network);
    if (const auto* deleted = std::get_if<Result<>>(&op.answer)) {
      if (*deleted) return keeper_->block_gone(put.block.name, op.begun);
    } else if (const auto& written = std::get<Result<AddressBlock>>(op.answer); written) {
      return keeper_->heard(AddressBlock{*written}, op.begun);
    }
    send(op.key, BlockRead{put.block.name}, network);
  }
  void handle(const Op& op, const BlockRead& read, bool timed_out, std::deque<Op>&) {
    if (timed_out) return;
    const auto& block = std::get<Result<AddressBlock>>(op.answer);
    if (block)
      keeper_->heard(AddressBlock{*block}, op.begun);
    else
      no_block(read.name, op.begun);
  }
  void no_block(const std::string& name, std::uint64_t begun) {
    planner_->block_was_absent(name, begun);
    keeper_->block_gone(name, begun);
  }
  void handle(const Op& op, const ServiceRead& read, bool timed_out, std::deque<Op>&) {
    if (timed_out) return;
    const auto& service = std::get<Result<Service>>(op.answer);
    planner_->service_was_read(read.name, op.begun, service ? service->uid : Uid{});
    if (service)
      keeper_->heard(Service{*service}, op.begun);
    else
      keeper_->gone(read.name, op.begun);
  }
  void handle(const Op& op, const ServiceWrite& write, bool timed_out, std::deque<Op>& network) {
    if (!timed_out) {
      if (const auto& written = std::get<Result<Service>>(op.answer); written) {
        if (write.kind == ServiceWrite::Kind::clear) {
          planner_->was_cleared(write.patch.name, write.giving_back);
          cleared_ever_.emplace(write.giving_back.ip, write.giving_back.uid);
        }
        return keeper_->heard(Service{*written});
      }
    }
    send(op.key, ServiceRead{write.patch.name}, network);
  }
  void handle(const Op& op, const PoolPut&, bool timed_out, std::deque<Op>&) {
    if (timed_out) return;
    if (const auto& written = std::get<Result<Pool>>(op.answer); written) keeper_->heard(Pool{*written});
  }

  void freeing_in_mind(BlockWrite& write) {
    const AddressBlock* known = keeper_->world().blocks.find(write.block.name);
    if (known == nullptr) return;
    AddressBlock in_mind = *known;
    for (auto& [address, entry] : in_mind.addresses) {
      const auto planned = write.block.addresses.find(address);
      if (planned == write.block.addresses.end() || planned->second.holders.size() != entry.holders.size()) continue;
      for (std::size_t i = 0; i < entry.holders.size(); ++i)
        if (entry.holders[i].state == HolderState::held && planned->second.holders[i].state == HolderState::freeing)
          entry.holders[i] = planned->second.holders[i];
    }
    if (in_mind.addresses == known->addresses) return;
    // The rest of the write waits for the next plan.
    write.block.addresses = in_mind.addresses;
    const std::uint64_t read_at = in_mind.read_at;
    keeper_->heard(std::move(in_mind), read_at);
  }

  void recall_clearings() {
    for (const auto& [name, block] : keeper_->world().blocks.rows())
      for (const auto& [address, entry] : block.addresses)
        for (const Holder& holder : entry.holders)
          if (holder.state == HolderState::freeing && cleared_ever_.contains({address, holder.uid}))
            planner_->was_cleared(holder.service, {address, holder.uid, holder.mark});
  }

  const std::size_t index_;
  const Mutant mutant_;
  const Duration quarantine_;
  std::uint64_t incarnation_ = 0;
  std::unique_ptr<WorldKeeper> keeper_;
  std::optional<AddressPlanner> planner_;
  std::set<std::pair<IpAddress, Uid>> cleared_ever_;
  std::set<std::string> in_flight_;
  std::size_t services_read_ = 0;
  std::size_t blocks_read_ = 0;
  std::size_t pools_read_ = 0;
};

class Run {
 public:
  explicit Run(const RunOptions& options) : options_(options), rng_(options.seed) {
    // Nothing of what is checked here may depend on the quarantine.
    const Duration quarantine = rng_.chance(0.5) ? Duration{} : Duration{1s};
    processes_.emplace_back(0, options.mutant, quarantine);
    processes_.emplace_back(1, options.mutant, quarantine);
    put_pool();
    for (const std::string& name : names) create(name, std::nullopt);
    for (Process& process : processes_) process.start(store_, rng_, false);
    // Each run has its own mixture: one controller slow, the network slow, watches late.
    for (double* weight : {&speed_[0], &speed_[1], &network_speed_, &busy_users_}) *weight = rng_.fraction() + 0.05;
    for (double* weight : {&watch_speed_[0][0], &watch_speed_[0][1], &watch_speed_[1][0], &watch_speed_[1][1]}) {
      const double x = rng_.fraction();
      *weight = x * x * x + 0.01;  // now and then very late
    }
    frozen_ = rng_.fraction() * 0.3;
    moody_ = rng_.fraction();
  }

  Outcome run() {
    for (std::size_t i = 0; i < options_.steps && outcome_.violation.empty(); ++i) {
      now_ = now_ + Duration{1 + static_cast<Duration::rep>(rng_.below(200'000'000))};
      const double x = rng_.fraction();
      if (x < 0.08 * busy_users_ + 0.01)
        users();
      else if (x < 0.10 * busy_users_ + 0.02)
        misfortune();
      else
        ordinary_step();
      check();
    }
    if (options_.settle && outcome_.violation.empty()) settle();
    return std::move(outcome_);
  }

 private:
  // -- what happens -----------------------------------------------------------------------------

  void ordinary_step() {
    const double total = speed_[0] + speed_[1] + 3 * network_speed_ + 1.5;
    double x = rng_.fraction() * total;
    for (std::size_t i = 0; i < 2; ++i) {
      if (x < speed_[i]) {
        if (processes_[i].alive()) processes_[i].work(now_, 1 + rng_.below(4), rng_, network_);
        return;
      }
      x -= speed_[i];
    }
    if (x >= 3 * network_speed_ && hear()) return;
    deliver();
  }

  bool hear() {
    const std::size_t i = rng_.below(2);
    if (!processes_[i].alive()) return false;
    bool any = false;
    if (rng_.chance(watch_speed_[i][0])) any = processes_[i].hear(store_, Process::Watch::services);
    if (rng_.chance(watch_speed_[i][1])) any = processes_[i].hear(store_, Process::Watch::blocks) || any;
    if (rng_.chance(0.3)) any = processes_[i].hear(store_, Process::Watch::pools) || any;
    return any;
  }

  void deliver() {
    if (network_.empty()) return;
    // The oldest are as likely as the youngest: some stay for a very long time.
    const std::size_t pick = rng_.below(network_.size());
    Op& op = network_[pick];
    if (op.fate == 9) {
      const auto* write = std::get_if<ServiceWrite>(&op.request);
      op.fate = rng_.fraction() / (write != nullptr && write->kind == ServiceWrite::Kind::publish ? 2 : 0.5);
    }
    if (op.fate < frozen_ && !op.abandoned) return time_out(op);
    if (op.fate < frozen_ && !healed_ && !rng_.chance(0.03)) return;
    if (std::holds_alternative<std::monostate>(op.answer)) {
      op.answer = std::visit([&](auto& request) { return Answer{arrive(request)}; }, op.request);
      if (!op.abandoned && rng_.chance(0.3)) return;  // the answer is late
    }
    const Op done = std::move(op);
    network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(pick));
    Process& sender = processes_[done.sender];
    if (!done.abandoned && sender.alive() && sender.incarnation() == done.incarnation) sender.answered(done, false, network_);
  }

  Answer arrive(BlockPut& put) {
    const auto check = options_.mutant == Mutant::b6_block_without_version ? SimStore::Check::nothing : SimStore::Check::preconditions;
    if (options_.mutant == Mutant::b1_take_without_swap && takes(put)) return Answer{merge(put)};
    if (put.block.addresses.empty()) {
      say("delete " + show(put.base));
      return Answer{store_.delete_block(put.block, check)};
    }
    Result<AddressBlock> written = store_.write_block(put.block, check);
    say((written ? "wrote " : "refused ") + show(put.block));
    return Answer{std::move(written)};
  }
  Answer arrive(BlockRead& read) { return Answer{store_.read_block(read.name)}; }
  Answer arrive(ServiceRead& read) { return Answer{store_.read_service(read.name)}; }
  Answer arrive(ServiceWrite& write) {
    const auto check = options_.mutant == Mutant::b2_service_without_version ? SimStore::Check::nothing : SimStore::Check::preconditions;
    Result<Service> written = store_.patch_service(write.patch, check);
    say((written ? "patched " : "refused patch of ") +
        (written ? show(*written) : write.patch.name.name + " " + write.patch.uid.text + "@" + write.patch.version.text));
    if (written && write.patch.ingress) restored_.erase(written->uid);
    return Answer{std::move(written)};
  }
  Answer arrive(PoolPut& put) {
    say("pool finalizers");
    return Answer{store_.patch_pool_finalizers(put.write.pool, put.write.finalizers)};
  }

  static bool takes(const BlockPut& put) {
    return std::ranges::any_of(put.block.addresses, [&](const auto& item) {
      const auto before = put.base.addresses.find(item.first);
      return !item.second.holders.empty() && (before == put.base.addresses.end() || before->second.holders.empty());
    });
  }
  Result<AddressBlock> merge(const BlockPut& put) {
    AddressBlock merged = put.block;
    merged.addresses.clear();
    if (const auto known = store_.read_block(put.block.name)) merged = *known;
    for (const auto& [address, entry] : put.block.addresses) {
      const auto before = put.base.addresses.find(address);
      if (before == put.base.addresses.end() || !(before->second == entry)) merged.addresses[address] = entry;
    }
    say("merged " + show(merged));
    return store_.write_block(std::move(merged), SimStore::Check::nothing);
  }

  void misfortune() {
    const std::size_t i = rng_.below(2);
    switch (rng_.below(4)) {
      case 0:  // crash; what it sent is still under way
        say(fmt::format("crash of {}", i));
        for (Op& op : network_)
          if (op.sender == i) op.abandoned = true;
        processes_[i].die();
        if (rng_.chance(0.5)) break;
        [[fallthrough]];
      case 1:
        if (processes_[i].alive()) break;
        say(fmt::format("start of {}", i));
        processes_[i].start(store_, rng_, rng_.chance(0.3));
        break;
      default: {  // gives up waiting; the write may yet be done, any time later
        if (network_.empty()) break;
        time_out(network_[rng_.below(network_.size())]);
      }
    }
  }

  void time_out(Op& op) {
    if (op.abandoned) return;
    say("time out of " + op.key);
    op.abandoned = true;
    const Op copy = op;
    if (processes_[copy.sender].alive()) processes_[copy.sender].answered(copy, true, network_);
  }

  void create(const std::string& name, std::optional<std::string> shown) {
    Service service = berth::testing::service(name);
    service.version = {};
    service.heard_at = 0;
    service.created = fmt::format("2026-01-01T00:00:{:02}Z", rng_.below(60));
    if (rng_.chance(0.1)) service.annotations[std::string{keys::wanted_ip}] = addresses[rng_.below(addresses.size())];
    if (shown) {
      service.annotations[std::string{keys::allocated}] = *shown;
      service.ingress = {{*shown, ""}};
      if (rng_.chance(0.5)) service.finalizers = {std::string{keys::service_finalizer}};
    }
    store_.put(std::move(service));
    const Service& made = store_.services().at({"shop", name});
    if (shown) restored_.insert(made.uid);
    say("created " + show(made));
  }

  void put_pool() {
    Pool pool = berth::testing::pool("lan", pool_range, berth::testing::is_default);
    pool.version = {};
    pool.finalizers.clear();
    store_.put(std::move(pool));
  }

  void users() {
    // Often the same one again: people change their minds.
    const std::string name = edited_.empty() || rng_.chance(0.5) ? names[rng_.below(names.size())] : edited_;
    edited_ = name;
    const auto found = store_.services().find({"shop", name});
    const std::size_t what = rng_.chance(moody_) ? 0 : rng_.below(16);
    if (found == store_.services().end()) {
      const std::string& address = addresses[rng_.below(addresses.size())];
      create(name, what < 4 && !is_shown(address) ? std::optional{address} : std::nullopt);
      return;
    }
    Service service = found->second;
    if (what < 6) {  // stops or starts to ask
      if (service.load_balancer_class)
        service.load_balancer_class.reset();
      else
        service.load_balancer_class = std::string{keys::load_balancer_class};
    } else if (what < 10) {
      if (rng_.chance(0.25)) {  // by force; made anew under its name, it may have its address again
        service.finalizers.clear();
        store_.put(service);
      }
      say("delete " + show(service));
      if (store_.services().contains(service.name)) store_.remove_service(service.name);
      return;
    } else if (what < 11) {
      service.type = service.type == ServiceType::load_balancer ? ServiceType::cluster_ip : ServiceType::load_balancer;
    } else if (what < 13) {
      if (service.annotations.erase(std::string{keys::wanted_ip}) == 0)
        service.annotations[std::string{keys::wanted_ip}] = addresses[rng_.below(addresses.size())];
    } else if (what < 14) {  // somebody wipes the status, or all that is ours
      service.ingress.clear();
      if (!service.deleting && rng_.chance(0.5)) {
        service.conditions.clear();
        service.finalizers.clear();
        service.has_pool_label = false;
        service.annotations.erase(std::string{keys::allocated});
      }
    } else if (what < 15) {
      service.annotations["x.kubesphere.io/any"] = std::to_string(store_.version());
    } else {
      edit_pool();
      return;
    }
    store_.put(std::move(service));
    say("edited " + show(store_.services().at({"shop", name})));
  }

  void edit_pool() {
    const auto found = store_.pools().find("lan");
    if (found == store_.pools().end()) return put_pool();
    if (found->second.deleting) return;
    if (rng_.chance(0.2)) return store_.remove_pool("lan");
    Pool pool = found->second;
    pool.disabled = !pool.disabled;
    store_.put(std::move(pool));
  }

  [[nodiscard]] bool is_shown(const std::string& address) const {
    return std::ranges::any_of(store_.services(),
                               [&](const auto& item) {
                                 return std::ranges::any_of(item.second.ingress, [&](const Ingress& entry) { return entry.ip == address; });
                               }) ||
           std::ranges::any_of(store_.blocks(), [&](const auto& item) { return item.second.addresses.contains(ip(address)); });
  }

  // -- what must hold ---------------------------------------------------------------------------

  void check() {
    if (store_.version() == checked_) return;
    checked_ = store_.version();
    for (const auto& [name, block] : store_.blocks())
      for (const auto& [address, entry] : block.addresses) {
        if (entry.holders.size() > 1) violated("two holders of " + address.to_string());
        for (const Holder& holder : entry.holders) {
          const auto found = store_.services().find(holder.service);
          if (found != store_.services().end() && found->second.uid == holder.uid && shows(found->second, address.to_string()))
            restored_.erase(holder.uid);
        }
      }
    std::map<std::string, std::string> shown;
    for (const auto& [name, service] : store_.services()) {
      if (restored_.contains(service.uid)) continue;
      for (const Ingress& entry : service.ingress) {
        const auto [other, added] = shown.emplace(entry.ip, name.name);
        if (!added) violated(fmt::format("duplicate: {} is shown by {} and {}", entry.ip, other->second, name.name));
      }
    }
  }

  static bool shows(const Service& service, const std::string& address) {
    return std::ranges::any_of(service.ingress, [&](const Ingress& entry) { return entry.ip == address; });
  }

  void settle() {
    say("-- faults stop --");
    healed_ = true;
    frozen_ = 0;
    for (Process& process : processes_)
      if (!process.alive()) process.start(store_, rng_, false);
    if (!store_.pools().contains("lan")) put_pool();
    for (int round = 0; round < 200; ++round) {
      for (int i = 0; i < 20 && outcome_.violation.empty(); ++i) {
        now_ = now_ + Duration{1 + static_cast<Duration::rep>(rng_.below(100'000'000))};
        const std::size_t what = rng_.below(4);
        if (what < 2)
          processes_[what].work(now_, 1 + rng_.below(4), rng_, network_);
        else if (what == 2)
          deliver();
        else
          hear();
        check();
      }
      if (!outcome_.violation.empty()) return;
      while (!network_.empty() && outcome_.violation.empty()) {
        deliver();
        check();
      }
      for (Process& process : processes_) process.hear_all(store_);
      if (is_quiet()) return check_settled();
    }
    violated("does not settle");
    for (const auto& [name, service] : store_.services()) say("  " + show(service));
    for (const auto& [name, block] : store_.blocks()) say("  " + show(block));
  }

  static bool has_work(const AddressPlan& plan) {
    return !plan.block_writes.empty() || !plan.block_reads.empty() || !plan.service_reads.empty() || !plan.service_writes.empty() ||
           !plan.pool_writes.empty() || plan.wake_at;
  }

  bool is_quiet() {
    for (Process& process : processes_) {
      const AddressPlan plan = process.plan(now_);
      if (has_work(plan)) return false;
      pending_ = plan.pending;
    }
    return true;
  }

  void check_settled() {
    // Who looks at everything for the first time sees what those see who only looked at changes.
    Process fresh{2, Mutant::none, Duration{}};
    fresh.start(store_, rng_, false);
    const AddressPlan plan = fresh.plan(now_);
    if (has_work(plan))
      violated(
          fmt::format("a fresh start has something to do: {} blocks to write, {} to read, {} Services to write, {} to read, {} pools{}",
                      plan.block_writes.size(), plan.block_reads.size(), plan.service_writes.size(), plan.service_reads.size(),
                      plan.pool_writes.size(), plan.wake_at ? ", a quarantine" : ""));
    if (plan.pending != pending_)
      violated("a fresh start says: " + (plan.pending.empty() ? "" : plan.pending.front().service.name + plan.pending.front().text()) +
               ", the others " +
               (pending_.empty() ? "" : pending_.front().service.name + pending_.front().uid.text + pending_.front().text()));
    std::map<Uid, std::string> recorded;
    for (const auto& [name, block] : store_.blocks()) {
      if (block.addresses.empty()) violated("an empty block is left: " + name);
      for (const auto& [address, entry] : block.addresses) {
        if (entry.holders.empty()) violated("a quarantine is left: " + address.to_string());
        for (const Holder& holder : entry.holders) {
          if (holder.state != HolderState::held) violated("a giving back is left: " + address.to_string());
          if (!recorded.emplace(holder.uid, address.to_string()).second) violated("two records of " + holder.service.name);
        }
      }
    }
    for (const auto& [name, service] : store_.services()) {
      const bool claims = std::holds_alternative<Claim>(judge_claim(service));
      const auto record = recorded.find(service.uid);
      if (service.deleting) violated("not let go: " + show(service));
      if (!claims && (record != recorded.end() || !service.finalizers.empty() || service.has_pool_label))
        violated("marks are left: " + show(service));
      if (!claims) continue;
      if (record != recorded.end()) {
        if (service.ingress.size() != 1 || service.ingress[0].ip != record->second)
          violated("not shown: " + record->second + " by " + show(service));
        recorded.erase(record);
      } else if (std::ranges::none_of(pending_, [&](const Pending& p) { return p.uid == service.uid && !p.refusals.empty(); })) {
        violated("neither served nor told why: " + show(service));
      }
    }
    if (!recorded.empty()) violated("a record without a Service: " + recorded.begin()->second);
    if (const auto pool = store_.pools().find("lan"); pool != store_.pools().end() && pool->second.deleting && store_.blocks().empty())
      violated("the pool is not let go");
  }

  void violated(std::string what) {
    if (!outcome_.violation.empty()) return;
    outcome_.violation = std::move(what);
    say("VIOLATION " + outcome_.violation);
  }

  void say(const std::string& what) {
    for (const char c : what) outcome_.hash = (outcome_.hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    if (options_.trace) outcome_.trace.push_back(fmt::format("{:9.3f}s {}", seconds(now_.since_start), what));
  }

  const RunOptions options_;
  SimRng rng_;
  SimStore store_;
  std::deque<Process> processes_;
  std::deque<Op> network_;
  Instant now_{1s};
  double speed_[2] = {};
  double network_speed_ = 0;
  double watch_speed_[2][2] = {};  // of each process: Services, blocks
  double frozen_ = 0;              // the share of requests that arrive long after their sender gave up
  double busy_users_ = 0;
  double moody_ = 0;  // how much users only change whether they ask
  std::set<Uid> restored_;  // show an address that nobody has adopted yet
  std::vector<Pending> pending_;
  std::uint64_t checked_ = 0;
  bool healed_ = false;
  std::string edited_;  // the Service that a user may change once more at once
  Outcome outcome_;
};

}  // namespace

std::string_view to_string(Mutant mutant) {
  switch (mutant) {
    case Mutant::none: return "none";
    case Mutant::b1_take_without_swap: return "b1_take_without_swap";
    case Mutant::b2_service_without_version: return "b2_service_without_version";
    case Mutant::b3_freeing_only_in_mind: return "b3_freeing_only_in_mind";
    case Mutant::b4_publish_without_read: return "b4_publish_without_read";
    case Mutant::b5_remove_without_clear: return "b5_remove_without_clear";
    case Mutant::b5_clear_of_an_earlier_mark: return "b5_clear_of_an_earlier_mark";
    case Mutant::b6_block_without_version: return "b6_block_without_version";
    case Mutant::b7_trust_cached_absence: return "b7_trust_cached_absence";
  }
  return "unknown";
}

Outcome run_addresses(const RunOptions& options) { return Run{options}.run(); }

}  // namespace berth::sim
