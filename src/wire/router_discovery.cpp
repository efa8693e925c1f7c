#include "wire/router_discovery.hpp"

namespace berth {
namespace {

constexpr int only_neighbors = 255;  // no router forwarded it
constexpr std::size_t unit = 8;      // of options' lengths

}  // namespace

std::optional<RouterMessage> parse_router_message(std::span<const std::uint8_t> message, int hop_limit) {
  if (message.size() < router_solicitation.size() || hop_limit != only_neighbors || message[1] != 0) return std::nullopt;
  const RouterMessage type{message[0]};
  if (type != RouterMessage::solicitation && type != RouterMessage::advertisement) return std::nullopt;
  std::size_t at = type == RouterMessage::solicitation ? router_solicitation.size() : router_advertisement.size();
  if (message.size() < at) return std::nullopt;
  while (at < message.size()) {
    const std::size_t length = message.size() - at < 2 ? 0 : message[at + 1] * unit;
    if (length == 0 || length > message.size() - at) return std::nullopt;
    at += length;
  }
  return type;
}

}  // namespace berth
