#include "app/flags.hpp"

#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>

namespace berth {
namespace {

std::string environment(const char* name, std::string fallback = "") {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(fallback);
}

struct IgnoredFlag {
  const char* name;
  bool takes_value;
};
// OpenELB 0.5 and 0.6, controller and speaker, and klog's.
constexpr IgnoredFlag openelb_flags[] = {
    {"--api-hosts", true},
    {"--readiness-addr", true},
    {"--webhook-cert-dir", true},
    {"--enable-layer2", true},
    {"--bind-addr", true},
    {"--bind-port", true},
    {"--secret", true},
    {"--enable-keepalived-vip", true},
    {"--log-path", true},
    {"--keepalived-args", true},
    {"--v", true},
    {"--vmodule", true},
    {"--logtostderr", true},
    {"--alsologtostderr", true},
    {"--stderrthreshold", true},
    {"--log-dir", true},
    {"--log-file", true},
    {"--log-file-max-size", true},
    {"--log-backtrace-at", true},
    {"--add-dir-header", true},
    {"--skip-headers", true},
    {"--skip-log-headers", true},
    {"--one-output", true},
};

void add_work_flags(CLI::App& command, Flags& flags, std::vector<std::pair<std::string, std::string>>& ignored) {
  command.add_option("--kubeconfig", flags.kubeconfig, "kubeconfig file; without it the pod's service account is used");
  command.add_option("--node-name", flags.node_name, "name of the Node this runs on [$NODE_NAME]");
  command.add_option("--namespace", flags.space, "namespace of Berth's own objects [$OPENELB_NAMESPACE or openelb-system]");
  command.add_option("--pod-name", flags.pod_name, "name of this pod, to learn on SIGTERM whether it comes back [$POD_NAME]");
  command.add_option("--metrics-addr", flags.metrics_address, "address:port of /metrics, /healthz and /readyz");
  command.add_option("--log-format", flags.log_format, "key-value or json")->check(CLI::IsMember({"key-value", "json"}));
  command.add_option("--log-level", flags.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  command.add_option("--run-dir", flags.run_directory, "directory (made with mode 0700) for the engine's socket");
  for (const IgnoredFlag& flag : openelb_flags) {
    ignored.emplace_back(flag.name, "");
    command.add_option(flag.name, ignored.back().second, "OpenELB's; accepted, has no effect")
        ->group("OpenELB's flags without a meaning here")
        ->expected(0, 1);
  }
}

void add_classless(CLI::App& command, std::string& classless) {
  command
      .add_option("--services-without-class", classless,
                  "which Services without spec.loadBalancerClass are served: annotated (those with lb.kubesphere.io/v1alpha1: openelb) "
                  "or all [annotated]")
      ->check(CLI::IsMember({"annotated", "all"}));
}

void add_migrate_flags(CLI::App& command, Flags& flags, std::string& classless) {
  auto* what = command.add_option_group("what");
  what->add_flag("--check", flags.check, "what Berth would do differently in this OpenELB cluster; exit status 0: nothing, 1: something");
  what->add_option("--from", flags.from, "prints Eips, BgpConf and BgpPeers for MetalLB's objects, and on stderr what is left out")
      ->check(CLI::IsMember({"metallb"}));
  what->require_option(1);
  command.add_option("files", flags.files, "what `kubectl get -o json` or `-o yaml` printed; none: the cluster is read");
  command.add_option("--kubeconfig", flags.kubeconfig, "kubeconfig file of the cluster; without it the pod's service account is used");
  command.add_option("--namespace", flags.space, "OpenELB's namespace [$OPENELB_NAMESPACE or openelb-system]");
  add_classless(command, classless);
  command.add_flag("--enforce-namespaces", flags.enforce_namespaces, "as for berth run");
}

}  // namespace

FlagsOrExit parse_flags(int argc, const char* const* argv) {
  Flags flags;
  flags.node_name = environment("NODE_NAME");
  flags.space = environment("OPENELB_NAMESPACE", "openelb-system");
  flags.pod_name = environment("POD_NAME");

  CLI::App app{"Berth gives Kubernetes Services of type LoadBalancer real addresses and brings clients to them."};
  app.require_subcommand(1);
  // One list per sub-command; reserved so that CLI11's references stay good.
  std::vector<std::pair<std::string, std::string>> ignored[3];
  for (auto& list : ignored) list.reserve(std::size(openelb_flags));
  CLI::App* run = app.add_subcommand("run", "speaker, and controller while it holds the Lease (one Deployment is all that is needed)");
  CLI::App* controller = app.add_subcommand("controller", "decides addresses; announces nothing");
  CLI::App* speaker = app.add_subcommand("speaker", "announces from this node; decides nothing");
  CLI::App* migrate = app.add_subcommand("migrate", "tells what would change in an OpenELB cluster, or converts MetalLB's objects");
  CLI::App* drained = app.add_subcommand("drain", "takes a node out of all next hops, and waits until no speaker announces it");
  drained->add_option("node", flags.drained_node, "name of the Node")->required();
  drained->add_flag("--undo", flags.undo, "takes it in again");
  drained->add_option("--kubeconfig", flags.kubeconfig, "kubeconfig file, with the right to patch Nodes; without it $KUBECONFIG is used");
  CLI::App* bgp = app.add_subcommand("bgp",
                                     "shows sessions and routes of the Berth that runs on this node, and why an address has no route");
  bgp->add_option("--run-dir", flags.run_directory, "--run-dir of that Berth [/run/berth/private]");
  CLI::App* version = app.add_subcommand("version", "prints the version as JSON");
  CLI::App* commands[] = {run, controller, speaker};
  for (std::size_t i = 0; i < 3; ++i) add_work_flags(*commands[i], flags, ignored[i]);
  std::string classless = "annotated";
  std::int64_t lease = 15, renew = 10, retry = 2, drain = 5, drain_limit = 60, webhook_port = flags.webhook_port,
               probe_port = flags.node_probe_port;
  for (CLI::App* command : {run, controller}) {
    // A flag, since OpenELB's manifest gives it without a value; --leader-elect=false works too.
    command->add_flag("--leader-elect", flags.leader_elect, "work only while holding the Lease openelb-controller [true]");
    command->add_option("--lease-duration", lease, "seconds after which a silent leader is replaced")->check(CLI::Range(1, 600));
    command->add_option("--renew-deadline", renew, "seconds after which a leader that can't renew stops")->check(CLI::Range(1, 600));
    command->add_option("--retry-period", retry, "seconds between attempts")->check(CLI::Range(1, 600));
    add_classless(*command, classless);
    command->add_flag("--enforce-namespaces", flags.enforce_namespaces,
                      "naming a pool or an address does not get around the pool's namespaces; Eip spec.enforceNamespaces for all");
    command->add_option("--webhook-port", webhook_port, "port of the admission webhook for Eips; 0: none [443]")
        ->check(CLI::Range(0, 65535));
  }
  run->add_option("--node-probe-port", probe_port,
                  "TCP port, open or closed, by which nodes are asked whether they live; 0: they are not [10256, kube-proxy's]")
      ->check(CLI::Range(0, 65535));
  drained->add_option("--timeout", drain_limit, "seconds to wait [60]")->check(CLI::Range(1, 3600));
  add_migrate_flags(*migrate, flags, classless);
  for (CLI::App* command : {run, speaker}) {
    command->add_option("--bgp-engine", flags.bgp_engine, "the program that speaks BGP: gobgpd or bird (BIRD 2.0) [gobgpd]")
        ->check(CLI::IsMember({"gobgpd", "bird"}));
    command->add_option("--gobgpd", flags.gobgpd, "the gobgpd program [beside this one]");
    command->add_option("--bird", flags.bird, "the bird program [/usr/sbin/bird]");
    command
        ->add_option("--drain-wait", drain,
                     "seconds between asking routers to prefer others (RFC 8326) and the withdrawal, when leaving for good")
        ->check(CLI::Range(0, 600));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};  // --help is no fault
  }
  if (renew >= lease) {
    std::fprintf(stderr, "--renew-deadline (%lld) must be below --lease-duration (%lld)\n", static_cast<long long>(renew),
                 static_cast<long long>(lease));
    return {std::nullopt, 2};
  }
  flags.role = run->parsed()          ? Role::run
               : controller->parsed() ? Role::controller
               : speaker->parsed()    ? Role::speaker
               : migrate->parsed()    ? Role::migrate
               : drained->parsed()    ? Role::drain
               : bgp->parsed()        ? Role::bgp
                                      : Role::version;
  (void)version;
  if (flags.metrics_address.empty()) flags.metrics_address = flags.role == Role::speaker ? ":50053" : ":50052";
  if (classless == "all") flags.classless = ClasslessServices::all;
  flags.webhook_port = static_cast<std::uint16_t>(webhook_port);
  flags.node_probe_port = static_cast<std::uint16_t>(probe_port);
  flags.lease_duration = std::chrono::seconds{lease};
  flags.renew_deadline = std::chrono::seconds{renew};
  flags.retry_period = std::chrono::seconds{retry};
  flags.drain_wait = std::chrono::seconds{drain};
  flags.drain_limit = std::chrono::seconds{drain_limit};
  if (drained->parsed() && flags.kubeconfig.empty()) flags.kubeconfig = environment("KUBECONFIG");
  for (std::size_t i = 0; i < 3; ++i)
    for (const IgnoredFlag& flag : openelb_flags)
      if (commands[i]->parsed() && commands[i]->count(flag.name) > 0) flags.ignored.emplace_back(flag.name);
  return {std::move(flags), 0};
}

}  // namespace berth
