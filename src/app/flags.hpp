// The command line. Sub-commands and flags of Berth, and OpenELB's flags where its arguments are
// carried over: those without a meaning here are accepted, warned about, and have no effect.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/claim.hpp"

namespace berth {

enum class Role : std::uint8_t {
  run,         // speaker, and controller while it holds the Lease: topology T1
  controller,  // controller only
  speaker,     // speaker only, one per node: topology T2
  migrate,     // tells and prints, changes nothing
  drain,       // takes a node out of all next hops, and waits until it is
  bgp,         // shows what the running Berth does with BGP
  version,
};

struct Flags {
  Role role = Role::run;
  std::string kubeconfig;      // empty: the pod's service account
  std::string node_name;       // default $NODE_NAME
  std::string space;           // default $OPENELB_NAMESPACE, else openelb-system
  std::string pod_name;        // default $POD_NAME; empty outside a pod
  std::string metrics_address; // default :50052, speaker :50053
  std::string log_format = "key-value";
  std::string log_level = "info";
  std::string bgp_engine = "gobgpd";
  std::string gobgpd;          // default: beside this program
  std::string bird = "/usr/sbin/bird";
  std::uint16_t webhook_port = 443;      // 0: no webhook
  std::uint16_t node_probe_port = 10256;  // 0: nodes are not probed
  std::string run_directory = "/run/berth/private";  // made with mode 0700
  bool leader_elect = true;
  ClasslessServices classless = ClasslessServices::annotated;
  bool enforce_namespaces = false;
  std::chrono::seconds drain_wait{5};
  std::chrono::milliseconds lease_duration{15'000};
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};
  std::string drained_node;              // of drain
  bool undo = false;                     // drain --undo
  std::chrono::seconds drain_limit{60};  // drain --timeout
  bool check = false;              // migrate --check
  std::string from;                // migrate --from
  std::vector<std::string> files;  // of migrate; empty: the cluster is read
  std::vector<std::string> ignored;  // OpenELB's flags that were given and have no effect
};

// Parses; on --help, a version request's flags or a mistake prints and answers the exit code instead.
struct FlagsOrExit {
  std::optional<Flags> flags;
  int exit_code = 0;
};
FlagsOrExit parse_flags(int argc, const char* const* argv);

}  // namespace berth
