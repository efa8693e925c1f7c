// gobgpd's policies, as far as Berth uses them, carried out as they were sent: defined sets, statements in order, the first that decides.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "gobgp.pb.h"
#include "wire.hpp"

namespace berth::sim {

class SimulatedPolicies {
 public:
  // Replaces all policies. What is assigned stays assigned, by name; an error changes nothing.
  Result<> set(const api::SetPoliciesRequest& request);
  Result<> assign(const api::SetPolicyAssignmentRequest& request);

  // Whether a route of ours (local), or of a router, gets into the table.
  [[nodiscard]] bool imports(bool local) const;
  // As `neighbor` gets it; absent: it does not.
  [[nodiscard]] std::optional<RouteSeen> exported(const IpAddress& neighbor, bool local, RouteSeen route) const;

 private:
  struct Assignment {
    std::vector<std::string> policies;
    bool accepts = true;  // what no statement decides
  };
  struct Verdict {
    bool accepted = true;
    RouteSeen route;
  };
  [[nodiscard]] Verdict judge(std::uint32_t direction, const IpAddress* neighbor, bool local, RouteSeen route) const;
  [[nodiscard]] bool matches(const api::Statement::Conditions& conditions,
                             const IpAddress* neighbor,
                             bool local,
                             const RouteSeen& route) const;
  [[nodiscard]] bool has_neighbor(const std::string& set, const IpAddress& neighbor) const;
  [[nodiscard]] bool has_community(const std::string& set, const RouteSeen& route) const;

  std::map<std::string, api::DefinedSet> sets_;
  std::map<std::string, api::Policy> policies_;
  std::map<std::uint32_t, Assignment> assigned_;  // by direction
};

}  // namespace berth::sim
