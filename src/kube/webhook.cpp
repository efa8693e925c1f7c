#include "kube/webhook.hpp"

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/impl/basic_parser.ipp>
#include <fmt/format.h>

#include "base/check.hpp"
#include "base/task_group.hpp"

namespace berth::kube {
namespace {

namespace http = boost::beast::http;
namespace ssl = asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t max_connections = 16;
constexpr std::size_t max_header = 16 << 10;
// The object before and after: etcd takes 1.5 MiB of each.
constexpr std::size_t max_body = std::size_t{4} << 20;
constexpr std::size_t read_size = 16 << 10;
constexpr auto patience = std::chrono::seconds{10};  // for a handshake, a whole request, an answer to be taken
// Longer than the API server keeps an idle connection (90 s): so it is the one to close, and never sends into a closed one.
constexpr auto idle_patience = std::chrono::seconds{120};
constexpr auto accept_pause = std::chrono::milliseconds{100};

// Beast as a parser only. The body is kept as text until it is whole: as objects a hostile one would be many times its size.
class RequestParser final : public http::basic_parser<true> {
 public:
  RequestParser() {
    eager(true);
    header_limit(max_header);
    body_limit(std::uint64_t{max_body});
  }
  std::string method;
  std::string target;
  std::string body;

 private:
  using Text = boost::beast::string_view;
  void on_request_impl(http::verb, Text verb, Text path, int, error_code&) override {
    method.assign(verb.data(), verb.size());
    target.assign(path.data(), path.size());
  }
  void on_response_impl(int, Text, int, error_code&) override {}
  void on_field_impl(http::field, Text, Text, error_code&) override {}
  // The API server says a length. In chunks a body may meet an assertion of Beast's (boostorg/beast#2861).
  void on_header_impl(error_code& error) override {
    if (chunked()) error = http::error::bad_transfer_encoding;
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(Text text, error_code&) override {
    body.append(text.data(), text.size());
    return text.size();
  }
  void on_chunk_header_impl(std::uint64_t, Text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text text, error_code&) override { return text.size(); }
  void on_finish_impl(error_code&) override {}
};

struct Answer {
  int status = 200;
  std::string_view reason = "OK";
  std::string_view content_type = "application/json";
  std::string body;
};
Answer refusal(int status, std::string_view reason, std::string text) {
  return {status, reason, "text/plain; charset=utf-8", std::move(text)};
}

// What stands in the way of a request that the parser did not take.
Answer refusal_of(const error_code& error) {
  if (error == http::error::body_limit || error == http::error::header_limit)
    return refusal(413, "Content Too Large", fmt::format("a review is at most {} bytes\n", max_body));
  if (error == http::error::bad_transfer_encoding) return refusal(411, "Length Required", "a review comes with its Content-Length\n");
  return refusal(400, "Bad Request", "this is not HTTP\n");
}

// An open connection. Its timer closes it when the other side is slow.
struct Connection {
  Connection(tcp::socket connected, std::shared_ptr<ssl::context> with)
      : context(std::move(with)), stream(std::move(connected), *context), timer(stream.get_executor()) {}

  static void arm(const std::shared_ptr<Connection>& self, std::chrono::seconds limit) {
    self->timer.expires_after(limit);
    self->timer.async_wait([weak = std::weak_ptr{self}](error_code error) {
      const auto connection = weak.lock();
      // Armed again, while this call was queued already.
      if (error || !connection || connection->timer.expiry() > asio::steady_timer::clock_type::now()) return;
      connection->close();
    });
  }
  void close() {
    error_code ignored;
    stream.next_layer().close(ignored);
  }

  std::shared_ptr<ssl::context> context;
  ssl::stream<tcp::socket> stream;
  asio::steady_timer timer;
  bool idle = false;  // between two requests
};

}  // namespace

struct Webhook::Impl {
  using Opened = std::list<std::shared_ptr<Connection>>;  // the oldest first

  Impl(asio::any_io_executor on, PoolJudge by) : executor(std::move(on)), judge(std::move(by)), tasks(executor) {}

  // Whoever comes is served: when too many are open, an idle one goes, or else the oldest.
  void open(tcp::socket socket) {
    if (opened->size() >= max_connections) {
      const auto idle = std::ranges::find_if(*opened, &Connection::idle);
      const auto leaving = idle == opened->end() ? opened->begin() : idle;
      (*leaving)->close();
      opened->erase(leaving);
    }
    const auto connection = std::make_shared<Connection>(std::move(socket), context);
    opened->push_back(connection);
    tasks.spawn("webhook_connection", serve(connection));
  }

  asio::awaitable<void> serve(std::shared_ptr<Connection> connection) {
    const Leaving leaving{opened, connection};
    Connection::arm(connection, patience);
    if (const auto [error] = co_await connection->stream.async_handshake(ssl::stream_base::server, as_result); error) co_return;
    std::string in;  // what came and is not parsed yet
    while (co_await exchange(connection, in)) {
    }
  }

