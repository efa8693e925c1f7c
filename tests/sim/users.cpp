#include "users.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "truth.hpp"

namespace berth::sim {
namespace {

// Few addresses, on both sides of a block's border, in pools that overlap.
const std::vector<std::string> v4_ranges{"192.0.2.62-192.0.2.65", "192.0.2.63-192.0.2.64", "192.0.2.64-192.0.2.67", "192.0.2.65",
                                         "198.51.100.0/31"};
const std::vector<std::string> v6_ranges{"2001:db8::3e-2001:db8::41", "2001:db8::40/127"};
const std::vector<std::string> addresses{"192.0.2.62", "192.0.2.63",   "192.0.2.64",   "192.0.2.65",   "192.0.2.66",
                                         "192.0.2.67", "198.51.100.0", "2001:db8::3f", "2001:db8::40", "2001:db8::41"};
const std::vector<std::string> spaces{"shop", "bank"};
const std::vector<std::string> pool_names{"edge", "lan", "wan"};

void set_or_erase(Labels& labels, std::string_view key, const std::string& value) {
  if (value.empty())
    labels.erase(std::string{key});
  else
    labels[std::string{key}] = value;
}

// Reservations of what the pool does not offer would make it invalid.
void keep_what_is_allowed(Pool& pool) {
  std::erase_if(pool.reservations, [&](const auto& item) { return !pool.offers(item.first); });
}

}  // namespace

void set_address(Pool& pool, const std::string& address, const std::string& exclude) {
  pool.address = address;
  pool.ranges = parse_ip_ranges(address).value();
  pool.offered = exclude.empty() ? pool.ranges : subtract(pool.ranges, parse_ip_ranges(exclude).value());
}

Users::Users(SimStore& store, SimRng& rng) : store_(store), rng_(rng) {
  const std::size_t count = 3 + rng_.below(6);
  for (std::size_t i = 0; i < count; ++i) names_.push_back({spaces[i % 3 == 2 ? 1 : 0], std::string(1, static_cast<char>('a' + i))});
  draw_mixture();
}

// Most kinds of deed are left out of a run, so that the others meet more often.
double Users::some_weight() { return rng_.chance(0.5) ? 0 : rng_.fraction() * rng_.fraction() * 4; }

void Users::draw_mixture() {
  ruled_ = rng_.chance(0.4) ? rng_.fraction() : 0;
  sharing_ = rng_.chance(0.35) ? rng_.fraction() : 0;
  dual_ = rng_.chance(0.5) ? rng_.fraction() * 0.7 : 0;
  const auto edits = [this](void (Users::*change)(Service&), std::string_view what) {
    return [this, change, what] { return edit([this, change](Service& service) { (this->*change)(service); }, what); };
  };
  const auto may = [this](double weight, std::function<std::string()> act) {
    if (weight > 0) deeds_of_.push_back({weight, std::move(act)});
  };
  may(1 + rng_.fraction(), [this] { return create(); });
  may(0.5 + rng_.fraction(), [this] { return remove(); });
  may(some_weight(), [this] { return restore(true); });
  may(some_weight(), [this] { return restore(false); });
  may(some_weight() / 2, [this] { return force_away(); });
  may(some_weight(), [this] { return make_anew(); });
  may(some_weight(), edits(&Users::toggle_type, "type"));
  may(some_weight() * 2, edits(&Users::toggle_class, "class"));
  may(some_weight(), edits(&Users::toggle_opt_in, "opt-in"));
  may(some_weight(), edits(&Users::toggle_pool, "pool"));
  may(some_weight(), edits(&Users::toggle_wanted, "wanted"));
  may(some_weight(), edits(&Users::toggle_families, "families"));
  may(some_weight(), edits(&Users::change_ports, "ports"));
  may(some_weight(), edits(&Users::wipe, "wipe"));
  may(some_weight(),
      [this] { return edit([this](Service& service) { service.annotations["x.kubesphere.io/any"] = std::to_string(++made_); }, "touch"); });
  if (sharing_ > 0) may(some_weight() * 2, edits(&Users::toggle_sharing, "sharing"));
  may(some_weight() / 2, edits(&Users::toggle_mode, "mode"));
  may(some_weight(), [this] { return edit_pool(); });
  may(some_weight() / 4, [this] { return relabel_namespace(); });
  for (const Deed& deed : deeds_of_) total_ += deed.weight;
  moody_ = rng_.fraction() * 0.7;
}

void Users::begin() {
  for (const std::string& space : spaces) store_.put(Namespace{space, {}, {{"team", space}}});
  const std::size_t count = 1 + rng_.below(pool_names.size());
  for (std::size_t i = 0; i < count; ++i) {
    Pool pool = new_pool(pool_names[i]);
    if (i == 0 && rng_.chance(0.9)) pool.is_default = true;
    store_.put(std::move(pool));
  }
  for (std::size_t i = rng_.below(names_.size() + 1); i-- > 0;) create();
}

std::string Users::act() {
  ++deeds_;
  double x = rng_.fraction() * total_;
  for (const Deed& deed : deeds_of_) {
    x -= deed.weight;
    if (x < 0) return deed.act();
  }
  return create();
}

void Users::delete_everything() {
  std::vector<ObjectName> services;
  for (const auto& [name, service] : store_.services()) services.push_back(name);
  for (const ObjectName& name : services) store_.remove_service(name);
  std::vector<std::string> pools;
  for (const auto& [name, pool] : store_.pools()) pools.push_back(name);
  for (const std::string& name : pools) store_.remove_pool(name);
}

// -- Services -----------------------------------------------------------------------------------------

Service Users::new_service(const ObjectName& name) {
  Service service;
  service.name = name;
  service.created = fmt::format("2026-01-01T00:00:{:02}Z", rng_.below(60));
  service.type = ServiceType::load_balancer;
  service.families = {IpFamily::v4};
  service.ports = {{"TCP", 80}};
  if (rng_.chance(0.7))
    service.load_balancer_class = std::string{keys::load_balancer_class};
  else
    service.annotations[std::string{keys::opt_in}] = std::string{keys::opt_in_value};
  if (rng_.chance(0.2)) service.families = {IpFamily::v6};
  toggle_families(service);
  if (rng_.chance(0.1)) toggle_wanted(service);
  if (rng_.chance(0.1)) toggle_pool(service);
  if (rng_.chance(sharing_)) toggle_sharing(service);
  if (rng_.chance(0.1)) change_ports(service);
  if (rng_.chance(0.5)) service.labels["app"] = "x";
  return service;
}

std::string Users::create() {
  std::vector<ObjectName> missing;
  for (const ObjectName& name : names_)
    if (!store_.services().contains(name)) missing.push_back(name);
  if (missing.empty()) return remove();
  const ObjectName name = one_of(missing);
  return create(name, new_service(name));
}

std::string Users::create(const ObjectName& name, Service service) {
  again_ = name;
  service.version = {};
  service.deleting = false;
  store_.put(std::move(service));
  const Service& made = store_.services().at(name);
  seen_[name] = made;
  return "create " + show(made);
}

// From a backup of the object: what it had, or what a program of somebody's else makes of it.
std::string Users::restore(bool with_status) {
  std::vector<ObjectName> missing;
  for (const auto& [name, service] : seen_)
    if (!store_.services().contains(name)) missing.push_back(name);
  if (missing.empty()) return create();
  const ObjectName name = one_of(missing);
  Service service = seen_.at(name);
  if (with_status) {
    if (service.ingress.empty() || rng_.chance(0.2)) service.ingress = {{some_address(), ""}};
  } else {
    service.ingress.clear();
    service.conditions.clear();
  }
  if (rng_.chance(0.5)) std::erase(service.finalizers, std::string{keys::service_finalizer});
  if (rng_.chance(0.3)) service.has_pool_label = false, service.pool_label.clear();
  if (rng_.chance(0.3)) service.annotations.erase(std::string{keys::allocated});
  return "restored: " + create(name, std::move(service));
}

std::optional<Service> Users::any_service() {
  if (store_.services().empty()) return std::nullopt;
  auto found = again_ && rng_.chance(moody_) ? store_.services().find(*again_) : store_.services().end();
  if (found == store_.services().end())
    found = std::next(store_.services().begin(), static_cast<std::ptrdiff_t>(rng_.below(store_.services().size())));
  again_ = found->first;
  seen_[found->first] = found->second;
  return found->second;
}

std::string Users::remove() {
  const auto service = any_service();
  if (!service) return create();
  store_.remove_service(service->name);
  return "delete " + show(*service);
}

std::string Users::force_away() {
  auto service = any_service();
  if (!service) return create();
  if (!service->finalizers.empty()) {
    service->finalizers.clear();
    store_.put(*service);  // the end of one that is being deleted
  }
  if (store_.services().contains(service->name)) store_.remove_service(service->name);
  return "force away " + show(*service);
}

// Deleted and created again under its name, as soon as the name is free.
std::string Users::make_anew() {
  const auto service = any_service();
  if (!service) return create();
  store_.remove_service(service->name);
  if (!store_.services().contains(service->name)) return "anew: " + create(service->name, new_service(service->name));
  if (rng_.chance(0.5)) return "delete " + show(*service);
  Service bare = store_.services().at(service->name);
  bare.finalizers.clear();
  store_.put(bare);
  return "anew by force: " + create(service->name, new_service(service->name));
}

std::string Users::edit(const std::function<void(Service&)>& change, std::string_view what) {
  auto service = any_service();
  if (!service) return create();
  change(*service);
  const ObjectName name = service->name;
  store_.put(std::move(*service));
  const auto now = store_.services().find(name);
  return fmt::format("{}: {}", what, now == store_.services().end() ? name.to_string() + " is gone" : show(now->second));
}

void Users::toggle_type(Service& service) {
  if (service.type == ServiceType::load_balancer) {
    service.type = ServiceType::cluster_ip;
    service.load_balancer_class.reset();  // the API server demands it
    return;
  }
  service.type = ServiceType::load_balancer;
  if (!service.annotations.contains(keys::opt_in)) service.load_balancer_class = std::string{keys::load_balancer_class};
}

void Users::toggle_class(Service& service) {
  if (service.type != ServiceType::load_balancer) return toggle_type(service);
  if (service.load_balancer_class == keys::load_balancer_class)
    service.load_balancer_class = "example.com/other";
  else
    service.load_balancer_class = std::string{keys::load_balancer_class};
}

void Users::toggle_opt_in(Service& service) {
  if (service.annotations.erase(std::string{keys::opt_in}) == 0)
    service.annotations[std::string{keys::opt_in}] = std::string{rng_.chance(0.8) ? keys::opt_in_value : "metallb"};
}

void Users::toggle_pool(Service& service) {
  if (service.annotations.erase(std::string{keys::pool}) == 0) service.annotations[std::string{keys::pool}] = some_pools();
}

void Users::toggle_wanted(Service& service) {
  std::string wish = rng_.chance(0.95) ? some_address() : "192.0.2.";
  if (service.families.size() > 1 && rng_.chance(0.5)) wish += ", " + some_address();
  if (rng_.chance(0.2))
    service.load_balancer_ip = service.load_balancer_ip.empty() ? wish : "";
  else
    set_or_erase(service.annotations, keys::wanted_ip, service.annotations.contains(keys::wanted_ip) ? "" : wish);
}

// The first family is for life; the second comes and goes with the policy.
void Users::toggle_families(Service& service) {
  const IpFamily first = service.families.front();
  service.families = {first};
  service.family_policy = FamilyPolicy::single;
  if (!rng_.chance(dual_)) return;
  service.families.push_back(first == IpFamily::v4 ? IpFamily::v6 : IpFamily::v4);
  service.family_policy = rng_.chance(0.5) ? FamilyPolicy::prefer_dual : FamilyPolicy::require_dual;
}

void Users::toggle_sharing(Service& service) {
  const std::string key = rng_.chance(0.3) ? "" : rng_.chance(0.8) ? "together" : "other";
  set_or_erase(service.annotations, keys::sharing_key, key);
  set_or_erase(service.annotations, keys::sharing_namespaces, rng_.chance(0.5) ? "" : rng_.chance(0.5) ? "*" : "shop,bank");
  if (rng_.chance(0.5)) change_ports(service);
}

void Users::change_ports(Service& service) {
  service.ports = {{rng_.chance(0.7) ? "TCP" : "UDP", static_cast<std::uint16_t>(80 + rng_.below(3))}};
  service.external_traffic_policy = rng_.chance(0.8) ? TrafficPolicy::cluster : TrafficPolicy::local;
  service.selector = service.external_traffic_policy == TrafficPolicy::local ? (rng_.chance(0.5) ? "app=x" : "app=y") : "";
}

void Users::toggle_mode(Service& service) {
  const std::string modes[] = {"", "VIP", "Proxy", "proxy"};
  set_or_erase(service.annotations, keys::ip_mode, modes[rng_.below(4)]);
}

void Users::wipe(Service& service) {
  switch (rng_.below(5)) {
    case 0: service.ingress.clear(); break;
    case 1:
      service.has_pool_label = false;
      service.pool_label.clear();
      break;
    case 2: std::erase(service.finalizers, std::string{keys::service_finalizer}); break;
    case 3: service.annotations.erase(std::string{keys::allocated}); break;
    default: service.conditions.clear(); break;
  }
}

// -- pools and namespaces -----------------------------------------------------------------------------

std::string Users::some_address() { return one_of(addresses); }
std::string Users::some_pool() { return one_of(pool_names); }
std::string Users::some_pools() { return rng_.chance(0.7) ? some_pool() : some_pool() + ", " + some_pool(); }

Pool Users::new_pool(const std::string& name) {
  Pool pool;
  pool.name = name;
  const double x = rng_.fraction();
  if (x < 0.6)
    set_address(pool, one_of(v4_ranges));
  else if (x < 0.8)
    set_address(pool, one_of(v6_ranges));
  else
    set_address(pool, one_of(v4_ranges) + ", " + one_of(v6_ranges));
  pool.is_default = rng_.chance(0.4);
  if (rng_.chance(0.3)) pool.namespaces.push_back(one_of(spaces));
  if (rng_.chance(0.1)) pool.namespace_selector["team"] = one_of(spaces);
  pool.priority = static_cast<std::int64_t>(rng_.below(3));
  if (rng_.chance(ruled_)) draw_rules(pool);
  if (rng_.chance(sharing_ / 3)) pool.implicit_sharing = true;
  return pool;
}

void Users::draw_rules(Pool& pool) {
  if (rng_.chance(0.3)) set_address(pool, pool.address, one_of(addresses));
  pool.avoid_buggy_ips = rng_.chance(0.2);
  if (rng_.chance(0.3)) pool.order = AllocationOrder::least_recently_used;
  if (rng_.chance(0.3)) pool.quarantine = std::chrono::seconds{rng_.below(10)};
  pool.enforce_namespaces = rng_.chance(0.2);
  if (rng_.chance(0.2)) pool.service_selector = LabelSelector{{{"app", "x"}}, {}};
  if (rng_.chance(0.2)) pool.namespace_quotas["*"] = static_cast<std::int64_t>(rng_.below(4));
  if (rng_.chance(0.2)) pool.namespace_quotas["shop"] = static_cast<std::int64_t>(rng_.below(4));
  if (rng_.chance(0.5)) pool.reservations[IpAddress::parse(one_of(addresses)).value()] = one_of(names_);
  keep_what_is_allowed(pool);
}

std::string Users::edit_pool() {
  const std::string name = some_pool();
  const auto found = store_.pools().find(name);
  if (found == store_.pools().end()) {
    store_.put(new_pool(name));
    return "create " + show(store_.pools().at(name));
  }
  if (rng_.chance(0.15)) {
    store_.remove_pool(name);
    return "delete pool " + name;
  }
  Pool pool = found->second;
  change_pool(pool);
  store_.put(std::move(pool));
  return "edit " + show(store_.pools().at(name));
}

void Users::change_pool(Pool& pool) {
  const Pool other = new_pool(pool.name);
  if (!pool.invalid.empty()) {
    pool.invalid.clear();
    set_address(pool, other.address);
    return;
  }
  switch (rng_.below(9)) {
    case 0: pool.disabled = !pool.disabled; break;
    case 1: pool.is_default = !pool.is_default; break;
    case 2: pool.priority = other.priority; break;
    case 3: pool.namespaces = other.namespaces; break;
    case 4: pool.namespace_selector = other.namespace_selector; break;
    case 5:
      set_address(pool, other.address);
      keep_what_is_allowed(pool);
      break;
    case 6: pool.drain = !pool.drain; break;
    case 7:
      if (ruled_ > 0) draw_rules(pool);
      if (sharing_ > 0) pool.implicit_sharing = !pool.implicit_sharing;
      break;
    default:
      if (rng_.chance(0.7)) break;
      // As the decoder does: nothing is given out by half of what was meant, and nothing is moved.
      pool.address = "192.0.2.";
      pool.invalid = "spec.address makes no sense";
      pool.ranges.clear();
      pool.offered.clear();
      pool.reservations.clear();
      pool.drain = false;
      break;
  }
}

std::string Users::relabel_namespace() {
  const std::string& space = one_of(spaces);
  Namespace now = store_.rows<Namespace>().at(space);
  now.labels["team"] = one_of(spaces);
  store_.put(now);
  return fmt::format("namespace {} is of team {}", space, now.labels["team"]);
}

}  // namespace berth::sim
