#include "policy.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace berth::sim {
namespace {

// The numbers of gobgpd's API.
constexpr std::uint32_t import_direction = 1, export_direction = 2;
constexpr std::uint32_t accept = 1, reject = 2;
constexpr std::uint32_t any_of_them = 1;
constexpr std::uint32_t route_of_ours = 3;
constexpr std::uint32_t add = 1, remove = 2, replace = 3;
constexpr std::uint32_t med_replace = 2;

using Large = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

std::vector<std::uint32_t> numbers(std::string_view text) {
  std::vector<std::uint32_t> out(1);
  for (const char c : text) {
    if (c == ':')
      out.push_back(0);
    else if (c >= '0' && c <= '9')
      out.back() = out.back() * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return out;
}
Large large_of(std::string_view text) {
  const auto parts = numbers(text);
  return {parts.at(0), parts.at(1), parts.at(2)};
}
std::uint32_t standard_of(std::string_view text) {
  const auto parts = numbers(text);
  return parts.at(0) << 16U | parts.at(1);
}

template <class Set, class Of>
void change(Set& communities, const api::CommunityAction& action, Of of) {
  if (action.type() == replace) communities.clear();
  for (const std::string& text : action.communities()) {
    if (action.type() == remove)
      communities.erase(of(text));
    else if (action.type() == add || action.type() == replace)
      communities.insert(of(text));
  }
}

}  // namespace

std::string show(const RouteSeen& route) {
  std::string out = "via " + route.next_hop.to_string();
  for (const std::uint32_t community : route.communities) out += fmt::format(" {}:{}", community >> 16U, community & 0xFFFFU);
  for (const auto& [a, b, c] : route.large_communities) out += fmt::format(" {}:{}:{}", a, b, c);
  if (route.med) out += fmt::format(" med {}", *route.med);
  if (route.local_pref) out += fmt::format(" local pref {}", *route.local_pref);
  if (route.prepended > 0) out += fmt::format(" prepended {}", route.prepended);
  return out;
}

Result<> SimulatedPolicies::set(const api::SetPoliciesRequest& request) {
  std::map<std::string, api::Policy> policies;
  for (const api::Policy& policy : request.policies())
    if (policy.statements_size() > 0) policies.emplace(policy.name(), policy);
  for (const auto& [direction, assignment] : assigned_)
    for (const std::string& name : assignment.policies)
      if (!policies.contains(name)) return fail(ErrorCode::internal, "not found policy " + name);
  policies_ = std::move(policies);
  sets_.clear();
  for (const api::DefinedSet& set : request.defined_sets()) sets_.emplace(set.name(), set);
  return {};
}

Result<> SimulatedPolicies::assign(const api::SetPolicyAssignmentRequest& request) {
  const api::PolicyAssignment& from = request.assignment();
  if (from.name() != "global" || (from.direction() != import_direction && from.direction() != export_direction))
    return fail(ErrorCode::internal, "no such assignment");
  Assignment assignment;
  for (const api::Policy& policy : from.policies()) {
    if (!policies_.contains(policy.name())) return fail(ErrorCode::internal, "not found policy " + policy.name());
    assignment.policies.push_back(policy.name());
  }
  assignment.accepts = from.default_action() != reject;
  assigned_.insert_or_assign(from.direction(), std::move(assignment));
  return {};
}

bool SimulatedPolicies::imports(bool local) const { return judge(import_direction, nullptr, local, {}).accepted; }

std::optional<RouteSeen> SimulatedPolicies::exported(const IpAddress& neighbor, bool local, RouteSeen route) const {
  Verdict verdict = judge(export_direction, &neighbor, local, std::move(route));
  if (!verdict.accepted) return std::nullopt;
  return std::move(verdict.route);
}

SimulatedPolicies::Verdict SimulatedPolicies::judge(std::uint32_t direction, const IpAddress* neighbor, bool local, RouteSeen route) const {
  const auto assigned = assigned_.find(direction);
  if (assigned == assigned_.end()) return {true, std::move(route)};
  for (const std::string& name : assigned->second.policies)
    for (const api::Statement& statement : policies_.at(name).statements()) {
      if (!matches(statement.conditions(), neighbor, local, route)) continue;
      const api::Statement::Actions& actions = statement.actions();
      change(route.communities, actions.community(), standard_of);
      change(route.large_communities, actions.large_community(), large_of);
      if (actions.has_med() && actions.med().type() == med_replace) route.med = static_cast<std::uint32_t>(actions.med().value());
      if (actions.has_local_pref()) route.local_pref = actions.local_pref().value();
      route.prepended += actions.as_prepend().repeat();
      if (actions.route_action() == accept) return {true, std::move(route)};
      if (actions.route_action() == reject) return {false, {}};
    }
  return {assigned->second.accepts, std::move(route)};
}

bool SimulatedPolicies::matches(const api::Statement::Conditions& conditions,
                                const IpAddress* neighbor,
                                bool local,
                                const RouteSeen& route) const {
  if (conditions.route_type() == route_of_ours && !local) return false;
  if (conditions.has_neighbor_set() && (neighbor == nullptr || conditions.neighbor_set().type() != any_of_them ||
                                        !has_neighbor(conditions.neighbor_set().name(), *neighbor)))
    return false;
  return !conditions.has_large_community_set() ||
         (conditions.large_community_set().type() == any_of_them && has_community(conditions.large_community_set().name(), route));
}

bool SimulatedPolicies::has_neighbor(const std::string& set, const IpAddress& neighbor) const {
  const auto found = sets_.find(set);
  const std::string text = fmt::format("{}/{}", neighbor.to_string(), neighbor.bits());
  return found != sets_.end() && std::ranges::find(found->second.list(), text) != found->second.list().end();
}

bool SimulatedPolicies::has_community(const std::string& set, const RouteSeen& route) const {
  const auto found = sets_.find(set);
  return found != sets_.end() && std::ranges::any_of(found->second.list(), [&](const std::string& pattern) {
           const auto [a, b, c] = large_of(pattern);
           if (!pattern.ends_with(':')) return route.large_communities.contains({a, b, c});
           return std::ranges::any_of(route.large_communities,
                                      [&](const Large& one) { return std::get<0>(one) == a && std::get<1>(one) == b; });
         });
}

}  // namespace berth::sim
