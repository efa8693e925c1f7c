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
//   Where a Service was made anew under its name, the record goes over to it in one swap (B1), once a
//   fresh read showed that the old one is gone (B7).
// They hold for each holder of a shared address.
//
// AddressPlanner is asked again whenever anything changed. It looks at what changed since it was asked
// last, and what hangs on that; asked for the first time, it looks at everything: the answer is the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.hpp"
#include "model/service_patch.hpp"
#include "model/world.hpp"
#include "plan/address_index.hpp"
#include "plan/choose_pool.hpp"
#include "plan/claim.hpp"
#include "plan/sharing.hpp"

namespace berth {

// One holder's giving back, told from an earlier one of the same address by its mark.
struct GivingBack {
  IpAddress ip;
  Uid uid;
  std::string mark;
  auto operator<=>(const GivingBack&) const = default;
};

struct AllocationOptions {
  Duration quarantine = std::chrono::seconds{1};  // where the pool does not say
  std::string mark_prefix;                        // unique for this process; a time is appended to make marks
  ClasslessServices classless = ClasslessServices::annotated;
  PoolRules pools = {};
};

struct Moment {
  Instant now;
  WallTime wall;  // for what people read
};

struct BlockWrite {
  AddressBlock block;  // as it should be; its version is the precondition (B6); empty addresses: delete it
  bool operator==(const BlockWrite&) const = default;
};

// A write to a Service, and what it means for people when it succeeds.
struct ServiceWrite {
  enum class Kind : std::uint8_t {
    publish,  // shows its addresses; those in `newly` were not shown before
    clear,    // takes an address away, as the step of `giving_back`
    strip,    // takes our label, finalizer and addresses off a Service that has no record
    tell,     // only says why it has none
  };
  Kind kind = Kind::publish;
  ServicePatch patch;
  std::vector<IpAddress> newly = {};
  GivingBack giving_back = {};
  Instant since = {};  // when the planner first saw the claim that this serves
  bool operator==(const ServiceWrite&) const = default;
};

struct PoolWrite {
  Pool pool;  // as known
  std::vector<std::string> finalizers;
  bool operator==(const PoolWrite&) const = default;
};

// What a person asks: has this Service what it asks for, and if not, why.
struct Pending {
  ObjectName service;
  Uid uid;
  std::vector<Refusal> refusals;  // per pool considered; the first is the most telling
  bool holds = false;             // it has an address all the same: the other family, or the one it had
  [[nodiscard]] std::string text() const;  // at most 1,000 bytes or so
  bool operator==(const Pending&) const = default;
};

class AddressPlanner {
 public:
  explicit AddressPlanner(AllocationOptions options) : options_(std::move(options)) {}

  // Does nothing until services, pools, blocks and namespaces have been listed once.
  void plan(const World& world, const Moment& moment);

  // What happened to writes and reads, which no table tells.
  void was_cleared(const ObjectName& name, const GivingBack& step);                 // B5
  void service_was_read(const ObjectName& name, std::uint64_t read_at, Uid found, ResourceVersion version = {});  // B7; no uid: not found
  void block_was_absent(const std::string& name, std::uint64_t read_at);  // B4

  // The writes and reads that may be made now. They stay until the tables show them done.
  [[nodiscard]] const std::map<std::string, BlockWrite>& block_writes() const { return block_writes_; }
  [[nodiscard]] const std::map<std::string, std::size_t>& block_reads() const { return block_reads_; }  // B4
  [[nodiscard]] const ServiceWrite* service_write(const ObjectName& name) const;
  [[nodiscard]] bool wants_read(const ObjectName& name) const;  // B7
  [[nodiscard]] const std::map<std::string, PoolWrite>& pool_writes() const { return pool_writes_; }
  // Services for which any of this is new since the last call.
  std::vector<ObjectName> take_changed() { return std::exchange(changed_, {}); }
  // Pools whose status may have changed since the last call.
  std::set<std::string> take_changed_pools() { return std::exchange(changed_pools_, {}); }
  [[nodiscard]] Pool::Status pool_status(const Pool& pool, const World& world, WallTime wall) const;

