#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "observe/health.hpp"
#include "observe/http_server.hpp"
#include "observe/log_sink.hpp"
#include "observe/metrics_page.hpp"

namespace berth {
namespace {

TEST(LogLine, KeyValueQuotesWhatCouldBeTakenForAnotherField) {
  EXPECT_EQ(format_log_line(LogFormat::key_value, "T", log::Level::info, "address_assigned",
                            {{"service", "a/b"}, {"why", "two words"}, {"empty", ""}, {"trick", "x\nlevel=error"}}),
            R"(time=T level=info event=address_assigned service=a/b why="two words" empty="" trick="x\nlevel=error")");
}

TEST(LogLine, JsonIsOneObject) {
  EXPECT_EQ(format_log_line(LogFormat::json, "T", log::Level::error, "e", {{"a", "\""}, {"n", 3}}),
            R"({"time":"T","level":"error","event":"e","a":"\"","n":"3"})");
}

TEST(MetricsPage, ShowsHelpTypeAndLabels) {
  MetricsPage page;
  page.add(metric::addresses_total, 64, {"pool-a"});
  page.add(metric::berth_leader, 1);
  EXPECT_EQ(page.text(),
            "# HELP addresses_total Addresses in the pool.\n# TYPE addresses_total gauge\n"
            "addresses_total{eipName=\"pool-a\"} 64\n"
            "# HELP berth_leader 1 while this process is the controller.\n# TYPE berth_leader gauge\nberth_leader 1\n");
}

TEST(Health, SaysWhichPartIsNotReadyAndWhy) {
  const auto report = report_health({{"a", [] { return std::string{}; }}, {"b", [] { return std::string{"no list yet"}; }}});
  EXPECT_FALSE(report.ready);
  EXPECT_EQ(report.text, "a: ok\nb: no list yet\nnot ready\n");
}

std::string fetch(const std::string& path, const std::string& request) {
  asio::io_context context;
  asio::local::stream_protocol::socket socket{context};
  socket.connect(asio::local::stream_protocol::endpoint{path});
  std::string answer;
  boost::system::error_code error;
  asio::write(socket, asio::buffer(request), error);  // it may hang up before it has heard all
  asio::read(socket, asio::dynamic_buffer(answer), error);
  return answer;
}

TEST(HttpServer, AnswersGetAndRefusesTheRest) {
  const std::string path = (std::filesystem::temp_directory_path() / ("berth-http-" + std::to_string(::getpid()))).string();
  asio::io_context context;
  HttpServer server{context.get_executor(),
                    [](std::string_view target, bool local) { return HttpPage{.body = std::string{target} + (local ? " local" : "")}; }};
  ASSERT_TRUE(server.listen_unix(path));
  std::thread runner{[&] { context.run(); }};
  EXPECT_TRUE(fetch(path, "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ends_with("\r\n\r\n/metrics local"));
  EXPECT_TRUE(fetch(path, "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 405"));
  EXPECT_EQ(fetch(path, "nonsense\r\n\r\n"), "");
  EXPECT_EQ(fetch(path, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r"), "");
  EXPECT_EQ(fetch(path, "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n"), "");
  context.stop();
  runner.join();
  ::unlink(path.c_str());
}

TEST(HttpServer, ManyWhoSayNothingDoNotKeepOthersOut) {
  const std::string path = (std::filesystem::temp_directory_path() / ("berth-crowd-" + std::to_string(::getpid()))).string();
  asio::io_context context;
  HttpServer server{context.get_executor(), [](std::string_view, bool) { return HttpPage{.body = "here"}; }};
  ASSERT_TRUE(server.listen_unix(path));
  std::thread runner{[&] { context.run(); }};
  asio::io_context silent;
  std::vector<asio::local::stream_protocol::socket> crowd;
  for (int i = 0; i < 200; ++i) crowd.emplace_back(silent).connect(asio::local::stream_protocol::endpoint{path});
  EXPECT_TRUE(fetch(path, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ends_with("here"));
  context.stop();
  runner.join();
  ::unlink(path.c_str());
}

TEST(HttpServer, RefusesAnAddressThatIsNone) {
  asio::io_context context;
  HttpServer server{context.get_executor(), [](std::string_view, bool) { return HttpPage{}; }};
  EXPECT_EQ(server.listen("50052").error().code, ErrorCode::invalid);
  EXPECT_EQ(server.listen("host:1").error().code, ErrorCode::invalid);
  EXPECT_EQ(server.listen(":99999").error().code, ErrorCode::invalid);
}

}  // namespace
}  // namespace berth
