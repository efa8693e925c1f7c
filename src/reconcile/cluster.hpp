// The ports to the API server: Feed is how objects come in, Cluster how changes go out, EventSink how
// people are told. kube/ has the real bodies, tests/sim the simulated ones; both pass one contract suite.
// Ports try once and report; retries belong to the loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "model/objects.hpp"
#include "model/service_patch.hpp"

namespace berth {

// Called on the one thread, never re-entrantly. See Table in model/world.hpp for what they mean.
template <class T>
class TableFeed {
 public:
  virtual ~TableFeed() = default;
  virtual void replace(std::vector<T> rows, ResourceVersion version, bool history_lost) = 0;
  virtual void upsert(T row) = 0;
  virtual void erase(typename T::Key key, ResourceVersion version) = 0;
};

class Cluster {
 public:
  virtual ~Cluster() = default;

  // Fresh reads: from the store, not from a cache.
  virtual asio::awaitable<Result<AddressBlock>> read_block(std::string name) = 0;
  virtual asio::awaitable<Result<Service>> read_service(ObjectName name) = 0;

  // Compare-and-swap: an empty version creates (already_exists), otherwise the whole object is replaced
  // if it still has that version (conflict, not_found). Answers the object as stored.
  virtual asio::awaitable<Result<AddressBlock>> write_block(AddressBlock block) = 0;
  // Deletes if it still has this uid and version.
  virtual asio::awaitable<Result<>> delete_block(AddressBlock block) = 0;

  virtual asio::awaitable<Result<Service>> patch_service(ServicePatch patch) = 0;

  // Metadata of a pool: the full list of finalizers, precondition uid and version.
  virtual asio::awaitable<Result<Pool>> patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) = 0;
  virtual asio::awaitable<Result<Pool>> patch_pool_status(std::string name, Pool::Status status) = 0;

  // OpenELB puts a finalizer on these two; Berth only ever takes it off again.
  virtual asio::awaitable<Result<>> patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) = 0;
  virtual asio::awaitable<Result<>> patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) = 0;
  // One node's entry of the status map; nullopt removes it. Other nodes' entries are not touched.
  virtual asio::awaitable<Result<>> patch_bgp_conf_status(std::string name,
                                                          std::string node,
                                                          std::optional<BgpConf::NodeStatus> status) = 0;
  virtual asio::awaitable<Result<>> patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) = 0;
  // What all entries say together, for the column of `kubectl get`.
  virtual asio::awaitable<Result<>> patch_bgp_peer_sessions(std::string name, BgpSessions sessions) = 0;

  // What is the workload that made this pod about to become? For the end of a process (restart or drain).
  enum class WorkloadFate : std::uint8_t { stays, goes, unknown };
  virtual asio::awaitable<WorkloadFate> workload_fate(ObjectName pod) = 0;
};

struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string space;  // empty for cluster-scoped objects
  std::string name;
  Uid uid;
  auto operator<=>(const ObjectReference&) const = default;
};

struct EventRecord {
  ObjectReference object;
  bool warning = false;
  std::string component;  // OpenELBController, EIPController, speakerManager
  std::string reason;     // OpenELB's: AssignIP, AssignIPFailed, ReleaseIP, SetBalancer, ...
  std::string message;
  bool operator==(const EventRecord&) const = default;
};

// Never waits and never fails: events are queued (bounded, counted when dropped), written behind
// everything else, and equal ones are folded into one object with a count.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void post(EventRecord event) = 0;
};

}  // namespace berth
