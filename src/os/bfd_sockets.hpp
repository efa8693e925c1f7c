// BfdSockets: UDP sockets of BFD (RFC 5881 §4, RFC 5883 §5).
#pragma once

#include <map>
#include <memory>
#include <utility>

#include <boost/asio/ip/udp.hpp>

#include "base/asio.hpp"
#include "base/task_group.hpp"
#include "base/timers.hpp"
#include "speak/bfd/transport.hpp"

namespace berth {

class BfdSockets final : public BfdTransport {
 public:
  BfdSockets(const asio::any_io_executor& executor, Rng& rng);

  Result<> open(std::function<void(const BfdDatagram&)> receiver) override;
  Result<> send(const IpAddress& neighbor, bool multihop, std::span<const std::uint8_t> bytes) override;
  void forget(const IpAddress& neighbor, bool multihop) override { senders_.erase({neighbor, multihop}); }

 private:
  using Socket = asio::ip::udp::socket;
  Result<std::unique_ptr<Socket>> connect(const IpAddress& neighbor, bool multihop);
  asio::awaitable<void> receive(std::shared_ptr<Socket> socket, bool multihop);

  asio::any_io_executor executor_;
  Rng& rng_;
  std::function<void(const BfdDatagram&)> receiver_;
  std::map<std::pair<IpAddress, bool>, std::unique_ptr<Socket>> senders_;
  TaskGroup tasks_;
};

}  // namespace berth
