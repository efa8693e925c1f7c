// What the webhook says of Eips (E): OpenELB's rules that need to know the other Eips. What one Eip can be
// judged by, the API server refuses itself; that a webhook which is away stops nobody is shown where there
// is one (tests/deploy/webhook_test.py).
#include <optional>

#include <gtest/gtest.h>

#include "plan/admission.hpp"
#include "plan/testing/builders.hpp"

namespace berth::openelb {
namespace {

using berth::testing::block;
using berth::testing::held;
using berth::testing::is_default;
using berth::testing::pool;
using berth::testing::service;
using berth::testing::world;

class Webhook : public ::testing::Test {
 protected:
  Webhook() { there = {pool("lan", "192.0.2.0/24", is_default, marked)}; }
  static void marked(Pool& pool) { pool.marked_default = true; }
  static void layer2(Pool& pool) { pool.protocol = Protocol::layer2; }
  [[nodiscard]] std::string created(const Pool& made) const {
    return judge_pool(nullptr, made, world({.pools = there, .blocks = blocks})).refusal;
  }
  [[nodiscard]] std::string edited(const Pool& before, const Pool& after) const {
    std::vector<Pool> all = there;
    all.push_back(before);
    return judge_pool(&before, after, world({.pools = all, .blocks = blocks})).refusal;
  }
  static ::testing::AssertionResult begins(const std::string& said, const std::string& words) {
    if (said.starts_with(words)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "\"" << said << "\"";
  }
  std::vector<Pool> there;
  std::vector<AddressBlock> blocks;
};

TEST_F(Webhook, E19_ARangeOfAnotherEipIsRefused) {
  EXPECT_EQ(created(pool("b", "192.0.3.0/24")), "");
  for (const char* address : {"192.0.2.7", "192.0.2.0/24", "192.0.1.0-192.0.2.0", "192.0.2.255-192.0.3.9", "0.0.0.0/0"})
    EXPECT_TRUE(begins(created(pool("b", address)), "eip address overlap with lan")) << address;
}

TEST_F(Webhook, E20_ASecondDefaultIsRefused) {
  EXPECT_TRUE(begins(created(pool("b", "192.0.3.0/24", is_default, marked)), "already exists a default EIP"));
  EXPECT_TRUE(begins(created(pool("b", "192.0.3.0/24", marked)), "already exists a default EIP")) << "\"True\" too";
  there.clear();
  EXPECT_EQ(created(pool("b", "192.0.3.0/24", is_default, marked)), "");
}

TEST_F(Webhook, E21_TheFirstRuleThatIsBrokenIsTold) {
  EXPECT_TRUE(begins(created(pool("b", "192.0.2.0/99", layer2, is_default, marked)), "invalid eip address format"));
  EXPECT_TRUE(begins(created(pool("b", "192.0.2.0/25", layer2, is_default, marked)),
                     "if protocol is layer2 or vip, interface should not be empty"));
  EXPECT_TRUE(begins(created(pool("b", "192.0.2.0/25", is_default, marked)), "eip address overlap with lan"));
  EXPECT_TRUE(begins(created(pool("b", "192.0.3.0/25", is_default, marked)), "already exists a default EIP"));
}

TEST_F(Webhook, E22_AnEditIsJudgedByWhatItMakesWorse) {
  const Pool overlapping = pool("b", "192.0.2.0/25");
  const auto off = [](Pool& p) { p.disabled = true; };
  EXPECT_EQ(edited(overlapping, pool("b", "192.0.2.0/25", off)), "");
  EXPECT_TRUE(begins(edited(overlapping, pool("b", "192.0.2.0/25", is_default, marked)), "already exists a default EIP"));
  EXPECT_TRUE(begins(edited(pool("b", "192.0.3.0/25"), pool("b", "192.0.3.0/25,192.0.2.9")), "eip address overlap with lan"));
}

TEST_F(Webhook, E23_AnAddressThatIsInUseMayNotBeLeftOut) {
  const Pool before = pool("b", "192.0.3.0/24");
  blocks = {block({{"192.0.3.7", held(service("web"), "b")}})};
  EXPECT_EQ(edited(before, pool("b", "192.0.3.0/28")), "");
  EXPECT_EQ(edited(before, pool("b", "192.0.3.0-192.0.4.9")), "");
  EXPECT_TRUE(begins(edited(before, pool("b", "192.0.3.128/25")), "the address field is not allowed to be modified"));
  EXPECT_EQ(edited(before, pool("b", "192.0.3.128/25", [](Pool& p) { p.drain = true; })), "");
}

TEST_F(Webhook, E24_DeletionIsNotAMatterOfTheWebhook) {
  blocks = {block({{"192.0.3.7", held(service("web"), "b")}})};
  const Pool before = pool("b", "192.0.3.0/24", berth::testing::deleting<Pool>);
  EXPECT_EQ(edited(before, pool("b", "192.0.2.0/99", is_default, marked, berth::testing::deleting<Pool>)), "")
      << "its finalizer can always be taken off";
}

}  // namespace
}  // namespace berth::openelb
