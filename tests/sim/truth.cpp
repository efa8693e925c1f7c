#include "truth.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "plan/choose_pool.hpp"

namespace berth::sim {
namespace {

const std::string* annotation(const Service& service, std::string_view key) {
  const auto found = service.annotations.find(key);
  return found == service.annotations.end() || found->second.empty() ? nullptr : &found->second;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, end);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    if (!word.empty()) out.emplace_back(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::set<IpAddress> shown_by(const Service& service) {
  std::set<IpAddress> out;
  for (const Ingress& entry : service.ingress)
    if (const auto ip = IpAddress::parse(entry.ip)) out.insert(*ip);
  return out;
}

std::set<IpAddress> wanted_by(const Service& service) {
  const std::string* text = annotation(service, keys::wanted_ip);
  std::set<IpAddress> out;
  for (const std::string& word : words(text != nullptr ? *text : service.load_balancer_ip))
    if (const auto ip = IpAddress::parse(word)) out.insert(*ip);
  return out;
}

// One address of each; SingleStack has one, whatever stands there.
std::vector<IpFamily> families_of(const Service& service) {
  if (service.families.empty()) return {IpFamily::v4};
  if (service.family_policy == FamilyPolicy::single) return {service.families.front()};
  return service.families;
}

std::vector<std::string> pools_named_by(const Service& service) {
  const std::string* text = annotation(service, keys::pool);
  return text == nullptr ? std::vector<std::string>{} : words(*text);
}

bool contains(const auto& all, const auto& one) { return std::ranges::find(all, one) != all.end(); }

bool has_our_finalizer(const Service& service) { return contains(service.finalizers, keys::service_finalizer); }

const Condition* condition_of(const Service& service) {
  const auto found = std::ranges::find(service.conditions, keys::allocated_condition, &Condition::type);
  return found == service.conditions.end() ? nullptr : &*found;
}

bool held_by(const BlockEntry& entry, const Uid& uid) {
  return std::ranges::any_of(entry.holders, [&](const Holder& holder) { return holder.uid == uid && holder.state == HolderState::held; });
}

}  // namespace

std::string show(const AddressBlock& block) {
  std::string out = block.name + "@" + block.version.text + "{";
  for (const auto& [address, entry] : block.addresses) {
    out += " " + address.to_string() + ":" + entry.pool + ":";
    for (const Holder& holder : entry.holders)
      out += holder.service.name + "/" + holder.uid.text + (holder.state == HolderState::held ? " " : "(freeing " + holder.mark + ") ");
    if (entry.holders.empty()) out += "quarantine(" + entry.reserved_for + ")";
  }
  return out + " }";
}

std::string show(const Service& service) {
  std::string out = service.name.to_string() + "/" + service.uid.text + "@" + service.version.text;
  for (const Ingress& entry : service.ingress) out += " " + entry.ip;
  if (service.deleting) out += " deleting";
  if (!asks(service)) out += " asks-not";
  for (const std::string_view key : {keys::pool, keys::wanted_ip, keys::allocated, keys::sharing_key, keys::fence})
    if (const std::string* value = annotation(service, key)) out += fmt::format(" {}={}", key.substr(key.find('/') + 1), *value);
  if (!service.load_balancer_ip.empty()) out += " loadBalancerIP=" + service.load_balancer_ip;
  if (service.family_policy != FamilyPolicy::single) out += service.family_policy == FamilyPolicy::require_dual ? " two-or-none" : " two";
  if (service.has_pool_label) out += " label=" + service.pool_label;
  if (annotation(service, keys::sharing_key) != nullptr) {
    for (const ServicePort& port : service.ports) out += fmt::format(" {}/{}", port.port, port.protocol);
    if (service.external_traffic_policy == TrafficPolicy::local) out += " local:" + service.selector;
    if (const std::string* spaces = annotation(service, keys::sharing_namespaces)) out += " with=" + *spaces;
  }
  if (has_our_finalizer(service)) out += " fin";
  for (const Condition& condition : service.conditions)
    out += fmt::format(" [{} {}: {}]", condition.status, condition.reason, condition.message);
  return out;
}

std::string show(const Pool& pool) {
  std::string out = fmt::format("pool {}@{} [{}]", pool.name, pool.version.text, pool.address);
  if (pool.offered != pool.ranges)
    for (const IpRange& range : pool.offered) out += fmt::format(" offers={}-{}", range.first.to_string(), range.last.to_string());
  if (pool.avoid_buggy_ips) out += " avoids-buggy";
  if (pool.order == AllocationOrder::least_recently_used) out += " lru";
  if (pool.quarantine) out += fmt::format(" quarantine={}", seconds(*pool.quarantine));
  for (const auto& [space, most] : pool.namespace_quotas) out += fmt::format(" quota={}:{}", space, most);
  for (const auto& [ip, name] : pool.reservations) out += fmt::format(" reserved={}:{}", ip.to_string(), name.to_string());
  if (pool.deleting) out += " deleting";
  if (pool.disabled) out += " disabled";
  if (pool.is_default) out += " default";
  if (pool.drain) out += " drain";
  if (pool.implicit_sharing) out += " implicit-sharing";
  for (const std::string& space : pool.namespaces) out += " for=" + space;
  return out + fmt::format(" usage={} free={}", pool.status.usage, pool.status.free);
}

bool asks(const Service& service, ClasslessServices classless) {
  if (service.type != ServiceType::load_balancer || service.deleting) return false;
  if (service.load_balancer_class) return *service.load_balancer_class == keys::load_balancer_class;
  const auto opt_in = service.annotations.find(keys::opt_in);
  if (opt_in == service.annotations.end()) return classless == ClasslessServices::all;
  return opt_in->second == keys::opt_in_value;
}

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::gone: return "gone";
    case Cause::no_claim: return "no claim";
    case Cause::wanted: return "another address wanted";
    case Cause::pool: return "other pools named";
    case Cause::family: return "family";
    case Cause::sharing: return "no consent";
    case Cause::drained: return "drained";
    case Cause::together: return "together or not at all";
  }
  return "unknown";
}

