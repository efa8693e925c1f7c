// May several Services have one address? Only by consent, and only where they don't stand in each other's way.
#pragma once

#include <string>

#include "plan/claim.hpp"

namespace berth {

struct Sharer {
  const Service& service;
  const Claim& claim;
};

enum class SharingConsent : std::uint8_t {
  by_key,    // both have the same sharing key; of different namespaces each also names the other's
  implicit,  // whoever asks for the address joins it (OpenELB's way, Eip spec.implicitSharing)
};

// Why `joining` can't have the address that `holder` has, for people; empty: it can.
std::string sharing_obstacle(const Sharer& joining, const Sharer& holder, SharingConsent consent);

}  // namespace berth
