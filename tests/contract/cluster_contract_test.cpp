// What every body of the port Cluster keeps, and the watches beside it. The simulated one runs these in
// contract_test, the real one in contract_real_test against a real API server: where they differ, the
// simulation proves nothing.
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "subject.hpp"

namespace berth::contract {

std::string ClusterContract::unique(const std::string& stem) {
  static const std::int64_t began =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  static int count = 0;
  return fmt::format("{}-{:x}-{}", stem, began, ++count);
}

namespace {

const std::string pool_label{keys::pool};
const std::string ours{keys::service_finalizer};
const std::string allocated{keys::allocated};

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

template <class T>
std::string said(const Result<T>& result) {
  return result ? "done" : std::string{to_string(result.error().code)} + ": " + result.error().text;
}
#define EXPECT_FAILS(what, expected)                                              \
  do {                                                                            \
    const auto outcome = (what);                                                  \
    EXPECT_TRUE(!outcome && outcome.error().code == (expected)) << said(outcome); \
  } while (false)
#define ASSERT_DONE(outcome) ASSERT_TRUE((outcome).has_value()) << said(outcome)

ServicePatch patch_of(const Service& service) {
  return {.name = service.name,
          .uid = service.uid,
          .version = service.version,
          .labels = {},
          .annotations = {},
          .finalizers = {},
          .ingress = {},
          .conditions = {}};
}

// ---- blocks: compare-and-swap

class BlockContract : public ClusterContract {
 protected:
  // A block of its own for each call: names are those of ranges, so the numbers are drawn.
  static AddressBlock fresh_block() {
    static const auto began = static_cast<std::uint32_t>(std::chrono::system_clock::now().time_since_epoch().count() / 1'000'000);
    static std::uint32_t count = 0;
    const IpAddress first = IpAddress::v4(((began + ++count) << 6) & 0xffffffc0U);
    AddressBlock block;
    block.name = block_name(first);
    block.addresses.emplace(first.plus(1), entry("a", "u-a"));
    return block;
  }
  static BlockEntry entry(const std::string& service, const std::string& uid) {
    BlockEntry out;
    out.holders = {{{"shop", service}, {uid}, HolderState::held, ""}};
    out.pool = "lan";
    return out;
  }
};

TEST_F(BlockContract, IsCreatedOnceAndAnsweredAsStored) {
  AddressBlock block = fresh_block();
  EXPECT_FAILS(ask(cluster().read_block(block.name)), ErrorCode::not_found);
  const auto stored = ask(cluster().write_block(block));
  ASSERT_DONE(stored);
  EXPECT_FALSE(stored->uid.text.empty());
  EXPECT_FALSE(stored->version.text.empty());
  EXPECT_EQ(stored->addresses, block.addresses);
  const auto read = ask(cluster().read_block(block.name));
  ASSERT_DONE(read);
  EXPECT_EQ(*read, *stored);
  EXPECT_FAILS(ask(cluster().write_block(block)), ErrorCode::already_exists);
}

TEST_F(BlockContract, EveryFieldComesBack) {
  AddressBlock block = fresh_block();
  BlockEntry full = entry("a", "u-a");
  full.holders.push_back({{"shop", "b"}, {"u-b"}, HolderState::freeing, "mark-1"});
  full.protocol = Protocol::layer2;
  full.interface = "eth0";
  full.sharing_key = "together";
  full.reserved_for = "shop/c";
  full.freed_at = "2026-01-01T00:00:00Z";
  const IpAddress second = block.addresses.begin()->first.plus(1);
  block.addresses[second] = full;
  BlockEntry quarantined;
  quarantined.reserved_for = "shop/d";
  quarantined.freed_at = "2026-01-01T00:00:01Z";
  block.addresses[second.plus(1)] = quarantined;
  const auto stored = ask(cluster().write_block(block));
  ASSERT_DONE(stored);
  EXPECT_EQ(stored->addresses, block.addresses);
}

TEST_F(BlockContract, OfIPv6IsTheSame) {
  AddressBlock block;
  const IpAddress first = block_range(
                              IpAddress{IpFamily::v6, (IpNumber{0x20010db8} << 96) +
                                                          (IpNumber{ip(fresh_block().addresses.begin()->first.to_string()).number} << 6)})
                              .first;
  block.name = block_name(first);
  block.addresses.emplace(first.plus(63), entry("a", "u-a"));
  const auto stored = ask(cluster().write_block(block));
  ASSERT_DONE(stored);
  EXPECT_EQ(stored->addresses, block.addresses);
}

TEST_F(BlockContract, IsReplacedAsAWholeAtItsVersion) {
  AddressBlock block = ask(cluster().write_block(fresh_block())).value();
  const ResourceVersion before = block.version;
  const IpAddress other = block.addresses.begin()->first.plus(5);
  block.addresses.clear();
  block.addresses.emplace(other, entry("b", "u-b"));
  const auto stored = ask(cluster().write_block(block));
  ASSERT_DONE(stored);
  EXPECT_EQ(stored->addresses, block.addresses);
  EXPECT_EQ(stored->uid, block.uid);
  EXPECT_TRUE(before.older_than(stored->version));
  EXPECT_EQ(ask(cluster().read_block(block.name)).value(), *stored);
}

TEST_F(BlockContract, AnOldVersionIsAConflictAndChangesNothing) {
  const AddressBlock first = ask(cluster().write_block(fresh_block())).value();
  AddressBlock next = first;
  next.addresses.begin()->second.pool = "other";
  const AddressBlock second = ask(cluster().write_block(next)).value();
  next.version = first.version;
  next.addresses.clear();
  EXPECT_FAILS(ask(cluster().write_block(next)), ErrorCode::conflict);
  EXPECT_EQ(ask(cluster().read_block(first.name)).value(), second);
  EXPECT_FAILS(ask(cluster().write_block(first)), ErrorCode::conflict);
}

TEST_F(BlockContract, OfManyWritersAtOneVersionOneWins) {
  const AddressBlock first = ask(cluster().write_block(fresh_block())).value();
  std::vector<Result<AddressBlock>> outcomes;
  for (int i = 0; i < 8; ++i) {
    AddressBlock mine = first;
    mine.addresses.begin()->second.pool = fmt::format("p{}", i);
    asio::co_spawn(subject_->io(), cluster().write_block(mine),
                   [&outcomes](const std::exception_ptr&, Result<AddressBlock> outcome) { outcomes.push_back(std::move(outcome)); });
  }
  ASSERT_TRUE(subject_->eventually([&] { return outcomes.size() == 8; }));
  const auto won = std::ranges::count_if(outcomes, [](const auto& outcome) { return outcome.has_value(); });
  const auto refused = std::ranges::count_if(outcomes,
                                             [](const auto& outcome) { return !outcome && outcome.error().code == ErrorCode::conflict; });
  EXPECT_EQ(won, 1);
  EXPECT_EQ(refused, 7);
}

TEST_F(BlockContract, AWriteThatChangesNothingMakesNoVersion) {
  const AddressBlock first = ask(cluster().write_block(fresh_block())).value();
  const auto again = ask(cluster().write_block(first));
  ASSERT_DONE(again);
  EXPECT_EQ(*again, first);
}

TEST_F(BlockContract, IsDeletedOnlyAsItWasRead) {
  const AddressBlock first = ask(cluster().write_block(fresh_block())).value();
  AddressBlock block = first;
  block.addresses.begin()->second.pool = "other";
  block = ask(cluster().write_block(block)).value();
  EXPECT_FAILS(ask(cluster().delete_block(first)), ErrorCode::conflict);
  AddressBlock another = block;
  another.uid = {"11111111-2222-3333-4444-555555555555"};
  EXPECT_FAILS(ask(cluster().delete_block(another)), ErrorCode::conflict);
  EXPECT_EQ(ask(cluster().read_block(block.name)).value(), block);
  ASSERT_DONE(ask(cluster().delete_block(block)));
  EXPECT_FAILS(ask(cluster().read_block(block.name)), ErrorCode::not_found);
  EXPECT_FAILS(ask(cluster().delete_block(block)), ErrorCode::not_found);
}

TEST_F(BlockContract, ThatIsGoneIsNotMadeAgainByAWriter) {
  const AddressBlock block = ask(cluster().write_block(fresh_block())).value();
  ASSERT_DONE(ask(cluster().delete_block(block)));
  EXPECT_FAILS(ask(cluster().write_block(block)), ErrorCode::not_found);
}

TEST_F(BlockContract, MadeAnewIsAnotherAndRefusesWhatKnewTheOld) {
  const AddressBlock old = ask(cluster().write_block(fresh_block())).value();
  ASSERT_DONE(ask(cluster().delete_block(old)));
  AddressBlock block = old;
  block.version = {};
  block.uid = {};
  const AddressBlock made = ask(cluster().write_block(block)).value();
  EXPECT_NE(made.uid, old.uid);
  EXPECT_FAILS(ask(cluster().write_block(old)), ErrorCode::conflict);
  EXPECT_FAILS(ask(cluster().delete_block(old)), ErrorCode::conflict);
  EXPECT_EQ(ask(cluster().read_block(old.name)).value(), made);
}

// ---- Services: one patch for all that Berth writes

class ServiceContract : public ClusterContract {
 protected:
  Service make(ServiceType type = ServiceType::load_balancer, std::vector<std::string> finalizers = {}) {
    return subject_->create_service(service_name(), type, {{std::string{keys::opt_in}, "openelb"}}, std::move(finalizers));
  }
  Service read(const ObjectName& name) { return ask(cluster().read_service(name)).value(); }
  static ServicePatch full_patch(const Service& service) {
    ServicePatch patch = patch_of(service);
    patch.labels[pool_label] = "lan";
    patch.annotations[allocated] = "192.0.2.1";
    patch.finalizers = service.finalizers;
    patch.finalizers->push_back(ours);
    patch.ingress = std::vector<Ingress>{{"192.0.2.1", "", "VIP"}};
    patch.conditions = service.conditions;
    patch.conditions->push_back(allocated_condition());
    return patch;
  }
  static Condition allocated_condition() {
    return {std::string{keys::allocated_condition}, "True", "Allocated", "192.0.2.1 of lan", "2026-01-01T00:00:00Z", 0};
  }
};

TEST_F(ServiceContract, AMissingOneIsNotFound) {
  Service none;
  none.name = service_name();
  none.uid = {"u"};
  none.version = {"1"};
  EXPECT_FAILS(ask(cluster().read_service(none.name)), ErrorCode::not_found);
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(none))), ErrorCode::not_found);
}

