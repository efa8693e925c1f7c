#include "kube/watch.hpp"

#include <gtest/gtest.h>

namespace berth::kube {
namespace {

class RecordingFeed : public TableFeed<Service> {
 public:
  void replace(std::vector<Service>, ResourceVersion, bool) override { log += "replace;"; }
  void upsert(Service row) override { log += "upsert " + row.name.to_string() + "@" + row.version.text + ";"; }
  void erase(ObjectName key, ResourceVersion version) override { log += "erase " + key.to_string() + "@" + version.text + ";"; }
  std::string log;
};

TEST(LineSplitter, GivesTheSameLinesWhereverPiecesEnd) {
  const std::string stream = "{\"a\":1}\n\n{\"b\":\"ü\"}\n";
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    LineSplitter splitter{100};
    std::string seen;
    for (std::size_t at = 0; at < stream.size(); at += size)
      ASSERT_TRUE(splitter.feed(std::string_view{stream}.substr(at, size), [&](std::string_view line) -> Result<> {
        seen += std::string{line} + "|";
        return {};
      }));
    EXPECT_EQ(seen, "{\"a\":1}|{\"b\":\"ü\"}|");
  }
}

TEST(LineSplitter, RefusesALineWithoutEnd) {
  LineSplitter splitter{10};
  const auto ignore = [](std::string_view) -> Result<> { return {}; };
  EXPECT_TRUE(splitter.feed("123456", ignore));
  EXPECT_FALSE(splitter.feed("123456", ignore));
}

TEST(WatchLine, AppliesWhatHappened) {
  RecordingFeed feed;
  const auto added = apply_watch_line<Service>(
      R"({"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"}}})", feed);
  EXPECT_EQ(added.outcome, WatchLine::Outcome::applied);
  EXPECT_EQ(added.version.text, "7");
  apply_watch_line<Service>(R"({"type":"DELETED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"9"}}})", feed);
  EXPECT_EQ(feed.log, "upsert n/a@7;erase n/a@9;");
}

TEST(WatchLine, WhatTheReaderHasNoUseForIsTakenOutBefore) {
  RecordingFeed feed;
  apply_watch_line<Service>(
      R"({"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"}}})", feed,
      +[](Service& service) { service.name.name = "trimmed"; });
  EXPECT_EQ(feed.log, "upsert n/trimmed@7;");
}

TEST(WatchLine, ABookmarkMovesTheVersionOnly) {
  RecordingFeed feed;
  const auto line = apply_watch_line<Service>(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"99"}}})", feed);
  EXPECT_EQ(line.outcome, WatchLine::Outcome::bookmark);
  EXPECT_EQ(line.version.text, "99");
  EXPECT_EQ(feed.log, "");
}

TEST(WatchLine, GoneWithinTheStreamMeansListAgain) {
  RecordingFeed feed;
  const auto gone = apply_watch_line<Service>(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}})", feed);
  EXPECT_EQ(gone.outcome, WatchLine::Outcome::relist);
  const auto other = apply_watch_line<Service>(R"({"type":"ERROR","object":{"kind":"Status","code":500,"message":"x"}})", feed);
  EXPECT_EQ(other.outcome, WatchLine::Outcome::failed);
}

TEST(WatchLine, NonsenseIsAnErrorNotACrash) {
  RecordingFeed feed;
  for (const char* line : {"", "{}", "[]", "nonsense", R"({"type":"ADDED"})", R"({"type":"ADDED","object":{"metadata":{}}})",
                           R"({"type":"WHAT","object":{"metadata":{"name":"a","resourceVersion":"1"}}})"})
    EXPECT_EQ(apply_watch_line<Service>(line, feed).outcome, WatchLine::Outcome::failed) << line;
  EXPECT_EQ(feed.log, "");
}

}  // namespace
}  // namespace berth::kube
