#include "plan/sharing.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace berth {
namespace {

bool names(const Claim& claim, const std::string& space) {
  return std::ranges::any_of(claim.sharing_namespaces, [&](const std::string& one) { return one == "*" || one == space; });
}

}  // namespace

std::string sharing_obstacle(const Sharer& joining, const Sharer& holder, SharingConsent consent) {
  const Service& mine = joining.service;
  const Service& theirs = holder.service;
  const std::string by = theirs.name.to_string();
  if (consent == SharingConsent::by_key) {
    if (holder.claim.sharing_key.empty()) return fmt::format("in use by {}, which does not share (annotation {})", by, keys::sharing_key);
    if (joining.claim.sharing_key != holder.claim.sharing_key)
      return fmt::format("in use by {}, whose sharing key is another (annotation {})", by, keys::sharing_key);
    if (mine.name.space != theirs.name.space && (!names(joining.claim, theirs.name.space) || !names(holder.claim, mine.name.space)))
      return fmt::format("in use by {} of another namespace: each of the two must name the other's namespace (annotation {})", by,
                         keys::sharing_namespaces);
  }
  for (const ServicePort& port : mine.ports)
    if (std::ranges::find(theirs.ports, port) != theirs.ports.end())
      return fmt::format("in use by {}, which has port {}/{} too", by, port.port, port.protocol);
  if (mine.external_traffic_policy != theirs.external_traffic_policy)
    return fmt::format("in use by {}, whose externalTrafficPolicy is another: the nodes that take their packets would differ", by);
  if (mine.external_traffic_policy == TrafficPolicy::local && mine.selector != theirs.selector)
    return fmt::format("in use by {}: with externalTrafficPolicy Local only Services with the same selector share", by);
  return "";
}

}  // namespace berth
