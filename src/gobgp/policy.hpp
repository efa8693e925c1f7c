// The routing policy of a user in GoBGP's own language (TOML, the tables global.apply-policy, defined-sets and policy-definitions of its
// configuration file), as OpenELB takes it. Pure. The text comes from a ConfigMap: it is bounded, and every mistake is told by its place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "gobgp.pb.h"

namespace berth::gobgp {

struct RoutingPolicy {
  std::vector<api::DefinedSet> sets;
  std::vector<api::Policy> policies;
  std::vector<std::string> exported;  // names of those that a route to a router goes through, in order
  bool reject_by_default = false;     // what none of these accepts
  std::vector<std::string> notes;     // what is there and has no effect, in words
  std::string text;                   // as written
  bool operator==(const RoutingPolicy& other) const { return text == other.text; }
};

// An empty text is an empty policy. Errors: invalid, with the place and what to write.
Result<RoutingPolicy> parse_policy(std::string_view text);

}  // namespace berth::gobgp
