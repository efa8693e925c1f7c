// The client against a server that does what networks, proxies and overloaded API servers do.

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "kube/api_types.hpp"
#include "scripted_server.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;
using kube::api::Namespace;

const std::string object = R"({"metadata":{"name":"\u00fcber-ä","resourceVersion":"7","labels":{"a":"b"}}})";

class Http : public WithServer {
 protected:
  Result<Namespace> get(Duration deadline = 10s) { return ask(client().get<Namespace>("/x", deadline)); }
  void expect_object(const Result<Namespace>& got) {
    ASSERT_TRUE(got) << got.error().text;
    EXPECT_EQ(got->metadata.name, "über-ä");
    EXPECT_EQ(got->metadata.labels.at("a"), "b");
  }
  static void expect_error(const Result<Namespace>& got, ErrorCode code, const std::string& part = "") {
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, code) << got.error().text;
    EXPECT_NE(got.error().text.find(part), std::string::npos) << got.error().text;
  }
  static std::string with_length() { return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", object.size(), object); }
  static std::string in_chunks() {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(object.substr(0, 15)) + "1;ext=1\r\n" + object.substr(15, 1) +
           "\r\n" + chunk(object.substr(16)) + "0\r\nTrailer: x\r\n\r\n";
  }
};

// ---- bytes

TEST_F(Http, AnAnswerIsTheSameWhereverItIsCut) {
  for (const std::string& text : {with_length(), in_chunks()}) {
    std::size_t at = 1;
    serve([&](const Request&) { return Reply{{text.substr(0, at), text.substr(at)}}; });
    client_.reset();
    for (; at < text.size() && !HasFailure(); ++at) expect_object(get());
    EXPECT_EQ(server_->connections(), 1U) << "and the connection is kept";
  }
}

TEST_F(Http, AnAnswerMayComeByteByByte) {
  serve([](const Request&) {
    Reply reply;
    for (const char byte : in_chunks()) reply.pieces.emplace_back(1, byte);
    return reply;
  });
  expect_object(get());
  expect_object(get());
}

TEST_F(Http, ABodyWithoutLengthEndsWithTheConnection) {
  serve([](const Request&) { return Reply{{"HTTP/1.1 200 OK\r\n\r\n" + object}, Reply::Then::close}; });
  expect_object(get());
  expect_object(get());
  EXPECT_EQ(server_->connections(), 2U);
}

TEST_F(Http, ATruncatedAnswerIsAnErrorNeverHalfAnObject) {
  std::string text;
  auto then = Reply::Then::close;
  serve([&](const Request&) { return Reply{{text}, then}; });
  for (const auto how : {Reply::Then::close, Reply::Then::cut, Reply::Then::reset}) {
    then = how;
    for (const std::string& whole : {with_length(), in_chunks()})
      for (const std::size_t missing : {whole.size() - 1, whole.size() - 10, std::size_t{20}, std::size_t{1}}) {
        text = whole.substr(0, whole.size() - missing);
        expect_error(get(), ErrorCode::unavailable);
      }
  }
}

TEST_F(Http, AConnectionThatEndsWithoutAWordIsUnavailable) {
  serve([](const Request&) { return Reply{{}, Reply::Then::close}; });
  expect_error(get(), ErrorCode::unavailable);
  EXPECT_EQ(requests().size(), 1U) << "a new connection is not tried twice";
}

TEST_F(Http, GarbageIsRefused) {
  std::string text;
  serve([&](const Request&) { return Reply{{text}, Reply::Then::close}; });
  for (const char* garbage :
       {"banana\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}banana"}) {
    text = garbage;
    const auto got = get();
    ASSERT_FALSE(got) << garbage;
    EXPECT_EQ(got.error().code, ErrorCode::invalid) << garbage << ": " << got.error().text;
  }
  for (const char* not_json : {"<html>Bad Gateway</html>", "{\"metadata\":", "", "{}{}"}) {
    text = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", std::string{not_json}.size(), not_json);
    expect_error(get(), ErrorCode::invalid, "API server's answer: not JSON");
  }
}

