#include "kube/webhook.hpp"

#include <functional>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "kube/certificate.hpp"

namespace berth::kube {
namespace {

namespace json = boost::json;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

const std::vector<std::string> names{"localhost", "127.0.0.1"};
WallTime today() { return {std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())}; }
CertificateSet make_set() { return renewed({}, {.authority = true, .serving = true, .forget = false, .urgent = true}, names, today()); }

std::string review(const std::string& operation, const std::string& object, const std::string& old = "null", const std::string& more = "") {
  return fmt::format(R"({{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","kind":{{"group":)"
                     R"("network.kubesphere.io","version":"v1alpha2","kind":"Eip"}},"operation":"{}","object":{},"oldObject":{}{}}}}})",
                     operation, object, old, more);
}
std::string eip(const std::string& address, const std::string& status = "{}") {
  return fmt::format(
      R"({{"apiVersion":"network.kubesphere.io/v1alpha2","kind":"Eip","metadata":{{"name":"lan"}},"spec":{{"address":"{}"}},)"
      R"("status":{}}})",
      address, status);
}

// ---- the review itself

struct Asked {
  std::optional<std::string> before;
  std::string after;
};
std::string answer(const std::string& text, const PoolJudge& judge) {
  auto said = answer_review(text, judge);
  return said ? said->body : "error: " + said.error().text;
}

TEST(AdmissionReview, AsksTheJudgeWithWhatWasAndWhatIsToBe) {
  std::vector<Asked> asked;
  const PoolJudge judge = [&](const Pool* before, const Pool& after) {
    asked.push_back({before == nullptr ? std::nullopt : std::optional{before->address}, after.name + " " + after.address});
    return Admission{};
  };
  EXPECT_EQ(answer(review("CREATE", eip("192.0.2.1")), judge),
            R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":true}})");
  EXPECT_EQ(answer(review("UPDATE", eip("192.0.2.2"), eip("192.0.2.1")), judge),
            R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":true}})");
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].before, std::nullopt);
  EXPECT_EQ(asked[0].after, "lan 192.0.2.1");
  EXPECT_EQ(asked[1].before, "192.0.2.1");
  EXPECT_EQ(asked[1].after, "lan 192.0.2.2");
}

TEST(AdmissionReview, ARefusalIsOneThatKubectlShows) {
  const auto said = answer_review(review("CREATE", eip("192.0.2.1")),
                                  [](const Pool*, const Pool&) { return Admission{"eip address overlap with \"lan\"", {"a", "b"}}; });
  ASSERT_TRUE(said);
  EXPECT_EQ(said->outcome, ReviewOutcome::refused);
  EXPECT_EQ(said->body,
            R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":false,"status":{"status":)"
            R"("Failure","code":403,"reason":"Forbidden","message":"eip address overlap with \"lan\""},"warnings":["a","b"]}})");
}

TEST(AdmissionReview, WarningsAreBounded) {
  const auto said = answer(review("CREATE", eip("192.0.2.1")),
                           [](const Pool*, const Pool&) { return Admission{"", std::vector<std::string>(100, std::string(1000, 'x'))}; });
  const json::value parsed = json::parse(said);
  const auto& warnings = parsed.at("response").at("warnings").as_array();
  EXPECT_EQ(warnings.size(), 12U);
  for (const auto& warning : warnings) EXPECT_LE(warning.as_string().size(), 256U);
}

TEST(AdmissionReview, TheOldVersionIsAnsweredInItsOwn) {
  std::string old = review("CREATE", eip("192.0.2.1"));
  old.replace(old.find("k8s.io/v1"), 9, "k8s.io/v1beta1");
  EXPECT_EQ(json::parse(answer(old, [](const Pool*, const Pool&) { return Admission{}; })).at("apiVersion").as_string(),
            "admission.k8s.io/v1beta1");
}

