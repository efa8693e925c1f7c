#include "app/process.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/debug_state.hpp"
#include "app/liveness.hpp"
#include "app/metrics.hpp"
#include "base/log.hpp"
#include "base/task_group.hpp"
#include "bird/engine.hpp"
#include "gobgp/engine.hpp"
#include "kube/certificate_keeper.hpp"
#include "kube/cluster.hpp"
#include "kube/config.hpp"
#include "kube/event_recorder.hpp"
#include "kube/lease_elector.hpp"
#include "kube/watch.hpp"
#include "kube/webhook.hpp"
#include "observe/health.hpp"
#include "observe/http_server.hpp"
#include "observe/log_sink.hpp"
#include "os/files.hpp"
#include "os/icmp6_sockets.hpp"
#include "os/system_clock.hpp"
#include "plan/admission.hpp"
#include "reconcile/bgp_report.hpp"
#include "reconcile/controller.hpp"
#include "reconcile/world_keeper.hpp"
#include "speak/bgp/speaker.hpp"
#include "speak/bgp/words.hpp"
#include "speak/discovery/discovery.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Duration config_retry = 5s;
constexpr Duration fate_limit = 1s;
constexpr Duration farewell_limit = 1s;
// A new pod waits so long at most for its sessions before it calls itself ready: a router that is down
// must not stop a rollout.
constexpr Duration session_grace = 20s;

// A speaker's table of Services does without what only a controller reads.
void trim_for_speaker(Service& service) {
  service.selector = {};
  service.conditions = {};
}

std::string describe(const Duration& duration) { return fmt::format("{:.0f} s", seconds(duration)); }

std::unique_ptr<BgpEngine> make_engine(const asio::any_io_executor& executor, Timers& timers, Rng& rng, const Flags& flags) {
  if (flags.bgp_engine == "bird")
    return make_bird_engine(executor, timers, rng, {.program = flags.bird, .run_directory = flags.run_directory + "/bird"});
  return make_gobgp_engine(executor, timers, rng, {.program = flags.gobgpd, .run_directory = flags.run_directory + "/gobgp"});
}

// The speaker's part: engine, speaker and what tells people of them.
struct Speaking {
  Speaking(const asio::any_io_executor& executor,
           Timers& timers,
           Rng& rng,
           const Flags& flags,
           kube::ApiCluster& cluster,
           EventSink& events,
           const WorldKeeper& keeper)
      : engine(make_engine(executor, timers, rng, flags)),
        speaker(executor,
                timers,
                rng,
                keeper.world(),
                *engine,
                {.node = flags.node_name, .only_self = flags.role == Role::speaker, .drain_wait = flags.drain_wait}),
        report(executor, timers, rng, cluster, events, keeper.world(), flags.node_name),
        route_events(events, keeper.world()),
        sockets(executor),
        discovery(executor, timers, rng, sockets),
        liveness(executor,
                 flags.node_probe_port,
                 {.bfd = [this](BfdReport bfd) { speaker.bfd_changed(std::move(bfd)); },
                  .probes = [this](AnsweringNodes nodes) { speaker.probes_changed(std::move(nodes)); }}) {
    if (flags.node_probe_port != 0) speaker.on_probes_wanted([this](ProbeTargets targets) { liveness.configure(std::move(targets)); });
    speaker.on_bfd_wanted([this](std::vector<BfdPeer> peers) { liveness.configure(std::move(peers)); });
    speaker.on_links_wanted([this](const std::set<Zone>& interfaces) { discovery.want(interfaces); });
    discovery.on_router([this](const IpAddress& router) { speaker.router_heard(router); });
    discovery.on_problem([this] { speaker.links_changed(discovery.problems()); });
  }

