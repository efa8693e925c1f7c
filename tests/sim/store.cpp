#include "store.hpp"

#include <utility>

namespace berth::sim {
namespace {

tl::unexpected<Error> not_found() { return fail(ErrorCode::not_found, "404"); }
tl::unexpected<Error> conflict() { return fail(ErrorCode::conflict, "409: the object has been modified"); }

void apply(const ServicePatch& patch, Service& service) {
  for (const auto& [key, value] : patch.labels) {
    if (key != keys::pool) continue;
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
}

}  // namespace

Result<Service> SimStore::read_service(const ObjectName& name) const {
  const auto found = services_.find(name);
  if (found == services_.end()) return not_found();
  return found->second;
}

Service SimStore::stored(Service service) {
  service.version = next_version();
  const bool ends = service.deleting && service.finalizers.empty();
  if (ends)
    services_.erase(service.name);
  else
    services_[service.name] = service;
  service_log_.push_back({service, ends, service.version});
  return service;
}

Result<Service> SimStore::patch_service(const ServicePatch& patch, Check check) {
  const auto found = services_.find(patch.name);
  if (found == services_.end()) return not_found();
  if (check == Check::preconditions) {
    if (found->second.uid != patch.uid) return fail(ErrorCode::conflict, "422: metadata.uid: field is immutable");
    if (found->second.version != patch.version) return conflict();
  }
  if (patch.ingress && !patch.ingress->empty() && found->second.type != ServiceType::load_balancer)
    return fail(ErrorCode::invalid, "422: status.loadBalancer.ingress: only for type LoadBalancer");
  Service changed = found->second;
  apply(patch, changed);
  if (changed == found->second) return changed;
  return stored(std::move(changed));
}

Result<AddressBlock> SimStore::read_block(const std::string& name) const {
  const auto found = blocks_.find(name);
  if (found == blocks_.end()) return not_found();
  return found->second;
}

Result<AddressBlock> SimStore::write_block(AddressBlock block, Check check) {
  const auto found = blocks_.find(block.name);
  if (check == Check::preconditions) {
    if (block.version.text.empty() && found != blocks_.end()) return fail(ErrorCode::already_exists, "409: already exists");
    if (!block.version.text.empty() && found == blocks_.end()) return not_found();
    if (found != blocks_.end() && found->second.version != block.version) return conflict();
  }
  block.uid = found != blocks_.end() ? found->second.uid : next_uid();
  block.heard_at = block.read_at = 0;
  if (found != blocks_.end() && found->second.addresses == block.addresses) return found->second;
  block.version = next_version();
  blocks_[block.name] = block;
  block_log_.push_back({block, false, block.version});
  return block;
}

Result<> SimStore::delete_block(const AddressBlock& block, Check check) {
  const auto found = blocks_.find(block.name);
  if (found == blocks_.end()) return not_found();
  if (check == Check::preconditions && (found->second.version != block.version || found->second.uid != block.uid)) return conflict();
  block_log_.push_back({found->second, true, next_version()});
  blocks_.erase(found);
  return {};
}

Pool SimStore::stored(Pool pool) {
  pool.version = next_version();
  const bool ends = pool.deleting && pool.finalizers.empty();
  if (ends)
    pools_.erase(pool.name);
  else
    pools_[pool.name] = pool;
  pool_log_.push_back({pool, ends, pool.version});
  return pool;
}

Result<Pool> SimStore::patch_pool_finalizers(const Pool& pool, std::vector<std::string> finalizers) {
  const auto found = pools_.find(pool.name);
  if (found == pools_.end()) return not_found();
  if (found->second.uid != pool.uid || found->second.version != pool.version) return conflict();
  if (found->second.finalizers == finalizers) return found->second;
  Pool changed = found->second;
  changed.finalizers = std::move(finalizers);
  return stored(std::move(changed));
}

Result<Pool> SimStore::patch_pool_status(const std::string& name, Pool::Status status) {
  const auto found = pools_.find(name);
  if (found == pools_.end()) return not_found();
  if (found->second.status == status) return found->second;
  Pool changed = found->second;
  changed.status = std::move(status);
  return stored(std::move(changed));
}

void SimStore::put(Service service) {
  if (service.version.text.empty()) service.uid = next_uid();
  if (service.type != ServiceType::load_balancer) service.ingress.clear();  // as the API server does
  stored(std::move(service));
}

void SimStore::put(Pool pool) {
  if (pool.version.text.empty()) pool.uid = next_uid();
  stored(std::move(pool));
}

void SimStore::remove_service(const ObjectName& name) {
  Service service = services_.at(name);
  service.deleting = true;
  stored(std::move(service));
}

void SimStore::remove_pool(const std::string& name) {
  Pool pool = pools_.at(name);
  pool.deleting = true;
  stored(std::move(pool));
}

}  // namespace berth::sim
