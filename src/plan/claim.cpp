#include "plan/claim.hpp"

namespace berth {
namespace {

const std::string* annotation(const Service& service, std::string_view key) {
  const auto found = service.annotations.find(key);
  return found == service.annotations.end() ? nullptr : &found->second;
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

std::variant<Claim, SkipReason> judge_claim(const Service& service) {
  if (service.type != ServiceType::load_balancer) return SkipReason::not_load_balancer;
  const bool our_class = service.load_balancer_class == keys::load_balancer_class;
  if (service.load_balancer_class && !our_class) return SkipReason::foreign_class;
  if (!our_class) {
    const std::string* opt_in = annotation(service, keys::opt_in);
    if (opt_in == nullptr) return SkipReason::not_opted_in;
    if (*opt_in != keys::opt_in_value) return SkipReason::unknown_opt_in_value;
  }
  if (annotation(service, keys::node_proxy) != nullptr) return SkipReason::node_proxy;
  if (service.deleting) return SkipReason::deleting;

  Claim claim;
  if (const std::string* pool = annotation(service, keys::pool)) claim.pool = *pool;
  // The annotation wins over the deprecated field, as in OpenELB 0.6.
  if (const std::string* wanted = annotation(service, keys::wanted_ip); wanted != nullptr && !wanted->empty())
    claim.wanted_text = *wanted;
  else
    claim.wanted_text = service.load_balancer_ip;
  claim.wanted_ip = IpAddress::parse(claim.wanted_text);
  claim.families = service.families.empty() ? std::vector{IpFamily::v4} : service.families;
  claim.family = claim.families.front();
  return claim;
}

}  // namespace berth