Truth::Truth(const SimStore& store, const testing::SimTimers& time, const TruthOptions& options)
    : store_(store), time_(time), options_(options) {}

void Truth::violated(std::string what) {
  if (violation_.empty()) violation_ = std::move(what);
}

void Truth::mix(std::string_view text) {
  for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
}

// -- what happened ------------------------------------------------------------------------------------

void Truth::look() {
  const auto read = [this](const auto& log, std::size_t& position) {
    for (; position < log.size(); ++position) hear(log[position]);
  };
  read(store_.log<Pool>(), pools_read_);
  read(store_.log<AddressBlock>(), blocks_read_);
  read(store_.log<Service>(), services_read_);
}

void Truth::look_anew() {
  services_ = store_.services();
  blocks_ = store_.blocks();
  for (const auto& [name, pool] : pools_)
    if (!store_.pools().contains(name)) came_or_went_.insert(name);
  for (const auto& [name, pool] : store_.pools())
    if (!pools_.contains(name)) came_or_went_.insert(name);
  pools_ = store_.pools();
  services_read_ = store_.log<Service>().size();
  blocks_read_ = store_.log<AddressBlock>().size();
  pools_read_ = store_.log<Pool>().size();
  names_.clear();
  records_.clear();
  shown_.clear();
  unadopted_.clear();
  published_.clear();
  freed_.clear();  // not causes: a process may still act on what it heard before
  for (const auto& [name, block] : blocks_)
    for (const auto& [ip, entry] : block.addresses) {
      records_[ip] = entry;
    }
  for (const auto& [name, service] : services_) {
    names_[service.uid] = name;
    record_faces(service);
    for (const IpAddress& ip : shown_by(service)) {
      shown_[ip].insert(service.uid);
      const auto record = records_.find(ip);
      if (record == records_.end() || !std::ranges::any_of(record->second.holders, [&](const Holder& h) { return h.uid == service.uid; }))
        unadopted_.insert({service.uid, ip});
      else if (held_by(record->second, service.uid))
        published_.insert({service.uid, ip});
    }
  }
  for (const auto& [name, pool] : pools_) pool_versions_[name].push_back(pool);
  note_causes();
  mix("restored");
}

