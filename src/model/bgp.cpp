#include "model/bgp.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace berth {

void BgpAttributes::add(const BgpCommunity& community) {
  const auto place = std::ranges::lower_bound(communities, community);
  if (place == communities.end() || *place != community) communities.insert(place, community);
}

std::string to_string(const BgpCommunity& community) {
  std::string out = fmt::format("{}{}:{}", community.large ? "large:" : "", community.a, community.b);
  if (community.large) out += fmt::format(":{}", community.c);
  return out;
}

}  // namespace berth
