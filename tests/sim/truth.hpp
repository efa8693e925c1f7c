// Truth: looks at the store from outside, at every single change, and says what must not be. It knows
// nothing of the processes: only objects, who wrote them (a user or one of ours), and when.
//
//   shown twice       one address by two Services that never consented to share it
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
  restored,  // the whole store was restored from a backup
  gone,      // the Service is gone, or another has its name
  no_claim,  // it does not ask, or is being deleted
  wanted,    // it wants another address
  pool,      // it names other pools
  family,    // it has not this family
  sharing,   // another holder does not consent any more
  drained,   // its pool does not offer it, and drains
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
  // The same when all Services and pools were deleted.
  [[nodiscard]] std::string left_over() const;
  // Whether any Service shows this address or any block records it.
  [[nodiscard]] bool in_use(const IpAddress& ip) const { return records_.contains(ip) || shown_.contains(ip); }
  // How often Services, pools and blocks were changed, but for Services' conditions alone.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  // Over all that happened.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  using Mine = std::pair<Uid, IpAddress>;  // one Service's address
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
  [[nodiscard]] bool is_drained(const IpAddress& ip, const BlockEntry& entry) const;
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
  [[nodiscard]] bool is_satisfied(const Service& service, const FamilyClaim& family) const;
  [[nodiscard]] std::string free_for(const Service& service, const Claim& claim, const FamilyClaim& family, const World& world) const;
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
  std::map<IpAddress, BlockEntry> records_;
  std::map<IpAddress, std::set<Uid>> shown_;
  std::set<Mine> unadopted_;  // shown by a user's hand, recorded by nobody
  std::set<Mine> published_;  // shown at some time since it was recorded: what must not be lost
  std::map<Uid, std::vector<Face>> faces_;
  std::set<std::string> implicit_;  // pools that once had implicit sharing
  std::map<Mine, Cause> causes_;
  std::map<IpAddress, Freed> freed_;
  Instant jumped_;
  std::uint64_t changes_ = 0;
  std::string violation_;
  std::uint64_t hash_ = 14695981039346656037ULL;
};

}  // namespace berth::sim