  // Why, and why not; nullptr: nothing is wrong.
  [[nodiscard]] const Pending* pending(const ObjectName& name) const;
  // `misaddressed`: only those that speak to us in a way that we do not understand, else the others.
  [[nodiscard]] std::vector<Pending> all_pending(bool misaddressed) const;
  [[nodiscard]] bool is_misaddressed(const ObjectName& name) const;
  [[nodiscard]] std::map<PendingReason, std::size_t> count_pending() const;
  [[nodiscard]] std::size_t addresses_in_use(const std::string& pool) const { return index_.use_of(pool).held; }
  [[nodiscard]] std::size_t allocated() const { return index_.holder_names(); }  // Services that hold an address
  [[nodiscard]] std::size_t open() const { return decisions_.size(); }  // Services with anything to do or to tell
  [[nodiscard]] std::optional<Instant> wake_at() const;  // when a quarantine ends
  template <class F>
  void for_each_open(F each) const {
    for (const auto& [name, decision] : decisions_) each(name);
  }

 private:
  // One record of one Service, found in a block.
  struct Held {
    IpAddress ip;
    const BlockEntry* entry = nullptr;
    const Holder* holder = nullptr;
    const AddressBlock* block = nullptr;
  };
  // One change of one address in its block.
  struct Intent {
    enum class Kind : std::uint8_t { join, hand_over, start_freeing, remove, retag };
    Kind kind = Kind::join;
    ObjectName service = {};
    Uid uid = {};  // whose record it is; of a hand-over the old one
    Uid next = {};  // of a hand-over: the new one
    BlockEntry tags = {};  // pool, protocol, interface and sharing key; of join, hand_over, retag
    bool adds = false;  // one more of its namespace will be in use of its pool
    [[nodiscard]] bool takes() const { return kind == Kind::join || kind == Kind::hand_over; }
  };
  // What was decided for the Services of one name when they were last looked at.
  struct Decision {
    std::vector<IpAddress> intents;
    std::vector<std::string> block_reads;
    bool read_service = false;
    std::optional<ServiceWrite> write;
    std::optional<Pending> pending;
    bool misaddressed = false;
    bool hungry = false;  // takes what becomes free
    std::vector<IpAddress> wanted;  // if hungry: what it waits for
    std::string sharing_key;
    bool taking = false;
    [[nodiscard]] bool is_waiting() const { return hungry || taking || !block_reads.empty(); }
    [[nodiscard]] bool is_nothing() const {
      return intents.empty() && block_reads.empty() && !read_service && !write && !pending && !hungry;
    }
  };
  struct Quarantine {
    Instant since;  // first seen without holders
    std::string freed_at;
  };
  struct Taking {
    IpAddress ip;
    const Pool* pool = nullptr;
  };

  // what changed (changes.cpp)
  bool collect();
  void start_over();
  void take_in(const std::string& block_name);
  void take_in(const ObjectName& name);
  void look_at_intents_on(const IpAddress& ip);
  void look_at_readers_of(const std::string& block);
  void look_at_who_wants(const IpAddress& ip);
  void look_at_who_would_share(const BlockEntry& entry);
  void undo(std::vector<ObjectName> names);
  void undo(const ObjectName& name);
  void look_at_the_hungry();
  bool lower_cursors();
  void serve();
  bool fullness_changed();

  // quarantine
  [[nodiscard]] Duration quarantine_of(const BlockEntry& entry) const;
  [[nodiscard]] bool keeps_freed(const IpAddress& ip, const BlockEntry& entry) const;
  [[nodiscard]] bool quarantine_ended(const IpAddress& ip, const BlockEntry& entry) const;
  [[nodiscard]] bool is_same_quarantine(const IpAddress& ip, const Quarantine& known) const;
  void watch_quarantines(const IpRange& range, const AddressBlock* block);
  void end_quarantines();

  // what is held
  [[nodiscard]] const BlockEntry* entry_at(const IpAddress& ip, const AddressBlock** in = nullptr) const;
  [[nodiscard]] std::vector<Held> records_of(const ObjectName& name) const;
  [[nodiscard]] const Pool* home_of(const IpAddress& ip, const BlockEntry& entry) const;
  [[nodiscard]] bool is_drained(const IpAddress& ip, const BlockEntry& entry) const;
  [[nodiscard]] bool fits_wishes(const Held& held, const Claim& claim, const FamilyClaim& family) const;
  [[nodiscard]] SharingConsent consent_at(const IpAddress& ip) const;
  [[nodiscard]] std::string sharing_conflict(const Held& held, const Service& service, const Claim& claim) const;