void Truth::hear(const Event<Pool>& event) {
  mix(show(event.row));
  if (event.deleted)
    pools_.erase(event.row.name);
  else
    pools_[event.row.name] = event.row;
  if (event.deleted || !pool_versions_.contains(event.row.name)) came_or_went_.insert(event.row.name);
  pool_versions_[event.row.name].push_back(event.row);
  if (event.row.implicit_sharing) implicit_.insert(event.row.name);
  for (auto& [ip, freed] : freed_)
    if (freed.pool == event.row.name) freed.quarantine = std::min(freed.quarantine, quarantine_of(freed.pool));
  note_causes();
}

void Truth::hear(const Event<Service>& event) {
  mix(show(event.row));
  const Service& now = event.row;
  const auto known = services_.find(now.name);
  const std::set<IpAddress> before = known != services_.end() && known->second.uid == now.uid ? shown_by(known->second)
                                                                                              : std::set<IpAddress>{};
  const std::set<IpAddress> after = event.deleted ? std::set<IpAddress>{} : shown_by(now);
  if (event.deleted) {
    services_.erase(now.name);
    names_.erase(now.uid);
  } else {
    services_[now.name] = now;
    names_[now.uid] = now.name;
    record_faces(now);
  }
  note_causes();
  for (const IpAddress& ip : before) {
    if (after.contains(ip)) continue;
    auto& by = shown_[ip];
    by.erase(now.uid);
    if (by.empty()) shown_.erase(ip);
    const bool counted = unadopted_.erase({now.uid, ip}) == 0;
    if (counted && !event.by_user && !event.deleted && published_.contains({now.uid, ip}) && !causes_.contains({now.uid, ip}))
      violated(fmt::format("moved: {} is taken from {} without cause", ip.to_string(), show(now)));
  }
  for (const IpAddress& ip : after) {
    if (before.contains(ip)) continue;
    shown_[ip].insert(now.uid);
    const auto record = records_.find(ip);
    const bool again = published_.contains({now.uid, ip});  // judged when it was shown first
    if (!event.by_user && record != records_.end() && held_by(record->second, now.uid)) published_.insert({now.uid, ip});
    if (event.by_user && (record == records_.end() || !held_by(record->second, now.uid))) unadopted_.insert({now.uid, ip});
    if (!again) check_shown_twice(ip, now.uid);
  }
}

void Truth::hear(const Event<AddressBlock>& event) {
  mix(show(event.row));
  const auto known = blocks_.find(event.row.name);
  const AddressBlock before = known == blocks_.end() ? AddressBlock{} : known->second;
  static const std::map<IpAddress, BlockEntry> none;
  const auto& next = event.deleted ? none : event.row.addresses;
  if (event.deleted)
    blocks_.erase(event.row.name);
  else
    blocks_[event.row.name] = event.row;
  for (const auto& [ip, entry] : before.addresses) {
    const auto found = next.find(ip);
    entry_changed(ip, &entry, found == next.end() ? nullptr : &found->second);
  }
  for (const auto& [ip, entry] : next)
    if (!before.addresses.contains(ip)) entry_changed(ip, nullptr, &entry);
}

