// What is written to a Service: its addresses and our marks, or that they are taken off, or why it has none. Part of
// AddressPlanner.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "plan/allocate.hpp"

namespace berth {
namespace {

constexpr std::size_t condition_message_max = 1024;

const Condition* our_condition(const Service& service) {
  const auto found = std::ranges::find(service.conditions, keys::allocated_condition, &Condition::type);
  return found == service.conditions.end() ? nullptr : &*found;
}

// The Service's conditions with ours as it should be; nullopt: it says so already.
std::optional<std::vector<Condition>> with_condition(const Service& service, Condition wanted, WallTime wall) {
  const Condition* known = our_condition(service);
  if (known != nullptr && known->says_as(wanted)) return std::nullopt;
  wanted.last_transition = known != nullptr && known->status == wanted.status ? known->last_transition : to_rfc3339(wall);
  wanted.observed_generation = service.generation;
  std::vector<Condition> out = service.conditions;
  std::erase_if(out, [](const Condition& one) { return one.type == keys::allocated_condition; });
  out.push_back(std::move(wanted));
  return out;
}

void take_off_our_marks(const Service& service, ServicePatch& patch) {
  if (service.has_pool_label) patch.labels[std::string{keys::pool}] = std::nullopt;
  if (service.annotations.contains(keys::allocated)) patch.annotations[std::string{keys::allocated}] = std::nullopt;
  std::vector<std::string> rest = service.finalizers;
  if (std::erase(rest, std::string{keys::service_finalizer}) > 0) patch.finalizers = std::move(rest);
  if (our_condition(service) == nullptr) return;
  patch.conditions = service.conditions;
  std::erase_if(*patch.conditions, [](const Condition& one) { return one.type == keys::allocated_condition; });
}

ServicePatch patch_of(const Service& service) { return {service.name, service.uid, service.version, {}, {}, {}, {}}; }

}  // namespace

const Ingress* AddressPlanner::shown_entry(const Service& service, const IpAddress& ip) {
  const auto found = std::ranges::find_if(service.ingress, [&](const Ingress& entry) { return IpAddress::parse(entry.ip) == ip; });
  return found == service.ingress.end() ? nullptr : &*found;
}

bool AddressPlanner::shows(const Service& service, const IpAddress& ip) { return shown_entry(service, ip) != nullptr; }

bool AddressPlanner::shows_only(const Service& service, const std::vector<Held>& held) {
  std::size_t addresses = 0;
  for (const Ingress& entry : service.ingress) addresses += entry.ip.empty() ? 0 : 1;
  return addresses == held.size() && std::ranges::all_of(held, [&](const Held& one) { return shows(service, one.ip); });
}

void AddressPlanner::publish(Decision& decision, const Service& service, const Claim& claim, const std::vector<Held>& held) {
  if (decision.write) return;
  ServicePatch patch = patch_of(service);
  std::string allocated;
  std::string message;
  std::vector<Ingress> ingress;
  for (const Held& one : held) {
    const std::string ip = one.ip.to_string();
    allocated += (allocated.empty() ? "" : ",") + ip;
    message += fmt::format("{}{} from {}", message.empty() ? "" : "; ", ip, one.entry->pool);
    // VIP is the server's default; where it does not know the field, neither is kept.
    Ingress entry{ip, "", claim.ip_mode == "VIP" ? "" : claim.ip_mode};
    if (const Ingress* known = shown_entry(service, one.ip)) {  // what else it says is others'
      entry.hostname = known->hostname;
      entry.ports = known->ports;
    }
    ingress.push_back(std::move(entry));
  }
  if (decision.pending && decision.pending->refusals.front().reason != PendingReason::being_released)
    message += "; " + decision.pending->text();

  const std::string& pool = held.front().entry->pool;
  if (!service.has_pool_label || service.pool_label != pool) patch.labels[std::string{keys::pool}] = pool;
  const auto noted = service.annotations.find(keys::allocated);
  if (noted == service.annotations.end() || noted->second != allocated) patch.annotations[std::string{keys::allocated}] = allocated;
  if (std::ranges::find(service.finalizers, keys::service_finalizer) == service.finalizers.end()) {
    patch.finalizers = service.finalizers;
    patch.finalizers->emplace_back(keys::service_finalizer);
  }
  std::vector<IpAddress> newly;
  for (const Held& one : held)
    if (!shows(service, one.ip)) newly.push_back(one.ip);
  std::vector<Ingress> shown = service.ingress;
  std::vector<Ingress> others;  // host names are others'
  std::erase_if(shown, [](const Ingress& entry) { return entry.ip.empty(); });
  std::ranges::copy_if(service.ingress, std::back_inserter(others), [](const Ingress& entry) { return entry.ip.empty(); });
  const bool same = std::ranges::equal(shown, ingress, [&](const Ingress& a, const Ingress& b) {
    return IpAddress::parse(a.ip) == IpAddress::parse(b.ip) && (a.ip_mode.empty() || a.ip_mode == claim.ip_mode);
  });
  if (!same) {
    ingress.insert(ingress.end(), others.begin(), others.end());
    patch.ingress = std::move(ingress);
  }
  const bool marks_nothing = patch.changes_nothing();
  patch.conditions = with_condition(
      service, {std::string{keys::allocated_condition}, "True", "Allocated", clipped(message, condition_message_max)}, moment_.wall);
  if (patch.changes_nothing()) return;
  if (service.annotations.contains(keys::fence)) patch.annotations[std::string{keys::fence}] = std::nullopt;
  if (!marks_nothing) {
    // B4.
    for (const Held& one : held)
      if (one.block->read_at <= service.heard_at) decision.block_reads.push_back(one.block->name);
    if (patch.ingress && !may_take_off(decision, service, *patch.ingress)) return;
    if (!decision.block_reads.empty()) return;
  }
  decision.write = ServiceWrite{.kind = ServiceWrite::Kind::publish, .patch = std::move(patch), .newly = std::move(newly)};
}

// B4, for what is shown and would not be any more: another controller may have recorded it for this Service.
bool AddressPlanner::may_take_off(Decision& decision, const Service& service, const std::vector<Ingress>& rest) const {
  bool may = true;
  for (const Ingress& shown : service.ingress) {
    const auto ip = IpAddress::parse(shown.ip);
    if (!ip || std::ranges::any_of(rest, [&](const Ingress& one) { return IpAddress::parse(one.ip) == ip; })) continue;
    const std::string block = block_name(*ip);
    if (is_known_since(block, service)) continue;
    decision.block_reads.push_back(block);
    may = false;
  }
  return may;
}

bool AddressPlanner::is_known_since(const std::string& block, const Service& service) const {
  if (const AddressBlock* known = world_->blocks.find(block)) return known->read_at > service.heard_at;
  const auto absent = absent_.find(block);
  return absent != absent_.end() && absent->second > service.heard_at;
}

void AddressPlanner::tell_why_not(Decision& decision, const Service& service, const std::vector<Held>& records) const {
  if (decision.write) return;
  // What it shows but another has: a restore, or two that showed the same before either was recorded.
  ServicePatch patch = patch_of(service);
  std::vector<Ingress> rest = service.ingress;
  std::erase_if(rest, [&](const Ingress& shown) {
    const auto ip = IpAddress::parse(shown.ip);
    if (!ip || std::ranges::any_of(records, [&](const Held& held) { return held.ip == *ip; })) return false;
    const BlockEntry* entry = entry_at(*ip);
    return entry != nullptr && !entry->holders.empty();
  });
  if (rest != service.ingress) {
    if (!may_take_off(decision, service, rest)) return;
    patch.ingress = std::move(rest);
    decision.write = ServiceWrite{.kind = ServiceWrite::Kind::strip, .patch = std::move(patch)};
    return;
  }
  patch.conditions = with_condition(service,
                                    {std::string{keys::allocated_condition}, "False",
                                     condition_reason(decision.pending->refusals.front().reason), decision.pending->text()},
                                    moment_.wall);
  if (!patch.changes_nothing()) decision.write = ServiceWrite{.kind = ServiceWrite::Kind::tell, .patch = std::move(patch)};
}

// B5. Takes this address off; our marks too, unless the Service keeps another record.
void AddressPlanner::clear(Decision& decision, const Held& held, const Service& service, const std::vector<Held>& records) const {
  if (decision.write) return;  // one at a time
  // B4: it may have been given to this Service again.
  if (held.block->read_at <= service.heard_at) {
    decision.block_reads.push_back(held.block->name);
    return;
  }
  ServicePatch patch = patch_of(service);
  const bool keeps_another = std::ranges::any_of(
      records, [&](const Held& other) { return other.holder->uid == service.uid && other.ip != held.ip; });
  if (!keeps_another) take_off_our_marks(service, patch);
  // A Service that is not LoadBalancer any more refuses any word about ingress; it has none.
  if (service.type == ServiceType::load_balancer) {
    std::vector<Ingress> rest = service.ingress;
    std::erase_if(rest, [&](const Ingress& entry) { return IpAddress::parse(entry.ip) == held.ip; });
    if (rest != service.ingress) patch.ingress = std::move(rest);
  }
  if (patch.changes_nothing()) patch.annotations[std::string{keys::fence}] = held.holder->mark;
  decision.write = ServiceWrite{
      .kind = ServiceWrite::Kind::clear, .patch = std::move(patch), .giving_back = {held.ip, held.holder->uid, held.holder->mark}};
}

// Label, finalizer, condition or address of ours on a Service that neither claims nor is recorded: left by
// a crash, by OpenELB or by a restore. Without this its deletion would hang for ever.
void AddressPlanner::strip_leftovers(Decision& decision, const Service& service, SkipReason reason) const {
  ServicePatch patch = patch_of(service);
  take_off_our_marks(service, patch);
  if (!patch.finalizers && patch.labels.empty() && !patch.conditions) return;
  const bool had_an_address = patch.finalizers || !patch.labels.empty();
  if (had_an_address && service.type == ServiceType::load_balancer && reason != SkipReason::foreign_class) {
    std::vector<Ingress> rest = service.ingress;
    std::erase_if(rest, [](const Ingress& entry) { return !entry.ip.empty(); });
    if (rest != service.ingress) patch.ingress = std::move(rest);
  }
  decision.write = ServiceWrite{.kind = ServiceWrite::Kind::strip, .patch = std::move(patch)};
}

void AddressPlanner::misaddressed(Decision& decision, const Service& service) const {
  decision.misaddressed = true;
  decision.pending = {service.name,
                      service.uid,
                      {{PendingReason::invalid_request,
                        fmt::format("annotation {} has the value \"{}\": only \"{}\" asks for an address; the Service is left alone",
                                    keys::opt_in, clipped(service.annotations.find(keys::opt_in)->second, 100), keys::opt_in_value)}}};
}

}  // namespace berth
