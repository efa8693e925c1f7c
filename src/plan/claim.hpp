// Whose Service is it? The first question about any Service: does it ask Berth for addresses, and
// what does it ask for. Pure; the reasons are what people see.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/objects.hpp"

namespace berth {

enum class SkipReason : std::uint8_t {
  not_load_balancer,     // spec.type is another
  foreign_class,         // spec.loadBalancerClass names another implementation
  not_opted_in,          // no class and no annotation lb.kubesphere.io/v1alpha1: openelb
  unknown_opt_in_value,  // that annotation has another value
  node_proxy,            // annotation node-proxy.openelb.kubesphere.io/type: not served by Berth yet
  deleting,              // the Service is on its way out
};
std::string_view to_string(SkipReason reason);

// Which Services without a class are ours.
enum class ClasslessServices : std::uint8_t {
  annotated,  // those with the opt-in annotation, as in OpenELB
  all,        // all but those whose opt-in annotation has another value
};

// One address that is asked for.
struct FamilyClaim {
  IpFamily family = IpFamily::v4;
  std::optional<IpAddress> wanted;  // this one or none
  bool operator==(const FamilyClaim&) const = default;
};

struct Claim {
  std::vector<std::string> pools;     // named by annotation, in order; empty: any
  std::vector<FamilyClaim> families;  // one address for each, in the order of spec.ipFamilies
  std::string wanted_by;              // the field that names wanted addresses, for messages
  bool all_or_none = false;           // RequireDualStack
  std::string sharing_key;
  std::vector<std::string> sharing_namespaces;  // others that may share, or "*"
  std::string ip_mode = "VIP";
  std::string problem;  // an annotation or field that makes no sense: its name, the rule; empty: none

  [[nodiscard]] bool names_pool(std::string_view name) const;
};

std::variant<Claim, SkipReason> judge_claim(const Service& service, ClasslessServices classless = ClasslessServices::annotated);

}  // namespace berth
