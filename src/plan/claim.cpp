#include "plan/claim.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

constexpr std::size_t sharing_key_max = 253;

const std::string* annotation(const Service& service, std::string_view key) {
  const auto found = service.annotations.find(key);
  return found == service.annotations.end() ? nullptr : &found->second;
}

// The parts between commas, without blanks around them; empty ones are left out.
std::vector<std::string> parts(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) out.emplace_back(part);
    begin = end + 1;
  }
  return out;
}

// SingleStack has one family, whatever stands there; a Service of an old API server has none.
std::vector<FamilyClaim> families_of(const Service& service) {
  if (service.families.empty()) return {{IpFamily::v4, std::nullopt}};
  std::vector<FamilyClaim> out;
  for (const IpFamily family : service.families) {
    out.push_back({family, std::nullopt});
    if (service.family_policy == FamilyPolicy::single) break;
  }
  return out;
}

// One address for each family.
void read_wanted(const Service& service, Claim& claim) {
  // The annotation wins over the deprecated field, as in OpenELB 0.6.
  const std::string* noted = annotation(service, keys::wanted_ip);
  const bool is_noted = noted != nullptr && !noted->empty();
  const std::string& field = claim.wanted_by = is_noted ? "annotation " + std::string{keys::wanted_ip} : "spec.loadBalancerIP";
  for (const std::string& text : parts(is_noted ? *noted : service.load_balancer_ip)) {
    const auto ip = IpAddress::parse(text);
    if (!ip) {
      claim.problem = fmt::format("the wanted address \"{}\" is not an IP address: correct {}", clipped(text, 100), field);
      return;
    }
    const auto slot = std::ranges::find(claim.families, ip->family, &FamilyClaim::family);
    if (slot == claim.families.end()) {
      claim.problem = fmt::format("the wanted address {} is {}, which the Service does not have in spec.ipFamilies: correct {}",
                                  ip->to_string(), to_string(ip->family), field);
      return;
    }
    if (slot->wanted) {
      claim.problem = fmt::format("two {} addresses are wanted: a Service gets one of each family; correct {}", to_string(ip->family),
                                  field);
      return;
    }
    slot->wanted = *ip;
  }
}

void read_sharing(const Service& service, Claim& claim) {
  if (const std::string* key = annotation(service, keys::sharing_key)) claim.sharing_key = *key;
  if (const std::string* spaces = annotation(service, keys::sharing_namespaces)) claim.sharing_namespaces = parts(*spaces);
  if (claim.sharing_key.size() <= sharing_key_max) return;
  claim.sharing_key.clear();
  claim.problem = fmt::format("annotation {} is longer than {} bytes: shorten it", keys::sharing_key, sharing_key_max);
}

}  // namespace

std::string_view to_string(SkipReason reason) {
  switch (reason) {
    case SkipReason::not_load_balancer: return "not_load_balancer";
    case SkipReason::foreign_class: return "foreign_class";
    case SkipReason::not_opted_in: return "not_opted_in";
    case SkipReason::unknown_opt_in_value: return "unknown_opt_in_value";
    case SkipReason::node_proxy: return "node_proxy";
    case SkipReason::deleting: return "deleting";
  }
  return "unknown";
}

bool Claim::names_pool(std::string_view name) const { return std::ranges::find(pools, name) != pools.end(); }

std::variant<Claim, SkipReason> judge_claim(const Service& service, ClasslessServices classless) {
  if (service.type != ServiceType::load_balancer) return SkipReason::not_load_balancer;
  const bool our_class = service.load_balancer_class == keys::load_balancer_class;
  if (service.load_balancer_class && !our_class) return SkipReason::foreign_class;
  if (!our_class) {
    const std::string* opt_in = annotation(service, keys::opt_in);
    if (opt_in != nullptr && *opt_in != keys::opt_in_value) return SkipReason::unknown_opt_in_value;
    if (opt_in == nullptr && classless == ClasslessServices::annotated) return SkipReason::not_opted_in;
  }
  // With any other value it means nothing, as in OpenELB.
  if (const std::string* proxy = annotation(service, keys::node_proxy);
      proxy != nullptr && (*proxy == "deployment" || *proxy == "daemonset"))
    return SkipReason::node_proxy;
  if (service.deleting) return SkipReason::deleting;

  Claim claim;
  if (const std::string* pools = annotation(service, keys::pool)) claim.pools = parts(*pools);
  claim.families = families_of(service);
  claim.all_or_none = service.family_policy == FamilyPolicy::require_dual && claim.families.size() > 1;
  read_wanted(service, claim);
  read_sharing(service, claim);
  if (const std::string* mode = annotation(service, keys::ip_mode)) {
    if (*mode == "VIP" || *mode == "Proxy")
      claim.ip_mode = *mode;
    else
      claim.problem = fmt::format("annotation {} has the value \"{}\": write VIP or Proxy", keys::ip_mode, clipped(*mode, 100));
  }
  return claim;
}

}  // namespace berth