void Truth::entry_changed(const IpAddress& ip, const BlockEntry* before, const BlockEntry* after) {
  if (before != nullptr && after != nullptr && *before == *after) return;
  if (after != nullptr)
    records_[ip] = *after;
  else
    records_.erase(ip);
  const auto holds = [](const BlockEntry* entry, const Uid& uid) { return entry != nullptr && held_by(*entry, uid); };
  if (after != nullptr)
    for (const Holder& holder : after->holders)
      if (holder.state == HolderState::held && !holds(before, holder.uid)) causes_.erase({holder.uid, ip});  // a new beginning
  note_causes();

  if (before != nullptr)
    for (const Holder& holder : before->holders)
      if (const Mine mine{holder.uid, ip};
          holder.state == HolderState::held && !holds(after, holder.uid) && published_.erase(mine) > 0 && !causes_.contains(mine))
        violated(fmt::format("moved: the record of {} for {} ends without cause", ip.to_string(), holder.service.to_string()));

  if (after != nullptr)
    for (const Holder& holder : after->holders)
      if (std::ranges::count(after->holders, holder.uid, &Holder::uid) > 1)
        violated(fmt::format("recorded twice: {} for {}", ip.to_string(), holder.service.to_string()));
  if (after != nullptr && !after->holders.empty()) {
    if (const auto freed = freed_.find(ip); freed != freed_.end()) {
      const Duration waited = time_.now() - freed->second.at;
      const auto least = Duration{
          static_cast<Duration::rep>(static_cast<double>(freed->second.quarantine.count()) / (1 + options_.clock_error))};
      // Whoever had it may have it back at once, and then share it.
      const bool back = std::ranges::any_of(after->holders,
                                            [&](const Holder& holder) { return freed->second.last.contains(holder.service.to_string()); });
      if (!back && waited < least && freed->second.at > jumped_)
        violated(fmt::format("too soon: {} goes to {} {:.3f} s after it was freed", ip.to_string(),
                             after->holders.front().service.to_string(), seconds(waited)));
      freed_.erase(freed);
    }
    for (const Holder& holder : after->holders)
      if (unadopted_.erase({holder.uid, ip}) > 0) {
        published_.insert({holder.uid, ip});
        check_shown_twice(ip, holder.uid);
      }
  } else if (before != nullptr && !before->holders.empty()) {
    Freed freed{time_.now(), {}, quarantine_of(before->pool), before->pool};
    for (const Holder& holder : before->holders) freed.last.insert(holder.service.to_string());
    freed_[ip] = std::move(freed);
  }
  if (const auto freed = freed_.find(ip); freed != freed_.end() && before != nullptr)
    freed->second.quarantine = std::min(freed->second.quarantine, quarantine_of(before->pool));
}

// The shortest since it was quiet: a process may not have heard yet that the pool is there, or what it says now.
Duration Truth::quarantine_of(const std::string& pool) const {
  const auto versions = pool_versions_.find(pool);
  if (versions == pool_versions_.end()) return options_.quarantine;
  Duration out = came_or_went_.contains(pool) ? options_.quarantine : Duration::max();
  for (const Pool& version : versions->second) out = std::min(out, version.quarantine.value_or(options_.quarantine));
  return out;
}

// -- one address for two ------------------------------------------------------------------------------

Truth::Face Truth::face_of(const Service& service) {
  Face out;
  out.space = service.name.space;
  if (const std::string* key = annotation(service, keys::sharing_key)) out.key = *key;
  if (const std::string* spaces = annotation(service, keys::sharing_namespaces)) out.namespaces = *spaces;
  out.ports = service.ports;
  out.policy = service.external_traffic_policy;
  out.selector = service.selector;
  out.wanted = wanted_by(service);
  return out;
}

void Truth::record_faces(const Service& service) {
  auto& faces = faces_[service.uid];
  Face now = face_of(service);
  if (!contains(faces, now)) faces.push_back(std::move(now));
}

bool Truth::consents(const Face& a, const Face& b) {
  if (a.key.empty() || a.key != b.key || clash(a, b)) return false;
  const auto allows = [](const Face& one, const Face& other) {
    if (one.space == other.space) return true;
    const auto spaces = words(one.namespaces);
    return contains(spaces, "*") || contains(spaces, other.space);
  };
  return allows(a, b) && allows(b, a);
}

bool Truth::clash(const Face& a, const Face& b) {
  if (a.policy != b.policy || (a.policy == TrafficPolicy::local && a.selector != b.selector)) return true;
  return std::ranges::any_of(a.ports, [&](const ServicePort& port) { return contains(b.ports, port); });
}

