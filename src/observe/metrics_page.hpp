// One /metrics page in Prometheus' text format, made afresh at each scrape from what the parts count
// themselves: nothing is registered, so nothing can be forgotten or go stale.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "observe/metric_names.hpp"

namespace berth {

class MetricsPage {
 public:
  // `labels` in the order of the metric's own.
  void add(const MetricName& metric, double value, std::vector<std::string> labels = {});
  [[nodiscard]] std::string text() const;

 private:
  struct Sample {
    std::vector<std::string> labels;
    double value;
  };
  std::map<std::string_view, std::pair<const MetricName*, std::vector<Sample>>> samples_;
};

}  // namespace berth
