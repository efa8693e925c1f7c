#include "plan/admission.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;

void marked(Pool& pool) { pool.marked_default = true; }
void the_default(Pool& pool) { pool.is_default = pool.marked_default = true; }
void drains(Pool& pool) { pool.drain = true; }
auto of(Protocol protocol, std::string interface = "") {
  return [=](Pool& pool) {
    pool.protocol = protocol;
    pool.interface = interface;
  };
}
auto excludes(std::string_view address) {
  return [range = parse_ip_range(address).value()](Pool& pool) { pool.offered = subtract(pool.offered, {range}); };
}
void avoids_buggy(Pool& pool) { pool.avoid_buggy_ips = true; }
auto quotas(std::map<std::string, std::int64_t> value) {
  return [=](Pool& pool) { pool.namespace_quotas = value; };
}

struct Case {
  const char* name;
  std::vector<Pool> others = {};
  std::optional<Pool> before = {};
  Pool after;
  std::string refused = "";  // how the refusal begins; empty: allowed
  std::vector<std::string> warned = {};  // words of each warning, in order
  std::vector<AddressBlock> blocks = {};
};

void check(const Case& row) {
  SCOPED_TRACE(row.name);
  std::vector<Pool> pools = row.others;
  if (row.before) pools.push_back(*row.before);
  const World known = world({.pools = pools, .blocks = row.blocks, .namespaces = {{.name = "shop", .version = {"1"}, .labels = {}}}});
  const Admission said = judge_pool(row.before ? &*row.before : nullptr, row.after, known);
  if (row.refused.empty())
    EXPECT_EQ(said.refusal, "");
  else
    EXPECT_TRUE(said.refusal.starts_with(row.refused)) << said.refusal;
  ASSERT_EQ(said.warnings.size(), row.warned.size()) << ::testing::PrintToString(said.warnings);
  for (std::size_t i = 0; i < row.warned.size(); ++i)
    EXPECT_NE(said.warnings[i].find(row.warned[i]), std::string::npos) << said.warnings[i];
}

