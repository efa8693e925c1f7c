// The port to the network of BFD: UDP datagrams, RFC 5881 §4 and 5883 §5. os/bfd_sockets is its body.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.hpp"
#include "model/ip_address.hpp"

namespace berth {

constexpr std::uint16_t bfd_port = 3784;           // single hop
constexpr std::uint16_t bfd_multihop_port = 4784;  // RFC 5883

struct BfdDatagram {
  IpAddress from;
  bool multihop = false;  // it came to port 4784
  int ttl = 0;            // TTL or hop limit as it arrived
  std::span<const std::uint8_t> bytes;
};

class BfdTransport {
 public:
  virtual ~BfdTransport() = default;
  // Listens on both ports in both families from now on. Errors: unavailable, when a port is another program's.
  virtual Result<> open(std::function<void(const BfdDatagram&)> receiver) = 0;
  // Sends with TTL 255, always from the same source port for one neighbour, from 49152 on. Errors: unavailable (no route, for example).
  virtual Result<> send(const IpAddress& neighbor, bool multihop, std::span<const std::uint8_t> bytes) = 0;
  // Nothing is sent to this neighbour any more.
  virtual void forget(const IpAddress& neighbor, bool multihop) = 0;
};

}  // namespace berth
