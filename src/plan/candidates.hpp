// Which nodes may carry traffic for a Service, and why the others may not. Pure. Node rules exclude
// (labels, taints, NotReady); if they would exclude everybody, the last good set stays: stale beats
// none. Endpoints are a fact, not a suspicion: without any that serves, nothing is announced.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/probe.hpp"
#include "model/world.hpp"

namespace berth {

enum class NodeExclusion : std::uint8_t {
  exclude_label,        // node.kubernetes.io/exclude-from-external-load-balancers, whatever its value
  being_removed,        // the taint ToBeDeletedByClusterAutoscaler or out-of-service, or the Node is deleted
  network_unavailable,  // condition NetworkUnavailable is True
  not_ready,            // condition Ready is not True, and nothing shows that its data path lives
  unreachable,          // it answered probes and does not any more
};
std::string_view to_string(NodeExclusion exclusion);
// Somebody wants it so, and it works as before: what is under way on the node is waited for.
bool is_planned(NodeExclusion exclusion);

struct EligibleNodes {
  std::set<std::string> nodes;
  std::map<std::string, NodeExclusion> excluded;
  bool stale = false;  // the rules excluded everybody, `nodes` is the last good set
};

// `last_good` is what this function answered before, as far as it was not stale. `answering` is what probes say: a node that answers
// is kept though it is NotReady. If none of several answers, it is we who can't ask, and nothing follows.
EligibleNodes eligible_nodes(const Table<Node>& nodes, const std::set<std::string>& last_good, const AnsweringNodes& answering);

// The endpoints of one Service, merged over its slices.
struct ServiceEndpoints {
  std::set<std::string> ready_nodes;    // at least one ready endpoint
  std::set<std::string> serving_nodes;  // at least one that still serves, ready or terminating
  bool ready = false;                   // any at all, also without a node name
  bool serving = false;
};
void add_endpoints(const EndpointSlice& slice, ServiceEndpoints& to);

enum class CandidateReason : std::uint8_t {
  ok,
  no_endpoints,    // no endpoint is ready or serving
  no_local_nodes,  // policy Local and no eligible node has an endpoint
  no_nodes,        // there is no eligible node at all
};
std::string_view to_string(CandidateReason reason);

struct Candidates {
  std::set<std::string> nodes;
  CandidateReason reason = CandidateReason::ok;
};

// `fresh`: nodes whose first ready endpoint is so new that kube-proxy there may not know it yet. With policy Local they wait while others
// can do without them: such as are ready for longer, or else such whose endpoints end but still serve (KEP-1669).
Candidates candidates(const Service& service,
                      const ServiceEndpoints* endpoints,
                      const EligibleNodes& eligible,
                      const std::set<std::string>& fresh = {});

}  // namespace berth