TEST(Admission, OfNewPools) {
  const Pool lan = pool("lan", "192.0.2.0/24");
  const std::vector<Case> rows{
      {.name = "the first", .after = lan},
      {.name = "address that can't be read", .after = pool("a", "192.0.2.300"), .refused = "invalid eip address format"},
      {.name = "address before interface", .after = pool("a", "word", of(Protocol::layer2)), .refused = "invalid eip address format"},
      {.name = "layer2 without interface",
       .after = pool("a", "192.0.2.1", of(Protocol::layer2)),
       .refused = "if protocol is layer2 or vip, interface should not be empty"},
      {.name = "vip without interface",
       .after = pool("a", "192.0.2.1", of(Protocol::vip)),
       .refused = "if protocol is layer2 or vip, interface should not be empty"},
      {.name = "interface before overlap",
       .others = {lan},
       .after = pool("a", "192.0.2.1", of(Protocol::vip)),
       .refused = "if protocol is layer2 or vip, interface should not be empty"},
      {.name = "layer2 with interface", .after = pool("a", "192.0.2.1", of(Protocol::layer2, "eth0")), .warned = {"nobody announces"}},
      {.name = "one address of another's",
       .others = {lan},
       .after = pool("a", "192.0.2.255"),
       .refused = "eip address overlap with lan: both have 192.0.2.255;"},
      {.name = "touching ends",
       .others = {pool("lan", "192.0.2.10-192.0.2.20")},
       .after = pool("a", "192.0.2.20-192.0.2.30"),
       .refused = "eip address overlap with lan: both have 192.0.2.20;"},
      {.name = "side by side", .others = {pool("lan", "192.0.2.10-192.0.2.20")}, .after = pool("a", "192.0.2.21-192.0.2.30")},
      {.name = "whatever protocol, namespace and disable",
       .others = {pool("lan", "192.0.2.0/24", of(Protocol::layer2, "eth0"), for_namespace("shop"), disabled)},
       .after = pool("a", "192.0.2.0/25"),
       .refused = "eip address overlap with lan: both have 192.0.2.0-192.0.2.127;"},
      {.name = "of several, the first by name",
       .others = {pool("b", "192.0.2.0/25"), pool("c", "192.0.2.128/25")},
       .after = pool("a", "192.0.2.0/24"),
       .refused = "eip address overlap with b:"},
      {.name = "one of several ranges",
       .others = {pool("lan", "198.51.100.1,192.0.2.0/24")},
       .after = pool("a", "203.0.113.0/24, 192.0.2.7"),
       .refused = "eip address overlap with lan: both have 192.0.2.7;"},
      {.name = "families apart", .others = {pool("lan", "::c000:200-::c000:2ff")}, .after = pool("a", "192.0.2.0/24")},
      {.name = "what the other excludes",
       .others = {pool("lan", "192.0.2.0/24", excludes("192.0.2.128/25"))},
       .after = pool("a", "192.0.2.128/25")},
      {.name = "what it excludes itself",
       .others = {pool("lan", "192.0.2.0/25")},
       .after = pool("a", "192.0.2.0/24", excludes("192.0.2.0/25"))},
      {.name = "with one that is being deleted",
       .others = {pool("lan", "192.0.2.0/24", deleting<Pool>)},
       .after = pool("a", "192.0.2.0/24"),
       .warned = {"192.0.2.0-192.0.2.255 of lan, which is being deleted"}},
      {.name = "with one that can't be read", .others = {pool("lan", "word")}, .after = pool("a", "192.0.2.0/24")},
      {.name = "the first default", .others = {lan}, .after = pool("a", "198.51.100.1", the_default)},
      {.name = "a second default",
       .others = {pool("lan", "192.0.2.0/24", the_default)},
       .after = pool("a", "198.51.100.1", the_default),
       .refused = "already exists a default EIP: lan;"},
      {.name = "a second default in capitals",
       .others = {pool("lan", "192.0.2.0/24", the_default)},
       .after = pool("a", "198.51.100.1", marked),
       .refused = "already exists a default EIP"},
      {.name = "beside one in capitals",
       .others = {pool("lan", "192.0.2.0/24", marked)},
       .after = pool("a", "198.51.100.1", the_default),
       .refused = "already exists a default EIP"},
      {.name = "overlap before default",
       .others = {pool("lan", "192.0.2.0/24", the_default)},
       .after = pool("a", "192.0.2.1", the_default),
       .refused = "eip address overlap"},
      {.name = "after a default that is being deleted",
       .others = {pool("lan", "192.0.2.0/24", the_default, deleting<Pool>)},
       .after = pool("a", "198.51.100.1", the_default)},
  };
  for (const Case& row : rows) check(row);
}