// A process may act on what it heard before: so ever, not now.
bool Truth::ever_consented(const Uid& a, const Uid& b, const IpAddress& ip) const {
  const auto of_a = faces_.find(a);
  const auto of_b = faces_.find(b);
  if (of_a == faces_.end() || of_b == faces_.end()) return false;
  const auto record = records_.find(ip);
  const bool implicit = record != records_.end() && implicit_.contains(record->second.pool);
  for (const Face& one : of_a->second)
    for (const Face& other : of_b->second) {
      if (consents(one, other)) return true;
      if (implicit && (one.wanted.contains(ip) || other.wanted.contains(ip)) && !clash(one, other)) return true;
    }
  return false;
}

// By `joining` and by others that were there before it.
void Truth::check_shown_twice(const IpAddress& ip, const Uid& joining) {
  const auto by = shown_.find(ip);
  if (by == shown_.end() || unadopted_.contains({joining, ip})) return;
  for (const Uid& other : by->second) {
    if (other == joining || unadopted_.contains({other, ip}) || ever_consented(joining, other, ip)) continue;
    violated(fmt::format("shown twice: {} by {} and {}", ip.to_string(), names_.at(joining).to_string(), names_.at(other).to_string()));
  }
}

// -- causes -------------------------------------------------------------------------------------------

void Truth::note_causes() {
  for (const auto& [ip, entry] : records_)
    for (const Holder& holder : entry.holders)
      if (const Mine mine{holder.uid, ip}; !causes_.contains(mine))
        if (const auto why = cause(mine, entry)) causes_.emplace(mine, *why);
}

std::optional<Cause> Truth::cause(const Mine& mine, const BlockEntry& entry) const {
  if (const auto own = own_cause(mine, entry, View::ever)) return own;
  const Service& service = services_.at(names_.at(mine.first));
  if (service.family_policy != FamilyPolicy::require_dual) return std::nullopt;
  for (const IpFamily family : families_of(service))
    if (std::ranges::none_of(records_, [&](const auto& item) {
          return item.first.family == family && held_by(item.second, service.uid) &&
                 !own_cause({service.uid, item.first}, item.second, View::ever);
        }))
      return Cause::together;
  return std::nullopt;
}

std::optional<Cause> Truth::own_cause(const Mine& mine, const BlockEntry& entry, View view) const {
  const auto& [uid, ip] = mine;
  const auto name = names_.find(uid);
  if (name == names_.end()) return Cause::gone;
  const Service& service = services_.at(name->second);
  if (!asks(service, options_.classless)) return Cause::no_claim;
  if (!contains(families_of(service), ip.family)) return Cause::family;
  const auto wanted = wanted_by(service);
  const auto rivals = std::ranges::count(wanted, ip.family, &IpAddress::family);
  if (rivals > 0 && !wanted.contains(ip)) return Cause::wanted;
  if (const auto named = pools_named_by(service); !named.empty() && !contains(named, entry.pool)) {
    const bool another_has_it = std::ranges::any_of(named, [&, address = ip](const std::string& one) {
      const std::vector<Pool> pools = seen_of(one, view);
      return !pools.empty() && std::ranges::all_of(pools, [&](const Pool& pool) { return !pool.deleting && pool.contains(address); });
    });
    if (!another_has_it) return Cause::pool;
  }
  if (shares_without_consent(uid, entry)) return Cause::sharing;
  if (is_drained(ip, entry, view)) return Cause::drained;
  return std::nullopt;
}

// An address belongs to the pool it was taken from while that contains it, else to another that does.
bool Truth::is_drained(const IpAddress& ip, const BlockEntry& entry, View view) const {
  const auto home = pools_.find(entry.pool);
  const bool at_home = view == View::now && home != pools_.end() && (home->second.contains(ip) || !home->second.invalid.empty());
  return std::ranges::any_of(pool_versions_, [&](const auto& item) {
    if (at_home && item.first != entry.pool) return false;
    const std::vector<Pool> pools = seen_of(item.first, view);
    return std::ranges::any_of(pools, [&, recorded = item.first == entry.pool](const Pool& pool) {
      return pool.drain && (recorded || pool.contains(ip)) && (pool.deleting || pool.disabled || !pool.offers(ip));
    });
  });
}