  // decisions
  [[nodiscard]] std::variant<Claim, SkipReason> judge(const Service& service) const { return judge_claim(service, options_.classless); }
  [[nodiscard]] bool has_history(const Service& service) const;
  void decide(const ObjectName& name);
  void check_holder(Decision& decision,
                    const Held& held,
                    const std::vector<Held>& records,
                    const Service* service,
                    const Claim* claim,
                    std::vector<IpFamily>& coming);
  [[nodiscard]] bool known_gone(const Held& held) const;
  void start_giving_back(Decision& decision, const Held& held, const Service* service);
  [[nodiscard]] bool was_read_since(const Service& service, const AddressBlock& block) const;
  [[nodiscard]] bool was_given_back_since(const Service& service, const IpAddress& ip) const;
  [[nodiscard]] bool is_cleared(const Held& held) const;
  void clear(Decision& decision, const Held& held, const Service& service, const std::vector<Held>& records) const;
  void strip_leftovers(Decision& decision, const Service& service, SkipReason reason) const;
  void misaddressed(Decision& decision, const Service& service) const;
  void settle(Decision& decision,
              const Service& service,
              const Claim& claim,
              const std::vector<Held>& records,
              const std::vector<IpFamily>& coming);
  [[nodiscard]] bool is_taking_what_it_shows(const Service& service) const;
  [[nodiscard]] static const Ingress* shown_entry(const Service& service, const IpAddress& ip);
  [[nodiscard]] static bool shows(const Service& service, const IpAddress& ip);
  [[nodiscard]] static bool shows_only(const Service& service, const std::vector<Held>& held);
  void publish(Decision& decision, const Service& service, const Claim& claim, const std::vector<Held>& held);
  [[nodiscard]] bool is_known_since(const std::string& block, const Service& service) const;
  bool may_take_off(Decision& decision, const Service& service, const std::vector<Ingress>& rest) const;
  void tell_why_not(Decision& decision, const Service& service, const std::vector<Held>& records) const;

  // taking (take.cpp)
  std::optional<Taking> pick(const Service& service,
                             const Claim& claim,
                             const FamilyClaim& family,
                             const std::vector<Taking>& so_far,
                             std::vector<Refusal>& refusals);
  [[nodiscard]] std::optional<Taking> adopt(const Service& service,
                                            const Claim& claim,
                                            const FamilyClaim& family,
                                            bool obey_named_pools) const;
  [[nodiscard]] std::optional<Taking> kept_for(const Service& service, const Claim& claim, const FamilyClaim& family) const;
  [[nodiscard]] static bool is_usable(const Pool& pool, const IpAddress& ip);
  [[nodiscard]] std::optional<Taking> former(const Service& service,
                                             const Claim& claim,
                                             const FamilyClaim& family,
                                             const std::vector<const Pool*>& pools) const;
  [[nodiscard]] std::optional<Taking> share(const Service& service,
                                            const Claim& claim,
                                            const FamilyClaim& family,
                                            const std::vector<const Pool*>& pools) const;
  std::optional<IpAddress> next_free(const Service& service, const FamilyClaim& family, const Pool& pool);
  [[nodiscard]] std::optional<Refusal> refuse_wanted(const Service& service,
                                                     const Claim& claim,
                                                     const Pool& pool,
                                                     const IpAddress& ip,
                                                     const std::vector<Taking>& so_far) const;
  [[nodiscard]] std::string user_of(const IpAddress& ip, const Service& asking) const;
  [[nodiscard]] std::optional<Refusal> over_quota(const Service& service, const Pool& pool, const std::vector<Taking>& so_far) const;
  [[nodiscard]] bool may_take(const Service& service, const IpAddress& ip) const;
  [[nodiscard]] bool may_adopt(const Service& service, const IpAddress& ip) const;
  [[nodiscard]] bool is_unrecorded_for(const Service& service, const IpAddress& ip) const;
  [[nodiscard]] std::string obstacle(const Service& service, const Claim& claim, const IpAddress& ip, SharingConsent consent) const;
  [[nodiscard]] static Refusal full(const Pool& pool);

