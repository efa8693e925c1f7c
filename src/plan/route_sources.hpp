// What routes are made of, ready to be asked by address and by Service: kept up to date row by row, so that one change costs the same
// however many rows there are. It decides nothing; plan/routes.cpp asks it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "model/world.hpp"
#include "plan/candidates.hpp"

namespace berth {

class RouteSources {
 public:
  struct Changes {
    std::set<IpAddress> addresses;   // in a block that changed, before or after
    std::set<ObjectName> services;   // that changed themselves, or whose endpoints did
  };

  // Always of the same world. Nullopt: too much happened since the last call, and everything was read anew.
  std::optional<Changes> update(const World& world);

  // Names of the blocks that have an address; no name is of a block that is not there.
  [[nodiscard]] const std::map<IpAddress, std::set<std::string>>& blocks() const { return blocks_of_; }
  // The first record of this address with a holder, by the names of the blocks. Nullptr: there is none.
  [[nodiscard]] const BlockEntry* held(const World& world, const IpAddress& ip) const;
  // Of all its slices together. Nullptr: it has none.
  [[nodiscard]] const ServiceEndpoints* endpoints(const ObjectName& service) const;

 private:
  void note_block(const World& world, const std::string& name, std::set<IpAddress>& changed);
  void note_slice(const World& world, const ObjectName& name, std::set<ObjectName>& changed);
  void add_up_endpoints(const World& world, const ObjectName& service);

  ChangeLog<std::string>::Position blocks_read_ = 0;
  ChangeLog<ObjectName>::Position services_read_ = 0, slices_read_ = 0;
  std::map<std::string, std::set<IpAddress>> addresses_of_block_;
  std::map<IpAddress, std::set<std::string>> blocks_of_;
  std::map<ObjectName, ObjectName> service_of_slice_;
  std::map<ObjectName, std::set<ObjectName>> slices_of_;
  std::map<ObjectName, ServiceEndpoints> endpoints_;
};

}  // namespace berth
