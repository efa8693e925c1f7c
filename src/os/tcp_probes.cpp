#include "os/tcp_probes.hpp"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth {
namespace {

using asio::ip::tcp;
constexpr std::size_t under_way_max = 3;  // of one machine; what is not answered by then is given up

}  // namespace

TcpProbes::TcpProbes(const asio::any_io_executor& executor, std::uint16_t port) : executor_(executor), port_(port), tasks_(executor) {}

void TcpProbes::ask(const IpAddress& ip) {
  auto& sockets = under_way_[ip];
  boost::system::error_code ignored;
  if (sockets.size() >= under_way_max) {
    sockets.front()->close(ignored);
    sockets.pop_front();
  }
  const auto socket = std::make_shared<Socket>(executor_);
  sockets.push_back(socket);
  tasks_.spawn("probe", connect(ip, socket));
}

asio::awaitable<void> TcpProbes::connect(IpAddress ip, std::shared_ptr<Socket> socket) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(ip.to_string(), error);
  if (!error) {
    const auto [failed] = co_await socket->async_connect(tcp::endpoint{address, port_}, asio::as_tuple(asio::use_awaitable));
    error = failed;
  }
  const bool answered = !error || error == asio::error::connection_refused;
  boost::system::error_code ignored;
  socket->set_option(asio::socket_base::linger{true, 0}, ignored);  // a reset leaves nothing behind
  socket->close(ignored);
  if (const auto sockets = under_way_.find(ip); sockets != under_way_.end()) std::erase(sockets->second, socket);
  if (answered && listener_) listener_(ip);
}

}  // namespace berth