TEST(Admission, OfEdits) {
  const Service web = service("web");
  const Service db = service("db");
  const std::vector<AddressBlock> both{
      block({{"192.0.2.7", held(web, "lan")}, {"192.0.2.9", held(db, "lan")}, {"192.0.2.8", freeing(db, "lan", "m")}})};
  const Pool lan = pool("lan", "192.0.2.0/24");
  const std::string left_out = "the address field is not allowed to be modified so that addresses in use are left out: ";
  const std::vector<Case> rows{
      {.name = "nothing", .before = lan, .after = lan, .blocks = both},
      {.name = "grown", .before = lan, .after = pool("lan", "192.0.2.0/23"), .blocks = both},
      {.name = "grown by a range", .before = lan, .after = pool("lan", "192.0.2.0/24, 2001:db8::/64"), .blocks = both},
      {.name = "grown into another",
       .others = {pool("a", "192.0.3.0/24")},
       .before = lan,
       .after = pool("lan", "192.0.2.0/23"),
       .refused = "eip address overlap with a: both have 192.0.3.0-192.0.3.255;"},
      {.name = "no longer excluding what another has",
       .others = {pool("a", "192.0.2.0/28")},
       .before = pool("lan", "192.0.2.0/24", excludes("192.0.2.0/28")),
       .after = lan,
       .refused = "eip address overlap with a: both have 192.0.2.0-192.0.2.15;"},
      {.name = "an overlap that was there",
       .others = {pool("a", "192.0.2.0/28")},
       .before = lan,
       .after = pool("lan", "192.0.2.0/24", disabled)},
      {.name = "an overlap that becomes smaller",
       .others = {pool("a", "192.0.2.0/28")},
       .before = lan,
       .after = pool("lan", "192.0.2.8-192.0.2.255")},
      {.name = "made unreadable", .before = lan, .after = pool("lan", "word"), .refused = "invalid eip address format"},
      {.name = "unreadable as before",
       .before = pool("lan", "word"),
       .after = pool("lan", "word", disabled),
       .warned = {"it can't be used: invalid eip address format"}},
      {.name = "unreadable otherwise",
       .before = pool("lan", "word"),
       .after = pool("lan", "words"),
       .refused = "invalid eip address format"},
      {.name = "made readable", .before = pool("lan", "word"), .after = lan, .blocks = both},
      {.name = "made readable without what is in use",
       .before = pool("lan", "word"),
       .after = pool("lan", "192.0.2.7"),
       .refused = left_out + "192.0.2.9 (shop/db);",
       .blocks = both},
      {.name = "made layer2 without interface",
       .before = lan,
       .after = pool("lan", "192.0.2.0/24", of(Protocol::layer2)),
       .refused = "if protocol is layer2 or vip, interface should not be empty"},
      {.name = "layer2 without interface as before",
       .before = pool("lan", "192.0.2.0/24", of(Protocol::layer2)),
       .after = pool("lan", "192.0.2.0/24", of(Protocol::layer2), disabled),
       .warned = {"nobody announces"}},
      {.name = "made a second default",
       .others = {pool("a", "198.51.100.1", the_default)},
       .before = lan,
       .after = pool("lan", "192.0.2.0/24", the_default),
       .refused = "already exists a default EIP: a;"},
      {.name = "a second default as before",
       .others = {pool("a", "198.51.100.1", the_default)},
       .before = pool("lan", "192.0.2.0/24", the_default),
       .after = pool("lan", "192.0.2.0/24", the_default, priority(3))},
      {.name = "shrunk beside what is in use", .before = lan, .after = pool("lan", "192.0.2.0/28"), .blocks = both},
      {.name = "shrunk off what is in use",
       .before = lan,
       .after = pool("lan", "192.0.2.8/29"),
       .refused = left_out + "192.0.2.7 (shop/web);",
       .blocks = both},
      {.name = "shrunk off what is on its way back", .before = lan, .after = pool("lan", "192.0.2.7,192.0.2.9"), .blocks = both},
      {.name = "excluding what is in use",
       .before = lan,
       .after = pool("lan", "192.0.2.0/24", excludes("192.0.2.0/28")),
       .refused = left_out + "192.0.2.7 (shop/web), 192.0.2.9 (shop/db);",
       .blocks = both},
      {.name = "avoiding what is in use",
       .before = lan,
       .after = pool("lan", "192.0.2.0/24", avoids_buggy),
       .refused = left_out + "192.0.2.0 (shop/web);",
       .blocks = {block({{"192.0.2.0", held(web, "lan")}})}},
      {.name = "moved altogether", .before = lan, .after = pool("lan", "198.51.100.0/24"), .refused = left_out, .blocks = both},
      {.name = "shrunk and draining",
       .before = lan,
       .after = pool("lan", "192.0.2.8/29", drains),
       .warned = {"these Services get other addresses: 192.0.2.7 (shop/web)"},
       .blocks = both},
      {.name = "in use by another pool",
       .before = lan,
       .after = pool("lan", "198.51.100.0/24"),
       .blocks = {block({{"192.0.2.7", held(web, "other")}})}},
      {.name = "left out before already", .before = pool("lan", "192.0.2.8/29"), .after = pool("lan", "192.0.2.9"), .blocks = both},
      {.name = "disabled and drained",
       .before = pool("lan", "192.0.2.0/24", drains),
       .after = pool("lan", "192.0.2.0/24", drains, disabled),
       .warned = {"these Services get addresses of other pools: 192.0.2.7 (shop/web), 192.0.2.9 (shop/db)"},
       .blocks = both},
      {.name = "whatever is written to one that is being deleted",
       .others = {pool("a", "192.0.2.0/24", the_default)},
       .before = lan,
       .after = pool("lan", "word", deleting<Pool>, the_default),
       .blocks = both},
  };
  for (const Case& row : rows) check(row);
}