TEST_F(ServiceContract, OnePatchWritesLabelAnnotationFinalizerIngressAndCondition) {
  const Service before = make(ServiceType::load_balancer, {"example.com/others"});
  const auto after = ask(cluster().patch_service(full_patch(before)));
  ASSERT_DONE(after);
  Service expected = before;
  expected.version = after->version;
  expected.has_pool_label = true;
  expected.pool_label = "lan";
  expected.annotations[allocated] = "192.0.2.1";
  expected.finalizers = {"example.com/others", ours};
  expected.ingress = {{"192.0.2.1", "", "VIP"}};
  expected.conditions = {allocated_condition()};
  EXPECT_EQ(*after, expected);
  EXPECT_TRUE(before.version.older_than(after->version));
  EXPECT_EQ(read(before.name), *after);
}

TEST_F(ServiceContract, NullTakesLabelsAndAnnotationsOffAndLeavesOthers) {
  const Service served = ask(cluster().patch_service(full_patch(make()))).value();
  ServicePatch patch = patch_of(served);
  patch.labels[pool_label] = std::nullopt;
  patch.annotations[allocated] = std::nullopt;
  patch.annotations["berth.kubesphere.io/never-there"] = std::nullopt;
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_FALSE(after->has_pool_label);
  EXPECT_EQ(after->annotations, (Labels{{std::string{keys::opt_in}, "openelb"}}));
  EXPECT_EQ(after->finalizers, served.finalizers);
  EXPECT_EQ(after->ingress, served.ingress);
  EXPECT_EQ(after->conditions, served.conditions);
}

