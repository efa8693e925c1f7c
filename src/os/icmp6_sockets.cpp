#include "os/icmp6_sockets.hpp"

#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "os/addresses.hpp"

namespace berth {
namespace {

using boost::system::error_code;

constexpr int hop_limit = 255;             // RFC 4861 §4.1, §4.2
constexpr int datagrams_at_a_time = 64;    // then others of the loop have their turn
constexpr std::size_t longest = 1500;      // more of a message is not looked at
constexpr std::uint16_t link_local = 0xFF02;  // all nodes are ff02::1, all routers ff02::2

auto failed(const Zone& interface, std::string_view what) {
  return fail(ErrorCode::unavailable,
              fmt::format("{}: {}: {}", interface.name(), what, error_code{errno, boost::system::system_category()}.message()));
}

template <class Value>
bool set(int socket, int level, int option, const Value& value) {
  return ::setsockopt(socket, level, option, &value, sizeof value) == 0;
}

in6_addr group(bool of_routers) {
  in6_addr out{};
  out.s6_addr[0] = link_local >> 8;
  out.s6_addr[1] = link_local & 0xFF;
  out.s6_addr[15] = of_routers ? 2 : 1;
  return out;
}

}  // namespace

Result<> Icmp6Sockets::open(const Zone& interface, std::function<void(const RouterDatagram&)> receiver) {
  const std::string name{interface.name()};
  const auto socket = std::make_shared<Socket>(executor_);
  error_code error;
  socket->open(asio::ip::icmp::v6(), error);
  if (error == asio::error::access_denied || error == asio::error::no_permission)
    return fail(ErrorCode::unavailable, "router discovery needs the capability NET_RAW, which this container does not have");
  if (!error) socket->non_blocking(true, error);
  if (error) return fail(ErrorCode::unavailable, fmt::format("{}: no ICMPv6 socket: {}", name, error.message()));
  const int number = socket->native_handle();
  const auto index = static_cast<int>(::if_nametoindex(name.c_str()));
  if (index == 0) return failed(interface, "there is no such interface on this node");
  if (::setsockopt(number, SOL_SOCKET, SO_BINDTODEVICE, name.data(), static_cast<socklen_t>(name.size())) != 0)
    return failed(interface, "SO_BINDTODEVICE");
  icmp6_filter filter{};
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
  ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
  const ipv6_mreq routers{group(true), static_cast<unsigned>(index)};
  if (!set(number, IPPROTO_ICMPV6, ICMP6_FILTER, filter) || !set(number, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) ||
      !set(number, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hop_limit) || !set(number, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) ||
      !set(number, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) || !set(number, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, routers))
    return failed(interface, "router discovery");
  close(interface);
  sockets_[interface] = socket;
  tasks_.spawn("router_discovery", receive(socket, std::move(receiver)));
  return {};
}

void Icmp6Sockets::close(const Zone& interface) {
  const auto socket = sockets_.find(interface);
  if (socket == sockets_.end()) return;
  error_code ignored;
  socket->second->close(ignored);  // which ends its receive()
  sockets_.erase(socket);
}

asio::awaitable<void> Icmp6Sockets::receive(std::shared_ptr<Socket> socket, std::function<void(const RouterDatagram&)> receiver) {
  while (socket->is_open()) {
    const auto [error] = co_await socket->async_wait(Socket::wait_read, asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    for (int i = 0; i < datagrams_at_a_time && socket->is_open(); ++i) {
      std::uint8_t bytes[longest];
      alignas(cmsghdr) char control[64];
      sockaddr_in6 from{};
      iovec part{bytes, sizeof bytes};
      msghdr message{};
      message.msg_name = &from;
      message.msg_namelen = sizeof from;
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t size = ::recvmsg(socket->native_handle(), &message, 0);
      if (size < 0) break;  // nothing more
      int hops = 0;
      for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at))
        if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_HOPLIMIT) std::memcpy(&hops, CMSG_DATA(at), sizeof hops);
      receiver({address_of(from), hops, {bytes, static_cast<std::size_t>(size)}});
    }
  }
}

Result<> Icmp6Sockets::send(const Zone& interface, bool to_routers, std::span<const std::uint8_t> bytes) {
  const auto socket = sockets_.find(interface);
  if (socket == sockets_.end()) return fail(ErrorCode::unavailable, fmt::format("{}: not open", interface.name()));
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_addr = group(to_routers);
  to.sin6_scope_id = ::if_nametoindex(std::string{interface.name()}.c_str());
  if (::sendto(socket->second->native_handle(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0)
    return {};
  return failed(interface, "a router advertisement can't be sent");
}

}  // namespace berth
