// Every metric that Berth shows, in one table: name, type, labels, what it says and in which unit.
// docs/metrics.md is made of it, and a test refuses a metric that is not in it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace berth {

enum class MetricType : std::uint8_t { counter, gauge };

struct MetricName {
  std::string_view name;
  MetricType type;
  std::string_view labels;  // comma separated
  std::string_view help;
};

// The first four are OpenELB's, names and labels unchanged.
#define BERTH_METRICS(X)                                                                                                               \
  X(addresses_total, gauge, "eipName", "Addresses in the pool.")                                                                       \
  X(addresses_in_use_total, gauge, "eipName", "Addresses of the pool that are allocated.")                                             \
  X(session_up, gauge, "peerIP,nodeName",                                                                                              \
    "State of the BGP session: IDLE 0, CONNECT 1, ACTIVE 2, OPENSENT 3, OPENCONFIRM 4, ESTABLISHED 5.")                                \
  X(updates_total, gauge, "peerIP,nodeName", "UPDATE messages received from the BGP peer since the session began.")                    \
  X(berth_build_info, gauge, "version", "Always 1; the label has the version.")                                                        \
  X(berth_leader, gauge, "", "1 while this process is the controller.")                                                                \
  X(berth_ready, gauge, "part", "1 if this part is ready; all parts together are /readyz.")                                            \
  X(berth_watch_synced, gauge, "kind", "1 once the objects of this kind have been listed.")                                            \
  X(berth_watch_age_seconds, gauge, "kind", "Since the newest list, event or bookmark of this kind.")                                  \
  X(berth_watch_lists_total, counter, "kind", "Complete lists of this kind.")                                                          \
  X(berth_watch_events_total, counter, "kind", "Watch events of this kind.")                                                           \
  X(berth_events_written_total, counter, "", "Kubernetes Events written.")                                                             \
  X(berth_events_dropped_total, counter, "", "Kubernetes Events given up.")                                                            \
  X(berth_services_allocated, gauge, "", "Services that hold an address. The leader only.")                                            \
  X(berth_services_pending, gauge, "reason", "Services that want an address and have none, by the first reason. The leader only.")     \
  X(berth_controller_plans_total, counter, "", "Plans made by the controller.")                                                        \
  X(berth_controller_plan_seconds, gauge, "", "Duration of the newest plan.")                                                          \
  X(berth_controller_writes_total, counter, "object", "Writes by the controller: block, service or pool_status.")                      \
  X(berth_controller_open_services, gauge, "", "Services with anything to do for, or to tell about.")                                  \
  X(berth_controller_writes_waiting, gauge, "", "Services whose write or read waits for its turn, or after a failure.")                \
  X(berth_controller_writes_in_flight, gauge, "", "Requests of the controller under way.")                                             \
  X(berth_controller_conflicts_total, counter, "", "Writes refused because the object had changed; they are planned anew.")            \
  X(berth_controller_errors_total, counter, "", "Writes that failed for another reason; they are tried again.")                        \
  X(berth_addresses_assigned_total, counter, "", "Addresses given to Services by this process.")                                       \
  X(berth_allocation_seconds_total, counter, "",                                                                                       \
    "Time from the first sight of a claim to its address shown, summed up; divided by berth_addresses_assigned_total: the mean.")      \
  X(berth_addresses_released_total, counter, "", "Addresses taken back by this process.")                                              \
  X(berth_webhook_listening, gauge, "", "1 while the admission webhook takes requests.")                                               \
  X(berth_webhook_requests_total, counter, "result", "Requests to the admission webhook: allowed, refused or malformed.")              \
  X(berth_webhook_certificate_expiry_timestamp_seconds, gauge, "", "When the webhook's certificate ends, as Unix time.")               \
  X(berth_announcements, gauge, "reason", "Allocated addresses by what this speaker does with them: announced, or why not.")           \
  X(berth_bgp_routes, gauge, "", "Routes in the BGP engine's table.")                                                                  \
  X(berth_bgp_session_established, gauge, "peerIP,nodeName", "1 while the BGP session is established.")                                \
  X(berth_bgp_engine_running, gauge, "", "1 while the BGP engine answers.")                                                            \
  X(berth_bgp_engine_starts_total, counter, "", "Starts of the BGP engine's process.")                                                 \
  X(berth_bgp_routes_added_total, counter, "", "Routes given to the BGP engine.")                                                      \
  X(berth_bgp_routes_withdrawn_total, counter, "", "Routes taken from the BGP engine.")                                                \
  X(berth_bgp_drift_repaired_total, counter, "", "Differences in the engine that nobody had announced, found by reading back.")        \
  X(berth_bgp_errors_total, counter, "", "Calls to the BGP engine that failed.")                                                       \
  X(berth_bfd_up, gauge, "peerIP,nodeName", "1 while the BFD session with the peer is up.")                                            \
  X(berth_bfd_downs_total, counter, "peerIP,nodeName", "Times that the BFD session left Up.")                                          \
  X(berth_bfd_stalls_total, counter, "peerIP,nodeName",                                                                                \
    "Times that a silence was this process's own, which had not run; no session goes down for that.")                                  \
  X(berth_bfd_packets_total, counter, "peerIP,nodeName,direction", "BFD packets: sent or received.")                                   \
  X(berth_bfd_detection_seconds, gauge, "peerIP,nodeName", "Silence after which the peer is taken for dead, as negotiated.")           \
  X(berth_bfd_dropped_total, counter, "reason", "BFD packets that were dropped.")                                                      \
  X(berth_node_answers, gauge, "node", "1 if the node answers probes, 0 if it does not any more. Nodes that never did are not shown.") \
  X(berth_speaker_plan_seconds, gauge, "", "Duration of the newest route plan.")                                                       \
  X(berth_speaker_apply_seconds, gauge, "", "Duration of the newest change of the engine.")                                            \
  X(berth_bgp_convergences_total, counter, "", "Changes that are in the BGP engine; several at once are one.")                         \
  X(berth_bgp_convergence_seconds_total, counter, "", "From the plan of each to the engine's answer, retries included, in sum.")

namespace metric {
#define BERTH_METRIC(name, type, labels, help) inline constexpr MetricName name{#name, MetricType::type, labels, help};
BERTH_METRICS(BERTH_METRIC)
#undef BERTH_METRIC
}  // namespace metric

#define BERTH_METRIC(name, type, labels, help) metric::name,
inline constexpr std::array all_metrics = {BERTH_METRICS(BERTH_METRIC)};
#undef BERTH_METRIC

}  // namespace berth
