#include "store.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace berth::sim {
namespace {

tl::unexpected<Error> not_found() { return fail(ErrorCode::not_found, "404"); }
tl::unexpected<Error> conflict() { return fail(ErrorCode::conflict, "409: the object has been modified"); }

void apply(const ServicePatch& patch, Service& service) {
  for (const auto& [key, value] : patch.labels) {
    if (key == keys::pool) {
      service.has_pool_label = value.has_value();
      service.pool_label = value.value_or("");
    } else if (value) {
      service.labels[key] = *value;
    } else {
      service.labels.erase(key);
    }
  }
  for (const auto& [key, value] : patch.annotations) {
    if (value)
      service.annotations[key] = *value;
    else
      service.annotations.erase(key);
  }
  if (patch.finalizers) service.finalizers = *patch.finalizers;
  if (patch.ingress) service.ingress = *patch.ingress;
  for (Ingress& entry : service.ingress)
    if (!entry.ip.empty() && entry.ip_mode.empty()) entry.ip_mode = "VIP";  // the API server's default
  if (patch.conditions) service.conditions = *patch.conditions;
}

bool has_a_mode(const Ingress& entry) {
  return entry.ip_mode.empty() || (!entry.ip.empty() && (entry.ip_mode == "VIP" || entry.ip_mode == "Proxy"));
}

// What is being deleted may lose finalizers, but gets no new ones.
template <class T>
Result<> check_finalizers(const T& now, const std::vector<std::string>& next) {
  if (now.deleting &&
      std::ranges::any_of(next, [&](const auto& one) { return std::ranges::find(now.finalizers, one) == now.finalizers.end(); }))
    return fail(ErrorCode::invalid, "422: no new finalizers can be added if the object is being deleted");
  return {};
}

}  // namespace

template <class T>
void SimStore::tell(Event<T> event) {
  if constexpr (!std::is_same_v<T, Lease>) ++changes_;
  Shelf<T>& kind = shelf<T>();
  kind.log.push_back(std::move(event));
  ring(kind);
}

template <class T>
void SimStore::ring(Shelf<T>& kind) {
  std::erase_if(kind.listeners, [](const auto& listener) { return listener.expired(); });
  const auto listeners = kind.listeners;
  for (const auto& listener : listeners)
    if (const auto alive = listener.lock()) (*alive)();
}

template <class T>
T SimStore::stored(T row, bool by_user) {
  if constexpr (requires { row.deleting&& row.finalizers.empty(); })
    if (row.deleting && row.finalizers.empty()) return ended(std::move(row), by_user);
  row.version = next_version();
  shelf<T>().rows[row.key()] = row;
  tell(Event<T>{row, false, row.version, by_user});
  return row;
}

template <class T>
T SimStore::ended(T row, bool by_user) {
  row.version = next_version();
  shelf<T>().rows.erase(row.key());
  tell(Event<T>{row, true, row.version, by_user});
  return row;
}

template <class T>
void SimStore::create_or_replace(T row) {
  if constexpr (requires { row.uid; })
    if (row.version.text.empty()) row.uid = next_uid();
  stored(std::move(row), true);
}

template <class T>
void SimStore::remove(const typename T::Key& key) {
  T row = shelf<T>().rows.at(key);
  if (row.deleting) return;
  row.deleting = true;
  stored(std::move(row), true);
}

template <class T>
Result<T> SimStore::patch_finalizers(const T& seen, std::vector<std::string> finalizers) {
  const auto found = shelf<T>().rows.find(seen.key());
  if (found == shelf<T>().rows.end()) return not_found();
  if (found->second.uid != seen.uid || found->second.version != seen.version) return conflict();
  if (auto fine = check_finalizers(found->second, finalizers); !fine) return fail(fine.error());
  if (found->second.finalizers == finalizers) return found->second;
  T changed = found->second;
  changed.finalizers = std::move(finalizers);
  return stored(std::move(changed), false);
}