TEST_F(ServiceContract, OtherLabelsAreKeptApartFromThePools) {
  ServicePatch patch = full_patch(make());
  patch.labels["example.com/tier"] = "front";
  const auto labelled = ask(cluster().patch_service(patch));
  ASSERT_DONE(labelled);
  EXPECT_EQ(labelled->labels, (Labels{{"example.com/tier", "front"}}));
  patch = patch_of(*labelled);
  patch.labels["example.com/tier"] = std::nullopt;
  const auto bare = ask(cluster().patch_service(patch));
  ASSERT_DONE(bare);
  EXPECT_TRUE(bare->labels.empty());
  EXPECT_EQ(bare->pool_label, "lan");
}

TEST_F(ServiceContract, TheListOfConditionsIsTheWholeList) {
  const Condition others{"example.com/Ready", "Unknown", "Waiting", "", "2026-01-01T00:00:01Z", 7};
  ServicePatch patch = patch_of(make());
  patch.conditions = std::vector<Condition>{others};
  const Service before = ask(cluster().patch_service(patch)).value();
  EXPECT_EQ(before.conditions, (std::vector<Condition>{others}));
  const auto both = ask(cluster().patch_service(full_patch(before)));
  ASSERT_DONE(both);
  EXPECT_EQ(both->conditions, (std::vector<Condition>{others, allocated_condition()}));
  // Another writer was faster: what we knew is old, and its condition is not lost.
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(before))), ErrorCode::conflict);
  patch = patch_of(*both);
  patch.conditions = std::vector<Condition>{others};
  EXPECT_EQ(ask(cluster().patch_service(patch)).value().conditions, (std::vector<Condition>{others}));
  patch = patch_of(read(before.name));
  patch.conditions = std::vector<Condition>{};
  const auto none = ask(cluster().patch_service(patch));
  ASSERT_DONE(none);
  EXPECT_TRUE(none->conditions.empty());
  EXPECT_EQ(none->ingress, both->ingress);
}

TEST_F(ServiceContract, AnAddressIsOfModeVIPUnlessItSaysProxy) {
  ServicePatch patch = patch_of(make());
  patch.ingress = std::vector<Ingress>{{"192.0.2.1", "", ""}, {"192.0.2.2", "", "Proxy"}, {"", "lb.example.com", ""}};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_EQ(after->ingress, (std::vector<Ingress>{{"192.0.2.1", "", "VIP"}, {"192.0.2.2", "", "Proxy"}, {"", "lb.example.com", ""}}));
  for (const Ingress& wrong : {Ingress{"192.0.2.1", "", "Direct"}, Ingress{"", "lb.example.com", "VIP"}}) {
    patch = patch_of(*after);
    patch.ingress = std::vector<Ingress>{wrong};
    EXPECT_FAILS(ask(cluster().patch_service(patch)), ErrorCode::invalid);
  }
  EXPECT_EQ(read(after->name), *after);
}

TEST_F(ServiceContract, WhatIsSaidOfTheIngressComesBack) {
  ServicePatch patch = patch_of(make());
  patch.ingress = std::vector<Ingress>{{"192.0.2.1", "edge", "VIP", {{"TCP", 80}, {"UDP", 53, "example.com/Busy"}}},
                                       {"", "lb.example.com", "", {{"SCTP", 7, "Broken"}}}};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_EQ(after->ingress, *patch.ingress);
  EXPECT_EQ(read(after->name), *after);
}

TEST_F(ServiceContract, AnOldVersionIsAConflictAndChangesNothing) {
  const Service old = make();
  const Service now = subject_->annotate(old.name, "example.kubesphere.io/note", "x");
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(old))), ErrorCode::conflict);
  EXPECT_EQ(read(old.name), now);
}

TEST_F(ServiceContract, AnotherUidIsAConflictAndChangesNothing) {
  const Service service = make();
  ServicePatch patch = full_patch(service);
  patch.uid = {"11111111-2222-3333-4444-555555555555"};
  EXPECT_FAILS(ask(cluster().patch_service(patch)), ErrorCode::conflict);
  EXPECT_EQ(read(service.name), service);
}