  // intents, blocks, pools
  void intend(Decision& decision, const IpAddress& ip, Intent intent);
  void intend(Decision& decision, const Held& held, Intent::Kind kind);
  static BlockEntry tags_of(const Pool& pool, const Claim& claim);
  void join(Decision& decision, const Service& service, const Claim& claim, const Taking& taking);
  void hand_over(Decision& decision, const Held& held, const Service& service, const Claim& claim);
  void retag(Decision& decision, const Held& held, const Service& service, const Claim& claim);
  void compose_blocks();
  void apply(const std::vector<Intent>& intents, BlockEntry& entry) const;
  bool note_finalizer(const std::string& pool);
  void upkeep_pools();
  [[nodiscard]] bool is_in_use(const std::string& pool) const;

  const AllocationOptions options_;
  const World* world_ = nullptr;  // while planning
  Moment moment_;

  AddressIndex index_;
  std::map<ObjectName, Decision> decisions_;
  std::set<ObjectName> hungry_;
  std::map<IpAddress, std::set<ObjectName>> hungry_for_;  // by wanted address
  std::map<std::string, std::set<ObjectName>> hungry_to_share_;  // by sharing key
  std::map<IpAddress, std::vector<Intent>> intents_;
  std::map<std::pair<std::string, std::string>, std::int64_t> intended_;  // pool and namespace -> addresses about to be taken
  std::map<std::string, Pool> pools_;  // as they were when everything was last looked at, without status
  std::set<std::string> full_;  // pools seen to have nothing free
  std::multimap<std::string, IpAddress> legacy_used_;  // what OpenELB gave and no block records
  std::set<std::string> unmarked_;  // pools that have yet to get our finalizer
  std::map<std::string, std::set<IpAddress>> about_to_share_;  // sharing key -> addresses about to be taken with it
  std::map<std::pair<std::string, std::size_t>, IpAddress> cursors_;  // pool and range: nothing below is free

  // What only this process knows, lost at a restart and then done again.
  struct ServiceRead {
    std::uint64_t read_at = 0;
    Uid found;
    ResourceVersion version;
  };
  std::map<ObjectName, ServiceRead> service_reads_;
  std::map<std::pair<IpAddress, Uid>, std::string> cleared_;  // the mark of the giving back
  std::map<IpAddress, Quarantine> quarantines_;
  std::map<std::string, std::uint64_t> absent_;  // blocks that a read begun then did not find
  std::set<std::pair<Instant, IpAddress>> quarantine_ends_;
  std::set<IpAddress> expired_;  // to be taken out of their blocks
  std::map<ObjectName, Instant> waiting_since_;

  // The pass under way.
  std::set<ObjectName> names_;  // Services to decide about
  std::map<std::string, IpAddress> touched_;  // blocks to compose, with the first address of each
  std::set<std::string> upkeep_;  // pools whose finalizers to look at
  bool taken_ = false;  // addresses
  bool retry_ = false;  // what is free is another
  ChangeLog<ObjectName>::Position services_read_ = 0;
  ChangeLog<std::string>::Position blocks_read_ = 0, pools_read_ = 0, namespaces_read_ = 0;

  std::map<std::string, BlockWrite> block_writes_;
  std::map<std::string, std::size_t> block_reads_;
  std::map<std::string, PoolWrite> pool_writes_;
  std::vector<ObjectName> changed_;
  std::set<std::string> changed_pools_;
};

// All that a planner which knows nothing yet says at once.
struct AddressPlan {
  std::vector<BlockWrite> block_writes;
  std::set<std::string> block_reads;
  std::set<ObjectName> service_reads;
  std::vector<ServiceWrite> service_writes;
  std::vector<PoolWrite> pool_writes;
  std::vector<Pending> pending;
  std::vector<Pending> misaddressed;
  std::map<std::string, Pool::Status> pool_status;
  std::size_t allocated = 0;
  std::optional<Instant> wake_at;
};
// What `planner` says now, all of it.
AddressPlan summary(const AddressPlanner& planner, const World& world, const Moment& moment);
// What a new planner says of this world.
AddressPlan plan_addresses(const World& world, const Moment& moment, AllocationOptions options);

}  // namespace berth
