#include "app/metrics.hpp"

#include <map>

namespace berth {
namespace {

double number(std::uint64_t value) { return static_cast<double>(value); }

// OpenELB's numbers for the states of a session.
double state_number(SessionState state) {
  return state == SessionState::unknown ? 0 : static_cast<double>(state) - static_cast<double>(SessionState::idle);
}

void add_watches(MetricsPage& page, const MetricSources& from) {
  for (const kube::WatchHealth* watch : from.watches) {
    page.add(metric::berth_watch_synced, watch->synced ? 1 : 0, {watch->kind});
    if (watch->synced) page.add(metric::berth_watch_age_seconds, seconds(from.now - watch->heard), {watch->kind});
    page.add(metric::berth_watch_lists_total, number(watch->lists), {watch->kind});
    page.add(metric::berth_watch_events_total, number(watch->events), {watch->kind});
  }
}

void add_controller(MetricsPage& page, const Controller& controller, const World& world) {
  const AddressPlanner& planner = controller.planner();
  for (const auto& [name, pool] : world.pools.rows()) {
    page.add(metric::addresses_total, static_cast<double>(pool.size()), {name});
    page.add(metric::addresses_in_use_total, number(planner.addresses_in_use(name)), {name});
  }
  page.add(metric::berth_services_allocated, number(planner.allocated()));
  for (const auto& [reason, count] : planner.count_pending())
    page.add(metric::berth_services_pending, number(count), {std::string{to_string(reason)}});
  page.add(metric::berth_controller_open_services, number(planner.open()));
  page.add(metric::berth_controller_writes_waiting, number(controller.queued()));
  page.add(metric::berth_controller_writes_in_flight, number(controller.in_flight()));
  const ControllerCounters& counters = controller.counters();
  page.add(metric::berth_controller_plans_total, number(counters.plans));
  page.add(metric::berth_controller_plan_seconds, counters.last_plan_seconds);
  page.add(metric::berth_controller_writes_total, number(counters.block_writes), {"block"});
  page.add(metric::berth_controller_writes_total, number(counters.service_writes), {"service"});
  page.add(metric::berth_controller_writes_total, number(counters.pool_status_writes), {"pool_status"});
  page.add(metric::berth_controller_conflicts_total, number(counters.conflicts));
  page.add(metric::berth_controller_errors_total, number(counters.errors));
  page.add(metric::berth_addresses_assigned_total, number(counters.assigned));
  page.add(metric::berth_allocation_seconds_total, counters.allocation_seconds);
  page.add(metric::berth_addresses_released_total, number(counters.released));
}

void add_speaker(MetricsPage& page, const MetricSources& from) {
  const BgpSpeaker& speaker = *from.speaker;
  std::map<std::string, std::uint64_t> verdicts;
  for (const auto& [ip, verdict] : speaker.route_plan().verdicts) ++verdicts[std::string{to_string(verdict.reason)}];
  for (const auto& [reason, count] : verdicts) page.add(metric::berth_announcements, number(count), {reason});
  for (const BgpPeerStatus& session : speaker.sessions()) {
    const std::vector<std::string> labels{session.neighbor_address, from.node};
    page.add(metric::session_up, state_number(session.session_state), labels);
    page.add(metric::updates_total, number(session.received.update), labels);
    page.add(metric::berth_bgp_session_established, session.session_state == SessionState::established ? 1 : 0, labels);
  }
  for (const auto& [node, answers] : speaker.answering()) page.add(metric::berth_node_answers, answers ? 1 : 0, {node});
  for (const BfdStatus& session : speaker.bfd().sessions) {
    const std::string neighbor = session.neighbor.to_string();
    page.add(metric::berth_bfd_up, session.up ? 1 : 0, {neighbor, from.node});
    page.add(metric::berth_bfd_downs_total, number(session.downs), {neighbor, from.node});
    page.add(metric::berth_bfd_stalls_total, number(session.stalls), {neighbor, from.node});
    page.add(metric::berth_bfd_packets_total, number(session.sent), {neighbor, from.node, "sent"});
    page.add(metric::berth_bfd_packets_total, number(session.received), {neighbor, from.node, "received"});
    page.add(metric::berth_bfd_detection_seconds, seconds(session.detection_time), {neighbor, from.node});
  }
  for (const auto& [reason, count] : speaker.bfd().drops) page.add(metric::berth_bfd_dropped_total, number(count), {reason});
  page.add(metric::berth_speaker_plan_seconds, speaker.counters().last_plan_seconds);
  page.add(metric::berth_speaker_apply_seconds, speaker.counters().last_apply_seconds);
  page.add(metric::berth_bgp_convergences_total, number(speaker.counters().convergences));
  page.add(metric::berth_bgp_convergence_seconds_total, speaker.counters().convergence_seconds);
  const BgpEngineCounters counters = from.engine->counters();
  page.add(metric::berth_bgp_engine_running, from.engine->running() ? 1 : 0);
  page.add(metric::berth_bgp_routes, number(from.engine->routes().size()));
  page.add(metric::berth_bgp_engine_starts_total, number(counters.starts));
  page.add(metric::berth_bgp_routes_added_total, number(counters.paths_added));
  page.add(metric::berth_bgp_routes_withdrawn_total, number(counters.paths_withdrawn));
  page.add(metric::berth_bgp_drift_repaired_total, number(counters.drift_repaired));
  page.add(metric::berth_bgp_errors_total, number(counters.errors));
}

void add_webhook(MetricsPage& page, const kube::Webhook& webhook, const kube::CertificateKeeper& certificates) {
  const kube::WebhookCounters& counters = webhook.counters();
  page.add(metric::berth_webhook_listening, webhook.port() != 0 ? 1 : 0);
  page.add(metric::berth_webhook_requests_total, number(counters.allowed), {"allowed"});
  page.add(metric::berth_webhook_requests_total, number(counters.refused), {"refused"});
  page.add(metric::berth_webhook_requests_total, number(counters.malformed), {"malformed"});
  if (const auto expires = certificates.expires())
    page.add(metric::berth_webhook_certificate_expiry_timestamp_seconds, seconds(expires->since_epoch));
}

}  // namespace

std::string render_metrics(const MetricSources& from) {
  MetricsPage page;
  page.add(metric::berth_build_info, 1, {BERTH_VERSION});
  page.add(metric::berth_leader, from.leading ? 1 : 0);
  for (const HealthPart& part : *from.parts) page.add(metric::berth_ready, part.trouble().empty() ? 1 : 0, {part.name});
  add_watches(page, from);
  if (from.events != nullptr) {
    page.add(metric::berth_events_written_total, number(from.events->written()));
    page.add(metric::berth_events_dropped_total, number(from.events->dropped()));
  }
  if (from.webhook != nullptr) add_webhook(page, *from.webhook, *from.certificates);
  if (from.controller != nullptr) add_controller(page, *from.controller, *from.world);
  if (from.speaker != nullptr) add_speaker(page, from);
  return page.text();
}

}  // namespace berth
