// Who gets which address, and which write comes next: the heart of the controller. Pure: from what is
// known to the writes that may be made now. The record is the address block; the Service shows it.
//
//   take      one compare-and-swap per block, all claims of that block in it
//   publish   one PATCH per Service: label, finalizer, annotation and ingress together
//   give back `freeing` in the block -> clear the Service -> out of the block -> quarantine -> free
//
// Seven rules keep one address from ever being shown by two Services, with two controllers that both
// believe they lead, stale caches, writes frozen for minutes, restores and crashes anywhere:
//   B1 every taking is a compare-and-swap of the block, adoption too
//   B2 Service writes carry uid and resourceVersion
//   B3 `freeing`, with a mark of its own, stands in the block before the Service is cleared
//   B4 before a pair is published, the block was read afresh (or swapped by us) after the version of
//      the Service that the write carries was heard
//   B5 the Service is cleared, in this giving back, before the address is free. Clearing must change
//      the Service, so that a write still in flight on its old version fails: where nothing else would
//      change, the annotation keys::fence does
//   B6 block writes carry the version that they were planned from; a conflict means: read, plan again
//   B7 a Service is taken for gone only after a fresh read says so
//
// The planner is called again whenever anything changed; it never remembers. What only this process can
// know (its fresh reads, what it cleared, since when an entry is in quarantine) is in AllocationMemory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/time.hpp"
#include "model/service_patch.hpp"
#include "model/world.hpp"
#include "plan/choose_pool.hpp"

namespace berth {

// One holder's giving back, told from an earlier one of the same address by its mark.
struct GivingBack {
  IpAddress ip;
  Uid uid;
  std::string mark;
  auto operator<=>(const GivingBack&) const = default;
};

struct AllocationMemory {
  // B7: Services that a fresh read, begun at this logical time, showed to be gone; and the uid that was
  // found instead, empty when there was none.
  struct GoneRead {
    std::uint64_t read_at = 0;
    Uid found;
  };
  std::map<ObjectName, GoneRead> gone;
  std::set<GivingBack> cleared;                        // B5
  std::map<IpAddress, Instant> quarantined_since;      // first seen without holders
};

struct AllocationOptions {
  Duration quarantine = std::chrono::seconds{1};
  std::string mark_prefix;  // unique for this process; a counter is appended to make marks
};

struct BlockWrite {
  AddressBlock block;  // as it should be; its version is the precondition (B6); empty addresses: delete it
  bool operator==(const BlockWrite&) const = default;
};

// A write to a Service, and what it means for people when it succeeds.
struct ServiceWrite {
  enum class Kind : std::uint8_t {
    publish,  // shows `ip`; `newly` if it was not shown before
    clear,    // takes `ip` away, as the step of `giving_back`
    strip,    // takes our label, finalizer and addresses off a Service that has no record
  };
  Kind kind = Kind::publish;
  ServicePatch patch;
  std::string ip;
  bool newly = false;
  GivingBack giving_back;
  bool operator==(const ServiceWrite&) const = default;
};

struct PoolWrite {
  Pool pool;  // as known
  std::vector<std::string> finalizers;
  bool operator==(const PoolWrite&) const = default;
};

// What a person asks: has this Service its address, which, and if not, why.
struct Pending {
  ObjectName service;
  Uid uid;
  std::vector<Refusal> refusals;  // per pool considered; the first is the most telling
  [[nodiscard]] std::string text() const;
  bool operator==(const Pending&) const = default;
};

struct AddressPlan {
  std::vector<BlockWrite> block_writes;
  std::set<std::string> block_reads;        // B4
  std::set<ObjectName> service_reads;       // B7
  std::vector<ServiceWrite> service_writes;
  std::vector<PoolWrite> pool_writes;
  std::vector<Pending> pending;
  // Services that speak to us in a way that we do not understand; told once.
  std::vector<Pending> misaddressed;
  std::map<std::string, Pool::Status> pool_status;  // as it should be shown
  std::size_t allocated = 0;                        // Services that hold an address
  std::optional<Instant> wake_at;                   // when a quarantine ends
};

// Does nothing until services, pools, blocks and namespaces have been listed once.
AddressPlan plan_addresses(const World& world, AllocationMemory& memory, const AllocationOptions& options, Instant now);

}  // namespace berth
