// Watching, against a server that breaks off, forgets, repeats itself and talks nonsense.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.hpp"
#include "kube/watch.hpp"
#include "scripted_server.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

std::string item(const std::string& name, int version) {
  return fmt::format(R"({{"metadata":{{"name":"{}","resourceVersion":"{}","labels":{{"ä":"ß{}"}}}}}})", name, version, version);
}
std::string page(const std::vector<std::string>& items, int version, const std::string& next = "") {
  return fmt::format(R"({{"kind":"NamespaceList","metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})", version, next,
                     fmt::join(items, ","));
}
std::string event(const std::string& type, const std::string& name, int version) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, item(name, version));
}
std::string bookmark(int version) {
  return fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Namespace\",\"metadata\":{{\"resourceVersion\":\"{}\"}}}}}}\n",
                     version);
}
std::string error_event(int code, const std::string& reason) {
  return fmt::format("{{\"type\":\"ERROR\",\"object\":{}}}\n", status_json(code, reason, "the reason"));
}

class Watching : public WithServer {
 protected:
  // The store answers lists; each watch is answered by the next of `streams`, the last one again and again.
  void start() {
    serve([this](const Request& request) {
      if (request.parameter("limit") == "1") return answer(200, page({}, newest));  // is the store as new as what it told?
      if (request.parameter("watch").empty()) {
        ++lists_;
        return on_list ? on_list(request) : answer(200, page(rows, version));
      }
      const std::size_t at = std::min(watches_++, streams.size() - 1);
      return requests().size() > 400 ? streaming({}) : streams[at];  // a loop without pause would never end
    });
    health_.kind = "Namespace";
    tasks_.spawn("watch", kube::watch<Namespace>(client(), timers_, rng_, feed_, health_));
  }
  [[nodiscard]] std::vector<Request> watch_requests() const {
    std::vector<Request> out;
    for (const Request& request : requests())
      if (!request.parameter("watch").empty()) out.push_back(request);
    return out;
  }
  [[nodiscard]] std::string log() const {
    std::string out;
    for (const auto& told : feed_.told) out += fmt::format("{}{}@{} ", told.row ? "+" : "-", told.key, told.version.text);
    return out;
  }

  std::vector<std::string> rows{item("a", 5), item("b", 6)};
  int version = 10;
  int newest = 1'000'000;
  std::function<Reply(const Request&)> on_list;
  std::vector<Reply> streams{streaming({})};
  std::size_t lists_ = 0;
  std::size_t watches_ = 0;
  RecordingFeed<Namespace> feed_;
  kube::WatchHealth health_;
};

// ---- lists

TEST_F(Watching, ListsInPagesAndWatchesFromTheirVersion) {
  on_list = [](const Request& request) {
    if (request.parameter("continue").empty()) return answer(200, page({item("a", 5), item("b", 6)}, 10, "next/+="));
    return answer(200, page({item("c", 7)}, 10));
  };
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  EXPECT_EQ(requests()[0].target, "/api/v1/namespaces?limit=500");
  EXPECT_EQ(requests()[1].target, "/api/v1/namespaces?limit=500&continue=next%2F%2B%3D");
  ASSERT_EQ(feed_.replaced.size(), 1U) << "one list, whatever its pages";
  EXPECT_EQ(feed_.replaced[0].rows.size(), 3U);
  EXPECT_EQ(feed_.replaced[0].version.text, "10");
  EXPECT_FALSE(feed_.replaced[0].history_lost);
  const Request& watch = requests()[2];
  EXPECT_EQ(watch.parameter("resourceVersion"), "10");
  EXPECT_EQ(watch.parameter("allowWatchBookmarks"), "true");
  const int seconds = std::stoi(watch.parameter("timeoutSeconds"));
  EXPECT_GE(seconds, 300);
  EXPECT_LE(seconds, 360) << "not all watches end at once";
  EXPECT_TRUE(health_.synced);
  EXPECT_EQ(health_.error, "");
}