TEST_F(Http, OversizedAnswersAreRefused) {
  bool long_head = false;
  serve([&](const Request&) {
    if (long_head) return Reply{{"HTTP/1.1 200 OK\r\nX: " + std::string(70 << 10, 'x')}, Reply::Then::hang};
    Reply reply{{fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", std::size_t{65} << 20)}, Reply::Then::close};
    for (int i = 0; i < 65; ++i) reply.pieces.emplace_back(std::size_t{1} << 20, ' ');
    return reply;
  });
  expect_error(get(), ErrorCode::invalid, "larger than 64 MiB");
  long_head = true;
  expect_error(get(), ErrorCode::invalid);
}

TEST_F(Http, AStreamHasNoSizeLimitAndItsReaderMayEndIt) {
  serve([](const Request&) {
    Reply reply = streaming(std::vector<std::string>(70, std::string(std::size_t{1} << 20, ' ')), Reply::Then::keep);
    reply.pieces.push_back(last_chunk);
    return reply;
  });
  std::size_t bytes = 0;
  ASSERT_TRUE(ask(client().stream(
      "/x",
      [&](std::string_view piece) -> Result<> {
        bytes += piece.size();
        return {};
      },
      10s)));
  EXPECT_EQ(bytes, std::size_t{70} << 20);
  const auto ended = ask(client().stream("/x", [](std::string_view) -> Result<> { return fail(ErrorCode::gone, "enough"); }, 10s));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), (Error{ErrorCode::gone, "enough"}));
}

TEST_F(Http, TheBodyOfARefusedStreamIsItsMessageNotItsContent) {
  serve([](const Request&) { return answer(410, status_json(410, "Expired", "too old resource version")); });
  std::size_t bytes = 0;
  const auto ended = ask(client().stream(
      "/x?watch=1",
      [&](std::string_view piece) -> Result<> {
        bytes += piece.size();
        return {};
      },
      10s));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), (Error{ErrorCode::gone, "GET /x: too old resource version"}));
  EXPECT_EQ(bytes, 0U);
}

// ---- time

