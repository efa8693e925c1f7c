// Socket addresses as ours. Scope ids and names of interfaces are translated by the kernel.
#pragma once

#include <netinet/in.h>

#include "model/ip_address.hpp"

namespace berth {

// With its zone if it is link-local.
IpAddress address_of(const sockaddr_in6& from);
// 0: it has no zone, or there is no such interface.
unsigned scope_id(const IpAddress& address);

}  // namespace berth
