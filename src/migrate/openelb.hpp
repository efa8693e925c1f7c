// What Berth would do differently in an OpenELB 0.5 or 0.6 cluster, told before it is started there. The rules are not told a
// second time here: the production planner works on what was read (settle.hpp), and the report compares. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/allocate.hpp"

namespace berth {

// An object of OpenELB's own installation.
struct OpenElbObject {
  std::string kind;  // as kubectl has it: daemonset
  std::string space;  // empty: cluster-scoped
  std::string name;
  std::string path;   // where the API server has it
  bool operator==(const OpenElbObject&) const = default;
};
// All that OpenELB 0.5 and 0.6 install, in the order in which they are to be removed.
std::vector<OpenElbObject> openelb_installation(const std::string& space);

struct CheckReport {
  struct Finding {
    std::string object;  // "Service shop/web"
    std::string text;
    auto operator<=>(const Finding&) const = default;
  };
  std::size_t kept = 0;     // Services that keep the addresses they have
  std::size_t without = 0;  // that had none, and would have none
  std::vector<Finding> changes;  // what somebody would notice
  std::vector<Finding> notes;    // what is different, and harms nobody
  std::vector<OpenElbObject> removals;
  bool looked_for_installation = false;
  [[nodiscard]] bool nothing_changes() const { return changes.empty(); }
};

// `found`: which of openelb_installation() are there; nothing: nobody looked.
CheckReport check_openelb(const World& world, const std::optional<std::vector<OpenElbObject>>& found, const AllocationOptions& options);

std::string to_text(const CheckReport& report);

}  // namespace berth
