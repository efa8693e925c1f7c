#include "os/bfd_sockets.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace berth {
namespace {

constexpr int ttl = 255;
constexpr int class_selector_6 = 0xC0;  // as routers mark what keeps them together
constexpr std::uint16_t first_source_port = 49152;
constexpr unsigned source_ports = 16384;
constexpr int port_tries = 32;
constexpr int datagrams_at_a_time = 64;  // then others of the loop have their turn

struct Name {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// Without an address: any.
Name name_of(IpFamily family, const IpAddress* ip, std::uint16_t port) {
  Name out;
  if (family == IpFamily::v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    if (ip != nullptr) std::memcpy(&in.sin_addr, ip->to_bytes().data(), 4);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    if (ip != nullptr) std::memcpy(&in.sin6_addr, ip->to_bytes().data(), 16);
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

IpAddress address_of(const sockaddr_storage& from) {
  const auto number = [](const std::uint8_t* bytes, std::size_t size) {
    IpNumber out = 0;
    for (std::size_t i = 0; i < size; ++i) out = out << 8 | bytes[i];
    return out;
  };
  if (from.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &from, sizeof in);
    return {IpFamily::v4, number(reinterpret_cast<const std::uint8_t*>(&in.sin_addr), 4)};
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &from, sizeof in);
  return {IpFamily::v6, number(in.sin6_addr.s6_addr, 16)};
}

bool set(int socket, int level, int option, int value) { return ::setsockopt(socket, level, option, &value, sizeof value) == 0; }

auto failed(const std::string& what) { return fail(ErrorCode::unavailable, fmt::format("BFD: {}: {}", what, std::strerror(errno))); }

}  // namespace

BfdSockets::BfdSockets(const asio::any_io_executor& executor, Rng& rng) : executor_(executor), rng_(rng), tasks_(executor) {}

Result<> BfdSockets::open(std::function<void(const BfdDatagram&)> receiver) {
  std::vector<std::pair<std::shared_ptr<Socket>, bool>> made;
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    for (const bool multihop : {false, true}) {
      const bool v4 = family == IpFamily::v4;
      const int number = ::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (number < 0 && !v4 && errno == EAFNOSUPPORT) continue;  // a machine without IPv6
      if (number < 0) return failed("no socket");
      auto socket = std::make_shared<Socket>(executor_, number);
      if (!v4 && !set(number, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failed("IPV6_V6ONLY");
      if (v4 ? !set(number, IPPROTO_IP, IP_RECVTTL, 1) : !set(number, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)) return failed("IP_RECVTTL");
      const std::uint16_t port = multihop ? bfd_multihop_port : bfd_port;
      const Name name = name_of(family, nullptr, port);
      if (::bind(number, reinterpret_cast<const sockaddr*>(&name.storage), name.size) != 0)
        return failed(fmt::format("UDP port {} can't be had (does another BFD daemon run on this node?)", port));
      made.emplace_back(std::move(socket), multihop);
    }
  receiver_ = std::move(receiver);
  for (auto& [socket, multihop] : made) tasks_.spawn("bfd_receive", receive(std::move(socket), multihop));
  return {};
}

asio::awaitable<void> BfdSockets::receive(std::shared_ptr<Socket> socket, bool multihop) {
  for (;;) {
    co_await socket->async_wait(Socket::wait_read, asio::use_awaitable);
    for (int i = 0; i < datagrams_at_a_time; ++i) {
      std::uint8_t bytes[128];
      alignas(cmsghdr) char control[64];
      sockaddr_storage from{};
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
        if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TTL) || (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_HOPLIMIT))
          std::memcpy(&hops, CMSG_DATA(at), sizeof hops);
      receiver_({address_of(from), multihop, hops, {bytes, static_cast<std::size_t>(size)}});
    }
  }
}

Result<std::unique_ptr<BfdSockets::Socket>> BfdSockets::connect(const IpAddress& neighbor, bool multihop) {
  const bool v4 = neighbor.family == IpFamily::v4;
  const int number = ::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (number < 0) return failed("no socket");
  auto socket = std::make_unique<Socket>(executor_, number);
  if (v4 ? !set(number, IPPROTO_IP, IP_TTL, ttl) : !set(number, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl)) return failed("IP_TTL");
  static_cast<void>(v4 ? set(number, IPPROTO_IP, IP_TOS, class_selector_6) : set(number, IPPROTO_IPV6, IPV6_TCLASS, class_selector_6));
  bool bound = false;
  for (int i = 0; i < port_tries && !bound; ++i) {
    const auto port = static_cast<std::uint16_t>(first_source_port + rng_.next() % source_ports);
    const Name own = name_of(neighbor.family, nullptr, port);
    bound = ::bind(number, reinterpret_cast<const sockaddr*>(&own.storage), own.size) == 0;
  }
  if (!bound) return failed("no source port from 49152 on");
  const Name name = name_of(neighbor.family, &neighbor, multihop ? bfd_multihop_port : bfd_port);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&name.storage), name.size) != 0) return failed(neighbor.to_string());
  return socket;
}

// A socket is made anew after an error: this machine's address may have changed.
Result<> BfdSockets::send(const IpAddress& neighbor, bool multihop, std::span<const std::uint8_t> bytes) {
  const std::pair key{neighbor, multihop};
  auto sender = senders_.find(key);
  if (sender == senders_.end()) {
    auto made = connect(neighbor, multihop);
    if (!made) return fail(made.error());
    sender = senders_.emplace(key, std::move(*made)).first;
  }
  if (::send(sender->second->native_handle(), bytes.data(), bytes.size(), 0) >= 0) return {};
  auto error = failed(neighbor.to_string());
  senders_.erase(sender);
  return error;
}

}  // namespace berth
