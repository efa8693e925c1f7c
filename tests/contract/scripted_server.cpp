#include "scripted_server.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/url/parse.hpp>
#include <fmt/format.h>

namespace berth::contract {
namespace {

namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

struct Free {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}
void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) throw std::runtime_error{"extension " + value};
}

}  // namespace

Certificate make_certificate(const CertificateWishes& wishes, const Certificate* issuer) {
  const Owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
  const Owned<X509> certificate{X509_new()};
  X509* const out = certificate.get();
  static long serial = 0;
  X509_set_version(out, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(out), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(out), -7200);
  X509_gmtime_adj(X509_getm_notAfter(out), wishes.expired ? -3600 : 86400);
  X509_set_pubkey(out, key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(wishes.name.c_str()),
                             -1, -1, 0);
  Owned<X509> issuer_certificate;
  Owned<EVP_PKEY> issuer_key;
  if (issuer != nullptr) {
    const Owned<BIO> pem{BIO_new_mem_buf(issuer->pem.data(), static_cast<int>(issuer->pem.size()))};
    issuer_certificate.reset(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    const Owned<BIO> key_pem{BIO_new_mem_buf(issuer->key_pem.data(), static_cast<int>(issuer->key_pem.size()))};
    issuer_key.reset(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
  }
  X509* const by = issuer_certificate ? issuer_certificate.get() : out;
  X509_set_issuer_name(out, X509_get_subject_name(by));
  add_extension(out, by, NID_basic_constraints, wishes.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (wishes.authority) add_extension(out, by, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!wishes.alternative_names.empty()) add_extension(out, by, NID_subject_alt_name, wishes.alternative_names);
  if (X509_sign(out, issuer_key ? issuer_key.get() : key.get(), EVP_sha256()) == 0) throw std::runtime_error{"X509_sign"};

  const Owned<BIO> pem{BIO_new(BIO_s_mem())};
  PEM_write_bio_X509(pem.get(), out);
  const Owned<BIO> key_pem{BIO_new(BIO_s_mem())};
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(pem.get()), text_of(key_pem.get())};
}

Reply answer(int status, const std::string& body, const std::string& more_headers) {
  return {{fmt::format("HTTP/1.1 {} Any\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}", status, more_headers,
                       body.size(), body)}};
}
std::string chunk(std::string_view text) { return fmt::format("{:x}\r\n{}\r\n", text.size(), text); }
Reply streaming(const std::vector<std::string>& chunks, Reply::Then then) {
  Reply reply{{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"}, then};
  for (const std::string& text : chunks) reply.pieces.push_back(chunk(text));
  return reply;
}
std::string status_json(int code, const std::string& reason, const std::string& message) {
  return fmt::format(R"({{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{}","message":"{}","code":{}}})", reason, message,
                     code);
}

struct ScriptedServer::Impl {
  struct Session {
    Session(asio::io_context& io, ssl::context& tls, std::size_t count) : stream(io, tls), number(count) {}
    void close() {
      error_code ignored;
      stream.next_layer().close(ignored);
    }
    ssl::stream<tcp::socket> stream;
    std::size_t number;
    bool hanging = false;
  };

  Impl(asio::io_context& context, Timers& clock, const Tls& wishes, Script by)
      : io(context), timers(clock), script(std::move(by)), acceptor(io), tasks(io.get_executor()) {
    tls.use_certificate_chain(asio::buffer(wishes.certificate.pem));
    tls.use_private_key(asio::buffer(wishes.certificate.key_pem), ssl::context::pem);
    if (!wishes.client_ca_pem.empty()) {
      tls.add_certificate_authority(asio::buffer(wishes.client_ca_pem));
      tls.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
    }
  }

  void listen() {
    acceptor.open(tcp::v4());
    acceptor.set_option(tcp::acceptor::reuse_address{true});
    acceptor.bind({asio::ip::address_v4::loopback(), port});
    acceptor.listen();
    port = acceptor.local_endpoint().port();
    tasks.spawn("accept", accept());
  }

  asio::awaitable<void> accept() {
    for (;;) {
      auto session = std::make_shared<Session>(io, tls, connections + 1);
      const auto [error] = co_await acceptor.async_accept(session->stream.next_layer(), as_result);
      if (error) co_return;
      ++connections;
      sessions.push_back(session);
      tasks.spawn("session", serve(session));
    }
  }

  asio::awaitable<void> serve(std::shared_ptr<Session> session) {
    co_await converse(session);
    session->close();
    session->hanging = false;
    std::erase(sessions, session);
  }

  asio::awaitable<void> converse(std::shared_ptr<Session> session) {
    session->stream.next_layer().set_option(tcp::no_delay{true});
    if (const auto [error] = co_await session->stream.async_handshake(ssl::stream_base::server, as_result); error) co_return;
    std::string client;
    if (const Owned<X509> shown{SSL_get1_peer_certificate(session->stream.native_handle())}; shown) {
      char name[256] = "";
      X509_NAME_get_text_by_NID(X509_get_subject_name(shown.get()), NID_commonName, name, sizeof name);
      client = name;
    }
    std::string in;
    for (;;) {
      auto [error, head_size] = co_await asio::async_read_until(session->stream, asio::dynamic_buffer(in), "\r\n\r\n", as_result);
      if (error) co_return;
      Request request = parse_head(in.substr(0, head_size));
      in.erase(0, head_size);
      std::size_t length = 0;
      const std::string said = request.header("content-length");
      std::from_chars(said.data(), said.data() + said.size(), length);
      if (in.size() < length) {
        auto [body_error, ignored] = co_await asio::async_read(session->stream, asio::dynamic_buffer(in),
                                                               asio::transfer_exactly(length - in.size()), as_result);
        if (body_error) co_return;
      }
      request.body = in.substr(0, length);
      in.erase(0, length);
      request.client = client;
      request.connection = session->number;
      request.at = timers.now();
      requests.push_back(request);
      const Reply reply = script(request);
      for (const std::string& piece : reply.pieces) {
        if (reply.pause > Duration{}) co_await wait(reply.pause);
        const auto [write_error, written] = co_await asio::async_write(session->stream, asio::buffer(piece), as_result);
        if (write_error) co_return;
      }
      switch (reply.then) {
        case Reply::Then::keep: break;
        case Reply::Then::close: co_await end_in_order(session); co_return;
        case Reply::Then::cut: co_return;
        case Reply::Then::reset: session->stream.next_layer().set_option(tcp::socket::linger{true, 0}); co_return;
        case Reply::Then::hang:
          session->hanging = true;
          co_await gone(session);
          co_return;
      }
    }
  }

  // Until the client or drop_all() ends it.
  static asio::awaitable<void> gone(std::shared_ptr<Session> session) {
    char byte = 0;
    for (;;) {
      const auto [error, size] = co_await session->stream.async_read_some(asio::buffer(&byte, 1), as_result);
      if (error) co_return;
    }
  }
  // The client need not answer the goodbye.
  asio::awaitable<void> end_in_order(std::shared_ptr<Session> session) {
    using namespace asio::experimental::awaitable_operators;
    co_await (session->stream.async_shutdown(as_result) || wait(20ms));
  }
  asio::awaitable<void> wait(Duration time) {
    asio::steady_timer timer{io, std::chrono::duration_cast<asio::steady_timer::duration>(time)};
    co_await timer.async_wait(as_result);
  }

  static Request parse_head(const std::string& head) {
    Request request{};
    const std::size_t line_end = head.find("\r\n");
    const std::string line = head.substr(0, line_end);
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    request.method = line.substr(0, first);
    request.target = line.substr(first + 1, last - first - 1);
    if (const auto url = boost::urls::parse_origin_form(request.target)) {
      request.path = std::string{url->encoded_path()};
      for (const auto& parameter : url->params()) request.query[std::string{parameter.key}] = std::string{parameter.value};
    }
    for (std::size_t at = line_end + 2; at < head.size();) {
      const std::size_t end = head.find("\r\n", at);
      const std::string field = head.substr(at, end - at);
      if (const std::size_t colon = field.find(": "); colon != std::string::npos) {
        std::string name = field.substr(0, colon);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers[name] = field.substr(colon + 2);
      }
      at = end + 2;
    }
    return request;
  }

  asio::awaitable<void> write(std::shared_ptr<Session> session, std::string bytes) {
    co_await asio::async_write(session->stream, asio::buffer(bytes), as_result);
  }

  asio::io_context& io;
  Timers& timers;
  Script script;
  ssl::context tls{ssl::context::tls_server};
  tcp::acceptor acceptor;
  std::uint16_t port = 0;
  std::size_t connections = 0;
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Session>> sessions;
  TaskGroup tasks;
};

ScriptedServer::ScriptedServer(asio::io_context& io, Timers& timers, const Tls& tls, Script script)
    : impl_(std::make_unique<Impl>(io, timers, tls, std::move(script))) {
  impl_->listen();
}
ScriptedServer::~ScriptedServer() {
  listen(false);
  drop_all();
  impl_->tasks.cancel();
  impl_->io.restart();
  while (impl_->tasks.size() > 0 && impl_->io.run_one_for(1s) > 0) {
  }
}
std::uint16_t ScriptedServer::port() const { return impl_->port; }
const std::vector<Request>& ScriptedServer::requests() const { return impl_->requests; }
std::size_t ScriptedServer::connections() const { return impl_->connections; }
std::size_t ScriptedServer::hanging() const {
  return static_cast<std::size_t>(std::ranges::count_if(impl_->sessions, [](const auto& session) { return session->hanging; }));
}
void ScriptedServer::listen(bool on) {
  error_code ignored;
  if (on && !impl_->acceptor.is_open()) impl_->listen();
  if (!on) impl_->acceptor.close(ignored);
}
void ScriptedServer::push(const std::string& bytes) {
  for (const auto& session : impl_->sessions)
    if (session->hanging) impl_->tasks.spawn("push", impl_->write(session, bytes));
}
void ScriptedServer::drop_all() {
  for (const auto& session : impl_->sessions) session->close();
}

const Certificate& WithServer::authority() {
  static const Certificate made = make_certificate({.name = "test authority", .authority = true}, nullptr);
  return made;
}
const Certificate& WithServer::server_certificate() {
  static const Certificate made = make_certificate({.name = "api", .alternative_names = "IP:127.0.0.1,DNS:api.test"}, &authority());
  return made;
}

WithServer::WithServer() = default;
WithServer::~WithServer() = default;

void WithServer::TearDown() {
  tasks_.cancel();
  drain();
  EXPECT_EQ(tasks_.size(), 0U) << "a task did not end when it was cancelled";
  server_.reset();
}

ScriptedServer& WithServer::serve(ScriptedServer::Script script) {
  server_ = std::make_unique<ScriptedServer>(io_, timers_, ScriptedServer::Tls{server_certificate()}, std::move(script));
  return *server_;
}

kube::ApiConfig WithServer::config() const {
  kube::ApiConfig out;
  out.host = "127.0.0.1";
  out.port = server_->port();
  out.ca_pem = authority().pem;
  out.token = "t";
  return out;
}

kube::ApiClient& WithServer::client() {
  if (!client_) client_ = std::make_unique<kube::ApiClient>(io_.get_executor(), timers_, rng_, config());
  return *client_;
}

void WithServer::drain() {
  const auto end = std::chrono::steady_clock::now() + 20s;
  do io_.restart();
  while ((io_.poll() > 0 || io_.run_one_for(200us) > 0) && std::chrono::steady_clock::now() < end);
}

bool WithServer::eventually(const std::function<bool()>& done, Duration step) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  for (;;) {
    drain();
    if (done()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    timers_.run_for(step);
  }
}

void WithServer::pass(Duration time, Duration step) {
  for (const Instant end = timers_.now() + time; timers_.now() < end;) {
    drain();
    timers_.run_until(std::min(end, timers_.now() + step));
  }
  drain();
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "berth-contract-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
  path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}
std::string TemporaryDirectory::write(const std::string& name, const std::string& content) const {
  const std::string file = path_ + "/" + name;
  std::ofstream{file, std::ios::binary | std::ios::trunc} << content;
  return file;
}

}  // namespace berth::contract