  // One request and its answer; false when the connection is to end.
  asio::awaitable<bool> exchange(std::shared_ptr<Connection> connection, std::string& in) {
    RequestParser parser;
    std::vector<char> piece(read_size);
    error_code bad;
    connection->idle = in.empty();
    Connection::arm(connection, connection->idle ? idle_patience : patience);
    while (!parser.is_done()) {
      if (!in.empty()) {
        const std::size_t taken = parser.put(asio::buffer(in), bad);
        in.erase(0, taken);
        if (bad && bad != http::error::need_more) break;
        bad = {};
        if (parser.is_done() || taken > 0) continue;
      }
      const auto [error, size] = co_await connection->stream.async_read_some(asio::buffer(piece), as_result);
      if (error) co_return false;
      if (std::exchange(connection->idle, false)) Connection::arm(connection, patience);
      in.append(piece.data(), size);
    }
    const Answer said = bad ? refusal_of(bad) : answer(parser);
    if (said.status != 200) ++counters.malformed;
    const bool keep = said.status == 200 && parser.keep_alive();
    const std::string out = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n{}", said.status,
                                        said.reason, said.content_type, said.body.size(), keep ? "keep-alive" : "close", said.body);
    Connection::arm(connection, patience);
    const auto [error, size] = co_await asio::async_write(connection->stream, asio::buffer(out), as_result);
    if (error) co_return false;
    if (!keep) static_cast<void>(co_await connection->stream.async_shutdown(as_result));
    co_return keep;
  }

  Answer answer(RequestParser& parser) {
    if (std::string_view{parser.target}.substr(0, parser.target.find('?')) != webhook_path)
      return refusal(404, "Not Found", fmt::format("there is {}\n", webhook_path));
    if (parser.method != "POST") return refusal(405, "Method Not Allowed", "only POST\n");
    auto said = answer_review(parser.body, judge);
    if (!said) return refusal(400, "Bad Request", said.error().text + "\n");
    ++(said->outcome == ReviewOutcome::allowed ? counters.allowed : counters.refused);
    return {.body = std::move(said->body)};
  }

  asio::awaitable<void> accept() {
    asio::steady_timer pause{executor};
    for (;;) {
      auto [error, socket] = co_await acceptor->async_accept(as_result);
      if (!error) {
        open(std::move(socket));
        continue;
      }
      pause.expires_after(accept_pause);
      co_await pause.async_wait(as_result);
    }
  }

  // Takes the connection off the list, whichever way its task ends.
  struct Leaving {
    std::shared_ptr<Opened> opened;
    std::shared_ptr<Connection> mine;
    ~Leaving() { opened->remove(mine); }
  };

  asio::any_io_executor executor;
  PoolJudge judge;
  WebhookCounters counters;
  std::string certificate;  // as it was given, to know another
  std::string key;
  std::shared_ptr<ssl::context> context;
  std::optional<tcp::acceptor> acceptor;
  std::shared_ptr<Opened> opened = std::make_shared<Opened>();  // tasks may end after us, in the io_context
  TaskGroup tasks;
};

Webhook::Webhook(asio::any_io_executor executor, PoolJudge judge) : impl_(std::make_unique<Impl>(std::move(executor), std::move(judge))) {}
Webhook::~Webhook() = default;

Result<> Webhook::use(const std::string& certificate, const std::string& key) {
  if (impl_->context && certificate == impl_->certificate && key == impl_->key) return {};
  auto made = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(made->native_handle(), SSL_OP_NO_RENEGOTIATION);
  error_code error;
  made->use_certificate_chain(asio::buffer(certificate), error);
  if (!error) made->use_private_key(asio::buffer(key), ssl::context::pem, error);
  if (error) return fail(ErrorCode::invalid, "the webhook's certificate can't be used: " + error.message());
  impl_->context = std::move(made);
  impl_->certificate = certificate;
  impl_->key = key;
  return {};
}

Result<> Webhook::listen(std::uint16_t port) {
  BERTH_CHECK(impl_->context, "there is a certificate to serve with");
  const auto open = [&](const tcp::endpoint& at, error_code& error) {
    tcp::acceptor acceptor{impl_->executor};
    acceptor.open(at.protocol(), error);
    if (error) return acceptor;
    acceptor.set_option(asio::socket_base::reuse_address{true}, error);
    if (at.address().is_v6()) acceptor.set_option(asio::ip::v6_only{false}, error);
    acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    return acceptor;
  };
  error_code error;
  tcp::acceptor acceptor = open({asio::ip::address_v6::any(), port}, error);
  if (error == asio::error::address_family_not_supported) {  // a kernel without IPv6
    error = {};
    acceptor = open({asio::ip::address_v4::any(), port}, error);
  }
  if (error)
    return fail(ErrorCode::unavailable, fmt::format("can't listen on port {}: {} (choose another with --webhook-port, also in the Service "
                                                    "openelb-controller; 0 goes without the webhook)",
                                                    port, error.message()));
  impl_->acceptor.emplace(std::move(acceptor));
  impl_->tasks.spawn("webhook_accept", impl_->accept());
  return {};
}

std::uint16_t Webhook::port() const {
  error_code error;
  return impl_->acceptor ? impl_->acceptor->local_endpoint(error).port() : std::uint16_t{0};
}
const WebhookCounters& Webhook::counters() const { return impl_->counters; }

}  // namespace berth::kube