TEST(AdmissionReview, WhatIsNoChangeOfAnEipIsAllowedUnseen) {
  const PoolJudge never = [](const Pool*, const Pool&) -> Admission { return {"asked", {}}; };
  std::string of_another = review("CREATE", eip("192.0.2.1"));
  of_another.replace(of_another.find("\"Eip\""), 5, "\"BgpConf\"");
  for (const std::string& text :
       {of_another, review("DELETE", "null", eip("192.0.2.1")), review("CONNECT", eip("192.0.2.1")),
        review("UPDATE", eip("192.0.2.1"), eip("192.0.2.1"), R"(,"subResource":"status")"), review("CREATE", "null")})
    EXPECT_TRUE(json::parse(answer(text, never)).at("response").at("allowed").as_bool()) << text;
}

TEST(AdmissionReview, WhatIsNoReviewIsAnError) {
  const PoolJudge never = [](const Pool*, const Pool&) -> Admission { return {"asked", {}}; };
  std::string no_uid = review("CREATE", eip("192.0.2.1"));
  no_uid.replace(no_uid.find("u-1"), 3, "");
  for (const std::string& text : {std::string{""}, std::string{"{}"}, std::string{"[]"}, std::string{"nonsense"}, no_uid,
                                  std::string{R"({"kind":"AdmissionReview"})"}, std::string{R"({"kind":"Pod","request":{"uid":"u"}})"},
                                  review("CREATE", eip("192.0.2.1")) + "}", review("CREATE", eip("192.0.2.1")).substr(0, 100)})
    EXPECT_TRUE(answer(text, never).starts_with("error: ")) << text;
}

TEST(AdmissionReview, AnEipWithWrongTypesIsJudgedAsFarAsItCanBeRead) {
  std::string invalid;
  const PoolJudge judge = [&](const Pool*, const Pool& after) {
    invalid = after.invalid;
    return Admission{};
  };
  answer(review("CREATE", R"({"metadata":[],"spec":{"address":42,"namespaces":"shop"}})"), judge);
  EXPECT_TRUE(invalid.starts_with("invalid eip address format")) << invalid;
}

// ---- the server

class WebhookTest : public ::testing::Test {
 protected:
  WebhookTest() {
    const auto used = webhook_.use(set_.certificate, set_.key);
    EXPECT_TRUE(used) << used.error().text;
    const auto listening = webhook_.listen(0);
    EXPECT_TRUE(listening) << listening.error().text;
    trust(set_);
  }
  ~WebhookTest() override {
    tasks_.cancel();
    io_.restart();
    io_.poll();
  }

  Admission judge(const Pool*, const Pool& after) {
    ++judged_;
    return after.address == "192.0.2.66" ? Admission{"no", {}} : Admission{};
  }
  void trust(const CertificateSet& set) {
    client_ = std::make_unique<ssl::context>(ssl::context::tls_client);
    client_->set_verify_mode(ssl::verify_peer);
    client_->add_certificate_authority(asio::buffer(trust_bundle(set)));
  }

  struct Client {
    Client(asio::io_context& io, ssl::context& tls) : stream(io, tls) {}
    ssl::stream<tcp::socket> stream;
    std::string heard;
    error_code error;
    bool done = false;
  };
  using Wire = std::shared_ptr<Client>;

