// What is said of an object that somebody wants to write, before it is stored.
#pragma once

#include <string>
#include <vector>

namespace berth {

struct Admission {
  std::string refusal;                // empty: allowed. Names the field, the rule and the cure
  std::vector<std::string> warnings;  // legal, but hardly meant
  [[nodiscard]] bool allowed() const { return refusal.empty(); }
  bool operator==(const Admission&) const = default;
};

}  // namespace berth