TEST_F(ServiceContract, MadeAnewUnderTheSameNameRefusesWhatKnewTheOld) {
  const Service old = make();
  subject_->delete_service(old.name);
  const Service made = subject_->create_service(old.name, ServiceType::load_balancer, {}, {});
  EXPECT_NE(made.uid, old.uid);
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(old))), ErrorCode::conflict);
  EXPECT_EQ(read(old.name), made);
}

TEST_F(ServiceContract, APatchThatChangesNothingMakesNoVersion) {
  const Service served = ask(cluster().patch_service(full_patch(make()))).value();
  ServicePatch same = patch_of(served);
  same.labels[pool_label] = "lan";
  same.finalizers = served.finalizers;
  same.ingress = served.ingress;
  const auto after = ask(cluster().patch_service(same));
  ASSERT_DONE(after);
  EXPECT_EQ(*after, served);
}

TEST_F(ServiceContract, TheListOfFinalizersIsTheWholeList) {
  const Service service = make(ServiceType::load_balancer, {"example.com/first", "example.com/second"});
  ServicePatch patch = patch_of(service);
  patch.finalizers = std::vector<std::string>{"example.com/second", ours};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_EQ(after->finalizers, (std::vector<std::string>{"example.com/second", ours}));
  patch = patch_of(*after);
  patch.finalizers = std::vector<std::string>{};
  const auto bare = ask(cluster().patch_service(patch));
  ASSERT_DONE(bare);
  EXPECT_TRUE(bare->finalizers.empty());
}

TEST_F(ServiceContract, EntriesOfBothKindsAreKeptInTheirOrder) {
  ServicePatch patch = patch_of(make());
  patch.ingress = std::vector<Ingress>{{"", "lb.example.com"}, {"2001:db8::1", "", "VIP"}, {"192.0.2.1", "node1", "VIP"}};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_EQ(after->ingress, *patch.ingress);
  patch = patch_of(*after);
  patch.ingress = std::vector<Ingress>{{"", "lb.example.com"}};
  EXPECT_EQ(ask(cluster().patch_service(patch)).value().ingress, *patch.ingress);
}

TEST_F(ServiceContract, AnEmptyListClearsTheStatus) {
  const Service served = ask(cluster().patch_service(full_patch(make()))).value();
  ServicePatch patch = patch_of(served);
  patch.ingress = std::vector<Ingress>{};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_TRUE(after->ingress.empty());
  EXPECT_EQ(after->finalizers, served.finalizers);
}

TEST_F(ServiceContract, ThatIsNoLoadBalancerAnyMoreTakesNoIngressAndThenNothing) {
  const Service before = make();
  const Service service = subject_->set_type(before.name, ServiceType::cluster_ip);
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(service))), ErrorCode::invalid);
  EXPECT_EQ(read(service.name), service);
}

TEST_F(ServiceContract, ThatIsNoLoadBalancerAnyMoreCanBeCleared) {
  const Service served = ask(cluster().patch_service(full_patch(make()))).value();
  const Service service = subject_->set_type(served.name, ServiceType::cluster_ip);
  EXPECT_TRUE(service.ingress.empty()) << "the API server does that";
  EXPECT_EQ(service.conditions, served.conditions) << "this it does not";
  ServicePatch patch = patch_of(service);
  patch.labels[pool_label] = std::nullopt;
  patch.annotations[allocated] = std::nullopt;
  patch.finalizers = std::vector<std::string>{};
  patch.ingress = std::vector<Ingress>{};
  patch.conditions = std::vector<Condition>{};
  const auto after = ask(cluster().patch_service(patch));
  ASSERT_DONE(after);
  EXPECT_FALSE(after->has_pool_label);
  EXPECT_TRUE(after->finalizers.empty());
  EXPECT_TRUE(after->conditions.empty());
}

TEST_F(ServiceContract, ADeletedOneEndsWithItsLastFinalizer) {
  const Service served = ask(cluster().patch_service(full_patch(make(ServiceType::load_balancer, {"example.com/others"})))).value();
  subject_->delete_service(served.name);
  Service service = read(served.name);
  EXPECT_TRUE(service.deleting);
  EXPECT_EQ(service.ingress, served.ingress) << "deletion alone clears nothing";
  ServicePatch patch = patch_of(service);
  patch.finalizers = std::vector<std::string>{"example.com/others"};
  patch.ingress = std::vector<Ingress>{};
  const auto cleared = ask(cluster().patch_service(patch));
  ASSERT_DONE(cleared);
  EXPECT_TRUE(cleared->deleting);
  service = read(served.name);
  EXPECT_EQ(service, *cleared);
  patch = patch_of(service);
  patch.finalizers = std::vector<std::string>{};
  const auto last = ask(cluster().patch_service(patch));
  ASSERT_DONE(last);
  EXPECT_TRUE(last->deleting);
  EXPECT_TRUE(last->finalizers.empty());
  EXPECT_FAILS(ask(cluster().read_service(served.name)), ErrorCode::not_found);
}

TEST_F(ServiceContract, ADeletedOneTakesNoNewFinalizer) {
  const Service before = make(ServiceType::load_balancer, {"example.com/others"});
  subject_->delete_service(before.name);
  const Service service = read(before.name);
  EXPECT_FAILS(ask(cluster().patch_service(full_patch(service))), ErrorCode::invalid);
  EXPECT_EQ(read(before.name), service);
}