  // What there is to tell of this node's BGP, from what was asked and what the engine says.
  [[nodiscard]] BgpSituation situation() {
    BgpSituation out;
    const BgpDesired& desired = speaker.desired();
    out.problems = speaker.problems();
    if (!desired.global) return out;
    if (speaker.applied()) announced_nodes = speaker.route_plan().next_hops;
    out.server = BgpConf::NodeStatus{desired.global->router_id, desired.global->as, announced_nodes};
    for (const BgpPeerConfig& peer : desired.peers) out.sessions.emplace_back(peer.object, session_of(peer));
    for (const BgpNeighborRange& range : speaker.ranges())
      if (std::ranges::find(desired.peers, range.object, &BgpPeerConfig::object) == desired.peers.end()) {
        BgpPeerStatus& none = out.sessions.emplace_back(range.object, BgpPeerStatus{}).second;
        none.neighbor_address = range.text;
        none.session_state = SessionState::idle;
        none.last_error = range.zone.empty() ? nobody_called_text : nobody_heard_text;
      }
    return out;
  }

  // While the engine is not there, no session is up.
  [[nodiscard]] BgpPeerStatus session_of(const BgpPeerConfig& peer) const {
    BgpPeerStatus none;
    none.neighbor_address = peer.neighbor.to_string();
    none.peer_as = peer.peer_as;
    none.session_state = SessionState::idle;
    const auto found = std::ranges::find(speaker.sessions(), none.neighbor_address, &BgpPeerStatus::neighbor_address);
    BgpPeerStatus out = found == speaker.sessions().end() ? none : *found;
    if (const auto held = speaker.bfd_verdict().held.find(peer.neighbor); held != speaker.bfd_verdict().held.end())
      out.last_error = held->second;
    if (const auto bfd = std::ranges::find(speaker.bfd().sessions, peer.neighbor, &BfdStatus::neighbor);
        bfd != speaker.bfd().sessions.end())
      out.bfd = *bfd;
    return out;
  }

  std::unique_ptr<BgpEngine> engine;
  std::vector<std::string> announced_nodes;  // as of the last time that the engine agreed
  BgpSpeaker speaker;
  BgpReport report;
  RouteEvents route_events;
  Icmp6Sockets sockets;
  RouterDiscovery discovery;
  Liveness liveness;
};

// The controller's part, which exists while this process leads.
struct Controlling {
  Controlling(const asio::any_io_executor& executor,
              Timers& timers,
              Rng& rng,
              Cluster& cluster,
              EventSink& events,
              WorldKeeper& keeper,
              ControllerOptions options)
      : controller(executor, timers, rng, cluster, events, keeper, std::move(options)), tasks(executor) {
    tasks.spawn("controller", controller.run());
  }
  asio::awaitable<void> end() {
    tasks.cancel();
    co_await tasks.join();
    co_await controller.ended();
  }
  Controller controller;
  TaskGroup tasks;
};

// The admission webhook and its certificates: on every replica, whoever leads. Nothing waits for it: what can't be served is
// said in the log and tried again.
struct Admitting {
  Admitting(const asio::any_io_executor& executor,
            Timers& timers,
            Rng& rng,
            const Flags& flags,
            kube::ApiClient& client,
            const WorldKeeper& keeper,
            const bool& leading)
      : port(flags.webhook_port),
        webhook(executor, [&keeper](const Pool* before, const Pool& after) { return judge_pool(before, after, keeper.world()); }),
        certificates(
            executor,
            client,
            timers,
            rng,
            {.secret = {flags.space, "openelb-admission"},
             .configuration = "openelb-admission",
             .webhook = "validate.eip.network.kubesphere.io",
             .names = names(flags.space)},
            [&leading] { return leading; },
            [this](const kube::CertificateSet& set) { serve(set); }),
        tasks(executor) {
    tasks.spawn("webhook certificates", certificates.run());
  }

  // The Service's, as the API server calls it, and this machine's, for a configuration that has a URL.
  static std::vector<std::string> names(const std::string& space) {
    const std::string service = "openelb-controller";
    return {service + "." + space + ".svc", service + "." + space, service, "localhost", "127.0.0.1", "::1"};
  }

