// What the parts count, put on the /metrics page. A new metric: a row in observe/metric_names.hpp and a
// line here.
#pragma once

#include <string>
#include <vector>

#include "kube/certificate_keeper.hpp"
#include "kube/event_recorder.hpp"
#include "kube/watch.hpp"
#include "kube/webhook.hpp"
#include "observe/health.hpp"
#include "observe/metrics_page.hpp"
#include "reconcile/controller.hpp"
#include "speak/bgp/speaker.hpp"

namespace berth {

struct MetricSources {
  const World* world = nullptr;
  std::string node;
  Instant now;
  bool leading = false;
  const Controller* controller = nullptr;  // null while another leads
  const BgpSpeaker* speaker = nullptr;     // null for the controller alone
  const BgpEngine* engine = nullptr;
  const kube::EventRecorder* events = nullptr;
  const kube::Webhook* webhook = nullptr;  // null for the speaker alone, or without --webhook-port
  const kube::CertificateKeeper* certificates = nullptr;
  std::vector<const kube::WatchHealth*> watches;
  const std::vector<HealthPart>* parts = nullptr;
};

std::string render_metrics(const MetricSources& sources);

}  // namespace berth