TEST_F(ServiceContract, DeletingTwiceIsDeletingOnce) {
  const Service before = make(ServiceType::load_balancer, {"example.com/others"});
  subject_->delete_service(before.name);
  const Service once = read(before.name);
  subject_->delete_service(before.name);
  EXPECT_EQ(read(before.name), once);
}

// ---- pools, BgpConf and BgpPeer

using PoolContract = ClusterContract;

Pool::Status full_status() {
  return {.occupied = true,
          .usage = 2,
          .pool_size = 2,
          .used = {{"192.0.2.1", "shop/a"}, {"192.0.2.2", "shop/b;shop/c"}},
          .first_ip = "192.0.2.1",
          .last_ip = "192.0.2.2",
          .ready = true,
          .v4 = true,
          .free = INT64_MAX,
          .conditions = {{"Ready", "True", "Ready", "", "2026-01-01T00:00:00Z", 1},
                         {"Overlapping", "True", "Overlaps", "with wan", "2026-01-01T00:00:01Z", 0}}};
}

TEST_F(PoolContract, EveryFieldOfTheSpecComesBack) {
  const std::string name = unique("lan");
  const Pool made = subject_->create_pool_of(
      name,
      R"({"address":"192.0.2.0/24, 2001:db8::/64","protocol":"layer2","interface":"eth0","disable":true,"priority":-3,"namespaces":["a"],
          "namespaceSelector":{"team":"shop"},"exclude":["192.0.2.1","2001:db8::/127"],"avoidBuggyIPs":true,
          "allocationOrder":"leastRecentlyUsed","quarantineSeconds":30,"enforceNamespaces":true,"implicitSharing":true,"drain":true,
          "serviceSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"NotIn","values":["x"]}]},
          "namespaceQuotas":{"shop":9223372036854775807,"*":0},"reservations":{"192.0.2.7":"shop/web","2001:db8::7":"a/b"}})");
  Pool expected;
  expected.name = name;
  expected.uid = made.uid;
  expected.version = made.version;
  expected.generation = 1;
  expected.address = "192.0.2.0/24, 2001:db8::/64";
  expected.ranges = {{ip("192.0.2.0"), ip("192.0.2.255")}, {ip("2001:db8::"), ip("2001:db8::ffff:ffff:ffff:ffff")}};
  expected.offered = {
      {ip("192.0.2.0"), ip("192.0.2.0")}, {ip("192.0.2.2"), ip("192.0.2.255")}, {ip("2001:db8::2"), ip("2001:db8::ffff:ffff:ffff:ffff")}};
  expected.avoid_buggy_ips = expected.disabled = expected.enforce_namespaces = expected.implicit_sharing = expected.drain = true;
  expected.order = AllocationOrder::least_recently_used;
  expected.quarantine = std::chrono::seconds{30};
  expected.protocol = Protocol::layer2;
  expected.interface = "eth0";
  expected.priority = -3;
  expected.namespaces = {"a"};
  expected.namespace_selector = {{"team", "shop"}};
  expected.service_selector = LabelSelector{.match_labels = {{"app", "web"}}, .match_expressions = {{"tier", "NotIn", {"x"}}}};
  expected.namespace_quotas = {{"shop", INT64_MAX}, {"*", 0}};
  expected.reservations = {{ip("192.0.2.7"), {"shop", "web"}}, {ip("2001:db8::7"), {"a", "b"}}};
  EXPECT_EQ(made, expected);
  EXPECT_EQ(subject_->read_pool(name), expected);
}

TEST_F(PoolContract, TheGenerationCountsChangesOfTheSpecOnly) {
  Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1");
  EXPECT_EQ(pool.generation, 1);
  pool = ask(cluster().patch_pool_finalizers(pool, {std::string{keys::pool_finalizer}})).value();
  EXPECT_EQ(pool.generation, 1);
  EXPECT_EQ(ask(cluster().patch_pool_status(pool.name, full_status())).value().generation, 1);
  pool = subject_->replace_pool_spec(pool.name, R"({"address":"192.0.2.0/24"})");
  EXPECT_EQ(pool.generation, 2) << "an address may grow";
  EXPECT_EQ(pool.size(), 256);
  EXPECT_EQ(pool.status, full_status());
  pool = subject_->replace_pool_spec(pool.name, R"({"address":"192.0.2.0/28","exclude":["192.0.2.0"]})");
  EXPECT_EQ(pool.generation, 3) << "and be cut down, as far as the schema is concerned";
  EXPECT_EQ(pool.size(), 15);
  EXPECT_EQ(subject_->replace_pool_spec(pool.name, R"({"address":"192.0.2.0/28","exclude":["192.0.2.0"]})"), pool);
  subject_->delete_pool(pool.name);
  EXPECT_EQ(subject_->read_pool(pool.name).value().generation, 4) << "deletion counts as one";
}

TEST_F(PoolContract, FinalizersAreWrittenAtUidAndVersion) {
  const Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1-192.0.2.2");
  const std::vector<std::string> finalizers{"example.com/others", std::string{keys::pool_finalizer}};
  const auto after = ask(cluster().patch_pool_finalizers(pool, finalizers));
  ASSERT_DONE(after);
  Pool expected = pool;
  expected.version = after->version;
  expected.finalizers = finalizers;
  EXPECT_EQ(*after, expected);
  EXPECT_EQ(subject_->read_pool(pool.name), expected);
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(pool, {})), ErrorCode::conflict);
  Pool another = *after;
  another.uid = {"11111111-2222-3333-4444-555555555555"};
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(another, {})), ErrorCode::conflict);
  EXPECT_EQ(subject_->read_pool(pool.name), expected);
  another.name = unique("none");
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(another, {})), ErrorCode::not_found);
}