  void serve(const kube::CertificateSet& set) {
    auto done = webhook.use(set.certificate, set.key);
    if (done && webhook.port() == 0) {
      done = webhook.listen(port);
      if (done) log::info("webhook_listening", {{"port", port}});
    }
    if (!done && done.error().text != error) log::error("webhook_not_served", {{"error", done.error().text}});
    error = done ? "" : done.error().text;
  }

  std::uint16_t port;
  std::string error;
  kube::Webhook webhook;
  kube::CertificateKeeper certificates;
  TaskGroup tasks;
};

class Process {
 public:
  explicit Process(const Flags& flags)
      : flags_(flags),
        executor_(context_.get_executor()),
        timers_(make_system_timers(executor_)),
        rng_(make_system_rng()),
        signals_(executor_, SIGTERM, SIGINT),
        leadership_(executor_),
        server_(executor_, [this](std::string_view path, bool local) { return page(path, local); }),
        main_(executor_),
        tasks_(executor_) {
    name_parts();
  }

  int run() {
    if (auto made = make_private_directory(flags_.run_directory); !made) return refuse("--run-dir", made.error());
    if (auto listening = server_.listen(flags_.metrics_address); !listening) return refuse("--metrics-addr", listening.error());
    if (auto listening = server_.listen_unix(flags_.run_directory + "/debug.sock"); !listening)
      return refuse("--run-dir", listening.error());
    for (const std::string& flag : flags_.ignored) log::warning("flag_without_effect", {{"flag", flag}});
    log::info("started", {{"version", BERTH_VERSION}, {"node", flags_.node_name}, {"listening", flags_.metrics_address}});
    main_.spawn("main", live());
    context_.run();
    return 0;
  }

 private:
  static int refuse(std::string_view flag, const Error& error) {
    log::error("cannot_start", {{"flag", flag}, {"error", error.text}});
    return 2;
  }

  [[nodiscard]] bool speaks() const { return flags_.role != Role::controller; }
  [[nodiscard]] bool controls() const { return flags_.role != Role::speaker; }

  asio::awaitable<void> live() {
    tasks_.spawn("configure", configure());
    auto [error, number] = co_await signals_.async_wait(as_result);
    log::info("stopping", {{"signal", number}});
    // A second one ends at once; the default handler is back.
    signals_.clear();
    co_await end();
    context_.stop();
  }

  // -- beginning ----------------------------------------------------------------------------------

  // Without a usable configuration the process stays, says why, and tries again.
  asio::awaitable<void> configure() {
    for (;;) {
      auto config = flags_.kubeconfig.empty() ? kube::in_cluster_config() : kube::load_kubeconfig(flags_.kubeconfig);
      if (config) {
        start(std::move(*config));
        co_return;
      }
      if (config_error_ != config.error().text) log::error("no_api_server", {{"error", config.error().text}});
      config_error_ = config.error().text;
      co_await timers_->sleep_for(config_retry);
    }
  }

  void start(kube::ApiConfig config) {
    config_error_.clear();
    client_.emplace(executor_, *timers_, *rng_, std::move(config));
    cluster_.emplace(*client_);
    events_.emplace(executor_, *client_, *timers_, *rng_, [this] { return controlling_ && controlling_->controller.busy(); });
    tasks_.spawn("events", events_->run());
    watch_all();
    keeper_.on_change([this] {
      if (controlling_) controlling_->controller.look_again();
      if (speaking_) speaking_->speaker.look_again();
    });
    if (speaks()) start_speaking();
    if (controls()) start_controlling();
    if (controls() && flags_.webhook_port != 0) admitting_.emplace(executor_, *timers_, *rng_, flags_, *client_, keeper_, leading_);
  }

  template <class T>
  void watch_kind(std::string kind, TableFeed<T>& feed, kube::Trim<T> trim = nullptr, std::string space = {}) {
    auto& health = watches_.emplace_back(std::make_unique<kube::WatchHealth>());
    health->kind = std::move(kind);
    tasks_.spawn("watch " + health->kind, kube::watch<T>(*client_, *timers_, *rng_, feed, *health, trim, std::move(space)));
  }

