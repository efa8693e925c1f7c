#include "kube/http_client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/impl/basic_parser.ipp>
#include <fmt/format.h>

namespace berth::kube {
namespace {

namespace http = boost::beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t max_body = std::size_t{64} << 20;
constexpr std::size_t max_idle_connections = 64;
constexpr std::size_t read_size = 32 << 10;
constexpr std::size_t max_header_bytes = 64 << 10;
constexpr auto connect_limit = std::chrono::seconds{5};

struct Connection {
  Connection(const asio::any_io_executor& executor, const std::shared_ptr<ssl::context>& tls)
      : context(tls), stream(executor, *tls), timer(executor) {}

  // From now on, the connection is closed after `limit` unless armed again or disarmed.
  static void arm(const std::shared_ptr<Connection>& self, Duration limit) {
    self->timer.expires_after(limit);
    self->timer.async_wait([weak = std::weak_ptr{self}](error_code error) {
      const auto connection = weak.lock();
      if (error || !connection || connection->timer.expiry() > Clock::now()) return;
      connection->timed_out = true;
      connection->close();
    });
  }
  void disarm() { timer.cancel(); }
  void close() {
    error_code ignored;
    stream.next_layer().close(ignored);
  }

  std::shared_ptr<ssl::context> context;
  ssl::stream<tcp::socket> stream;
  asio::steady_timer timer;
  bool timed_out = false;
};

// Beast as a parser only: bytes in, header and body out.
class ResponseParser final : public http::basic_parser<false> {
 public:
  explicit ResponseParser(HttpClient::OnBody* on_body) : on_body_(on_body) {
    eager(true);
    header_limit(max_header_bytes);
    body_limit(boost::none);
  }
  HttpResponse response;
  Error refused{ErrorCode::internal, ""};  // why on_body ended it

 private:
  using Text = boost::beast::string_view;
  void on_request_impl(http::verb, Text, Text, int, error_code&) override {}
  void on_response_impl(int status, Text, int, error_code&) override { response.status = status; }
  void on_field_impl(http::field field, Text, Text value, error_code&) override {
    if (field != http::field::retry_after) return;
    // A date, or anything else that is no number of seconds, is as good as none.
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (end != value.data() + value.size()) return;
    if (error == std::errc::result_out_of_range) seconds = std::numeric_limits<std::uint32_t>::max();
    if (error != std::errc::invalid_argument) response.retry_after = std::chrono::seconds{seconds};
  }
  void on_header_impl(error_code& error) override { take("", error); }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(Text text, error_code& error) override { return take(text, error); }
  void on_chunk_header_impl(std::uint64_t, Text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text text, error_code& error) override { return take(text, error); }
  void on_finish_impl(error_code&) override {}

  std::size_t take(Text text, error_code& error) {
    const std::string_view bytes{text.data(), text.size()};
    if (on_body_ != nullptr && response.status == 200) {
      if (auto taken = (*on_body_)(bytes); !taken) {
        refused = taken.error();
        error = http::error::bad_value;
      }
    } else if (response.body.size() + bytes.size() > max_body) {
      refused = Error{ErrorCode::invalid, "the answer is larger than 64 MiB"};
      error = http::error::body_limit;
    } else {
      response.body.append(bytes);
    }
    return text.size();
  }

  HttpClient::OnBody* on_body_;
};

std::string read_text(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::string openssl_reason(const error_code& error) { return error.message(); }

}  // namespace

struct HttpClient::Impl {
  Impl(asio::any_io_executor on, ApiConfig with) : executor(std::move(on)), config(std::move(with)), resolver(executor) {
    const bool v6 = config.host.find(':') != std::string::npos;
    host_header = fmt::format("{}{}{}:{}", v6 ? "[" : "", config.host, v6 ? "]" : "", config.port);
    if (config.server_name.empty()) config.server_name = config.host;
  }