TEST_F(PoolContract, TheStatusIsReplacedAsAWhole) {
  const Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1-192.0.2.2");
  const auto full = ask(cluster().patch_pool_status(pool.name, full_status()));
  ASSERT_DONE(full);
  Pool expected = pool;
  expected.version = full->version;
  expected.status = full_status();
  EXPECT_EQ(*full, expected);
  Pool::Status less = full_status();
  less.used.erase("192.0.2.1");
  less.usage = 1;
  less.occupied = false;
  less.free = 1;
  less.conditions.pop_back();
  const auto after = ask(cluster().patch_pool_status(pool.name, less));
  ASSERT_DONE(after);
  EXPECT_EQ(after->status, less);
  less.used.clear();
  less.conditions.clear();
  less.usage = 0;
  ASSERT_DONE(ask(cluster().patch_pool_status(pool.name, less)));
  EXPECT_EQ(subject_->read_pool(pool.name).value().status, less);
  EXPECT_FAILS(ask(cluster().patch_pool_status(unique("none"), less)), ErrorCode::not_found);
}

TEST_F(PoolContract, AStatusAsItIsMakesNoVersion) {
  const Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1-192.0.2.2");
  const Pool once = ask(cluster().patch_pool_status(pool.name, full_status())).value();
  EXPECT_EQ(ask(cluster().patch_pool_status(pool.name, full_status())).value(), once);
}

TEST_F(PoolContract, ADeletedOneStaysUntilItsFinalizerGoes) {
  Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1");
  pool = ask(cluster().patch_pool_finalizers(pool, {std::string{keys::pool_finalizer}})).value();
  subject_->delete_pool(pool.name);
  const auto deleted = subject_->read_pool(pool.name);
  ASSERT_TRUE(deleted);
  EXPECT_TRUE(deleted->deleting);
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(pool, {})), ErrorCode::conflict);
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(*deleted, {std::string{keys::pool_finalizer}, "example.com/new"})), ErrorCode::invalid);
  ASSERT_DONE(ask(cluster().patch_pool_finalizers(*deleted, {})));
  EXPECT_FALSE(subject_->read_pool(pool.name));
  EXPECT_FAILS(ask(cluster().patch_pool_finalizers(*deleted, {})), ErrorCode::not_found);
}

using BgpContract = ClusterContract;

TEST_F(BgpContract, EachNodeHasItsOwnEntryInTheStatusOfAConf) {
  const std::string name = subject_->create_conf(unique("conf"), {}).name;
  using Status = BgpConf::NodeStatus;
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(name, "node1", Status{"172.30.0.11", 65001, {"node1", "node2"}})));
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(name, "node2", Status{"172.30.0.12", 65001, {"node1", "node2"}})));
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(name, "node1", Status{"172.30.0.11", 65009, {"node1", "node2"}})));
  using Map = std::map<std::string, Status>;
  EXPECT_EQ(subject_->read_conf(name).value().nodes_status,
            (Map{{"node1", {"172.30.0.11", 65009, {"node1", "node2"}}}, {"node2", {"172.30.0.12", 65001, {"node1", "node2"}}}}));
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(name, "node1", std::nullopt)));
  EXPECT_EQ(subject_->read_conf(name).value().nodes_status, (Map{{"node2", {"172.30.0.12", 65001, {"node1", "node2"}}}}));
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(name, "never-there", std::nullopt)));
  EXPECT_EQ(subject_->read_conf(name).value().nodes_status.size(), 1U);
  EXPECT_FAILS(ask(cluster().patch_bgp_conf_status(unique("none"), "node1", Status{"172.30.0.11", 65001, {"node1", "node2"}})),
               ErrorCode::not_found);
}

BgpPeerStatus peer_status() {
  BgpPeerStatus status;
  status.neighbor_address = "172.30.0.1";
  status.local_as = 65001;
  status.peer_as = 65000;
  status.session_state = SessionState::established;
  status.uptime = "2026-01-01T00:00:00Z";
  status.prefixes = 7;
  return status;
}

TEST_F(BgpContract, EachNodeHasItsOwnEntryInTheStatusOfAPeer) {
  const std::string name = subject_->create_peer(unique("peer"), {}).name;
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node2", peer_status())));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node1", peer_status())));
  const auto nodes = [&] {
    std::vector<std::string> out;
    const BgpPeer peer = subject_->read_peer(name).value();
    for (const auto& [node, session] : peer.node_sessions) out.push_back(node);
    return out;
  };
  EXPECT_EQ(nodes(), (std::vector<std::string>{"node1", "node2"}));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node1", std::nullopt)));
  EXPECT_EQ(nodes(), (std::vector<std::string>{"node2"}));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "never-there", std::nullopt)));
  EXPECT_EQ(nodes().size(), 1U);
  EXPECT_FAILS(ask(cluster().patch_bgp_peer_status(unique("none"), "node1", peer_status())), ErrorCode::not_found);
}