  // A speaker never watches Eips or Namespaces: what it receives per Service must not grow with them.
  void watch_all() {
    watch_kind<Service>("services", keeper_.services(), controls() ? nullptr : trim_for_speaker);
    watch_kind("addressblocks", keeper_.blocks());
    watch_kind("nodes", keeper_.nodes());
    watch_kind("bgpconfs", keeper_.bgp_confs());
    watch_kind("bgppeers", keeper_.bgp_peers());
    if (speaks()) watch_kind("endpointslices", keeper_.endpoint_slices());
    if (speaks()) watch_kind<PasswordSecret>("secrets", keeper_.password_secrets(), nullptr, flags_.space);
    if (speaks()) watch_kind<PolicyConfigMap>("configmaps", keeper_.policy_config_maps(), nullptr, flags_.space);
    if (controls()) watch_kind("eips", keeper_.pools());
    if (controls()) watch_kind("namespaces", keeper_.namespaces());
  }

  void start_speaking() {
    speaking_.emplace(executor_, *timers_, *rng_, flags_, *cluster_, *events_, keeper_);
    speaking_since_ = timers_->now();
    speaking_->speaker.on_report([this] {
      speaking_->report.update(speaking_->situation());
      speaking_->route_events.update(speaking_->speaker.route_plan(), controlling_.has_value(), timers_->now());
    });
    engine_tasks_.emplace(executor_);
    engine_tasks_->spawn("bgp engine", speaking_->engine->run([this] { speaking_->speaker.engine_changed(); }));
    speaker_tasks_.emplace(executor_);
    speaker_tasks_->spawn("bgp speaker", speaking_->speaker.run());
    speaker_tasks_->spawn("bgp report", speaking_->report.run());
    speaker_tasks_->spawn("router discovery", speaking_->discovery.run());
  }

  void start_controlling() {
    // Without a place of its own a process has no predecessor.
    const std::string& place = flags_.node_name.empty() ? flags_.pod_name : flags_.node_name;
    identity_ = place.empty() ? fmt::format("controller-{:016x}", rng_->next()) : kube::lease_identity(place, rng_->next());
    tasks_.spawn("leadership", follow_leadership());
    if (!flags_.leader_elect) {
      leading_ = true;
      leadership_.ring();
      return;
    }
    elector_.emplace(*client_, *timers_, *rng_,
                     kube::LeaseOptions{.name = {flags_.space, "openelb-controller"},
                                        .identity = identity_,
                                        .duration = flags_.lease_duration,
                                        .renew_deadline = flags_.renew_deadline,
                                        .retry_period = flags_.retry_period},
                     [this](bool leading) {
                       log::info(leading ? "leading_began" : "leading_ended", {{"identity", identity_}});
                       leading_ = leading;
                       leadership_.ring();
                     });
    elector_tasks_.emplace(executor_);
    elector_tasks_->spawn("lease", elector_->run());
  }

  asio::awaitable<void> follow_leadership() {
    for (;;) {
      co_await leadership_.wait();
      if (admitting_) admitting_->certificates.look_again();
      if (leading_ && !controlling_) {
        controlling_.emplace(executor_, *timers_, *rng_, *cluster_, *events_, keeper_,
                             ControllerOptions{.node = flags_.node_name,
                                               .identity = identity_,
                                               .classless = flags_.classless,
                                               .pools = {.enforce_namespaces = flags_.enforce_namespaces}});
      } else if (!leading_ && controlling_) {
        co_await controlling_->end();
        controlling_.reset();
        leadership_.ring();  // it may have come back meanwhile
      }
    }
  }

  // -- end ----------------------------------------------------------------------------------------