  Result<std::shared_ptr<ssl::context>> tls() {
    if (context && Clock::now() - context_made < config.reread_files_after) return context;
    auto made = std::make_shared<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_mode(made->native_handle(), SSL_MODE_RELEASE_BUFFERS);  // of connections that idle
    error_code error;
    const auto pem = [](const std::string& text, const std::string& file) {
      return text.empty() && !file.empty() ? read_text(file) : text;
    };
    if (config.insecure_skip_tls_verify) {
      made->set_verify_mode(ssl::verify_none);
    } else {
      made->set_verify_mode(ssl::verify_peer);
      if (config.ca_pem.empty() && config.ca_file.empty()) {
        made->set_default_verify_paths(error);
      } else {
        made->add_certificate_authority(asio::buffer(pem(config.ca_pem, config.ca_file)), error);
        if (error)
          return fail(ErrorCode::unauthorized, fmt::format("certificate-authority{} holds no CA certificate in PEM: {}",
                                                           config.ca_file.empty() ? "-data" : " " + config.ca_file, openssl_reason(error)));
      }
    }
    if (!config.client_certificate_pem.empty() || !config.client_certificate_file.empty()) {
      made->use_certificate_chain(asio::buffer(pem(config.client_certificate_pem, config.client_certificate_file)), error);
      if (error)
        return fail(
            ErrorCode::unauthorized,
            fmt::format("client-certificate{} holds no certificate in PEM: {}",
                        config.client_certificate_file.empty() ? "-data" : " " + config.client_certificate_file, openssl_reason(error)));
      made->use_private_key(asio::buffer(pem(config.client_key_pem, config.client_key_file)), ssl::context::pem, error);
      if (error)
        return fail(ErrorCode::unauthorized,
                    fmt::format("client-key{} does not belong to client-certificate or is no key in PEM: {}",
                                config.client_key_file.empty() ? "-data" : " " + config.client_key_file, openssl_reason(error)));
    }
    context = std::move(made);
    context_made = Clock::now();
    return context;
  }

  const std::string& token() {
    if (config.token.empty() && !config.token_file.empty() &&
        (file_token.empty() || !token_read || Clock::now() - *token_read >= config.reread_files_after)) {
      std::string text = read_text(config.token_file);
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
      if (!text.empty()) file_token = std::move(text);
      token_read = Clock::now();
    }
    return config.token.empty() ? file_token : config.token;
  }

  std::string head(const HttpRequest& request) {
    std::string text = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: berth\r\nAccept: application/json\r\n", request.method,
                                   config.path_prefix, request.target, host_header);
    if (const std::string& bearer = token(); !bearer.empty()) text += fmt::format("Authorization: Bearer {}\r\n", bearer);
    if (!request.body.empty()) text += fmt::format("Content-Type: {}\r\n", request.content_type);
    if (!request.body.empty() || request.method != "GET") text += fmt::format("Content-Length: {}\r\n", request.body.size());
    return text + "\r\n";
  }

  Error broken(const Connection& connection, std::string_view doing, const error_code& error) const {
    if (connection.timed_out) return {ErrorCode::timed_out, fmt::format("API server {}: {}: no answer in time", host_header, doing)};
    if (error == asio::error::operation_aborted) return {ErrorCode::cancelled, "the request was cancelled"};
    return {ErrorCode::unavailable, fmt::format("API server {}: {}: {}", host_header, doing, error.message())};
  }

  asio::awaitable<Result<std::shared_ptr<Connection>>> connect() {
    const auto made = tls();
    if (!made) co_return fail(made.error());
    auto connection = std::make_shared<Connection>(executor, *made);
    Connection::arm(connection, connect_limit);
    auto& socket = connection->stream.next_layer();

    error_code error;
    const auto address = asio::ip::make_address(config.host, error);
    if (!error) {
      std::tie(error) = co_await socket.async_connect({address, config.port}, as_result);
    } else {
      tcp::resolver::results_type found;
      std::tie(error, found) = co_await resolver.async_resolve(config.host, std::to_string(config.port), as_result);
      if (error) co_return fail(broken(*connection, "name not resolved", error));
      tcp::endpoint chosen;
      std::tie(error, chosen) = co_await asio::async_connect(socket, found, as_result);
    }
    if (error) co_return fail(broken(*connection, "connect", error));
    set_options(socket);

    expect_server(connection->stream.native_handle());
    std::tie(error) = co_await connection->stream.async_handshake(ssl::stream_base::client, as_result);
    if (error) {
      const long verdict = SSL_get_verify_result(connection->stream.native_handle());
      if (verdict != X509_V_OK)
        co_return fail(ErrorCode::unauthorized,
                       fmt::format("API server {}: its certificate is refused ({}): check certificate-authority and the host name of "
                                   "server in the kubeconfig",
                                   host_header, X509_verify_cert_error_string(verdict)));
      co_return fail(broken(*connection, "TLS", error));
    }
    co_return connection;
  }

