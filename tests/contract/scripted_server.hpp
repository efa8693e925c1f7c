// An HTTPS server in the test's own process that answers by a script, to the byte: what a real API
// server can't be made to do at will. Client, server and virtual time share one thread, so a test is
// the same on a slow machine.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "../sim/rng.hpp"
#include "base/task_group.hpp"
#include "base/testing/sim_timers.hpp"
#include "kube/api_client.hpp"

namespace berth::contract {

struct Certificate {
  std::string pem;
  std::string key_pem;
};
struct CertificateWishes {
  std::string name;                     // CN
  std::string alternative_names = "";   // "IP:127.0.0.1,DNS:api.test"; empty: a client's
  bool authority = false;
  bool expired = false;
};
// Signed by `issuer`, or by itself.
Certificate make_certificate(const CertificateWishes& wishes, const Certificate* issuer);

struct Request {
  std::string method;
  std::string path;                          // without the query
  std::map<std::string, std::string> query;  // decoded
  std::string target;                        // as it came
  std::map<std::string, std::string> headers;  // names in small letters
  std::string body;
  std::string client;       // CN of the client's certificate
  std::size_t connection;   // from 1
  Instant at;
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  [[nodiscard]] std::string parameter(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? "" : found->second;
  }
};

struct Reply {
  // keep: wait for the next request; close: end TLS in order; cut: end TCP only, as a crash would;
  // reset: RST; hang: say nothing more until push() or drop_all().
  enum class Then { keep, close, cut, reset, hang };
  std::vector<std::string> pieces;  // each is one TLS record, so one read of the client's
  Then then = Then::keep;
  Duration pause{};                 // real time before each piece
};
// A whole answer with Content-Length.
Reply answer(int status, const std::string& body, const std::string& more_headers = "");
// The head and first chunks of a stream that goes on.
Reply streaming(const std::vector<std::string>& chunks, Reply::Then then = Reply::Then::hang);
std::string chunk(std::string_view text);
inline const std::string last_chunk = "0\r\n\r\n";
// What the API server says instead of an object.
std::string status_json(int code, const std::string& reason, const std::string& message);

class ScriptedServer {
 public:
  using Script = std::function<Reply(const Request&)>;
  struct Tls {
    Certificate certificate;
    std::string client_ca_pem = "";  // not empty: clients must show a certificate of it
  };
  ScriptedServer(asio::io_context& io, Timers& timers, const Tls& tls, Script script);
  ~ScriptedServer();

  [[nodiscard]] std::uint16_t port() const;
  // Every request so far, in order.
  [[nodiscard]] const std::vector<Request>& requests() const;
  [[nodiscard]] std::size_t connections() const;  // ever made
  [[nodiscard]] std::size_t hanging() const;
  // From now on connections are refused, or accepted again on the same port.
  void listen(bool on);
  void push(const std::string& bytes);  // to all that hang
  void drop_all();                      // cuts every connection

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A test with a server, a client of it and virtual time.
class WithServer : public ::testing::Test {
 protected:
  WithServer();
  ~WithServer() override;
  void TearDown() override;  // ends tasks_, before the members of the test that they use

  // `script` may look at requests() and at the test's own variables.
  ScriptedServer& serve(ScriptedServer::Script script);
  [[nodiscard]] kube::ApiConfig config() const;  // trusts the server; the token is "t"
  kube::ApiClient& client();                     // by config(), made at its first use
  [[nodiscard]] const std::vector<Request>& requests() const { return server_->requests(); }

  // Lets everything run that can, and only then moves virtual time, by `step`.
  bool eventually(const std::function<bool()>& done, Duration step = std::chrono::milliseconds{10});
  void pass(Duration time, Duration step = std::chrono::milliseconds{10});
  void drain();
  template <class T>
  T ask(asio::awaitable<T> question) {
    auto answer = std::make_shared<std::optional<T>>();
    tasks_.spawn("ask", keep(std::move(question), answer));
    if (!eventually([&] { return answer->has_value(); })) throw std::runtime_error{"no answer in time"};
    return std::move(**answer);
  }

  static const Certificate& authority();
  static const Certificate& server_certificate();

  asio::io_context io_{1};
  berth::testing::SimTimers timers_{io_};
  sim::SimRng rng_{42};
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<kube::ApiClient> client_;
  TaskGroup tasks_{io_.get_executor()};

 private:
  template <class T>
  static asio::awaitable<void> keep(asio::awaitable<T> question, std::shared_ptr<std::optional<T>> answer) {
    *answer = co_await std::move(question);
  }
};

// A file with this content, in a directory of the test's own that goes with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string write(const std::string& name, const std::string& content) const;  // answers its path
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace berth::contract
