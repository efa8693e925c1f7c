// Router discovery, RFC 4861 §4.1 and §4.2, as far as two routers need it that find each other on a link: a solicitation and an
// advertisement without options. Ours says that it is no default router (lifetime 0), so that no host takes a way by it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace berth {

enum class RouterMessage : std::uint8_t { solicitation = 133, advertisement = 134 };  // as on the wire

// The kernel fills the checksum in.
constexpr std::array<std::uint8_t, 8> router_solicitation{133};
constexpr std::array<std::uint8_t, 16> router_advertisement{134};

// An ICMPv6 message whose checksum the kernel found right. Absent: it is none of these, or breaks a rule of §6.1.1 or §6.1.2 that is about
// the message alone: hop limit 255, code 0, length, no option of length 0.
std::optional<RouterMessage> parse_router_message(std::span<const std::uint8_t> message, int hop_limit);

}  // namespace berth
