#include "plan/admission.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace berth {
namespace {

constexpr std::size_t named_in_a_message = 3;
constexpr std::size_t most_namespaces = 4096;  // of one pool, that are looked up

std::string to_text(const IpRange& range) {
  return range.first == range.last ? range.first.to_string() : range.first.to_string() + "-" + range.last.to_string();
}

// An address of the pool that Services hold.
struct InUse {
  IpAddress ip;
  std::string services;  // "shop/web", "shop/a;shop/b"
};

std::string holders_of(const BlockEntry& entry) {
  std::string out;
  for (const Holder& holder : entry.holders)
    if (holder.state == HolderState::held) out += (out.empty() ? "" : ";") + holder.service.to_string();
  return out;
}

std::vector<InUse> in_use(const std::string& pool, const World& world) {
  std::vector<InUse> out;
  for (const auto& [name, block] : world.blocks.rows())
    for (const auto& [ip, entry] : block.addresses)
      if (entry.pool == pool)
        if (std::string services = holders_of(entry); !services.empty()) out.push_back({ip, std::move(services)});
  std::ranges::sort(out, {}, &InUse::ip);
  return out;
}

// "192.0.2.7 (shop/web), 192.0.2.8 (shop/api) and 5 more"
std::string some_of(const std::vector<InUse>& addresses) {
  std::string out;
  for (std::size_t i = 0; i < std::min(addresses.size(), named_in_a_message); ++i)
    out += fmt::format("{}{} ({})", i == 0 ? "" : ", ", addresses[i].ip.to_string(), addresses[i].services);
  if (addresses.size() > named_in_a_message) out += fmt::format(" and {} more", addresses.size() - named_in_a_message);
  return out;
}

bool marked_default(const Pool& pool) { return pool.is_default || pool.marked_default; }

class Judge {
 public:
  Judge(const Pool* before, const Pool& after, const World& world) : before_(before), after_(after), world_(world) {}

  Admission judge() {
    if (after_.deleting) return {};  // what is written now takes finalizers off
    if (auto refusal = refuse()) return {std::move(*refusal), {}};
    warn();
    return std::move(admission_);
  }

 private:
  void say(std::string warning) { admission_.warnings.push_back(std::move(warning)); }

  // -- what is refused, in OpenELB's order ---------------------------------------------------------

  std::optional<std::string> refuse() {
    if (!after_.invalid.empty()) {
      if (before_ != nullptr && before_->invalid == after_.invalid) return std::nullopt;
      return after_.invalid;
    }
    if (without_interface(after_) && !(before_ != nullptr && without_interface(*before_)))
      return "if protocol is layer2 or vip, interface should not be empty: set spec.interface to the network interface that clients are "
             "on, or to can_reach:ADDRESS";
    if (auto refusal = overlap()) return refusal;
    if (auto refusal = second_default()) return refusal;
    return shrink();
  }

  static bool without_interface(const Pool& pool) { return pool.protocol != Protocol::bgp && pool.interface.empty(); }

  // Judged by what is given out: what one pool excludes another may have. A shrink never makes an overlap.
  std::optional<std::string> overlap() {
    if (!world_.pools.synced()) {
      say("Berth has not read the other Eips yet: not checked for overlaps and a second default");
      return std::nullopt;
    }
    const std::vector<IpRange> added = before_ == nullptr ? after_.offered : subtract(after_.offered, before_->offered);
    for (const auto& [name, other] : world_.pools.rows()) {
      if (name == after_.name) continue;
      const auto shared = intersection(added, other.offered);
      if (!shared) continue;
      if (!other.deleting)
        return fmt::format(
            "eip address overlap with {}: both have {}; take it out of the spec.address of one of them, or into its "
            "spec.exclude",
            name, to_text(*shared));
      say(fmt::format("{} of {}, which is being deleted, is in it: what is in use there goes to others when its Services give it back",
                      to_text(*shared), name));
    }
    return std::nullopt;
  }

  static std::optional<IpRange> intersection(const std::vector<IpRange>& some, const std::vector<IpRange>& others) {
    for (const IpRange& one : some)
      for (const IpRange& other : others)
        if (one.overlaps(other)) return IpRange{std::max(one.first, other.first), std::min(one.last, other.last)};
    return std::nullopt;
  }

