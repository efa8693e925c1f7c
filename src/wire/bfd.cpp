#include "wire/bfd.hpp"

namespace berth {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t poll_bit = 0x20, final_bit = 0x10, independent_bit = 0x08, authentication_bit = 0x04, demand_bit = 0x02,
                       multipoint_bit = 0x01;

std::uint32_t read_u32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 | std::uint32_t{bytes[at + 2]} << 8 |
         std::uint32_t{bytes[at + 3]};
}

void write_u32(std::span<std::uint8_t> bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

std::string_view to_string(BfdState state) {
  switch (state) {
    case BfdState::admin_down: return "AdminDown";
    case BfdState::down: return "Down";
    case BfdState::init: return "Init";
    case BfdState::up: return "Up";
  }
  return "";
}

std::string_view to_string(BfdDiagnostic diagnostic) {
  switch (diagnostic) {
    case BfdDiagnostic::none: return "none";
    case BfdDiagnostic::detection_time_expired: return "nothing was heard for the detection time";
    case BfdDiagnostic::echo_failed: return "echo function failed";
    case BfdDiagnostic::neighbor_signaled_down: return "the neighbour says that its session is down";
    case BfdDiagnostic::forwarding_plane_reset: return "forwarding plane reset";
    case BfdDiagnostic::path_down: return "path down";
    case BfdDiagnostic::concatenated_path_down: return "concatenated path down";
    case BfdDiagnostic::administratively_down: return "taken down by its administrator";
    case BfdDiagnostic::reverse_concatenated_path_down: return "reverse concatenated path down";
  }
  return "reserved";
}

std::string_view to_string(BfdDrop drop) {
  switch (drop) {
    case BfdDrop::too_short: return "too_short";
    case BfdDrop::bad_version: return "bad_version";
    case BfdDrop::bad_length: return "bad_length";
    case BfdDrop::zero_multiplier: return "zero_multiplier";
    case BfdDrop::multipoint: return "multipoint";
    case BfdDrop::zero_discriminator: return "zero_discriminator";
    case BfdDrop::no_discriminator: return "no_discriminator";
    case BfdDrop::authenticated: return "authenticated";
  }
  return "";
}

std::array<std::uint8_t, bfd_packet_size> to_bytes(const BfdPacket& packet) {
  std::array<std::uint8_t, bfd_packet_size> out{};
  out[0] = static_cast<std::uint8_t>(version << 5 | static_cast<std::uint8_t>(packet.diagnostic));
  out[1] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(packet.state) << 6 | (packet.poll ? poll_bit : 0) |
                                     (packet.final ? final_bit : 0) | (packet.control_plane_independent ? independent_bit : 0) |
                                     (packet.demand ? demand_bit : 0));
  out[2] = packet.detect_multiplier;
  out[3] = bfd_packet_size;
  write_u32(out, 4, packet.my_discriminator);
  write_u32(out, 8, packet.your_discriminator);
  write_u32(out, 12, packet.desired_min_tx_us);
  write_u32(out, 16, packet.required_min_rx_us);
  write_u32(out, 20, packet.required_min_echo_rx_us);
  return out;
}

std::variant<BfdPacket, BfdDrop> parse_bfd(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < bfd_packet_size) return BfdDrop::too_short;
  const std::uint8_t flags = bytes[1];
  const std::size_t length = bytes[3];
  if (bytes[0] >> 5 != version) return BfdDrop::bad_version;
  if (length < ((flags & authentication_bit) != 0 ? bfd_packet_size + 2 : bfd_packet_size) || length > bytes.size())
    return BfdDrop::bad_length;
  if (bytes[2] == 0) return BfdDrop::zero_multiplier;
  if ((flags & multipoint_bit) != 0) return BfdDrop::multipoint;
  BfdPacket out{
      .diagnostic = static_cast<BfdDiagnostic>(bytes[0] & 0x1F),
      .state = static_cast<BfdState>(flags >> 6),
      .poll = (flags & poll_bit) != 0,
      .final = (flags & final_bit) != 0,
      .control_plane_independent = (flags & independent_bit) != 0,
      .demand = (flags & demand_bit) != 0,
      .detect_multiplier = bytes[2],
      .my_discriminator = read_u32(bytes, 4),
      .your_discriminator = read_u32(bytes, 8),
      .desired_min_tx_us = read_u32(bytes, 12),
      .required_min_rx_us = read_u32(bytes, 16),
      .required_min_echo_rx_us = read_u32(bytes, 20),
  };
  if (out.my_discriminator == 0) return BfdDrop::zero_discriminator;
  if (out.your_discriminator == 0 && out.state != BfdState::down && out.state != BfdState::admin_down) return BfdDrop::no_discriminator;
  if ((flags & authentication_bit) != 0) return BfdDrop::authenticated;
  return out;
}

}  // namespace berth