std::vector<Pool> Truth::seen_of(const std::string& pool, View view) const {
  if (const auto versions = pool_versions_.find(pool); view == View::ever)
    return versions == pool_versions_.end() ? std::vector<Pool>{} : versions->second;
  const auto now = pools_.find(pool);
  return now == pools_.end() ? std::vector<Pool>{} : std::vector<Pool>{now->second};
}

bool Truth::shares_without_consent(const Uid& uid, const BlockEntry& entry) const {
  const auto mine = names_.find(uid);
  for (const Holder& other : entry.holders) {
    if (other.uid == uid || other.state != HolderState::held) continue;
    const auto theirs = names_.find(other.uid);
    if (theirs == names_.end()) continue;
    const Face one = face_of(services_.at(mine->second));
    const Face another = face_of(services_.at(theirs->second));
    const auto pool = pools_.find(entry.pool);
    const bool implicit = pool != pools_.end() && pool->second.implicit_sharing;
    if (implicit ? clash(one, another) : !consents(one, another)) return true;
  }
  return false;
}

void Truth::forget_causes() {
  causes_.clear();
  pool_versions_.clear();
  came_or_went_.clear();
  for (const auto& [name, pool] : pools_) pool_versions_[name] = {pool};
  std::erase_if(faces_, [&](const auto& item) { return !names_.contains(item.first); });
  for (const auto& [name, service] : services_) {
    faces_[service.uid] = {face_of(service)};
  }
  implicit_.clear();
  for (const auto& [name, pool] : pools_)
    if (pool.implicit_sharing) implicit_.insert(name);
  note_causes();
}

// -- when all rests -----------------------------------------------------------------------------------

std::string Truth::unsettled() const {
  for (const auto& [name, block] : blocks_)
    if (block.addresses.empty()) return "an empty block is left: " + name;
  for (const auto& [ip, entry] : records_)
    if (auto text = unsettled(ip, entry); !text.empty()) return text;
  const World now = world();
  for (const auto& [name, service] : services_)
    if (auto text = unsettled(service, now); !text.empty()) return text;
  for (const auto& [name, pool] : pools_)
    if (auto text = unsettled(pool); !text.empty()) return text;
  return "";
}

std::string Truth::unsettled(const IpAddress& ip, const BlockEntry& entry) const {
  if (entry.holders.empty()) {
    // Where the least recently used address goes first, it is remembered when each was freed.
    const auto pool = pools_.find(entry.pool);
    const bool remembers = pool != pools_.end() && pool->second.order == AllocationOrder::least_recently_used && !pool->second.deleting &&
                           pool->second.offers(ip);
    return remembers ? "" : "a quarantine is left: " + ip.to_string();
  }
  for (const Holder& holder : entry.holders) {
    if (holder.state != HolderState::held) return "a giving back is left: " + ip.to_string() + " of " + holder.service.to_string();
    if (!names_.contains(holder.uid)) return "a record without its Service: " + ip.to_string() + " of " + holder.service.to_string();
  }
  return "";
}

std::string Truth::unsettled(const Service& service, const World& world) const {
  if (service.deleting) return "not let go: " + show(service);
  const auto recorded = recorded_for(service);
  const Condition* condition = condition_of(service);
  if (!asks(service, options_.classless)) {
    const bool marked = has_our_finalizer(service) || service.has_pool_label || condition != nullptr;
    return recorded.empty() && !marked ? "" : "marks are left: " + show(service);
  }
  const bool told = condition != nullptr && !condition->reason.empty() && !condition->message.empty();
  if (!told || condition->status != (recorded.empty() ? "False" : "True")) return "neither served nor told why: " + show(service);
  if (auto text = unserved(service, recorded, world); !text.empty()) return text;
  if (auto text = unmarked(service, recorded); !text.empty()) return text;
  for (const auto& [ip, entry] : recorded)
    if (shares_without_consent(service.uid, *entry) && !someone_is_told(*entry)) return "shares without consent: " + show(service);
  return "";
}

