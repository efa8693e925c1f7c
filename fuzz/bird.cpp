// What BIRD may answer on its control socket, in pieces: it is read or refused, and what was read is within bounds.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.hpp"
#include "bird/replies.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth;
  if (size == 0) return 0;
  const std::size_t piece = data[0] + 1U;
  std::string_view left{reinterpret_cast<const char*>(data) + 1, size - 1};
  constexpr std::size_t limit = 4096;
  bird::ReplyReader reader{limit};
  bird::ReadRoutes read;
  while (!left.empty() && reader.feed(left.substr(0, piece))) {
    left.remove_prefix(std::min(piece, left.size()));
    while (reader.complete()) {
      const bird::Reply reply = reader.take();
      std::size_t bytes = 0;
      for (const auto& line : reply.lines) bytes += line.text.size();
      BERTH_CHECK(!reply.lines.empty() && bytes <= limit, "a reply has a line, and a bound");
      bird::routes_from(reply, read);
      for (const auto& protocol : bird::protocols_from(reply)) {
        BERTH_CHECK(!protocol.name.empty(), "a protocol has a name");
        BgpPeerConfig peer;
        peer.auth_password = "correct horse battery";
        const BgpPeerStatus status = bird::status_from(peer, {}, protocol);
        BERTH_CHECK(protocol.last_error.find(peer.auth_password) != std::string::npos ||
                        status.last_error.find(peer.auth_password) == std::string::npos,
                    "no password is told");
      }
    }
  }
  for (const auto& [route, path] : read.routes)
    BERTH_CHECK(route.address.family == route.next_hop.family, "a route's next hop is of its family");
  return 0;
}
