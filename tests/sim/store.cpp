#include "store.hpp"

#include <algorithm>
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
T SimStore::stored(Shelf<T>& shelf, T row) {
  row.version = next_version();
  const bool ends = row.deleting && row.finalizers.empty();
  if (ends)
    shelf.rows.erase(row.key());
  else
    shelf.rows[row.key()] = row;
  shelf.log.push_back({row, ends, row.version});
  return row;
}

template <class T>
void SimStore::create_or_replace(Shelf<T>& shelf, T row) {
  if (row.version.text.empty()) row.uid = next_uid();
  stored(shelf, std::move(row));
}

template <class T>
void SimStore::remove(Shelf<T>& shelf, const typename T::Key& key) {
  T row = shelf.rows.at(key);
  if (row.deleting) return;
  row.deleting = true;
  stored(shelf, std::move(row));
}

template <class T>
Result<T> SimStore::patch_finalizers(Shelf<T>& shelf, const T& seen, std::vector<std::string> finalizers) {
  const auto found = shelf.rows.find(seen.key());
  if (found == shelf.rows.end()) return not_found();
  if (found->second.uid != seen.uid || found->second.version != seen.version) return conflict();
  if (auto fine = check_finalizers(found->second, finalizers); !fine) return fail(fine.error());
  if (found->second.finalizers == finalizers) return found->second;
  T changed = found->second;
  changed.finalizers = std::move(finalizers);
  return stored(shelf, std::move(changed));
}

Result<Service> SimStore::read_service(const ObjectName& name) const {
  const auto found = services_.rows.find(name);
  if (found == services_.rows.end()) return not_found();
  return found->second;
}

Result<Service> SimStore::patch_service(const ServicePatch& patch, Check check) {
  const auto found = services_.rows.find(patch.name);
  if (found == services_.rows.end()) return not_found();
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
  return stored(services_, std::move(changed));
}

Result<AddressBlock> SimStore::read_block(const std::string& name) const {
  const auto found = blocks_.rows.find(name);
  if (found == blocks_.rows.end()) return not_found();
  return found->second;
}

Result<AddressBlock> SimStore::write_block(AddressBlock block, Check check) {
  const auto found = blocks_.rows.find(block.name);
  const bool exists = found != blocks_.rows.end();
  if (check == Check::preconditions) {
    if (block.version.text.empty() && exists) return fail(ErrorCode::already_exists, "409: already exists");
    if (!block.version.text.empty() && !exists) return not_found();
    if (exists && found->second.version != block.version) return conflict();
  }
  block.uid = exists ? found->second.uid : next_uid();
  block.heard_at = block.read_at = 0;
  if (exists && found->second.addresses == block.addresses) return found->second;
  block.version = next_version();
  blocks_.rows[block.name] = block;
  blocks_.log.push_back({block, false, block.version});
  return block;
}

Result<> SimStore::delete_block(const AddressBlock& block, Check check) {
  const auto found = blocks_.rows.find(block.name);
  if (found == blocks_.rows.end()) return not_found();
  if (check == Check::preconditions && (found->second.version != block.version || found->second.uid != block.uid)) return conflict();
  blocks_.log.push_back({found->second, true, next_version()});
  blocks_.rows.erase(found);
  return {};
}

Result<Pool> SimStore::patch_pool_finalizers(const Pool& pool, std::vector<std::string> finalizers) {
  return patch_finalizers(pools_, pool, std::move(finalizers));
}

Result<Pool> SimStore::patch_pool_status(const std::string& name, Pool::Status status) {
  const auto found = pools_.rows.find(name);
  if (found == pools_.rows.end()) return not_found();
  if (found->second.status == status) return found->second;
  Pool changed = found->second;
  changed.status = std::move(status);
  return stored(pools_, std::move(changed));
}

Result<BgpConf> SimStore::patch_bgp_conf_finalizers(const BgpConf& conf, std::vector<std::string> finalizers) {
  return patch_finalizers(bgp_confs_, conf, std::move(finalizers));
}

Result<BgpPeer> SimStore::patch_bgp_peer_finalizers(const BgpPeer& peer, std::vector<std::string> finalizers) {
  return patch_finalizers(bgp_peers_, peer, std::move(finalizers));
}

Result<> SimStore::patch_bgp_conf_status(const std::string& name,
                                         const std::string& node,
                                         const std::optional<BgpConf::NodeStatus>& status) {
  const auto found = bgp_confs_.rows.find(name);
  if (found == bgp_confs_.rows.end()) return not_found();
  BgpConf changed = found->second;
  if (status)
    changed.nodes_status[node] = *status;
  else
    changed.nodes_status.erase(node);
  if (changed != found->second) stored(bgp_confs_, std::move(changed));
  return {};
}

Result<> SimStore::patch_bgp_peer_status(const std::string& name, const std::string& node, const std::optional<BgpPeerStatus>& status) {
  const auto found = bgp_peers_.rows.find(name);
  if (found == bgp_peers_.rows.end()) return not_found();
  BgpPeer changed = found->second;
  std::erase(changed.status_nodes, node);
  if (status) changed.status_nodes.insert(std::ranges::lower_bound(changed.status_nodes, node), node);
  if (status || changed != found->second) stored(bgp_peers_, std::move(changed));
  return {};
}

void SimStore::put(Service service) {
  if (service.type != ServiceType::load_balancer) service.ingress.clear();  // as the API server does
  create_or_replace(services_, std::move(service));
}
void SimStore::put(Pool pool) {
  const auto now = pools_.rows.find(pool.name);
  if (now == pools_.rows.end()) {
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
  create_or_replace(pools_, std::move(pool));
}
void SimStore::put(BgpConf conf) { create_or_replace(bgp_confs_, std::move(conf)); }
void SimStore::put(BgpPeer peer) { create_or_replace(bgp_peers_, std::move(peer)); }

void SimStore::remove_service(const ObjectName& name) { remove(services_, name); }
void SimStore::remove_pool(const std::string& name) {
  Pool& pool = pools_.rows.at(name);
  if (!pool.deleting) ++pool.generation;
  remove(pools_, name);
}
void SimStore::remove_bgp_conf(const std::string& name) { remove(bgp_confs_, name); }
void SimStore::remove_bgp_peer(const std::string& name) { remove(bgp_peers_, name); }

}  // namespace berth::sim