TEST(Admission, ARefusalNamesThreeAddressesWithTheirServicesAndHowToGoOn) {
  std::vector<std::pair<std::string, BlockEntry>> entries;
  for (int i = 1; i <= 5; ++i) entries.emplace_back("192.0.2." + std::to_string(i), held(service("s" + std::to_string(i)), "lan"));
  entries[1].second.holders.push_back({{"shop", "sharer"}, {"sharer-uid"}, HolderState::held, ""});
  const Pool before = pool("lan", "192.0.2.0/24");
  const World known = world({.pools = {before}, .blocks = {block(entries)}});
  EXPECT_EQ(judge_pool(&before, pool("lan", "198.51.100.1"), known).refusal,
            "the address field is not allowed to be modified so that addresses in use are left out: 192.0.2.1 (shop/s1), 192.0.2.2 "
            "(shop/s2;shop/sharer), 192.0.2.3 (shop/s3) and 2 more; keep them in spec.address and out of spec.exclude, or set spec.drain "
            "to true: then these Services get other addresses");
}

TEST(Admission, WhatIsHardlyMeantIsAllowedWithAWarning) {
  const auto reserves = [](Pool& pool) { pool.reservations[ip("192.0.2.1")] = {"nowhere", "web"}; };
  const std::vector<Case> rows{
      {.name = "nothing odd", .after = pool("a", "192.0.2.0/24", the_default, for_namespace("shop"), quotas({{"*", 0}, {"shop", 3}}))},
      {.name = "default and disabled", .after = pool("a", "192.0.2.0/24", the_default, disabled), .warned = {"spec.disable is true"}},
      {.name = "default in capitals", .after = pool("a", "192.0.2.0/24", marked), .warned = {"not exactly \"true\""}},
      {.name = "no quota for anybody",
       .after = pool("a", "192.0.2.0/24", quotas({{"*", 0}, {"shop", 0}})),
       .warned = {"0 for every namespace"}},
      {.name = "no quota for one", .after = pool("a", "192.0.2.0/24", quotas({{"shop", 0}}))},
      {.name = "everything excluded", .after = pool("a", "192.0.2.0/24", excludes("192.0.2.0/24")), .warned = {"leave no address"}},
      {.name = "the only address avoided", .after = pool("a", "192.0.2.255", avoids_buggy), .warned = {"leave no address"}},
      {.name = "vip", .after = pool("a", "192.0.2.1", of(Protocol::vip, "eth0")), .warned = {"spec.protocol is vip"}},
      {.name = "namespaces that are not there",
       .after = pool("a", "192.0.2.0/24", for_namespace("q"), for_namespace("shop"), reserves, quotas({{"*", 1}, {"b", 1}, {"c", 1}})),
       .warned = {"there is no namespace b, c, nowhere and 1 more ("}},
  };
  for (const Case& row : rows) check(row);
}

TEST(Admission, WhatIsNotKnownYetIsAllowedAndSaid) {
  const Pool before = pool("lan", "192.0.2.0/24", for_namespace("shop"));
  const World nothing;
  const auto warnings = [&](const Pool* was, const Pool& is) {
    const Admission said = judge_pool(was, is, nothing);
    EXPECT_TRUE(said.allowed()) << said.refusal;
    return said.warnings;
  };
  EXPECT_EQ(warnings(nullptr, pool("a", "198.51.100.1", the_default)).size(), 1U);
  EXPECT_EQ(warnings(&before, pool("lan", "198.51.100.1")).size(), 2U) << "overlaps, and addresses in use";
  EXPECT_FALSE(judge_pool(nullptr, pool("a", "word"), nothing).allowed()) << "what one object can be judged by";
}

}  // namespace
}  // namespace berth
