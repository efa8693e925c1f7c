// The BFD control packet, RFC 5880 §4.1, without an authentication section: Berth offers none, and drops what has one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

namespace berth {

enum class BfdState : std::uint8_t { admin_down, down, init, up };  // as on the wire
std::string_view to_string(BfdState state);                         // AdminDown, Down, Init, Up

// Why a session went down last (RFC 5880 §4.1). Numbers beyond these may come from the wire; they are kept.
enum class BfdDiagnostic : std::uint8_t {
  none,
  detection_time_expired,
  echo_failed,
  neighbor_signaled_down,
  forwarding_plane_reset,
  path_down,
  concatenated_path_down,
  administratively_down,
  reverse_concatenated_path_down,
};
std::string_view to_string(BfdDiagnostic diagnostic);  // in words; "reserved" for a number that has none

struct BfdPacket {
  BfdDiagnostic diagnostic = BfdDiagnostic::none;
  BfdState state = BfdState::down;
  bool poll = false;
  bool final = false;
  bool control_plane_independent = false;
  bool demand = false;
  std::uint8_t detect_multiplier = 3;
  std::uint32_t my_discriminator = 0;
  std::uint32_t your_discriminator = 0;
  std::uint32_t desired_min_tx_us = 0;
  std::uint32_t required_min_rx_us = 0;
  std::uint32_t required_min_echo_rx_us = 0;  // 0: no echo
  bool operator==(const BfdPacket&) const = default;
};

constexpr std::size_t bfd_packet_size = 24;
std::array<std::uint8_t, bfd_packet_size> to_bytes(const BfdPacket& packet);

// The rules of RFC 5880 §6.8.6 that need no session, in its order.
enum class BfdDrop : std::uint8_t {
  too_short,
  bad_version,
  bad_length,
  zero_multiplier,
  multipoint,
  zero_discriminator,
  no_discriminator,  // "your discriminator" is 0 in a state that needs one
  authenticated,
};
std::string_view to_string(BfdDrop drop);  // for metrics: too_short, bad_version, ...

std::variant<BfdPacket, BfdDrop> parse_bfd(std::span<const std::uint8_t> bytes);

}  // namespace berth
