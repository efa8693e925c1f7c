// The port to the network of probes. os/tcp_probes is its body.
#pragma once

#include <functional>

#include "model/ip_address.hpp"

namespace berth {

class ProbeTransport {
 public:
  virtual ~ProbeTransport() = default;
  virtual void on_answer(std::function<void(const IpAddress&)> listener) = 0;
  // Asks once. Any answer of the machine's counts, also a refusal; silence and errors are no answer.
  virtual void ask(const IpAddress& ip) = 0;
  virtual void forget(const IpAddress& ip) = 0;
};

}  // namespace berth