TEST_F(Watching, AStoreThatWasRestoredFromABackupIsListedAnewBeforeItIsWatched) {
  streams = {streaming({event("ADDED", "c", 12)}, Reply::Then::close), streaming({})};
  newest = version = 11;
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  ASSERT_EQ(feed_.replaced.size(), 2U);
  EXPECT_EQ(feed_.replaced[1].version.text, "11");
  EXPECT_TRUE(feed_.replaced[1].history_lost);
  EXPECT_EQ(watch_requests().back().parameter("resourceVersion"), "11");
}

TEST_F(Watching, APageThatIsTooOldStartsTheListAnew) {
  bool expired = false;
  on_list = [&](const Request& request) {
    if (request.parameter("continue").empty()) return answer(200, page({item("a", 5)}, expired ? 20 : 10, "more"));
    if (expired) return answer(200, page({item("b", 6)}, 20));
    expired = true;
    return answer(410, status_json(410, "Expired", "The provided continue parameter is too old"));
  };
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  ASSERT_EQ(feed_.replaced.size(), 1U);
  EXPECT_EQ(feed_.replaced[0].rows.size(), 2U);
  EXPECT_EQ(feed_.replaced[0].version.text, "20");
  EXPECT_EQ(lists_, 4U);
}

TEST_F(Watching, AListThatBreaksOffOrIsNonsenseTellsNothing) {
  const std::string good = page({item("a", 5), item("b", 6)}, 10);
  std::vector<Reply> bad{answer(500, ""), answer(200, "<html>"), answer(200, good.substr(0, good.size() - 3)),
                         Reply{{"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + good.substr(0, 60)}, Reply::Then::cut},
                         streaming({good.substr(0, 60)}, Reply::Then::close)};
  on_list = [&](const Request&) { return lists_ <= bad.size() ? bad[lists_ - 1] : answer(200, good); };
  start();
  ASSERT_TRUE(eventually([&] { return lists_ == bad.size() || !feed_.replaced.empty(); }));
  EXPECT_TRUE(feed_.replaced.empty());
  EXPECT_FALSE(health_.synced);
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  ASSERT_EQ(feed_.replaced.size(), 1U);
  EXPECT_EQ(feed_.replaced[0].rows.size(), 2U);
  EXPECT_TRUE(health_.synced);
  EXPECT_EQ(health_.error, "");
}

TEST_F(Watching, OneOddObjectDoesNotCostTheOthers) {
  rows = {item("a", 5), R"({"metadata":{"name":"odd","resourceVersion":7,"labels":"none","finalizers":null}})", "null", item("b", 6)};
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  ASSERT_NE(feed_.listed("a"), nullptr);
  ASSERT_NE(feed_.listed("b"), nullptr);
  EXPECT_EQ(feed_.listed("b")->labels.at("ä"), "ß6");
}

TEST_F(Watching, FailuresAreRepeatedEverMoreSlowlyWithJitter) {
  on_list = [](const Request&) { return answer(503, ""); };
  start();
  pass(60s, 20ms);
  std::vector<Duration> waits;
  for (std::size_t i = 1; i < requests().size(); ++i) waits.push_back(requests()[i].at.since_start - requests()[i - 1].at.since_start);
  ASSERT_GT(waits.size(), 12U);
  Duration whole = 100ms;
  Duration least = 1h;
  Duration most{};
  for (const Duration wait : waits) {
    EXPECT_GE(wait, whole / 2);
    EXPECT_LE(wait, whole + 50ms);
    if (whole == 5s) {
      least = std::min(least, wait);
      most = std::max(most, wait);
    }
    whole = std::min<Duration>(whole * 2, 5s);
  }
  EXPECT_GT(most - least, 200ms) << "jitter";
}

// ---- streams

TEST_F(Watching, AStreamIsTheSameWhereverItIsCut) {
  const std::string text = event("ADDED", "ü", 11) + bookmark(12) + "\n" + event("MODIFIED", "ü", 13) + event("DELETED", "ü", 14);
  std::size_t at = 1;
  start();
  for (; at < text.size() && !HasFailure(); at += at < 60 ? 1 : 7) {
    ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
    feed_.told.clear();
    server_->push(chunk(text.substr(0, at)));
    drain();
    server_->push(chunk(text.substr(at)));
    ASSERT_TRUE(eventually([&] { return feed_.told.size() == 3; }));
    EXPECT_EQ(log(), "+ü@11 +ü@13 -ü@14 ");
    EXPECT_EQ(feed_.told[1].row->labels.at("ä"), "ß13");
  }
  EXPECT_EQ(watches_, 1U);
}

struct Case {
  const char* name;
  Reply reply;
  friend std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }
};
const auto name_of = [](const auto& test) { return std::string{test.param.name}; };

class Dropped : public Watching, public ::testing::WithParamInterface<Case> {};
TEST_P(Dropped, AConnectionCostsOneReconnectAtTheLastVersion) {
  streams = {GetParam().reply, streaming({})};
  start();
  ASSERT_TRUE(eventually([&] { return watches_ == 2 && server_->hanging() == 1; }));
  EXPECT_EQ(log(), "+c@11 +a@12 ") << "half a line is nothing";
  EXPECT_EQ(lists_, 1U);
  EXPECT_EQ(watch_requests().back().parameter("resourceVersion"), "12");
}
Reply dropped(Reply::Then how) {
  return streaming({event("ADDED", "c", 11), event("MODIFIED", "a", 12), event("ADDED", "d", 13).substr(0, 20)}, how);
}
INSTANTIATE_TEST_SUITE_P(Watching,
                         Dropped,
                         ::testing::Values(Case{"InOrder", dropped(Reply::Then::close)},
                                           Case{"ByACrash", dropped(Reply::Then::cut)},
                                           Case{"ByAReset", dropped(Reply::Then::reset)}),
                         name_of);

TEST_F(Watching, ABookmarkMovesTheVersionToResumeAt) {
  streams = {streaming({event("ADDED", "c", 11), bookmark(99)}, Reply::Then::cut), streaming({})};
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  EXPECT_EQ(watch_requests().back().parameter("resourceVersion"), "99");
  EXPECT_EQ(log(), "+c@11 ");
  EXPECT_EQ(lists_, 1U);
}

TEST_F(Watching, WhenTheServerIsAwayNothingIsToldAndThenItGoesOn) {
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  pass(2s, 100ms);
  server_->listen(false);
  server_->drop_all();
  pass(60s, 100ms);
  EXPECT_EQ(feed_.replaced.size(), 1U);
  EXPECT_EQ(log(), "");
  EXPECT_NE(health_.error.find("Connection refused"), std::string::npos) << health_.error;
  server_->listen(true);
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  EXPECT_EQ(health_.error, "") << "it is watching, though there is nothing to hear yet";
  server_->push(chunk(event("ADDED", "c", 11)));
  ASSERT_TRUE(eventually([&] { return log() == "+c@11 "; }));
  EXPECT_EQ(lists_, 1U) << "resumed, not listed again";
  EXPECT_EQ(health_.error, "");
}

TEST_F(Watching, GoneInEitherFormListsAgainAndForgetsNothing) {
  streams = {answer(410, status_json(410, "Expired", "too old resource version: 10 (50)")),
             streaming({error_event(410, "Expired")}, Reply::Then::close), streaming({})};
  start();
  ASSERT_TRUE(eventually([&] { return watches_ == 3 && server_->hanging() == 1; }));
  EXPECT_EQ(lists_, 3U);
  ASSERT_EQ(feed_.replaced.size(), 3U) << "a complete list each, for the feed to compare with";
  for (const auto& list : feed_.replaced) {
    EXPECT_EQ(list.rows.size(), 2U);
    EXPECT_FALSE(list.history_lost);
  }
  EXPECT_EQ(log(), "") << "nothing is taken away first";
}

TEST_F(Watching, AVersionOfTheFutureMeansTheStoreWasRestored) {
  streams = {answer(504, R"({"kind":"Status","code":504,"reason":"Timeout","message":"Too large resource version: 10, current: 4"})"),
             streaming({})};
  on_list = [this](const Request&) { return answer(200, page({item("a", 2)}, lists_ == 1 ? 10 : 4)); };
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  ASSERT_EQ(feed_.replaced.size(), 2U);
  EXPECT_TRUE(feed_.replaced[1].history_lost);
  EXPECT_EQ(watch_requests().back().parameter("resourceVersion"), "4");
}

TEST_F(Watching, ARefusalIsRepeatedWithoutListingAgain) {
  const Reply refused = answer(403, status_json(403, "Forbidden", "namespaces is forbidden"));
  streams = {answer(500, ""), answer(503, ""), refused, answer(401, ""), answer(429, "", "Retry-After: 1\r\n"), streaming({})};
  start();
  ASSERT_TRUE(eventually([&] { return watches_ == 3; }));
  ASSERT_TRUE(eventually([&] { return health_.error.find("namespaces is forbidden") != std::string::npos; })) << health_.error;
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  EXPECT_EQ(lists_, 1U);
  for (const Request& request : watch_requests()) EXPECT_EQ(request.parameter("resourceVersion"), "10");
}

// What comes to nothing, again and again, must not become a busy loop.
class Spinning : public Watching, public ::testing::WithParamInterface<Case> {};
TEST_P(Spinning, IsSlowedDown) {
  streams = {GetParam().reply};
  start();
  pass(60s, 50ms);
  EXPECT_GE(watches_, 5U);
  EXPECT_LE(watches_, 120U) << "in a minute";
}
INSTANTIATE_TEST_SUITE_P(Watching,
                         Spinning,
                         ::testing::Values(Case{"AnEmptyStream", streaming({}, Reply::Then::close)},
                                           Case{"AnEmptyStreamCutOff", streaming({}, Reply::Then::cut)},
                                           Case{"AnEmptyAnswer", answer(200, "")},
                                           Case{"AnErrorEvent", streaming({error_event(500, "InternalError")}, Reply::Then::close)},
                                           Case{"Nonsense", streaming({"nonsense\n"}, Reply::Then::close)},
                                           Case{"AnUnknownType", streaming({event("PERHAPS", "c", 11)}, Reply::Then::close)},
                                           Case{"ABookmarkAndTheEnd", streaming({bookmark(10)}, Reply::Then::close)},
                                           Case{"GoneForEver", streaming({error_event(410, "Expired")}, Reply::Then::close)},
                                           Case{"GoneByStatusForEver", answer(410, status_json(410, "Expired", "too old"))}),
                         name_of);

TEST_F(Watching, ToBeEndedIsNoFailure) {
  start();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  std::vector<std::string> logged;
  log::set_sink([&](log::Level, std::string_view event, log::Fields) { logged.emplace_back(event); });
  tasks_.cancel();
  drain();
  log::set_sink(nullptr);
  EXPECT_EQ(tasks_.size(), 0U);
  EXPECT_EQ(logged, std::vector<std::string>{});
  EXPECT_EQ(health_.error, "");
}

TEST_F(Watching, ALineWithoutEndIsRefusedNotKept) {
  Reply endless = streaming(std::vector<std::string>(17, std::string(std::size_t{1} << 20, 'x')), Reply::Then::hang);
  streams = {endless, streaming({})};
  start();
  ASSERT_TRUE(eventually([&] { return watches_ == 2 && server_->hanging() == 1; }));
  EXPECT_EQ(log(), "");
}

TEST_F(Watching, SlicesOfHeadlessServicesAreNotAskedFor) {
  serve([](const Request& request) { return request.parameter("watch").empty() ? answer(200, page({}, 10)) : streaming({}); });
  RecordingFeed<EndpointSlice> slices;
  tasks_.spawn("watch", kube::watch<EndpointSlice>(client(), timers_, rng_, slices, health_));
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 1; }));
  for (const Request& request : requests())
    EXPECT_EQ(request.parameter("labelSelector"), "kubernetes.io/service-name,!service.kubernetes.io/headless");
  tasks_.cancel();
  drain();
}

}  // namespace
}  // namespace berth::contract
