// The port to the links of router discovery: ICMPv6 messages, RFC 4861. os/icmp6_sockets is its body.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.hpp"
#include "model/ip_address.hpp"

namespace berth {

struct RouterDatagram {
  IpAddress from;  // with the zone of the interface it came by
  int hop_limit = 0;
  std::span<const std::uint8_t> bytes;
};

class DiscoveryTransport {
 public:
  virtual ~DiscoveryTransport() = default;
  // Solicitations and advertisements that come by this interface, from now on. Errors: unavailable (there is no such interface, this
  // process has no right to).
  virtual Result<> open(const Zone& interface, std::function<void(const RouterDatagram&)> receiver) = 0;
  virtual void close(const Zone& interface) = 0;
  // To all nodes of the link (ff02::1) or to all its routers (ff02::2), with hop limit 255. Errors: unavailable (the interface is gone or
  // down, has no address yet).
  virtual Result<> send(const Zone& interface, bool to_routers, std::span<const std::uint8_t> bytes) = 0;
};

}  // namespace berth
