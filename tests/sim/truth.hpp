// Truth: looks at the store from outside, at every single change, and says what must not be. It knows
// nothing of the processes: only objects, who wrote them (a user or one of ours), and when.
//
//   shown twice       one address by two Services that never consented to share it
//   recorded twice    one Service twice in the record of one address
//   moved             an address taken from a Service that did nothing to lose it: see Cause
//   too soon          an address given to another Service within its quarantine
//   left over         marks, records or objects that nobody needs any more
//   not served        a claim without address and without a reason for it
//
// An address that a user's restore put into a status counts once a block records it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/testing/sim_timers.hpp"
#include "model/world.hpp"
#include "plan/claim.hpp"
#include "store.hpp"

namespace berth::sim {

std::string show(const AddressBlock& block);
std::string show(const Service& service);
std::string show(const Pool& pool);

// Whether the Service asks Berth for an address: stated here once more, on purpose.
bool asks(const Service& service, ClasslessServices classless = ClasslessServices::annotated);

// Why an address may be taken from a Service that has it. Noted while it holds, and good from then on,
// since a process may act late, until everything was quiet.
enum class Cause : std::uint8_t {
  gone,      // the Service is gone, or another has its name
  no_claim,  // it does not ask, or is being deleted
  wanted,    // it wants another address
  pool,      // it names other pools
  family,    // it has not this family
  sharing,   // another holder does not consent any more
  drained,   // its pool does not offer it, and drains
  together,  // it asks for two or none, and the other one does not fit
};
std::string_view to_string(Cause cause);

struct TruthOptions {
  Duration quarantine = std::chrono::seconds{1};  // where the pool says nothing
  double clock_error = 0;                         // how much faster than time a process's clock may run
  ClasslessServices classless = ClasslessServices::annotated;
};

class Truth {
 public:
  Truth(const SimStore& store, const testing::SimTimers& time, const TruthOptions& options);

  // Reads what was written since the last time; to be called after every change.
  void look();
  // The store was restored from a backup.
  void look_anew();
  // A process' clock jumped: quarantines that ran then prove nothing.
  void clock_jumped() { jumped_ = time_.now(); }
  // Everything is quiet: nobody will act on what was before.
  void forget_causes();

  [[nodiscard]] const std::string& violation() const { return violation_; }

  // What is not yet as it should be when users and faults rest, or nothing.
  [[nodiscard]] std::string unsettled() const;
  // All that is in the store but versions and times.
  [[nodiscard]] std::string state() const;
  // Whether blocks remember addresses that nobody has: their quarantines begin anew with each process.
  [[nodiscard]] bool remembers_freed() const;
  // What is left over when all Services and pools were deleted.
  [[nodiscard]] std::string left_over() const;
  // Whether any Service shows this address or any block records it.
  [[nodiscard]] bool in_use(const IpAddress& ip) const { return records_.contains(ip) || shown_.contains(ip); }
  // Over all that happened.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  using Mine = std::pair<Uid, IpAddress>;  // one Service's address
  // There is no telling how old a process's view of a pool is.
  enum class View : std::uint8_t { now, ever };
  // What of a Service others have to consent to.
  struct Face {
    std::string space;
    std::string key;
    std::string namespaces;
    std::vector<ServicePort> ports;
    TrafficPolicy policy = TrafficPolicy::cluster;
    std::string selector;
    std::set<IpAddress> wanted;
    bool operator==(const Face&) const = default;
  };
  struct Freed {
    Instant at;
    std::set<std::string> last;  // whose it was
    Duration quarantine;
    std::string pool;
  };

  void hear(const Event<Service>& event);
  void hear(const Event<AddressBlock>& event);
  void hear(const Event<Pool>& event);
  void record_faces(const Service& service);
  void entry_changed(const IpAddress& ip, const BlockEntry* before, const BlockEntry* after);
  void note_causes();
  [[nodiscard]] std::optional<Cause> cause(const Mine& mine, const BlockEntry& entry) const;
  [[nodiscard]] std::optional<Cause> own_cause(const Mine& mine, const BlockEntry& entry, View view) const;
  [[nodiscard]] bool is_drained(const IpAddress& ip, const BlockEntry& entry, View view) const;
  [[nodiscard]] std::vector<Pool> seen_of(const std::string& pool, View view) const;
  [[nodiscard]] bool shares_without_consent(const Uid& uid, const BlockEntry& entry) const;
  void check_shown_twice(const IpAddress& ip, const Uid& joining);
  [[nodiscard]] bool ever_consented(const Uid& a, const Uid& b, const IpAddress& ip) const;
  static bool consents(const Face& a, const Face& b);
  static bool clash(const Face& a, const Face& b);  // whatever they consent to
  static Face face_of(const Service& service);
  [[nodiscard]] Duration quarantine_of(const std::string& pool) const;
  void violated(std::string what);
  void mix(std::string_view text);

  [[nodiscard]] std::string unsettled(const IpAddress& ip, const BlockEntry& entry) const;
  [[nodiscard]] std::string unsettled(const Service& service, const World& world) const;
  [[nodiscard]] std::string unsettled(const Pool& pool) const;
  [[nodiscard]] std::map<IpAddress, const BlockEntry*> recorded_for(const Service& service) const;
  [[nodiscard]] std::string unserved(const Service& service,
                                     const std::map<IpAddress, const BlockEntry*>& recorded,
                                     const World& world) const;
  [[nodiscard]] std::string unmarked(const Service& service, const std::map<IpAddress, const BlockEntry*>& recorded) const;
  [[nodiscard]] bool is_told_more(const Service& service) const;
  [[nodiscard]] bool someone_is_told(const BlockEntry& entry) const;
  [[nodiscard]] bool is_satisfied(const Service& service, const FamilyClaim& family) const;
  [[nodiscard]] std::string free_for(const Service& service,
                                     const Claim& claim,
                                     const FamilyClaim& family,
                                     const World& world,
                                     std::map<std::string, std::int64_t>& about) const;
  [[nodiscard]] World world() const;

  const SimStore& store_;
  const testing::SimTimers& time_;
  const TruthOptions options_;
  std::size_t services_read_ = 0;
  std::size_t blocks_read_ = 0;
  std::size_t pools_read_ = 0;

  std::map<ObjectName, Service> services_;
  std::map<Uid, ObjectName> names_;
  std::map<std::string, AddressBlock> blocks_;
  std::map<std::string, Pool> pools_;
  std::map<std::string, std::vector<Pool>> pool_versions_;  // since all was quiet
  std::set<std::string> came_or_went_;                      // pools, since then
  std::map<IpAddress, BlockEntry> records_;
  std::map<IpAddress, std::set<Uid>> shown_;
  std::set<Mine> unadopted_;  // shown by a user's hand, recorded by nobody
  std::set<Mine> published_;  // shown at some time since it was recorded: what must not be lost
  std::map<Uid, std::vector<Face>> faces_;
  std::set<std::string> implicit_;  // pools that once had implicit sharing
  std::map<Mine, Cause> causes_;
  std::map<IpAddress, Freed> freed_;
  Instant jumped_;
  std::string violation_;
  std::uint64_t hash_ = 14695981039346656037ULL;
};

}  // namespace berth::sim
