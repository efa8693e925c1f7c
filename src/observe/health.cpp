#include "observe/health.hpp"

namespace berth {

HealthReport report_health(const std::vector<HealthPart>& parts) {
  HealthReport report;
  for (const HealthPart& part : parts) {
    const std::string trouble = part.trouble();
    if (!trouble.empty()) report.ready = false;
    report.text += part.name + (trouble.empty() ? ": ok" : ": " + trouble) + "\n";
  }
  report.text += report.ready ? "ready\n" : "not ready\n";
  return report;
}

}  // namespace berth
