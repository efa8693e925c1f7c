#include "observe/http_server.hpp"

#include <unistd.h>

#include <charconv>
#include <list>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/impl/basic_parser.ipp>
#include <fmt/format.h>

#include "base/task_group.hpp"

namespace berth {
namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Unix = asio::local::stream_protocol;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t max_connections = 64;
constexpr std::size_t max_request = 16 << 10;
constexpr auto patience = std::chrono::seconds{20};  // for a request to come, and for an answer to be taken
constexpr auto accept_pause = std::chrono::milliseconds{100};

class RequestParser final : public http::basic_parser<true> {
 public:
  RequestParser() {
    header_limit(max_request);
    body_limit(std::uint64_t{0});
  }
  std::string method;
  std::string target;

 private:
  using Text = boost::beast::string_view;
  void on_request_impl(http::verb, Text verb, Text path, int, error_code&) override {
    method.assign(verb.data(), verb.size());
    target.assign(path.data(), path.size());
  }
  void on_response_impl(int, Text, int, error_code&) override {}
  void on_field_impl(http::field, Text, Text, error_code&) override {}
  // No GET has a body. In chunks it would also meet an assertion of Beast's (boostorg/beast#2861).
  void on_header_impl(error_code& error) override {
    if (chunked()) error = http::error::bad_transfer_encoding;
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(Text text, error_code&) override { return text.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text text, error_code&) override { return text.size(); }
  void on_finish_impl(error_code&) override {}
};

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 503: return "Service Unavailable";
    default: return "Error";
  }
}

bool is_local(const tcp::socket& socket) {
  error_code error;
  auto address = socket.remote_endpoint(error).address();
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  return address.is_loopback();
}
bool is_local(const Unix::socket&) { return true; }

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto refuse = [&] {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" is no listen address: write :PORT or ADDRESS:PORT", text));
  };
  if (colon == std::string::npos) return refuse();
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [last, bad] = std::from_chars(text.data() + colon + 1, end, port);
  if (bad != std::errc{} || last != end || port > 65535) return refuse();
  std::string host = text.substr(0, colon);
  if (host.empty()) return tcp::endpoint{asio::ip::address_v6::any(), static_cast<std::uint16_t>(port)};
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return refuse();
  return tcp::endpoint{address, static_cast<std::uint16_t>(port)};
}

// An open connection. Its timer closes it when the client is slow to ask or to take its answer.
class Open {
 public:
  virtual ~Open() = default;
  virtual void close() = 0;
};

template <class Socket>
class Connection final : public Open {
 public:
  explicit Connection(Socket connected) : socket(std::move(connected)), timer_(socket.get_executor()) {}
  void close() override {
    error_code ignored;
    socket.close(ignored);
  }
  static void arm(const std::shared_ptr<Connection>& self) {
    self->timer_.expires_after(patience);
    self->timer_.async_wait([weak = std::weak_ptr{self}](error_code error) {
      const auto connection = weak.lock();
      // Armed again, while this call was queued already.
      if (error || !connection || connection->timer_.expiry() > asio::steady_timer::clock_type::now()) return;
      connection->close();
    });
  }

  Socket socket;

 private:
  asio::steady_timer timer_;
};

}  // namespace

struct HttpServer::Impl {
  using Opened = std::list<std::shared_ptr<Open>>;  // the oldest first

  Impl(asio::any_io_executor on, Handler with) : executor(std::move(on)), handler(std::move(with)), tasks(executor) {}

  // Whoever comes is served: when too many are open, the oldest goes, so that idle clients can't keep probes out.
  template <class Socket>
  void open(Socket socket) {
    const auto connection = std::make_shared<Connection<Socket>>(std::move(socket));
    if (opened->size() >= max_connections) {
      opened->front()->close();
      opened->pop_front();
    }
    opened->push_back(connection);
    tasks.spawn("http_connection", serve(connection));
  }

  template <class Socket>
  asio::awaitable<void> serve(std::shared_ptr<Connection<Socket>> connection) {
    const Leaving leaving{opened, connection};
    const bool local = is_local(connection->socket);
    std::string in;
    for (bool keep = true; keep;) {
      RequestParser parser;
      while (!parser.is_done()) {
        if (!in.empty()) {
          error_code error;
          const std::size_t taken = parser.put(asio::buffer(in), error);
          in.erase(0, taken);
          if (error && error != http::error::need_more) co_return;
          if (parser.is_done()) break;
        }
        if (in.size() > max_request) co_return;
        Connection<Socket>::arm(connection);
        char piece[4096];
        auto [error, size] = co_await connection->socket.async_read_some(asio::buffer(piece), as_result);
        if (error) co_return;
        in.append(piece, size);
      }
      HttpPage page{405, "text/plain; charset=utf-8", "only GET\n"};
      if (parser.method == "GET" || parser.method == "HEAD")
        page = handler(std::string_view{parser.target}.substr(0, parser.target.find('?')), local);
      keep = parser.keep_alive();
      const bool head = parser.method == "HEAD";
      const std::string out = fmt::format(
          "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\nConnection: {}\r\n\r\n{}",
          page.status, reason(page.status), page.content_type, page.body.size(), keep ? "keep-alive" : "close",
          head ? std::string_view{} : std::string_view{page.body});
      Connection<Socket>::arm(connection);
      auto [error, size] = co_await asio::async_write(connection->socket, asio::buffer(out), as_result);
      if (error) co_return;
    }
  }

  template <class Acceptor>
  asio::awaitable<void> accept(Acceptor acceptor) {
    asio::steady_timer pause{executor};
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(as_result);
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
    std::shared_ptr<Open> mine;
    ~Leaving() { opened->remove(mine); }
  };

  asio::any_io_executor executor;
  Handler handler;
  std::shared_ptr<Opened> opened = std::make_shared<Opened>();  // tasks may end after us, in the io_context
  TaskGroup tasks;
};

HttpServer::HttpServer(asio::any_io_executor executor, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(handler))) {}
HttpServer::~HttpServer() = default;

Result<> HttpServer::listen(const std::string& address) {
  auto endpoint = parse_endpoint(address);
  if (!endpoint) return fail(endpoint.error());
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
  tcp::acceptor acceptor = open(*endpoint, error);
  if (error && endpoint->address() == asio::ip::address{asio::ip::address_v6::any()}) {  // a kernel without IPv6
    error = {};
    acceptor = open({asio::ip::address_v4::any(), endpoint->port()}, error);
  }
  if (error)
    return fail(ErrorCode::unavailable, fmt::format("can't listen on {}: {} (another program may have the port; choose one with "
                                                    "--metrics-addr)",
                                                    address, error.message()));
  impl_->tasks.spawn("http_accept", impl_->accept(std::move(acceptor)));
  return {};
}

Result<> HttpServer::listen_unix(const std::string& path) {
  ::unlink(path.c_str());
  error_code error;
  Unix::acceptor acceptor{impl_->executor};
  acceptor.open(Unix{}, error);
  if (!error) acceptor.bind(Unix::endpoint{path}, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(ErrorCode::unavailable, fmt::format("can't listen on {}: {}", path, error.message()));
  impl_->tasks.spawn("http_accept", impl_->accept(std::move(acceptor)));
  return {};
}

}  // namespace berth