template <class T>
Result<T> SimStore::compare_and_swap(T row, Check check) {
  const auto found = shelf<T>().rows.find(row.key());
  const bool exists = found != shelf<T>().rows.end();
  if (check == Check::preconditions) {
    if (row.version.text.empty() && exists) return fail(ErrorCode::already_exists, "409: already exists");
    if (!row.version.text.empty() && !exists) return not_found();
    if (exists && found->second.version != row.version) return conflict();
  }
  if constexpr (requires { row.uid; }) row.uid = exists ? found->second.uid : next_uid();
  if (exists) {
    row.version = found->second.version;
    if (row == found->second) return row;
  }
  return stored(std::move(row), false);
}

Result<Service> SimStore::read_service(const ObjectName& name) const {
  const auto found = shelf<Service>().rows.find(name);
  if (found == shelf<Service>().rows.end()) return not_found();
  return found->second;
}

Result<Service> SimStore::patch_service(const ServicePatch& patch, Check check) {
  const auto found = shelf<Service>().rows.find(patch.name);
  if (found == shelf<Service>().rows.end()) return not_found();
  const Service& now = found->second;
  if (check == Check::preconditions) {
    if (now.uid != patch.uid) return fail(ErrorCode::conflict, "422: metadata.uid: field is immutable");
    if (now.version != patch.version) return conflict();
  }
  if (patch.ingress && !patch.ingress->empty() && now.type != ServiceType::load_balancer)
    return fail(ErrorCode::invalid, "422: status.loadBalancer.ingress: only for type LoadBalancer");
  if (patch.ingress && !std::ranges::all_of(*patch.ingress, has_a_mode))
    return fail(ErrorCode::invalid, "422: status.loadBalancer.ingress[].ipMode: VIP or Proxy, and only with an ip");
  if (patch.finalizers)
    if (auto fine = check_finalizers(now, *patch.finalizers); !fine) return fail(fine.error());
  Service changed = now;
  apply(patch, changed);
  if (changed == now) return changed;
  return stored(std::move(changed), false);
}

Result<AddressBlock> SimStore::read_block(const std::string& name) const {
  const auto found = shelf<AddressBlock>().rows.find(name);
  if (found == shelf<AddressBlock>().rows.end()) return not_found();
  return found->second;
}

Result<AddressBlock> SimStore::write_block(AddressBlock block, Check check) {
  block.heard_at = block.read_at = 0;
  return compare_and_swap(std::move(block), check);
}

Result<> SimStore::delete_block(const AddressBlock& block, Check check) {
  const auto found = shelf<AddressBlock>().rows.find(block.name);
  if (found == shelf<AddressBlock>().rows.end()) return not_found();
  if (check == Check::preconditions && (found->second.version != block.version || found->second.uid != block.uid)) return conflict();
  ended(AddressBlock{found->second}, false);
  return {};
}

Result<Pool> SimStore::patch_pool_finalizers(const Pool& pool, std::vector<std::string> finalizers) {
  return patch_finalizers(pool, std::move(finalizers));
}

Result<Pool> SimStore::patch_pool_status(const std::string& name, Pool::Status status) {
  const auto found = shelf<Pool>().rows.find(name);
  if (found == shelf<Pool>().rows.end()) return not_found();
  if (found->second.status == status) return found->second;
  Pool changed = found->second;
  changed.status = std::move(status);
  return stored(std::move(changed), false);
}

Result<BgpConf> SimStore::patch_bgp_conf_finalizers(const BgpConf& conf, std::vector<std::string> finalizers) {
  return patch_finalizers(conf, std::move(finalizers));
}

Result<BgpPeer> SimStore::patch_bgp_peer_finalizers(const BgpPeer& peer, std::vector<std::string> finalizers) {
  return patch_finalizers(peer, std::move(finalizers));
}