  std::optional<std::string> second_default() const {
    if (!world_.pools.synced() || !marked_default(after_) || (before_ != nullptr && marked_default(*before_))) return std::nullopt;
    for (const auto& [name, other] : world_.pools.rows())
      if (name != after_.name && !other.deleting && marked_default(other))
        return fmt::format("already exists a default EIP: {}; take the annotation {} off one of them", name, keys::default_pool);
    return std::nullopt;
  }

  std::optional<std::string> shrink() {
    if (before_ == nullptr || !offers_less()) return std::nullopt;
    if (!world_.blocks.synced()) {
      say("Berth has not read its records yet: not checked whether addresses in use are left out");
      return std::nullopt;
    }
    std::vector<InUse> left_out = in_use(after_.name, world_);
    std::erase_if(left_out,
                  [&](const InUse& used) { return after_.offers(used.ip) || (before_->invalid.empty() && !before_->offers(used.ip)); });
    if (left_out.empty()) return std::nullopt;
    if (!after_.drain)
      return fmt::format(
          "the address field is not allowed to be modified so that addresses in use are left out: {}; keep them in "
          "spec.address and out of spec.exclude, or set spec.drain to true: then these Services get other addresses",
          some_of(left_out));
    say(fmt::format("spec.drain is true: these Services get other addresses: {}", some_of(left_out)));
    return std::nullopt;
  }

  [[nodiscard]] bool offers_less() const {
    return !before_->invalid.empty() || before_->offered != after_.offered || before_->avoid_buggy_ips != after_.avoid_buggy_ips;
  }

  // -- what is hardly meant ------------------------------------------------------------------------

  void warn() {
    if (!after_.invalid.empty()) {
      say("it can't be used: " + after_.invalid);
      return;
    }
    if (after_.size() == 0) say("spec.exclude and spec.avoidBuggyIPs leave no address: the pool gives out none");
    if (after_.protocol != Protocol::bgp)
      say(fmt::format("spec.protocol is {}: its addresses are given out, but nobody announces them yet", to_string(after_.protocol)));
    warn_of_default();
    warn_of_quotas();
    warn_of_namespaces();
    warn_of_draining();
  }

  void warn_of_default() {
    if (after_.marked_default && !after_.is_default)
      say(fmt::format("the annotation {} is not exactly \"true\": the pool is not the default", keys::default_pool));
    if (after_.is_default && after_.disabled)
      say("it is the default pool and spec.disable is true: Services that name no pool get no address here");
  }

  void warn_of_quotas() {
    const auto& quotas = after_.namespace_quotas;
    const bool none = quotas.contains("*") && std::ranges::all_of(quotas, [](const auto& quota) { return quota.second == 0; });
    if (none) say("spec.namespaceQuotas is 0 for every namespace: nobody gets an address");
  }

  void warn_of_namespaces() {
    if (!world_.namespaces.synced()) return;
    std::set<std::string> missing;
    std::size_t looked = 0;
    const auto look = [&](const std::string& space) {
      if (++looked <= most_namespaces && world_.namespaces.find(space) == nullptr) missing.insert(space);
    };
    for (const std::string& space : after_.namespaces) look(space);
    for (const auto& [space, quota] : after_.namespace_quotas)
      if (space != "*") look(space);
    for (const auto& [ip, service] : after_.reservations) look(service.space);
    if (missing.empty()) return;
    std::string names;
    std::size_t count = 0;
    for (const std::string& space : missing)
      if (++count <= named_in_a_message) names += (names.empty() ? "" : ", ") + space;
    if (count > named_in_a_message) names += fmt::format(" and {} more", count - named_in_a_message);
    say(fmt::format("there is no namespace {} (in spec.namespaces, spec.namespaceQuotas or spec.reservations)", names));
  }

  void warn_of_draining() {
    const bool begins = after_.drain && after_.disabled && !(before_ != nullptr && before_->drain && before_->disabled);
    if (!begins || !world_.blocks.synced()) return;
    const std::vector<InUse> all = in_use(after_.name, world_);
    if (!all.empty())
      say(fmt::format("spec.drain and spec.disable are true: these Services get addresses of other pools: {}", some_of(all)));
  }

  const Pool* before_;
  const Pool& after_;
  const World& world_;
  Admission admission_;
};

}  // namespace

Admission judge_pool(const Pool* before, const Pool& after, const World& world) { return Judge{before, after, world}.judge(); }

}  // namespace berth
