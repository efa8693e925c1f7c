// Icmp6Sockets: raw ICMPv6 sockets for router discovery (RFC 4861), one an interface. They need the capability NET_RAW.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <boost/asio/ip/icmp.hpp>

#include "base/asio.hpp"
#include "base/task_group.hpp"
#include "speak/discovery/transport.hpp"

namespace berth {

class Icmp6Sockets final : public DiscoveryTransport {
 public:
  explicit Icmp6Sockets(const asio::any_io_executor& executor) : executor_(executor), tasks_(executor) {}

  Result<> open(const Zone& interface, std::function<void(const RouterDatagram&)> receiver) override;
  void close(const Zone& interface) override;
  Result<> send(const Zone& interface, bool to_routers, std::span<const std::uint8_t> bytes) override;

 private:
  using Socket = asio::ip::icmp::socket;
  static asio::awaitable<void> receive(std::shared_ptr<Socket> socket, std::function<void(const RouterDatagram&)> receiver);

  asio::any_io_executor executor_;
  std::map<Zone, std::shared_ptr<Socket>> sockets_;
  TaskGroup tasks_;
};

}  // namespace berth
