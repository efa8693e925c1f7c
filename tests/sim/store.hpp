// SimStore: the API server and its store, small and honest. Versions grow over all objects, writes
// check their preconditions, a patch that changes nothing makes no version, an object with finalizers
// stays until they are gone, and every change is an event in a log that watchers read at their own pace.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/objects.hpp"
#include "model/service_patch.hpp"

namespace berth::sim {

template <class T>
struct Event {
  T row;
  bool deleted = false;
  ResourceVersion version;
};
template <class T>
using EventLog = std::vector<Event<T>>;

class SimStore {
 public:
  // Whether a write's preconditions are looked at; the mutants of the simulation leave them out.
  enum class Check { preconditions, nothing };

  [[nodiscard]] Result<Service> read_service(const ObjectName& name) const;
  Result<Service> patch_service(const ServicePatch& patch, Check check = Check::preconditions);
  [[nodiscard]] Result<AddressBlock> read_block(const std::string& name) const;
  Result<AddressBlock> write_block(AddressBlock block, Check check = Check::preconditions);
  Result<> delete_block(const AddressBlock& block, Check check = Check::preconditions);
  Result<Pool> patch_pool_finalizers(const Pool& pool, std::vector<std::string> finalizers);
  Result<Pool> patch_pool_status(const std::string& name, Pool::Status status);

  // What users do. A Service or pool without a version is created, with a uid of its own.
  void put(Service service);
  void put(Pool pool);
  void remove_service(const ObjectName& name);
  void remove_pool(const std::string& name);

  [[nodiscard]] const std::map<ObjectName, Service>& services() const { return services_; }
  [[nodiscard]] const std::map<std::string, AddressBlock>& blocks() const { return blocks_; }
  [[nodiscard]] const std::map<std::string, Pool>& pools() const { return pools_; }
  [[nodiscard]] const EventLog<Service>& service_log() const { return service_log_; }
  [[nodiscard]] const EventLog<AddressBlock>& block_log() const { return block_log_; }
  [[nodiscard]] const EventLog<Pool>& pool_log() const { return pool_log_; }
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  ResourceVersion next_version() { return {std::to_string(++version_)}; }
  Uid next_uid() { return {"u" + std::to_string(++uid_)}; }
  Service stored(Service service);
  Pool stored(Pool pool);

  std::uint64_t version_ = 0;
  std::uint64_t uid_ = 0;
  std::map<ObjectName, Service> services_;
  std::map<std::string, AddressBlock> blocks_;
  std::map<std::string, Pool> pools_;
  EventLog<Service> service_log_;
  EventLog<AddressBlock> block_log_;
  EventLog<Pool> pool_log_;
};

}  // namespace berth::sim