TEST_F(BgpContract, WhatTheSessionsOfAPeerAreTogetherIsBesideTheEntries) {
  const std::string name = subject_->create_peer(unique("peer"), {}).name;
  BgpPeerStatus idle = peer_status();
  idle.session_state = SessionState::idle;
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node1", peer_status())));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node2", idle)));
  const BgpSessions one{.up = "1/2", .since = peer_status().uptime, .prefixes = 7}, none{.up = "0/2", .since = "", .prefixes = 0};
  ASSERT_DONE(ask(cluster().patch_bgp_peer_sessions(name, one)));
  EXPECT_EQ(subject_->read_peer(name).value().node_sessions.at("node1"), (BgpPeer::NodeSession{true, peer_status().uptime, 7}));
  EXPECT_FALSE(subject_->read_peer(name).value().node_sessions.at("node2").established);
  EXPECT_EQ(subject_->read_peer(name).value().sessions, one);
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(name, "node1", idle)));
  EXPECT_FALSE(subject_->read_peer(name).value().node_sessions.at("node1").established);
  EXPECT_EQ(subject_->read_peer(name).value().sessions, one);
  ASSERT_DONE(ask(cluster().patch_bgp_peer_sessions(name, none)));
  EXPECT_EQ(subject_->read_peer(name).value().sessions, none);
  EXPECT_FAILS(ask(cluster().patch_bgp_peer_sessions(unique("none"), none)), ErrorCode::not_found);
}

TEST_F(BgpContract, AnEntryTakenOffAnEmptyStatusIsNoError) {
  const std::string conf = subject_->create_conf(unique("conf"), {}).name;
  const std::string peer = subject_->create_peer(unique("peer"), {}).name;
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(conf, "node1", std::nullopt)));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(peer, "node1", std::nullopt)));
  EXPECT_TRUE(subject_->read_conf(conf).value().nodes_status.empty());
  EXPECT_TRUE(subject_->read_peer(peer).value().node_sessions.empty());
}

TEST_F(BgpContract, ADeletedConfEndsWhenOpenELBsFinalizerIsTakenOff) {
  const BgpConf made = subject_->create_conf(unique("conf"), {"finalizer.bgp.kubesphere.io/v1alpha1"});
  subject_->delete_conf(made.name);
  EXPECT_FAILS(ask(cluster().patch_bgp_conf_finalizers(made, {})), ErrorCode::conflict);
  const auto deleted = subject_->read_conf(made.name);
  ASSERT_TRUE(deleted);
  EXPECT_TRUE(deleted->deleting);
  ASSERT_DONE(ask(cluster().patch_bgp_conf_finalizers(*deleted, {})));
  EXPECT_FALSE(subject_->read_conf(made.name));
  EXPECT_FAILS(ask(cluster().patch_bgp_conf_finalizers(*deleted, {})), ErrorCode::not_found);
}

TEST_F(BgpContract, ADeletedPeerEndsWhenOpenELBsFinalizerIsTakenOff) {
  const BgpPeer made = subject_->create_peer(unique("peer"), {"finalizer.bgp.kubesphere.io/v1alpha1"});
  subject_->delete_peer(made.name);
  EXPECT_FAILS(ask(cluster().patch_bgp_peer_finalizers(made, {})), ErrorCode::conflict);
  const auto deleted = subject_->read_peer(made.name);
  ASSERT_TRUE(deleted);
  EXPECT_TRUE(deleted->deleting);
  ASSERT_DONE(ask(cluster().patch_bgp_peer_finalizers(*deleted, {})));
  EXPECT_FALSE(subject_->read_peer(made.name));
  EXPECT_FAILS(ask(cluster().patch_bgp_peer_finalizers(*deleted, {})), ErrorCode::not_found);
}

// ---- versions and watches

class WatchContract : public BlockContract {
 protected:
  void TearDown() override { subject_.reset(); }  // before what it feeds
  void start_watching() {
    subject_->watch(feeds_);
    ASSERT_TRUE(subject_->eventually([this] {
      return !feeds_.services().replaced.empty() && !feeds_.pools().replaced.empty() && !feeds_.blocks().replaced.empty() &&
             !feeds_.bgp_confs().replaced.empty() && !feeds_.bgp_peers().replaced.empty();
    }));
  }
  // Of one object: versions never go back, and the end is later than all before.
  template <class Told>
  static void expect_in_order(const std::vector<Told>& told) {
    for (std::size_t i = 1; i < told.size(); ++i)
      EXPECT_TRUE(told[i - 1].version.older_than(told[i].version)) << told[i - 1].version.text << " then " << told[i].version.text;
  }
  Feeds feeds_;
};

TEST_F(WatchContract, VersionsGrowOverAllKinds) {
  std::vector<ResourceVersion> versions;
  const Service service = subject_->create_service(service_name(), ServiceType::load_balancer, {}, {});
  versions.push_back(service.version);
  AddressBlock block = ask(cluster().write_block(fresh_block())).value();
  versions.push_back(block.version);
  const Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1");
  versions.push_back(pool.version);
  versions.push_back(ask(cluster().patch_pool_status(pool.name, full_status())).value().version);
  ServicePatch patch = patch_of(service);
  patch.labels[pool_label] = "lan";
  versions.push_back(ask(cluster().patch_service(patch)).value().version);
  block.addresses.begin()->second.pool = "other";
  versions.push_back(ask(cluster().write_block(block)).value().version);
  versions.push_back(subject_->create_conf(unique("conf"), {}).version);
  versions.push_back(subject_->create_peer(unique("peer"), {}).version);
  for (std::size_t i = 1; i < versions.size(); ++i)
    EXPECT_TRUE(versions[i - 1].older_than(versions[i])) << versions[i - 1].text << " then " << versions[i].text;
}