TEST_F(Http, AnAnswerThatDripsPastItsDeadlineIsTimedOut) {
  serve([](const Request&) {
    Reply reply{{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"}, Reply::Then::keep, 20ms};
    for (int i = 0; i < 1000; ++i) reply.pieces.emplace_back(" ");
    return reply;
  });
  expect_error(get(300ms), ErrorCode::timed_out, "no answer in time");
}

TEST_F(Http, AStreamEndsBySilenceNotByLength) {
  serve([](const Request&) {
    Reply reply = streaming(std::vector<std::string>(25, "x"));
    reply.pause = 100ms;
    return reply;
  });
  const auto began = std::chrono::steady_clock::now();
  std::size_t bytes = 0;
  const auto ended = ask(client().stream(
      "/x?watch=1",
      [&](std::string_view piece) -> Result<> {
        bytes += piece.size();
        return {};
      },
      1500ms));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::timed_out);
  EXPECT_EQ(bytes, 25U) << "2.5 s of it, more than the silence that ends it";
  EXPECT_GE(std::chrono::steady_clock::now() - began, 4s);
}

// ---- connections

TEST_F(Http, OneConnectionServesManyRequests) {
  serve([](const Request&) { return answer(200, object); });
  for (int i = 0; i < 10; ++i) expect_object(get());
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, RequestsAtOnceHaveAConnectionEachWhichAreUsedAgain) {
  serve([](const Request&) { return answer(200, object); });
  for (int round = 0; round < 3; ++round) {
    int answered = 0;
    for (int i = 0; i < 32; ++i)
      asio::co_spawn(io_, client().get<Namespace>("/x"),
                     [&](const std::exception_ptr&, const Result<Namespace>& got) { answered += got ? 1 : 0; });
    ASSERT_TRUE(eventually([&] { return answered == 32; }));
  }
  EXPECT_EQ(requests().size(), 96U);
  EXPECT_LE(server_->connections(), 32U);
}

TEST_F(Http, AConnectionThatDiedWhileIdleIsReplaced) {
  auto then = Reply::Then::close;
  serve([&](const Request&) {
    Reply reply = answer(200, object);
    reply.then = then;
    return reply;
  });
  for (const auto how : {Reply::Then::close, Reply::Then::cut, Reply::Then::reset}) {
    then = how;
    expect_object(get());
    pass(1ms);
    expect_object(get());
    expect_object(ask(client().patch<Namespace>(kube::PatchKind::merge, "/x", "{}")));
  }
  EXPECT_EQ(requests().size(), 9U);
}

TEST_F(Http, AServerThatSaysCloseIsTakenAtItsWord) {
  serve([](const Request&) { return answer(200, object, "Connection: close\r\n"); });
  expect_object(get());
  expect_object(get());
  EXPECT_EQ(server_->connections(), 2U);
}

TEST_F(Http, BytesNobodyAskedForEndTheConnection) {
  serve([](const Request&) { return Reply{{with_length() + with_length()}}; });
  expect_object(get());
  expect_object(get());
  EXPECT_EQ(server_->connections(), 2U) << "the second answer could be taken for that of another request";
}

TEST_F(Http, WhenNobodyListensItIsUnavailableAndNamesTheServer) {
  serve([](const Request&) { return answer(200, object); });
  const std::string where = fmt::format("API server 127.0.0.1:{}: connect: Connection refused", server_->port());
  server_->listen(false);
  expect_error(get(), ErrorCode::unavailable, where);
  server_->listen(true);
  expect_object(get());
}

TEST_F(Http, ARequestCarriesWhatItShould) {
  serve([](const Request&) { return answer(200, object); });
  kube::ApiConfig with_prefix = config();
  with_prefix.path_prefix = "/clusters/a";
  kube::ApiClient other{io_.get_executor(), timers_, rng_, with_prefix};
  expect_object(ask(other.get<Namespace>("/x?limit=1")));
  expect_object(ask(client().patch<Namespace>(kube::PatchKind::merge, "/x", "{1}")));
  expect_object(ask(client().patch<Namespace>(kube::PatchKind::strategic_merge, "/x", "{2}")));
  expect_object(ask(client().patch<Namespace>(kube::PatchKind::json, "/x", "{3}")));
  expect_object(ask(client().create<Namespace>("/x", "{4}")));
  expect_object(ask(client().replace<Namespace>("/x", "{5}")));
  ASSERT_TRUE(ask(client().remove("/x", "{6}")));
  ASSERT_TRUE(ask(client().remove("/x", "")));
  EXPECT_EQ(requests()[0].target, "/clusters/a/x?limit=1");
  EXPECT_EQ(requests()[0].header("host"), fmt::format("127.0.0.1:{}", server_->port()));
  EXPECT_EQ(requests()[0].header("authorization"), "Bearer t");
  EXPECT_EQ(requests()[0].header("accept"), "application/json");
  std::vector<std::string> seen;
  for (std::size_t i = 1; i < requests().size(); ++i)
    seen.push_back(fmt::format("{} {} {}", requests()[i].method, requests()[i].header("content-type"), requests()[i].body));
  EXPECT_EQ(seen, (std::vector<std::string>{"PATCH application/merge-patch+json {1}", "PATCH application/strategic-merge-patch+json {2}",
                                            "PATCH application/json-patch+json {3}", "POST application/json {4}",
                                            "PUT application/json {5}", "DELETE application/json {6}", "DELETE  "}));
}

// ---- what an answer stands for

TEST_F(Http, EachRefusalIsAnErrorThatSaysWhatToDo) {
  std::string body;
  int status = 0;
  serve([&](const Request&) { return answer(status, body); });
  const auto refused = [&](int code, const std::string& text) {
    status = code;
    body = text;
    // Without waiting: 429 is looked at below.
    const auto done = ask(client().patch_only(kube::PatchKind::merge, "/x", "{}"));
    return done ? Error{ErrorCode::internal, "accepted"} : done.error();
  };
  EXPECT_EQ(refused(401, status_json(401, "Unauthorized", "Unauthorized")),
            (Error{ErrorCode::unauthorized,
                   "PATCH /x: Unauthorized (check the token or client certificate of the kubeconfig or service account)"}));
  const Error forbidden = refused(403, status_json(403, "Forbidden", "services is forbidden: User b cannot patch"));
  EXPECT_EQ(forbidden.code, ErrorCode::forbidden);
  EXPECT_TRUE(forbidden.text.starts_with("PATCH /x: services is forbidden: User b cannot patch (grant it")) << forbidden.text;
  EXPECT_EQ(refused(404, status_json(404, "NotFound", "no")).code, ErrorCode::not_found);
  EXPECT_EQ(refused(409, status_json(409, "AlreadyExists", "no")).code, ErrorCode::already_exists);
  EXPECT_EQ(refused(409, status_json(409, "Conflict", "no")).code, ErrorCode::conflict);
  EXPECT_EQ(refused(410, status_json(410, "Expired", "no")).code, ErrorCode::gone);
  EXPECT_EQ(refused(422, status_json(422, "Invalid", "no")).code, ErrorCode::invalid);
  EXPECT_EQ(refused(422, R"({"kind":"Status","code":422,"details":{"causes":[{"field":"metadata.uid"}]}})").code, ErrorCode::conflict);
  EXPECT_EQ(refused(400, "").code, ErrorCode::invalid);
  EXPECT_EQ(refused(500, "upstream <b>broke</b>"), (Error{ErrorCode::unavailable, "PATCH /x: HTTP status 500"}));
  EXPECT_EQ(refused(503, "").code, ErrorCode::unavailable);
  EXPECT_EQ(refused(302, "").code, ErrorCode::invalid) << "redirects are not followed: a token must not be sent on";
}

class Throttled : public Http {
 protected:
  // Times between requests, when the first `refusals` are 429 with this header.
  std::vector<Duration> waits(std::size_t refusals, const std::string& header, bool streamed = false) {
    serve([=, this](const Request&) {
      return requests().size() <= refusals ? answer(429, status_json(429, "TooManyRequests", "slow down"), header) : answer(200, object);
    });
    client_.reset();
    if (streamed) {
      streamed_ = ask(client().stream("/x", [](std::string_view) -> Result<> { return {}; }, 10s));
    } else {
      got_ = get();
    }
    std::vector<Duration> out;
    for (std::size_t i = 1; i < requests().size(); ++i) out.push_back(requests()[i].at.since_start - requests()[i - 1].at.since_start);
    return out;
  }
  static void expect_between(Duration wait, Duration least, Duration most) {
    EXPECT_GE(wait, least);
    EXPECT_LE(wait, most + 100ms) << "a step of the test's clock is 10 ms";
  }
  std::optional<Result<Namespace>> got_;
  std::optional<Result<>> streamed_;
};

TEST_F(Throttled, WaitsAsLongAsItIsAskedAndALittleMore) {
  const auto waited = waits(2, "Retry-After: 3\r\n");
  ASSERT_EQ(waited.size(), 2U);
  expect_object(*got_);
  for (const Duration wait : waited) expect_between(wait, 3s, 3650ms);
  EXPECT_GT(std::max(waited[0], waited[1]) - std::min(waited[0], waited[1]), 20ms) << "with jitter";
}

TEST_F(Throttled, WithoutANumberItWaitsASecond) {
  for (const char* header : {"", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "Retry-After: -3\r\n", "Retry-After: \r\n"}) {
    const auto waited = waits(1, header);
    ASSERT_EQ(waited.size(), 1U);
    expect_between(waited[0], 1s, 1250ms);
  }
}

TEST_F(Throttled, ZeroIsAtOnceAndTheMostIsTenSeconds) {
  auto waited = waits(1, "Retry-After: 0\r\n");
  ASSERT_EQ(waited.size(), 1U);
  expect_between(waited[0], 0s, 50ms);
  for (const char* header : {"Retry-After: 3600\r\n", "Retry-After: 99999999999999999999\r\n"}) {
    waited = waits(1, header);
    ASSERT_EQ(waited.size(), 1U);
    expect_between(waited[0], 10s, 12050ms);
  }
}

TEST_F(Throttled, GivesUpAfterTheFourth) {
  EXPECT_EQ(waits(9, "Retry-After: 1\r\n").size(), 3U);
  ASSERT_FALSE(*got_);
  EXPECT_EQ(got_->error(), (Error{ErrorCode::throttled, "GET /x: slow down"}));
}

TEST_F(Throttled, ListsAndWatchesWaitToo) {
  const auto waited = waits(2, "Retry-After: 3\r\n", true);
  ASSERT_TRUE(*streamed_) << streamed_->error().text;
  ASSERT_EQ(waited.size(), 2U);
  for (const Duration wait : waited) expect_between(wait, 3s, 3650ms);
}

// ---- TLS and credentials

class Tls : public Http {
 protected:
  void serve_as(const Certificate& certificate, const std::string& client_ca = "") {
    server_ = std::make_unique<ScriptedServer>(io_, timers_, ScriptedServer::Tls{certificate, client_ca},
                                               [](const Request&) { return answer(200, object); });
  }
  Result<Namespace> get_with(const kube::ApiConfig& by) {
    kube::ApiClient one{io_.get_executor(), timers_, rng_, by};
    return ask(one.get<Namespace>("/x"));
  }
  static Certificate stranger() { return make_certificate({.name = "another authority", .authority = true}, nullptr); }
};

TEST_F(Tls, ACertificateOfAnotherAuthorityIsRefused) {
  serve_as(server_certificate());
  kube::ApiConfig wrong = config();
  wrong.ca_pem = stranger().pem;
  expect_error(get_with(wrong), ErrorCode::unauthorized,
               fmt::format("API server 127.0.0.1:{}: its certificate is refused (unable to get local issuer certificate): "
                           "check certificate-authority and the host name of server in the kubeconfig",
                           server_->port()));
  EXPECT_TRUE(requests().empty()) << "and no token is sent to it";
}

TEST_F(Tls, ASelfSignedOneIsRefusedUnlessItIsTheAuthority) {
  const Certificate self = make_certificate({.name = "api", .alternative_names = "IP:127.0.0.1"}, nullptr);
  serve_as(self);
  expect_error(get_with(config()), ErrorCode::unauthorized, "self-signed certificate");
  kube::ApiConfig pinned = config();
  pinned.ca_pem = self.pem;
  expect_object(get_with(pinned));
}

TEST_F(Tls, ACertificateOfAnotherHostIsRefused) {
  serve_as(make_certificate({.name = "127.0.0.1", .alternative_names = "IP:192.0.2.1,DNS:other.test"}, &authority()));
  expect_error(get_with(config()), ErrorCode::unauthorized, "its certificate is refused (IP address mismatch)");
  kube::ApiConfig named = config();
  named.server_name = "other.test";
  expect_object(get_with(named));
  named.server_name = "another.test";
  expect_error(get_with(named), ErrorCode::unauthorized, "hostname mismatch");
}

TEST_F(Tls, AnExpiredCertificateIsRefused) {
  serve_as(make_certificate({.name = "api", .alternative_names = "IP:127.0.0.1", .expired = true}, &authority()));
  expect_error(get_with(config()), ErrorCode::unauthorized, "certificate has expired");
}

TEST_F(Tls, OneThatIsNoAuthorityCanNotVouch) {
  const Certificate leaf = make_certificate({.name = "leaf", .alternative_names = "DNS:leaf.test"}, &authority());
  serve_as(make_certificate({.name = "api", .alternative_names = "IP:127.0.0.1"}, &leaf));
  expect_error(get_with(config()), ErrorCode::unauthorized, "its certificate is refused");
}

TEST_F(Tls, InsecureTakesAnyCertificate) {
  serve_as(make_certificate({.name = "x", .alternative_names = "DNS:other.test", .expired = true}, nullptr));
  kube::ApiConfig insecure = config();
  insecure.insecure_skip_tls_verify = true;
  expect_object(get_with(insecure));
}

TEST_F(Tls, AnAuthorityThatCanNotBeReadNeverMeansAnyAuthority) {
  serve_as(server_certificate());
  TemporaryDirectory files;
  kube::ApiConfig by = config();
  by.ca_pem.clear();
  for (const std::string& file : {files.path() + "/missing.crt", files.write("empty.crt", ""), files.write("bad.crt", "not PEM")}) {
    by.ca_file = file;
    expect_error(get_with(by), ErrorCode::unauthorized, "certificate-authority " + file + " holds no CA certificate in PEM");
  }
  by.ca_file = files.write("ca.crt", stranger().pem + authority().pem);
  expect_object(get_with(by));
  EXPECT_EQ(requests().size(), 1U);
}

TEST_F(Tls, AClientCertificateIsShownAndItsKeyMustFit) {
  serve_as(server_certificate(), authority().pem);
  const Certificate berth = make_certificate({.name = "berth"}, &authority());
  kube::ApiConfig by = config();
  by.client_certificate_pem = berth.pem;
  by.client_key_pem = berth.key_pem;
  expect_object(get_with(by));
  EXPECT_EQ(requests().back().client, "berth");
  by.client_key_pem = server_certificate().key_pem;
  expect_error(get_with(by), ErrorCode::unauthorized, "client-key-data does not belong to client-certificate");
  by.client_certificate_pem = "nonsense";
  expect_error(get_with(by), ErrorCode::unauthorized, "client-certificate-data holds no certificate in PEM");
  EXPECT_FALSE(get_with(config())) << "without one the server refuses";
}

TEST_F(Http, ARotatedTokenIsReadAgainAfterA401) {
  TemporaryDirectory files;
  kube::ApiConfig by;
  serve([](const Request& request) {
    return request.header("authorization") == "Bearer new" ? answer(200, object)
                                                           : answer(401, status_json(401, "Unauthorized", "Unauthorized"));
  });
  by = config();
  by.token.clear();
  by.token_file = files.write("token", "old\n");
  kube::ApiClient one{io_.get_executor(), timers_, rng_, by};
  expect_error(ask(one.get<Namespace>("/x")), ErrorCode::unauthorized);
  EXPECT_EQ(requests().size(), 1U) << "no retry by itself";
  files.write("token", "");  // being written
  expect_error(ask(one.get<Namespace>("/x")), ErrorCode::unauthorized);
  EXPECT_EQ(requests().back().header("authorization"), "Bearer old");
  files.write("token", "new\n");
  expect_object(ask(one.get<Namespace>("/x")));
}

TEST_F(Http, RotatedFilesAreFollowedWithoutAnError) {
  TemporaryDirectory files;
  serve([](const Request& request) {
    return answer(200, object, request.header("authorization") == "Bearer last" ? "Connection: close\r\n" : "");
  });
  kube::ApiConfig by = config();
  by.token.clear();
  by.ca_pem.clear();
  by.reread_files_after = 0s;
  by.token_file = files.write("token", "first");
  by.ca_file = files.write("ca.crt", authority().pem);
  kube::ApiClient one{io_.get_executor(), timers_, rng_, by};
  expect_object(ask(one.get<Namespace>("/x")));
  files.write("token", "last");
  expect_object(ask(one.get<Namespace>("/x")));
  EXPECT_EQ(requests().back().header("authorization"), "Bearer last");
  files.write("ca.crt", make_certificate({.name = "another authority", .authority = true}, nullptr).pem);
  expect_error(ask(one.get<Namespace>("/x")), ErrorCode::unauthorized, "its certificate is refused");
}

TEST_F(Http, ATokenNeverGetsIntoAnError) {
  serve([](const Request& request) {
    return answer(403, status_json(403, "Forbidden", "no " + request.header("authorization").substr(0, 6)));
  });
  kube::ApiConfig by = config();
  by.token = "s3cret";
  kube::ApiClient one{io_.get_executor(), timers_, rng_, by};
  const auto got = ask(one.get<Namespace>("/x"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().text.find("s3cret"), std::string::npos);
}

}  // namespace
}  // namespace berth::contract
