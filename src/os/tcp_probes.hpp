// TcpProbes: asks a machine by beginning a TCP connection, which needs no right. A connection and a refusal are both an answer of its
// kernel's. Nothing is said over it: it is reset at once.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include <boost/asio/ip/tcp.hpp>

#include "base/asio.hpp"
#include "base/task_group.hpp"
#include "speak/probe/transport.hpp"

namespace berth {

class TcpProbes final : public ProbeTransport {
 public:
  TcpProbes(const asio::any_io_executor& executor, std::uint16_t port);
  void on_answer(std::function<void(const IpAddress&)> listener) override { listener_ = std::move(listener); }
  void ask(const IpAddress& ip) override;
  void forget(const IpAddress& ip) override { under_way_.erase(ip); }

 private:
  using Socket = asio::ip::tcp::socket;
  asio::awaitable<void> connect(IpAddress ip, std::shared_ptr<Socket> socket);

  asio::any_io_executor executor_;
  std::uint16_t port_;
  std::function<void(const IpAddress&)> listener_;
  std::map<IpAddress, std::list<std::shared_ptr<Socket>>> under_way_;
  TaskGroup tasks_;
};

}  // namespace berth
