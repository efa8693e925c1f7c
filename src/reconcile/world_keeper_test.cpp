#include "reconcile/world_keeper.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;

Service web(std::string version) {
  return service("web", [&](Service& s) { s.version = {version}; });
}
const ObjectName name{"shop", "web"};
AddressBlock record(std::string version) {
  return block({{"192.0.2.3", held(web("1"), "lan")}}, [&](AddressBlock& b) { b.version = {version}; });
}

TEST(WorldKeeper, AnOlderVersionDoesNotReplaceANewerOne) {
  WorldKeeper keeper;
  keeper.heard(web("7"));
  keeper.services().upsert(web("6"));
  EXPECT_EQ(keeper.world().services.find(name)->version, ResourceVersion{"7"});
  keeper.services().erase(name, {"6"});
  EXPECT_NE(keeper.world().services.find(name), nullptr);
  keeper.services().erase(name, {"8"});
  EXPECT_EQ(keeper.world().services.find(name), nullptr);
}

TEST(WorldKeeper, AnEchoOfWhatIsKnownIsNotHeardAgain) {
  WorldKeeper keeper;
  keeper.heard(web("7"));
  const std::uint64_t first = keeper.world().services.find(name)->heard_at;
  keeper.services().upsert(web("7"));
  EXPECT_EQ(keeper.world().services.find(name)->heard_at, first);
  keeper.services().upsert(web("8"));
  EXPECT_GT(keeper.world().services.find(name)->heard_at, first);
}

TEST(WorldKeeper, ABlockIsProvedCurrentByReadsOnlyNotByTheWatch) {
  WorldKeeper keeper;
  const std::uint64_t begun = keeper.begin();
  keeper.services().upsert(web("1"));
  keeper.heard(record("5"), begun);
  const auto read_at = [&] { return keeper.world().blocks.find("v4-192.0.2.0-26")->read_at; };
  EXPECT_EQ(read_at(), begun);
  EXPECT_LT(read_at(), keeper.world().services.find(name)->heard_at) << "the read began before the Service was heard";
  keeper.blocks().upsert(record("5"));
  EXPECT_EQ(read_at(), begun) << "an echo";
  keeper.blocks().upsert(record("6"));
  EXPECT_EQ(read_at(), 0U) << "a new version that only the watch told";
}

TEST(WorldKeeper, AReadThatBeganLaterMayShowAnOlderVersionIfHistoryWasLost) {
  WorldKeeper keeper;
  const std::uint64_t early = keeper.begin();
  keeper.services().upsert(web("7"));
  keeper.heard(web("5"), early);
  EXPECT_EQ(keeper.world().services.find(name)->version, ResourceVersion{"7"}) << "an answer that came late";
  keeper.heard(web("5"), keeper.begin());
  EXPECT_EQ(keeper.world().services.find(name)->version, ResourceVersion{"5"});
}

TEST(WorldKeeper, TheLateAnswerToAWriteDoesNotBringBackWhatIsGone) {
  WorldKeeper keeper;
  keeper.services().upsert(web("7"));
  keeper.services().erase(name, {"9"});
  keeper.heard(web("8"));
  EXPECT_EQ(keeper.world().services.find(name), nullptr);
  keeper.services().upsert(web("10"));
  EXPECT_NE(keeper.world().services.find(name), nullptr) << "made anew";
}

TEST(WorldKeeper, ALateNotFoundDoesNotTakeAwayWhatWasHeardSince) {
  WorldKeeper keeper;
  const std::uint64_t begun = keeper.begin();
  keeper.services().upsert(web("9"));  // created after the read had its 404
  keeper.blocks().upsert(record("9"));
  keeper.gone(name, begun);
  keeper.block_gone("v4-192.0.2.0-26", begun);
  EXPECT_NE(keeper.world().services.find(name), nullptr);
  EXPECT_NE(keeper.world().blocks.find("v4-192.0.2.0-26"), nullptr);
  keeper.gone(name, keeper.begin());
  keeper.block_gone("v4-192.0.2.0-26", keeper.begin());
  EXPECT_EQ(keeper.world().services.find(name), nullptr);
  EXPECT_EQ(keeper.world().blocks.find("v4-192.0.2.0-26"), nullptr);
}

TEST(WorldKeeper, TheAnswerToTheLastFinalizersRemovalBringsNothingBack) {
  WorldKeeper keeper;
  keeper.services().upsert(web("7"));
  Service ended = web("8");
  ended.deleting = true;
  keeper.heard(ended);
  EXPECT_EQ(keeper.world().services.find(name), nullptr) << "the answer overtook the watch";
  keeper.heard(ended);
  EXPECT_EQ(keeper.world().services.find(name), nullptr) << "the watch was first";
  keeper.services().upsert(web("9"));
  keeper.heard(ended);
  EXPECT_NE(keeper.world().services.find(name), nullptr) << "made anew meanwhile";
}

TEST(WorldKeeper, EveryChangeRings) {
  WorldKeeper keeper;
  int rings = 0;
  keeper.on_change([&] { ++rings; });
  keeper.services().replace({web("1")}, {"1"}, false);
  keeper.services().upsert(web("2"));
  keeper.services().upsert(web("1"));  // refused
  EXPECT_EQ(rings, 2);
}

TEST(WorldKeeper, AListKeepsWhatWeWroteAfterItWasTakenUnlessHistoryWasLost) {
  WorldKeeper keeper;
  keeper.services().replace({}, {"1"}, false);
  keeper.heard(web("9"));
  keeper.services().replace({}, {"8"}, false);
  EXPECT_NE(keeper.world().services.find(name), nullptr);
  keeper.services().replace({}, {"8"}, true);
  EXPECT_EQ(keeper.world().services.find(name), nullptr);
}

}  // namespace
}  // namespace berth
