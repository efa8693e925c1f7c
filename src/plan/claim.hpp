// Whose Service is it? The first question about any Service: does it ask Berth for an address, and
// what does it ask for. Pure; the reasons are what people see.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "model/objects.hpp"

namespace berth {

enum class SkipReason : std::uint8_t {
  not_load_balancer,    // spec.type is another
  foreign_class,        // spec.loadBalancerClass names another implementation
  not_opted_in,         // no class and no annotation lb.kubesphere.io/v1alpha1: openelb
  unknown_opt_in_value, // that annotation has another value
  node_proxy,           // annotation node-proxy.openelb.kubesphere.io/type: not served by Berth yet
  deleting,             // the Service is on its way out
};
std::string_view to_string(SkipReason reason);

struct Claim {
  std::string pool;                     // named by annotation, or empty
  std::string wanted_text;              // the wanted IP as written, or empty
  std::optional<IpAddress> wanted_ip;   // absent also when wanted_text is no address
  IpFamily family = IpFamily::v4;       // the first of spec.ipFamilies
  std::vector<IpFamily> families;       // all that the Service has
};

std::variant<Claim, SkipReason> judge_claim(const Service& service);

}  // namespace berth