TEST_F(WatchContract, OfServicesBeginsWithAListAndTellsEachChange) {
  const Service before = subject_->create_service(service_name(), ServiceType::load_balancer, {}, {});
  start_watching();
  auto& feed = feeds_.services();
  ASSERT_EQ(feed.replaced.size(), 1U);
  EXPECT_FALSE(feed.replaced[0].history_lost);
  ASSERT_NE(feed.listed(before.name), nullptr);
  EXPECT_EQ(*feed.listed(before.name), before);
  EXPECT_FALSE(feed.replaced[0].version.older_than(before.version));

  const Service changed = subject_->annotate(before.name, "example.kubesphere.io/note", "x");
  const Service added = subject_->create_service(service_name(), ServiceType::load_balancer, {}, {});
  subject_->delete_service(before.name);
  ASSERT_TRUE(subject_->eventually([&] { return feed.erased(before.name) && !feed.about(added.name).empty(); }));
  const auto told = feed.about(before.name);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].row, changed);
  EXPECT_EQ(feed.about(added.name)[0].row, added);
  expect_in_order(told);
  expect_in_order(feed.told);
  EXPECT_EQ(feed.replaced.size(), 1U);
}

TEST_F(WatchContract, ADeletionWithAFinalizerIsToldTwice) {
  start_watching();
  const Service made = subject_->create_service(service_name(), ServiceType::load_balancer, {}, {ours});
  subject_->delete_service(made.name);
  ServicePatch patch = patch_of(ask(cluster().read_service(made.name)).value());
  patch.finalizers = std::vector<std::string>{};
  const auto last = ask(cluster().patch_service(patch));
  ASSERT_DONE(last);
  ASSERT_TRUE(subject_->eventually([&] { return feeds_.services().erased(made.name); }));
  const auto told = feeds_.services().about(made.name);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0].row, made);
  EXPECT_TRUE(told[1].row && told[1].row->deleting);
  expect_in_order(told);
  EXPECT_FALSE(told[2].version.older_than(last->version)) << "or a table that heard the answer first would keep it";
}

TEST_F(WatchContract, OfBlocksIsTheSame) {
  AddressBlock block = ask(cluster().write_block(fresh_block())).value();
  start_watching();
  auto& feed = feeds_.blocks();
  ASSERT_NE(feed.listed(block.name), nullptr);
  EXPECT_EQ(*feed.listed(block.name), block);
  block.addresses.begin()->second.holders[0].state = HolderState::freeing;
  block.addresses.begin()->second.holders[0].mark = "m";
  block = ask(cluster().write_block(block)).value();
  ASSERT_DONE(ask(cluster().delete_block(block)));
  const AddressBlock other = ask(cluster().write_block(fresh_block())).value();
  ASSERT_TRUE(subject_->eventually([&] { return feed.erased(block.name) && !feed.about(other.name).empty(); }));
  const auto told = feed.about(block.name);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].row, block);
  EXPECT_EQ(feed.about(other.name)[0].row, other);
  expect_in_order(told);
  expect_in_order(feed.told);
}

TEST_F(WatchContract, OfPoolsConfsAndPeersIsTheSame) {
  const Pool pool = subject_->create_pool(unique("lan"), "192.0.2.1");
  const BgpConf conf = subject_->create_conf(unique("conf"), {});
  const BgpPeer peer = subject_->create_peer(unique("peer"), {});
  start_watching();
  ASSERT_NE(feeds_.pools().listed(pool.name), nullptr);
  EXPECT_EQ(*feeds_.pools().listed(pool.name), pool);
  ASSERT_NE(feeds_.bgp_confs().listed(conf.name), nullptr);
  EXPECT_EQ(*feeds_.bgp_confs().listed(conf.name), conf);
  ASSERT_NE(feeds_.bgp_peers().listed(peer.name), nullptr);
  EXPECT_EQ(*feeds_.bgp_peers().listed(peer.name), peer);

  const Pool used = ask(cluster().patch_pool_status(pool.name, full_status())).value();
  ASSERT_DONE(ask(cluster().patch_bgp_conf_status(conf.name, "node1", BgpConf::NodeStatus{"172.30.0.11", 65001, {"node1", "node2"}})));
  ASSERT_DONE(ask(cluster().patch_bgp_peer_status(peer.name, "node1", peer_status())));
  subject_->delete_pool(pool.name);
  subject_->delete_conf(conf.name);
  subject_->delete_peer(peer.name);
  ASSERT_TRUE(subject_->eventually(
      [&] { return feeds_.pools().erased(pool.name) && feeds_.bgp_confs().erased(conf.name) && feeds_.bgp_peers().erased(peer.name); }));
  const auto pools = feeds_.pools().about(pool.name);
  ASSERT_EQ(pools.size(), 2U);
  EXPECT_EQ(pools[0].row, used);
  expect_in_order(pools);
  const auto confs = feeds_.bgp_confs().about(conf.name);
  ASSERT_EQ(confs.size(), 2U);
  EXPECT_EQ(confs[0].row->nodes_status.count("node1"), 1U);
  expect_in_order(confs);
  const auto peers = feeds_.bgp_peers().about(peer.name);
  ASSERT_EQ(peers.size(), 2U);
  ASSERT_EQ(peers[0].row->node_sessions.size(), 1U);
  EXPECT_EQ(peers[0].row->node_sessions.begin()->first, "node1");
  expect_in_order(peers);
}

}  // namespace
}  // namespace berth::contract