std::map<IpAddress, const BlockEntry*> Truth::recorded_for(const Service& service) const {
  std::map<IpAddress, const BlockEntry*> out;
  for (const auto& [ip, entry] : records_)
    if (held_by(entry, service.uid)) out.emplace(ip, &entry);
  return out;
}

// It lacks what it might have.
std::string Truth::unserved(const Service& service, const std::map<IpAddress, const BlockEntry*>& recorded, const World& world) const {
  const auto verdict = judge_claim(service, options_.classless);
  const Claim& claim = std::get<Claim>(verdict);
  if (!claim.problem.empty()) return "";
  std::size_t lacking = 0;
  std::string free;
  std::size_t could_be = 0;
  std::map<std::string, std::int64_t> about;  // addresses of a pool that it would have more
  for (const FamilyClaim& family : claim.families) {
    if (is_satisfied(service, family)) continue;
    ++lacking;
    const std::string one = free_for(service, claim, family, world, about);
    if (one.empty()) continue;
    ++could_be;
    free = one;
  }
  const bool together = claim.all_or_none && recorded.empty();
  if (together ? could_be == claim.families.size() : could_be > 0) return "waits, though " + free + ": " + show(service);
  if (lacking > 0 && !is_told_more(service)) return "has not all, and is not told why: " + show(service);
  return "";
}

std::string Truth::unmarked(const Service& service, const std::map<IpAddress, const BlockEntry*>& recorded) const {
  if (recorded.empty()) return "";
  std::set<IpAddress> noted;
  if (const std::string* allocated = annotation(service, keys::allocated))
    for (const std::string& word : words(*allocated))
      if (const auto ip = IpAddress::parse(word)) noted.insert(*ip);
  const auto are_recorded = [&](const std::set<IpAddress>& all) {
    return std::ranges::equal(all, recorded, [](const IpAddress& ip, const auto& item) { return ip == item.first; });
  };
  if (!are_recorded(shown_by(service))) return "shows not what is recorded: " + show(service);
  if (!are_recorded(noted)) return "its annotation is not what is recorded: " + show(service);
  if (!has_our_finalizer(service)) return "has no finalizer: " + show(service);
  const bool labelled = std::ranges::any_of(recorded, [&](const auto& item) { return item.second->pool == service.pool_label; });
  return service.has_pool_label && labelled ? "" : "has not its pool's label: " + show(service);
}

// The condition says more than which addresses it has.
bool Truth::is_told_more(const Service& service) const {
  const Condition* condition = condition_of(service);
  if (condition == nullptr) return false;
  std::size_t parts = 1;
  for (std::size_t at = 0; (at = condition->message.find("; ", at)) != std::string::npos; at += 2) ++parts;
  return parts > recorded_for(service).size();
}

bool Truth::someone_is_told(const BlockEntry& entry) const {
  return std::ranges::any_of(entry.holders, [&](const Holder& holder) {
    const auto found = services_.find(holder.service);
    return found != services_.end() && is_told_more(found->second);
  });
}

// Of two that share without consent, the one that may stay is.
bool Truth::is_satisfied(const Service& service, const FamilyClaim& family) const {
  return std::ranges::any_of(records_, [&](const auto& item) {
    const auto& [ip, entry] = item;
    if (ip.family != family.family || !held_by(entry, service.uid)) return false;
    const auto why = own_cause({service.uid, ip}, entry, View::now);
    return !why || *why == Cause::sharing;
  });
}

