// MetalLB's objects as Eips, BgpConf and BgpPeers. What can't be carried over is named, with object and field. Pure.
#pragma once

#include <string>
#include <vector>

#include "kube/documents.hpp"

namespace berth {

struct MetalLbConversion {
  struct LeftOut {
    std::string object;  // "BGPPeer metallb-system/tor"
    std::string field;   // "spec.bfdProfile"; empty: all of it
    std::string text;    // why, and what to do
    auto operator<=>(const LeftOut&) const = default;
  };
  std::string manifests;  // YAML, for kubectl apply
  std::vector<LeftOut> left_out;
};

// Of IPAddressPools (and the older AddressPools), L2Advertisements, BGPAdvertisements, BGPPeers, BFDProfiles and Communities;
// other objects are passed over.
MetalLbConversion from_metallb(const std::vector<kube::Document>& documents);

// One line for each, as a person reads it.
std::string to_text(const std::vector<MetalLbConversion::LeftOut>& left_out);

}  // namespace berth
