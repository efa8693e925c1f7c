#include "os/addresses.hpp"

#include <net/if.h>

#include <array>
#include <string>

namespace berth {

IpAddress address_of(const sockaddr_in6& from) {
  IpAddress out{IpFamily::v6, 0};
  for (const std::uint8_t byte : from.sin6_addr.s6_addr) out.number = out.number << 8 | byte;
  if (!out.is_link_local() || from.sin6_scope_id == 0) return out;
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(from.sin6_scope_id, name.data()) == nullptr) return out;
  const auto zone = Zone::of(name.data());
  return zone ? out.in(*zone) : out;
}

unsigned scope_id(const IpAddress& address) {
  return address.zone.empty() ? 0 : ::if_nametoindex(std::string{address.zone.name()}.c_str());
}

}  // namespace berth