Result<> SimStore::patch_bgp_conf_status(const std::string& name,
                                         const std::string& node,
                                         const std::optional<BgpConf::NodeStatus>& status) {
  const auto found = shelf<BgpConf>().rows.find(name);
  if (found == shelf<BgpConf>().rows.end()) return not_found();
  BgpConf changed = found->second;
  if (status)
    changed.nodes_status[node] = *status;
  else
    changed.nodes_status.erase(node);
  if (changed != found->second) stored(std::move(changed), false);
  return {};
}

Result<> SimStore::patch_bgp_peer_status(const std::string& name, const std::string& node, const std::optional<BgpPeerStatus>& status) {
  const auto found = shelf<BgpPeer>().rows.find(name);
  if (found == shelf<BgpPeer>().rows.end()) return not_found();
  BgpPeer changed = found->second;
  changed.node_sessions.erase(node);
  if (status) changed.node_sessions[node] = {status->session_state == SessionState::established, status->uptime, status->prefixes};
  if (status || changed != found->second) stored(std::move(changed), false);
  return {};
}

Result<> SimStore::patch_bgp_peer_sessions(const std::string& name, const BgpSessions& sessions) {
  const auto found = shelf<BgpPeer>().rows.find(name);
  if (found == shelf<BgpPeer>().rows.end()) return not_found();
  BgpPeer changed = found->second;
  changed.sessions = sessions;
  if (changed != found->second) stored(std::move(changed), false);
  return {};
}

Result<Lease> SimStore::read_lease(const std::string& name) const {
  const auto found = shelf<Lease>().rows.find(name);
  if (found == shelf<Lease>().rows.end()) return not_found();
  return found->second;
}

Result<Lease> SimStore::write_lease(Lease lease) { return compare_and_swap(std::move(lease), Check::preconditions); }

void SimStore::put(Service service) {
  if (service.type != ServiceType::load_balancer) service.ingress.clear();  // as the API server does
  create_or_replace(std::move(service));
}
void SimStore::put(Pool pool) {
  const auto now = shelf<Pool>().rows.find(pool.name);
  if (now == shelf<Pool>().rows.end()) {
    pool.generation = 1;
  } else {
    // What is not of the spec alone makes no generation; an edit that changes nothing no version.
    Pool same = pool;
    same.version = now->second.version;
    if (same == now->second) return;
    same.finalizers = now->second.finalizers;
    same.status = now->second.status;
    same.is_default = now->second.is_default;
    if (same != now->second) ++pool.generation;
  }
  create_or_replace(std::move(pool));
}
void SimStore::put(Namespace space) { create_or_replace(std::move(space)); }
void SimStore::put(BgpConf conf) { create_or_replace(std::move(conf)); }
void SimStore::put(BgpPeer peer) { create_or_replace(std::move(peer)); }

void SimStore::remove_service(const ObjectName& name) { remove<Service>(name); }
void SimStore::remove_pool(const std::string& name) {
  Pool& pool = shelf<Pool>().rows.at(name);
  if (!pool.deleting) ++pool.generation;
  remove<Pool>(name);
}
void SimStore::remove_namespace(const std::string& name) { ended(Namespace{shelf<Namespace>().rows.at(name)}, true); }
void SimStore::remove_bgp_conf(const std::string& name) { remove<BgpConf>(name); }
void SimStore::remove_bgp_peer(const std::string& name) { remove<BgpPeer>(name); }

SimStore::Backup SimStore::back_up() {
  Backup backup;
  backup.version_ = version_;
  backup.compacted_ = compacted_;
  backup.shelves_ = shelves_;
  version_ += apart_;
  apart_ /= 4;
  return backup;
}

void SimStore::restore(const Backup& backup) {
  const auto take_back = [](auto& shelf, const auto& old) {
    shelf.rows = old.rows;
    shelf.log = old.log;
  };
  std::apply([&](auto&... mine) { std::apply([&](const auto&... old) { (take_back(mine, old), ...); }, backup.shelves_); }, shelves_);
  version_ = backup.version_;
  compacted_ = backup.compacted_;
  ++changes_;
  ++restores_;
  std::apply([](auto&... kind) { (ring(kind), ...); }, shelves_);
}

}  // namespace berth::sim