  asio::awaitable<void> end() {
    ending_ = true;
    const BgpStop how = co_await how_to_stop();
    log::info("ending", {{"how", how == BgpStop::drain ? "drain" : "restart"}});
    if (elector_) {
      elector_tasks_->cancel();
      co_await elector_tasks_->join();
    }
    if (speaking_) {
      speaker_tasks_->cancel();
      co_await speaker_tasks_->join();
      if (how == BgpStop::restart) co_await speaking_->liveness.rest();
      co_await speaking_->speaker.stop(how, flags_.drain_wait);
      co_await speaking_->liveness.end();
      engine_tasks_->cancel();
      co_await engine_tasks_->join();
    }
    if (elector_) co_await elector_->release();
    if (speaking_) co_await within(farewell_limit, "farewell", speaking_->report.say_sessions_ended());
    if (admitting_) {
      admitting_->tasks.cancel();
      co_await admitting_->tasks.join();
    }
    tasks_.cancel();
    co_await tasks_.join();
    if (controlling_) {
      co_await controlling_->end();
      controlling_.reset();
    }
    speaking_.reset();
    log::info("stopped");
  }

  // Leaving for good drains; everything else, or no answer within a second, is a restart: routers keep
  // the routes until we are back.
  asio::awaitable<BgpStop> how_to_stop() {
    if (!cluster_ || flags_.pod_name.empty()) co_return BgpStop::restart;
    Cluster::WorkloadFate fate = Cluster::WorkloadFate::unknown;
    co_await within(fate_limit, "fate", ask_fate(fate));
    co_return fate == Cluster::WorkloadFate::goes ? BgpStop::drain : BgpStop::restart;
  }
  asio::awaitable<void> ask_fate(Cluster::WorkloadFate& fate) { fate = co_await cluster_->workload_fate({flags_.space, flags_.pod_name}); }

  // Cancels `work` if it is not done by then.
  asio::awaitable<void> within(Duration limit, std::string name, asio::awaitable<void> work) {
    Bell done{executor_};
    TaskGroup group{executor_};
    group.spawn(std::move(name), and_ring(std::move(work), done));
    co_await done.wait_until(*timers_, timers_->now() + limit);
    group.cancel();
    co_await group.join();
  }
  static asio::awaitable<void> and_ring(asio::awaitable<void> work, Bell& done) {
    co_await std::move(work);
    done.ring();
  }

  // -- what people and probes see -----------------------------------------------------------------

  void name_parts() {
    parts_.push_back({"api", [this]() -> std::string {
                        if (!config_error_.empty()) return config_error_;
                        return watches_.empty() ? "not configured yet" : "";
                      }});
    parts_.push_back({"watches", [this]() -> std::string {
                        std::string missing;
                        for (const auto& watch : watches_)
                          if (!watch->synced)
                            missing += (missing.empty() ? "" : "; ") + watch->kind + " not listed yet" +
                                       (watch->error.empty() ? "" : " (" + watch->error + ")");
                        return missing;
                      }});
    if (speaks()) parts_.push_back({"bgp", [this] { return bgp_trouble(); }});
    parts_.push_back({"process", [this] { return std::string{ending_ ? "it is ending" : ""}; }});
  }

  [[nodiscard]] std::string bgp_trouble() const {
    if (!speaking_) return "not started yet";
    const BgpSpeaker& speaker = speaking_->speaker;
    if (!speaker.last_error().empty()) return speaker.last_error();
    if (!speaking_->engine->running()) return flags_.bgp_engine + " does not answer";
    if (!speaker.desired().global) return "";  // BGP is not configured
    if (!speaker.applied()) return "routes are being loaded";
    if (timers_->now() - speaking_since_ >= session_grace) return "";
    for (const BgpPeerStatus& session : speaker.sessions())
      if (session.session_state != SessionState::established && !session.admin_down)
        return fmt::format("session to {} is {}; waited for at most {}", session.neighbor_address, to_string(session.session_state),
                           describe(session_grace));
    return speaker.sessions().size() < speaker.desired().peers.size() ? "sessions are being set up" : "";
  }

