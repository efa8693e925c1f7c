#include "os/bfd_sockets.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "os/addresses.hpp"

namespace berth {
namespace {

using asio::ip::udp;
using boost::system::error_code;

constexpr int ttl = 255;
constexpr int class_selector_6 = 0xC0;  // as routers mark what keeps them together
constexpr std::uint16_t first_source_port = 49152;
constexpr unsigned source_ports = 16384;
constexpr int port_tries = 32;
constexpr int datagrams_at_a_time = 64;  // then others of the loop have their turn

IpAddress sender_of(const udp::endpoint& from) {
  if (from.address().is_v4()) return IpAddress::v4(from.address().to_v4().to_uint());
  return address_of(*reinterpret_cast<const sockaddr_in6*>(from.data()));
}

udp protocol_of(IpFamily family) { return family == IpFamily::v4 ? udp::v4() : udp::v6(); }

bool set(int socket, int level, int option, int value) { return ::setsockopt(socket, level, option, &value, sizeof value) == 0; }

auto failed(const std::string& what, const error_code& error) {
  return fail(ErrorCode::unavailable, fmt::format("BFD: {}: {}", what, error.message()));
}
// Of a system call of our own.
auto failed(const std::string& what) { return failed(what, error_code{errno, boost::system::system_category()}); }

}  // namespace

BfdSockets::BfdSockets(const asio::any_io_executor& executor, Rng& rng) : executor_(executor), rng_(rng), tasks_(executor) {}

Result<> BfdSockets::open(std::function<void(const BfdDatagram&)> receiver) {
  std::vector<std::pair<std::shared_ptr<Socket>, bool>> made;
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
    for (const bool multihop : {false, true}) {
      const bool v4 = family == IpFamily::v4;
      const auto socket = std::make_shared<Socket>(executor_);
      error_code error;
      socket->open(protocol_of(family), error);
      if (!v4 && error == asio::error::address_family_not_supported) continue;  // a machine without IPv6
      if (error) return failed("no socket", error);
      const int number = socket->native_handle();
      if (v4 ? !set(number, IPPROTO_IP, IP_RECVTTL, 1) : !set(number, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)) return failed("IP_RECVTTL");
      if (!v4) socket->set_option(asio::ip::v6_only{true}, error);
      if (!error) socket->non_blocking(true, error);
      const std::uint16_t port = multihop ? bfd_multihop_port : bfd_port;
      if (!error) socket->bind({protocol_of(family), port}, error);
      if (error) return failed(fmt::format("UDP port {} can't be had (does another BFD daemon run on this node?)", port), error);
      made.emplace_back(socket, multihop);
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
      udp::endpoint from;
      iovec part{bytes, sizeof bytes};
      msghdr message{};
      message.msg_name = from.data();
      message.msg_namelen = static_cast<socklen_t>(from.capacity());
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t size = ::recvmsg(socket->native_handle(), &message, 0);
      if (size < 0) break;  // nothing more
      from.resize(message.msg_namelen);
      int hops = 0;
      for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at))
        if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TTL) || (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_HOPLIMIT))
          std::memcpy(&hops, CMSG_DATA(at), sizeof hops);
      receiver_({sender_of(from), multihop, hops, {bytes, static_cast<std::size_t>(size)}});
    }
  }
}

Result<std::unique_ptr<BfdSockets::Socket>> BfdSockets::connect(const IpAddress& neighbor, bool multihop) {
  const bool v4 = neighbor.family == IpFamily::v4;
  auto socket = std::make_unique<Socket>(executor_);
  error_code error;
  socket->open(protocol_of(neighbor.family), error);
  if (error) return failed("no socket", error);
  const int number = socket->native_handle();
  if (v4 ? !set(number, IPPROTO_IP, IP_TTL, ttl) : !set(number, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl)) return failed("IP_TTL");
  static_cast<void>(v4 ? set(number, IPPROTO_IP, IP_TOS, class_selector_6) : set(number, IPPROTO_IPV6, IPV6_TCLASS, class_selector_6));
  for (int i = 0; i < port_tries; ++i) {
    const auto port = static_cast<std::uint16_t>(first_source_port + rng_.next() % source_ports);
    socket->bind({protocol_of(neighbor.family), port}, error);
    if (!error) break;
  }
  if (error) return failed("no source port from 49152 on", error);
  socket->non_blocking(true, error);
  auto address = asio::ip::make_address(neighbor.without_zone().to_string(), error);
  if (address.is_v6()) address = asio::ip::address_v6{address.to_v6().to_bytes(), scope_id(neighbor)};
  if (!error) socket->connect({address, multihop ? bfd_multihop_port : bfd_port}, error);
  if (error) return failed(neighbor.to_string(), error);
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
  error_code error;
  sender->second->send(asio::buffer(bytes.data(), bytes.size()), 0, error);
  if (!error) return {};
  senders_.erase(sender);
  return failed(neighbor.to_string(), error);
}

}  // namespace berth
