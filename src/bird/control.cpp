#include "bird/control.hpp"

#include <array>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include "base/text.hpp"

namespace berth::bird {
namespace {

using asio::local::stream_protocol;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t longest_reply = std::size_t{256} << 20;  // a million routes with their attributes
constexpr int code_welcome = 1;

struct Connection {
  explicit Connection(const asio::any_io_executor& executor) : socket(executor), timer(executor) {}

  static void arm(const std::shared_ptr<Connection>& self, Duration patience) {
    self->timer.expires_after(patience);
    self->timer.async_wait([weak = std::weak_ptr{self}](error_code error) {
      const auto connection = weak.lock();
      if (error || !connection) return;
      connection->timed_out = true;
      error_code ignored;
      connection->socket.close(ignored);
    });
  }

  stream_protocol::socket socket;
  asio::steady_timer timer;
  bool timed_out = false;
  std::array<char, 64 << 10> chunk{};
};

asio::awaitable<Result<Reply>> read_reply(Connection& connection, ReplyReader& reader) {
  while (!reader.complete()) {
    const auto [error, size] = co_await connection.socket.async_read_some(asio::buffer(connection.chunk), as_result);
    if (error) co_return fail(ErrorCode::unavailable, error.message());
    if (!reader.feed({connection.chunk.data(), size})) co_return fail(ErrorCode::internal, "its reply makes no sense, or has no end");
  }
  co_return reader.take();
}

asio::awaitable<Result<Reply>> converse(Connection& connection, const std::string& path, const std::string& command) {
  auto [connect_error] = co_await connection.socket.async_connect(stream_protocol::endpoint{path}, as_result);
  if (connect_error) co_return fail(ErrorCode::unavailable, connect_error.message());
  ReplyReader reader{longest_reply};
  auto welcome = co_await read_reply(connection, reader);
  if (!welcome) co_return welcome;
  if (welcome->code() != code_welcome) co_return fail(ErrorCode::internal, "it is not BIRD that answers");
  auto [write_error, written] = co_await asio::async_write(connection.socket, asio::buffer(command), as_result);
  if (write_error) co_return fail(ErrorCode::unavailable, write_error.message());
  co_return co_await read_reply(connection, reader);
}

}  // namespace

asio::awaitable<Result<Reply>> Control::ask(std::string command) {
  const auto connection = std::make_shared<Connection>(executor_);
  Connection::arm(connection, patience_);
  const std::string line = command + "\n";
  auto reply = co_await converse(*connection, socket_, line);
  connection->timer.cancel();
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
    throw boost::system::system_error{asio::error::operation_aborted};
  if (!reply && connection->timed_out)
    co_return fail(ErrorCode::timed_out, fmt::format("bird: {}: no reply within {:.1f} s", command, seconds(patience_)));
  if (!reply) co_return fail(reply.error().with("bird: " + command));
  if (reply->failed()) co_return fail(ErrorCode::invalid, fmt::format("bird: {}: {}", command, clipped(reply->said(), 300)));
  co_return reply;
}

}  // namespace berth::bird