  HttpPage page(std::string_view path, bool local) {
    // That this answers at all is the proof: it runs on the one thread that does the work.
    if (path == "/healthz") return {.body = "ok\n"};
    if (path == "/readyz") {
      const HealthReport report = report_health(parts_);
      return {.status = report.ready ? 200 : 503, .body = report.text};
    }
    if (path == "/metrics") {
      MetricSources sources{.world = &keeper_.world(),
                            .node = flags_.node_name,
                            .now = timers_->now(),
                            .leading = leading_,
                            .controller = controlling_ ? &controlling_->controller : nullptr,
                            .speaker = speaking_ ? &speaking_->speaker : nullptr,
                            .engine = speaking_ ? speaking_->engine.get() : nullptr,
                            .events = events_ ? &*events_ : nullptr,
                            .webhook = admitting_ ? &admitting_->webhook : nullptr,
                            .certificates = admitting_ ? &admitting_->certificates : nullptr,
                            .watches = {},
                            .parts = &parts_};
      for (const auto& watch : watches_) sources.watches.push_back(watch.get());
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = render_metrics(sources)};
    }
    if (path == "/debug/state") {
      if (!local) return {.status = 403, .body = "only from this machine, or by the unix socket debug.sock in --run-dir\n"};
      return {.content_type = "application/json",
              .body = render_debug_state({.world = &keeper_.world(),
                                          .leading = leading_,
                                          .controller = controlling_ ? &controlling_->controller : nullptr,
                                          .speaker = speaking_ ? &speaking_->speaker : nullptr,
                                          .engine = speaking_ ? speaking_->engine.get() : nullptr})};
    }
    if (path == "/") return {.body = "Berth " BERTH_VERSION "\n/healthz\n/readyz\n/metrics\n/debug/state\n"};
    return {.status = 404, .body = "there are /healthz, /readyz, /metrics and /debug/state\n"};
  }

  const Flags& flags_;
  asio::io_context context_{1};
  asio::any_io_executor executor_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<Rng> rng_;
  asio::signal_set signals_;
  std::string config_error_;
  std::string identity_;
  bool leading_ = false;
  bool ending_ = false;
  Instant speaking_since_;
  Bell leadership_;
  std::vector<HealthPart> parts_;
  WorldKeeper keeper_;
  std::vector<std::unique_ptr<kube::WatchHealth>> watches_;
  std::optional<kube::ApiClient> client_;
  std::optional<kube::ApiCluster> cluster_;
  std::optional<kube::EventRecorder> events_;
  std::optional<kube::LeaseElector> elector_;
  std::optional<Speaking> speaking_;
  std::optional<Controlling> controlling_;
  std::optional<Admitting> admitting_;
  HttpServer server_;
  // Last: their tasks refer to everything above.
  TaskGroup main_;
  TaskGroup tasks_;
  std::optional<TaskGroup> elector_tasks_;
  std::optional<TaskGroup> engine_tasks_;
  std::optional<TaskGroup> speaker_tasks_;
};

}  // namespace

int run_process(const Flags& flags) {
  install_log_sink(flags.log_format == "json" ? LogFormat::json : LogFormat::key_value, flags.log_level == "debug"     ? log::Level::debug
                                                                                        : flags.log_level == "warning" ? log::Level::warning
                                                                                        : flags.log_level == "error"   ? log::Level::error
                                                                                                                       : log::Level::info);
  Flags settled = flags;
  if (settled.node_name.empty() && settled.role != Role::controller) {
    log::error("cannot_start", {{"flag", "--node-name"}, {"error", "give the name of this Node, or set $NODE_NAME"}});
    return 2;
  }
  if (settled.gobgpd.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    settled.gobgpd = error ? "gobgpd" : (self.parent_path() / "gobgpd").string();
  }
  ::signal(SIGPIPE, SIG_IGN);
  Process process{settled};
  return process.run();
}

}  // namespace berth
