#include "model/bgp.hpp"

#include <algorithm>

namespace berth {

void BgpAttributes::add(const BgpCommunity& community) {
  const auto place = std::ranges::lower_bound(communities, community);
  if (place == communities.end() || *place != community) communities.insert(place, community);
}

}  // namespace berth
