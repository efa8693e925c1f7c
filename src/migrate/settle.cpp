#include "migrate/settle.hpp"

#include <algorithm>
#include <utility>

namespace berth {
namespace {

constexpr int max_rounds = 2000;
constexpr std::uint64_t first_version = 1'000'000'000'000'000;  // above what a cluster has

class Settling {
 public:
  Settling(World world, const AllocationOptions& options) : planner_(options) {
    settled_.world = std::move(world);
    hear_everything();
  }

  Settled run() {
    for (int round = 0; round < max_rounds; ++round) {
      planner_.plan(settled_.world, moment_);
      if (work()) continue;
      const auto wake = planner_.wake_at();
      if (!wake) {
        settled_.done = true;
        break;
      }
      moment_.now = std::max(*wake, moment_.now);
    }
    for (Pending& pending : planner_.all_pending(false)) settled_.pending.emplace(pending.service, std::move(pending));
    for (Pending& pending : planner_.all_pending(true)) settled_.pending.emplace(pending.service, std::move(pending));
    for (const auto& [name, pool] : settled_.world.pools.rows())
      settled_.pools.emplace(name, planner_.pool_status(pool, settled_.world, moment_.wall));
    return std::move(settled_);
  }

 private:
  // As after the first lists.
  void hear_everything() {
    for (Service service : rows(settled_.world.services)) hear(std::move(service));
    for (AddressBlock block : rows(settled_.world.blocks)) hear(std::move(block));
  }
  template <class T>
  static std::vector<T> rows(const Table<T>& table) {
    std::vector<T> out;
    for (const auto& [key, row] : table.rows()) out.push_back(row);
    return out;
  }

  void hear(Service service) {
    service.version = {std::to_string(first_version + ++clock_)};
    service.heard_at = clock_;
    settled_.world.services.upsert(std::move(service));
  }
  void hear(AddressBlock block) {
    block.version = {std::to_string(first_version + ++clock_)};
    block.heard_at = block.read_at = clock_;
    settled_.world.blocks.upsert(std::move(block));
  }

  // One round of what the planner wants now; false: nothing.
  bool work() {
    bool any = false;
    const auto writes = planner_.block_writes();
    for (const auto& [name, write] : writes) {
      any = true;
      if (write.block.addresses.empty()) {
        settled_.world.blocks.erase(name);
      } else {
        AddressBlock block = write.block;
        if (block.uid.text.empty()) block.uid = {name};
        hear(std::move(block));
      }
    }
    const auto reads = planner_.block_reads();
    for (const auto& [name, readers] : reads) {
      any = true;
      if (const AddressBlock* block = settled_.world.blocks.find(name))
        hear(AddressBlock{*block});
      else
        planner_.block_was_absent(name, ++clock_);
    }
    std::vector<ObjectName> open;
    planner_.for_each_open([&](const ObjectName& name) { open.push_back(name); });
    for (const ObjectName& name : open) any = serve(name) || any;
    const auto pool_writes = planner_.pool_writes();
    for (const auto& [name, write] : pool_writes) {
      any = true;
      Pool pool = write.pool;
      pool.finalizers = write.finalizers;
      pool.version = {std::to_string(first_version + ++clock_)};
      if (pool.deleting && pool.finalizers.empty())
        settled_.world.pools.erase(name);
      else
        settled_.world.pools.upsert(std::move(pool));
    }
    return any;
  }

  bool serve(const ObjectName& name) {
    const Service* known = settled_.world.services.find(name);
    if (planner_.wants_read(name)) {
      planner_.service_was_read(name, ++clock_, known == nullptr ? Uid{} : known->uid);
      if (known != nullptr) hear(Service{*known});
      return true;
    }
    const ServiceWrite* write = planner_.service_write(name);
    if (write == nullptr || known == nullptr || known->version != write->patch.version) return false;
    if (write->kind == ServiceWrite::Kind::clear) planner_.was_cleared(name, write->giving_back);
    Service next = patched(*known, write->patch);
    if (next.deleting && next.finalizers.empty())
      settled_.world.services.erase(name);
    else
      hear(std::move(next));
    return true;
  }

  static Service patched(Service service, const ServicePatch& patch) {
    for (const auto& [key, value] : patch.labels)
      if (key == keys::pool) {
        service.has_pool_label = value.has_value();
        service.pool_label = value.value_or("");
      }
    for (const auto& [key, value] : patch.annotations) {
      if (value)
        service.annotations[key] = *value;
      else
        service.annotations.erase(key);
    }
    if (patch.finalizers) service.finalizers = *patch.finalizers;
    if (patch.ingress) service.ingress = *patch.ingress;
    if (patch.conditions) service.conditions = *patch.conditions;
    return service;
  }

  AddressPlanner planner_;
  Settled settled_;
  Moment moment_{Instant{std::chrono::hours{1}}, {}};
  std::uint64_t clock_ = 0;
};

}  // namespace

Settled settle(World world, const AllocationOptions& options) { return Settling{std::move(world), options}.run(); }

}  // namespace berth
