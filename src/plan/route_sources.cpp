#include "plan/route_sources.hpp"

namespace berth {

std::optional<RouteSources::Changes> RouteSources::update(const World& world) {
  std::set<std::string> blocks;
  std::set<ObjectName> slices;
  Changes out;
  const bool of_blocks = world.blocks.changes().read(blocks_read_, [&](const std::string& name) { blocks.insert(name); });
  const bool of_services = world.services.changes().read(services_read_, [&](const ObjectName& name) { out.services.insert(name); });
  const bool of_slices = world.endpoint_slices.changes().read(slices_read_, [&](const ObjectName& name) { slices.insert(name); });
  const bool known = of_blocks && of_services && of_slices;
  if (!known) {
    addresses_of_block_.clear();
    blocks_of_.clear();
    service_of_slice_.clear();
    slices_of_.clear();
    endpoints_.clear();
    for (const auto& [name, block] : world.blocks.rows()) blocks.insert(name);
    for (const auto& [name, slice] : world.endpoint_slices.rows()) slices.insert(name);
  }
  for (const std::string& name : blocks) note_block(world, name, out.addresses);
  // Of all slices first: while one of a Service is noted, another one may be gone already.
  std::set<ObjectName> with_other_slices;
  for (const ObjectName& name : slices) note_slice(world, name, with_other_slices);
  for (const ObjectName& service : with_other_slices) add_up_endpoints(world, service);
  out.services.merge(with_other_slices);
  return known ? std::optional{std::move(out)} : std::nullopt;
}

void RouteSources::note_block(const World& world, const std::string& name, std::set<IpAddress>& changed) {
  std::set<IpAddress>& known = addresses_of_block_[name];
  for (const IpAddress& ip : known) {
    changed.insert(ip);
    std::set<std::string>& blocks = blocks_of_[ip];
    blocks.erase(name);
    if (blocks.empty()) blocks_of_.erase(ip);
  }
  known.clear();
  if (const AddressBlock* block = world.blocks.find(name); block != nullptr)
    for (const auto& [ip, entry] : block->addresses) {
      known.insert(ip);
      changed.insert(ip);
      blocks_of_[ip].insert(name);
    }
  if (known.empty()) addresses_of_block_.erase(name);
}

void RouteSources::note_slice(const World& world, const ObjectName& name, std::set<ObjectName>& changed) {
  if (const auto before = service_of_slice_.find(name); before != service_of_slice_.end()) {
    changed.insert(before->second);
    std::set<ObjectName>& slices = slices_of_[before->second];
    slices.erase(name);
    if (slices.empty()) slices_of_.erase(before->second);
    service_of_slice_.erase(before);
  }
  const EndpointSlice* slice = world.endpoint_slices.find(name);
  if (slice == nullptr || slice->service.empty()) return;
  const ObjectName service{name.space, slice->service};
  service_of_slice_.emplace(name, service);
  slices_of_[service].insert(name);
  changed.insert(service);
}

void RouteSources::add_up_endpoints(const World& world, const ObjectName& service) {
  endpoints_.erase(service);
  const auto slices = slices_of_.find(service);
  if (slices == slices_of_.end()) return;
  ServiceEndpoints& endpoints = endpoints_[service];
  for (const ObjectName& name : slices->second)
    if (const EndpointSlice* slice = world.endpoint_slices.find(name); slice != nullptr) add_endpoints(*slice, endpoints);
}

const BlockEntry* RouteSources::held(const World& world, const IpAddress& ip) const {
  const auto blocks = blocks_of_.find(ip);
  if (blocks == blocks_of_.end()) return nullptr;
  for (const std::string& name : blocks->second)
    if (const AddressBlock* block = world.blocks.find(name); block != nullptr)
      if (const auto entry = block->addresses.find(ip); entry != block->addresses.end() && !entry->second.holders.empty())
        return &entry->second;
  return nullptr;
}

const ServiceEndpoints* RouteSources::endpoints(const ObjectName& service) const {
  const auto found = endpoints_.find(service);
  return found == endpoints_.end() ? nullptr : &found->second;
}

}  // namespace berth