  bool eventually(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.restart();
      io_.run_one_for(20ms);
    }
    return true;
  }
  Wire connect() {
    auto wire = std::make_shared<Client>(io_, *client_);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(wire->stream.native_handle()), "127.0.0.1");
    tasks_.spawn("connect", connect_to(wire, webhook_.port()));
    EXPECT_TRUE(eventually([&] { return wire->done; }));
    return wire;
  }
  // Says the pieces, and hears until `enough` or the end of the connection.
  std::string talk(const Wire& wire, std::vector<std::string> pieces, std::function<bool(const std::string&)> enough = whole) {
    wire->done = false;
    wire->heard.clear();
    tasks_.spawn("talk", say_and_hear(wire, std::move(pieces), std::move(enough)));
    EXPECT_TRUE(eventually([&] { return wire->done; }));
    return wire->heard;
  }
  static bool whole(const std::string& heard) {
    const auto end = heard.find("\r\n\r\n");
    const auto length = heard.find("Content-Length: ");
    return end != std::string::npos && heard.size() >= end + 4 + std::stoul(heard.substr(length + 16));
  }
  static bool never(const std::string&) { return false; }

  static asio::awaitable<void> connect_to(Wire wire, std::uint16_t port) {
    std::tie(wire->error) = co_await wire->stream.next_layer().async_connect({asio::ip::address_v4::loopback(), port}, as_result);
    if (!wire->error) std::tie(wire->error) = co_await wire->stream.async_handshake(ssl::stream_base::client, as_result);
    wire->done = true;
  }
  static asio::awaitable<void> say_and_hear(Wire wire, std::vector<std::string> pieces, std::function<bool(const std::string&)> enough) {
    for (const std::string& piece : pieces) {
      const auto [error, size] = co_await asio::async_write(wire->stream, asio::buffer(piece), as_result);
      if (error) break;
    }
    char bytes[4096];
    while (!enough(wire->heard)) {
      const auto [error, size] = co_await wire->stream.async_read_some(asio::buffer(bytes), as_result);
      wire->error = error;
      if (error) break;
      wire->heard.append(bytes, size);
    }
    wire->done = true;
  }

  static std::string post(const std::string& body, const std::string& target = std::string{webhook_path}) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", target, body.size(),
                       body);
  }
  static std::string body_of(const std::string& answer) { return answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4)); }

  asio::io_context io_{1};
  CertificateSet set_ = make_set();
  int judged_ = 0;
  Webhook webhook_{io_.get_executor(), [this](const Pool* before, const Pool& after) { return judge(before, after); }};
  std::unique_ptr<ssl::context> client_;
  TaskGroup tasks_{io_.get_executor()};
};

TEST_F(WebhookTest, AnswersOneRequestAfterAnotherOnOneConnection) {
  const Wire wire = connect();
  ASSERT_FALSE(wire->error) << wire->error.message();
  for (const auto& [address, allowed] : {std::pair{"192.0.2.1", true}, std::pair{"192.0.2.66", false}, std::pair{"192.0.2.2", true}}) {
    const std::string heard = talk(wire, {post(review("CREATE", eip(address)))});
    ASSERT_TRUE(heard.starts_with("HTTP/1.1 200 OK\r\n")) << heard;
    EXPECT_EQ(json::parse(body_of(heard)).at("response").at("allowed").as_bool(), allowed);
  }
  EXPECT_EQ(webhook_.counters().allowed, 2U);
  EXPECT_EQ(webhook_.counters().refused, 1U);
  EXPECT_EQ(webhook_.counters().malformed, 0U);
}

TEST_F(WebhookTest, WherePiecesEndDoesNotMatter) {
  const Wire wire = connect();
  std::vector<std::string> letters;
  for (const char c : post(review("CREATE", eip("192.0.2.66")), std::string{webhook_path} + "?timeout=3s")) letters.emplace_back(1, c);
  EXPECT_NE(talk(wire, letters).find("\"allowed\":false"), std::string::npos);
}