  // Whom the certificate must be made out to, also told to the server (SNI).
  void expect_server(SSL* tls) const {
    error_code not_an_address;
    asio::ip::make_address(config.server_name, not_an_address);
    if (not_an_address) SSL_set_tlsext_host_name(tls, config.server_name.c_str());
    if (config.insecure_skip_tls_verify) return;
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(tls);
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (not_an_address)
      X509_VERIFY_PARAM_set1_host(wanted, config.server_name.c_str(), 0);
    else
      X509_VERIFY_PARAM_set1_ip_asc(wanted, config.server_name.c_str());
  }

  // A dead peer is noticed within half a minute also where nothing is being sent.
  static void set_options(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    socket.set_option(asio::socket_base::keep_alive{true}, ignored);
    const auto set = [&](int option, int value) { ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value); };
    set(TCP_KEEPIDLE, 10);
    set(TCP_KEEPINTVL, 5);
    set(TCP_KEEPCNT, 3);
    set(TCP_USER_TIMEOUT, 25'000);
  }

  struct Exchange {
    Result<HttpResponse> result;
    bool unanswered = false;  // a kept connection had been closed before a byte of the answer came
  };

  asio::awaitable<Exchange> exchange(std::shared_ptr<Connection> connection, const HttpRequest* request, OnBody* on_body) {
    Connection::arm(connection, request->deadline);
    const std::string text = head(*request) + request->body;
    auto [write_error, written] = co_await asio::async_write(connection->stream, asio::buffer(text), as_result);
    if (write_error) co_return Exchange{fail(broken(*connection, request->method, write_error)), !connection->timed_out};

    ResponseParser parser{on_body};
    std::vector<char> piece(read_size);
    std::string left;  // bytes that the parser has not taken yet
    bool any = false;
    while (!parser.is_done()) {
      auto [error, size] = co_await connection->stream.async_read_some(asio::buffer(piece), as_result);
      if (error) {
        if (any && !connection->timed_out) {
          error_code end;
          parser.put_eof(end);  // a body without a length ends so
          if (!end && parser.is_done()) break;
        }
        co_return Exchange{fail(broken(*connection, request->method, error)), !any && !connection->timed_out};
      }
      any = true;
      if (on_body != nullptr) Connection::arm(connection, request->deadline);
      left.append(piece.data(), size);
      std::size_t taken = 0;
      while (taken < left.size() && !parser.is_done()) {
        error_code bad;
        taken += parser.put(asio::buffer(left.data() + taken, left.size() - taken), bad);
        if (bad == http::error::need_more) break;
        if (bad) {
          if (!parser.refused.text.empty()) co_return Exchange{fail(parser.refused)};
          co_return Exchange{fail(ErrorCode::invalid, fmt::format("API server {}: not HTTP: {}", host_header, bad.message()))};
        }
      }
      left.erase(0, taken);
    }
    connection->disarm();
    if (parser.response.status == 401) token_read.reset();  // perhaps it was rotated
    if (parser.keep_alive() && left.empty() && idle.size() < max_idle_connections) idle.push_back(connection);
    co_return Exchange{std::move(parser.response)};
  }

  asio::awaitable<Result<HttpResponse>> run(HttpRequest request, OnBody* on_body) {
    while (!idle.empty()) {
      auto kept = std::move(idle.back());
      idle.pop_back();
      Exchange done = co_await exchange(std::move(kept), &request, on_body);
      // Sent anew on another connection: our writes carry preconditions, so doing one twice does nothing.
      if (!done.unanswered) co_return std::move(done.result);
    }
    auto connection = co_await connect();
    if (!connection) co_return fail(connection.error());
    Exchange done = co_await exchange(std::move(*connection), &request, on_body);
    co_return std::move(done.result);
  }

  asio::any_io_executor executor;
  ApiConfig config;
  tcp::resolver resolver;
  std::string host_header;
  std::shared_ptr<ssl::context> context;
  Clock::time_point context_made;
  std::string file_token;
  std::optional<Clock::time_point> token_read;  // empty: read it again
  std::vector<std::shared_ptr<Connection>> idle;
};

HttpClient::HttpClient(asio::any_io_executor executor, ApiConfig config)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(config))) {}
HttpClient::~HttpClient() = default;

asio::awaitable<Result<HttpResponse>> HttpClient::send(HttpRequest request) { return impl_->run(std::move(request), nullptr); }

asio::awaitable<Result<HttpResponse>> HttpClient::stream(HttpRequest request, OnBody on_body) {
  co_return co_await impl_->run(std::move(request), &on_body);
}

}  // namespace berth::kube
