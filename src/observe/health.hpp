// What /readyz and /healthz say. Parts are named, so that "not ready" says which part and why.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace berth {

struct HealthPart {
  std::string name;
  // Empty when ready, otherwise why not, in one line.
  std::function<std::string()> trouble;
};

// "ok" or "not ok" per part, one a line; `ready` is true when every part is.
struct HealthReport {
  bool ready = true;
  std::string text;
};
HealthReport report_health(const std::vector<HealthPart>& parts);

}  // namespace berth