TEST_F(WebhookTest, TheStatusOfALargePoolIsReadOver) {
  std::string used;
  for (int i = 0; i < 25'000; ++i)
    used += fmt::format(R"({}"10.0.{}.{}":"namespace-of-a-team/service-{}")", i == 0 ? "" : ",", i / 256, i % 256, i);
  const std::string pool = eip("10.0.0.0/16", R"({"used":{)" + used + "}}");
  ASSERT_GT(pool.size(), 1'000'000U);
  const std::string heard = talk(connect(), {post(review("UPDATE", pool, pool))});
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 200 OK\r\n")) << heard.substr(0, 200);
  EXPECT_EQ(judged_, 1);
}

TEST_F(WebhookTest, WhatIsNoReviewGetsAnAnswerAndTheEnd) {
  const std::string good = review("CREATE", eip("192.0.2.1"));
  const std::vector<std::pair<std::string, const char*>> rows{
      {post("nonsense"), "HTTP/1.1 400 "},
      {post(""), "HTTP/1.1 400 "},
      {post("{}"), "HTTP/1.1 400 "},
      {post(good.substr(0, 50)), "HTTP/1.1 400 "},
      {post(good, "/"), "HTTP/1.1 404 "},
      {post(good, "/validate-network-kubesphere-io-v1alpha2-svc"), "HTTP/1.1 404 "},
      {"GET " + std::string{webhook_path} + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 "},
      {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
      {"POST / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", "HTTP/1.1 413 "},
      {"POST / HTTP/1.1\r\nX: " + std::string(17'000, 'x') + "\r\n\r\n", "HTTP/1.1 413 "},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r", "HTTP/1.1 411 "},
  };
  for (const auto& [request, expected] : rows) {
    SCOPED_TRACE(request.substr(0, 80));
    const Wire wire = connect();
    const std::string heard = talk(wire, {request}, never);
    EXPECT_TRUE(heard.starts_with(expected)) << heard;
    EXPECT_EQ(wire->error, asio::error::eof) << "closed in order: " << wire->error.message();
  }
  EXPECT_EQ(judged_, 0);
  EXPECT_EQ(webhook_.counters().malformed, rows.size());
}

TEST_F(WebhookTest, WhoDoesNotSpeakTlsIsNotServed) {
  tcp::socket socket{io_};
  socket.connect({asio::ip::address_v4::loopback(), webhook_.port()});
  asio::write(socket, asio::buffer(post(review("CREATE", eip("192.0.2.1")))));
  socket.non_blocking(true);
  error_code error;
  EXPECT_TRUE(eventually([&] {
    char bytes[512];
    socket.read_some(asio::buffer(bytes), error);
    return error && error != asio::error::would_block;
  }));
  EXPECT_EQ(judged_, 0);
  EXPECT_FALSE(connect()->error);
}

TEST_F(WebhookTest, AnotherCertificateIsForNewConnectionsAndOpenOnesGoOn) {
  const Wire before = connect();
  const CertificateSet other = make_set();
  ASSERT_TRUE(webhook_.use(other.certificate, other.key));
  EXPECT_NE(talk(before, {post(review("CREATE", eip("192.0.2.1")))}).find("\"allowed\":true"), std::string::npos);
  EXPECT_TRUE(connect()->error) << "it is not of the old authority";
  trust(other);
  EXPECT_FALSE(connect()->error);
  EXPECT_FALSE(webhook_.use(other.certificate, set_.key)) << "a key of another";
  EXPECT_FALSE(connect()->error) << "and what worked goes on";
}

TEST_F(WebhookTest, IdleClientsKeepNobodyOut) {
  std::vector<Wire> idle;
  for (int i = 0; i < 40; ++i) {
    idle.push_back(connect());
    ASSERT_FALSE(idle.back()->error) << i << ": " << idle.back()->error.message();
  }
  EXPECT_NE(talk(connect(), {post(review("CREATE", eip("192.0.2.1")))}).find("\"allowed\":true"), std::string::npos);
  // The first ones had to go; one that has begun to ask stays before those that are idle.
  EXPECT_EQ(talk(idle.front(), {post(review("CREATE", eip("192.0.2.1")))}), "");
  const std::string request = post(review("CREATE", eip("192.0.2.1")));
  const Wire asking = connect();
  talk(asking, {request.substr(0, 20)}, [](const std::string&) { return true; });
  for (int i = 0; i < 15; ++i) idle.push_back(connect());
  EXPECT_NE(talk(asking, {request.substr(20)}).find("\"allowed\":true"), std::string::npos);
}

TEST_F(WebhookTest, APortThatIsTakenIsNamedWithTheFlag) {
  Webhook second{io_.get_executor(), [](const Pool*, const Pool&) { return Admission{}; }};
  ASSERT_TRUE(second.use(set_.certificate, set_.key));
  const auto listening = second.listen(webhook_.port());
  ASSERT_FALSE(listening);
  EXPECT_NE(listening.error().text.find("--webhook-port"), std::string::npos);
  EXPECT_EQ(second.port(), 0);
}

}  // namespace
}  // namespace berth::kube
