// BFD packets to a session, 25 bytes each: how long after the one before, then the packet. What parse_bfd() takes reads back the
// same; the session stays in the states of RFC 5880 and sends only what parse_bfd() takes, never in a storm.
#include <algorithm>
#include <cstdint>
#include <span>

#include "base/check.hpp"
#include "base/testing/seeded_rng.hpp"
#include "speak/bfd/session.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

struct Run {
  testing::SeededRng rng{1};
  Instant now{1h};
  BfdSession session{{.min_tx = 50ms, .min_rx = 50ms}, 7, rng, now};

  void look() {
    for (const BfdPacket& packet : session.take_packets())
      BERTH_CHECK(std::holds_alternative<BfdPacket>(parse_bfd(to_bytes(packet))), "what is sent may be sent");
    BERTH_CHECK(session.state() != BfdState::admin_down, "only its owner ends a session");
    BERTH_CHECK(session.transmit_interval() >= Duration::zero() && session.detection_time() >= Duration::zero(), "times are not negative");
  }
  void advance(Duration by) {
    const Instant end = now + by;
    int wakes = 0;
    while (session.next() && *session.next() <= end) {
      now = std::max(now, *session.next());
      session.tick(now, {});
      look();
      BERTH_CHECK(++wakes < 200, "it does not ask to be woken all the time");
    }
    now = end;
  }
};

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth;
  Run run;
  std::span<const std::uint8_t> left{data, std::min<std::size_t>(size, 4096)};
  while (!left.empty()) {
    const Duration wait = left[0] * std::chrono::milliseconds{10};
    left = left.subspan(1);
    const auto bytes = left.first(std::min(left.size(), bfd_packet_size));
    left = left.subspan(bytes.size());
    run.advance(wait);
    const auto parsed = parse_bfd(bytes);
    if (!std::holds_alternative<BfdPacket>(parsed)) continue;
    const auto& packet = std::get<BfdPacket>(parsed);
    const auto again = to_bytes(packet);
    const auto twice = parse_bfd(again);
    BERTH_CHECK(std::holds_alternative<BfdPacket>(twice) && std::get<BfdPacket>(twice) == packet, "a packet reads back as it was");
    run.session.receive(packet, run.now);
    run.look();
  }
  return 0;
}