std::string Truth::unsettled(const Pool& pool) const {
  std::map<std::string, std::string> used;
  for (const auto& [ip, entry] : records_)
    if (entry.pool == pool.name)
      for (const Holder& holder : entry.holders) {
        std::string& by = used[ip.to_string()];
        by += (by.empty() ? "" : ";") + holder.service.to_string();
      }
  if (pool.deleting) return used.empty() ? "not let go: " + show(pool) : "";
  if (!contains(pool.finalizers, keys::pool_finalizer)) return "has no finalizer: " + show(pool);
  if (pool.status.used != used || pool.status.usage != static_cast<std::int64_t>(used.size())) return "its status is wrong: " + show(pool);
  std::int64_t free = 0;
  for (const IpRange& range : pool.offered)
    for (IpAddress ip = range.first; ip <= range.last; ip = ip.plus(1)) {
      const bool reserved = std::ranges::any_of(pools_, [&](const auto& item) { return item.second.reservations.contains(ip); });
      if (pool.offers(ip) && !records_.contains(ip) && !reserved) ++free;
    }
  if (pool.status.free != free) return fmt::format("says {} are free, {} are: {}", pool.status.free, free, show(pool));
  return "";
}

World Truth::world() const {
  World out;
  const auto fill = [](auto& table, const auto& rows) {
    using Row = std::remove_cvref_t<decltype(rows.begin()->second)>;
    std::vector<Row> all;
    for (const auto& [key, row] : rows) all.push_back(row);
    table.replace(std::move(all), {"1"}, false);
  };
  fill(out.services, services_);
  fill(out.pools, pools_);
  fill(out.blocks, blocks_);
  fill(out.namespaces, store_.rows<Namespace>());
  return out;
}

// An address that it might have: offered by a pool that is open to it, and nobody's.
std::string Truth::free_for(const Service& service,
                            const Claim& claim,
                            const FamilyClaim& family,
                            const World& world,
                            std::map<std::string, std::int64_t>& about) const {
  for (const Pool* pool : choose_pools(claim, family, service, world, {}).pools) {
    auto quota = pool->namespace_quotas.find(service.name.space);
    if (quota == pool->namespace_quotas.end()) quota = pool->namespace_quotas.find("*");
    const auto had = std::ranges::count_if(records_, [&](const auto& item) {
      return item.second.pool == pool->name &&
             std::ranges::any_of(item.second.holders, [&](const Holder& holder) { return holder.service.space == service.name.space; });
    });
    if (quota != pool->namespace_quotas.end() && had + about[pool->name] >= quota->second) continue;
    for (const IpRange& range : pool->offered)
      for (IpAddress ip = range.first; ip <= range.last; ip = ip.plus(1)) {
        if (!pool->offers(ip) || ip.family != family.family || (family.wanted && ip != *family.wanted)) continue;
        const bool kept = std::ranges::any_of(pools_, [&](const auto& item) {
          const auto reserved = item.second.reservations.find(ip);
          return reserved != item.second.reservations.end() && (reserved->second != service.name || item.first != pool->name);
        });
        const auto record = records_.find(ip);
        const auto shown = shown_.find(ip);
        const bool others = shown != shown_.end() && std::ranges::any_of(shown->second, [&](const Uid& uid) { return uid != service.uid; });
        if (!kept && !others && (record == records_.end() || (record->second.holders.empty() && record->second.pool == pool->name)))
          return ++about[pool->name], fmt::format("{} of {} is free", ip.to_string(), pool->name);
      }
  }
  return "";
}

std::string Truth::state() const {
  std::string out;
  const auto add = [&out](auto row) {
    row.version = {};
    out += show(row) + "\n";
  };
  for (const auto& [name, service] : services_) add(service);
  for (const auto& [name, block] : blocks_) add(block);
  for (const auto& [name, pool] : pools_) add(pool);
  return out;
}

bool Truth::remembers_freed() const {
  return std::ranges::any_of(records_, [](const auto& item) { return item.second.holders.empty(); });
}

std::string Truth::left_over() const {
  if (!services_.empty()) return "a Service is left: " + show(services_.begin()->second);
  if (!blocks_.empty()) return "a block is left: " + show(blocks_.begin()->second);
  if (!pools_.empty()) return "a pool is left: " + show(pools_.begin()->second);
  return "";
}

}  // namespace berth::sim
