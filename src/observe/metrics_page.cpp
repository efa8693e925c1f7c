#include "observe/metrics_page.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "base/check.hpp"

namespace berth {
namespace {

std::vector<std::string> split(std::string_view names) {
  std::vector<std::string> out;
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    out.emplace_back(names.substr(0, comma));
    names = comma == std::string_view::npos ? std::string_view{} : names.substr(comma + 1);
  }
  return out;
}

}  // namespace

void MetricsPage::add(const MetricName& metric, double value, std::vector<std::string> labels) {
  auto& [name, list] = samples_[metric.name];
  name = &metric;
  list.push_back({std::move(labels), value});
}

std::string MetricsPage::text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& [name, entry] : samples_) {
    const MetricName& metric = *entry.first;
    const std::vector<std::string> labels = split(metric.labels);
    prometheus::MetricFamily family;
    family.name = std::string{name};
    family.help = std::string{metric.help};
    family.type = metric.type == MetricType::counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    for (const Sample& sample : entry.second) {
      BERTH_CHECK(sample.labels.size() == labels.size(), "a metric has the labels that metric_names.hpp says");
      prometheus::ClientMetric one;
      for (std::size_t i = 0; i < labels.size(); ++i) one.label.push_back({labels[i], sample.labels[i]});
      one.counter.value = sample.value;
      one.gauge.value = sample.value;
      family.metric.push_back(std::move(one));
    }
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer{}.Serialize(families);
}

}  // namespace berth
