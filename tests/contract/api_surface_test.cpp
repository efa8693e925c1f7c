// Everything that Berth asks of an API server, and since which Kubernetes it is there. A request that is
// not in this table fails the test: look up since when it works before you add it. Berth promises 1.28.
#include <map>
#include <set>

#include <fmt/format.h>

#include "kube/certificate_keeper.hpp"
#include "kube/cluster.hpp"
#include "kube/event_recorder.hpp"
#include "kube/lease_elector.hpp"
#include "kube/watch.hpp"
#include "scripted_server.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

constexpr int promised = 28;  // Kubernetes 1.28
const std::string ours = "/apis/network.kubesphere.io/v1alpha2/";

const std::string webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/";

// Request, with its query's keys and content type → the minor version of Kubernetes 1 that first had it
// switched on by default.
const std::map<std::string, int> surface{
    // Lists in pages: APIListChunking, beta and on since 1.9.
    {"GET /api/v1/services?continue&limit", 9},
    {"GET /api/v1/services?limit", 9},
    {"GET /api/v1/nodes?limit", 9},
    {"GET /api/v1/namespaces?limit", 9},
    {"GET " + ours + "eips?limit", 9},
    {"GET " + ours + "addressblocks?limit", 9},
    {"GET " + ours + "bgpconfs?limit", 9},
    {"GET " + ours + "bgppeers?limit", 9},
    // discovery.k8s.io/v1: 1.21.
    {"GET /apis/discovery.k8s.io/v1/endpointslices?labelSelector&limit", 21},
    // Watch bookmarks: beta and on since 1.16, for all kinds since 1.17.
    {"GET /api/v1/services?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET /api/v1/nodes?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET /api/v1/namespaces?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET " + ours + "eips?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET " + ours + "addressblocks?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET " + ours + "bgpconfs?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET " + ours + "bgppeers?allowWatchBookmarks&resourceVersion&timeoutSeconds&watch", 17},
    {"GET /apis/discovery.k8s.io/v1/endpointslices?allowWatchBookmarks&labelSelector&resourceVersion&timeoutSeconds&watch", 21},
    // Custom resources by apiextensions.k8s.io/v1, with status subresources: 1.16. Preconditions on the
    // resourceVersion of a deletion: 1.14.
    {"GET " + ours + "addressblocks/NAME", 16},
    {"POST " + ours + "addressblocks (application/json)", 16},
    {"PUT " + ours + "addressblocks/NAME (application/json)", 16},
    {"DELETE " + ours + "addressblocks/NAME (application/json)", 16},
    {"PATCH " + ours + "eips/NAME (application/merge-patch+json)", 16},
    {"PATCH " + ours + "eips/NAME/status (application/json-patch+json)", 16},
    {"PATCH " + ours + "bgpconfs/NAME (application/merge-patch+json)", 16},
    {"PATCH " + ours + "bgpconfs/NAME/status (application/merge-patch+json)", 16},
    {"PATCH " + ours + "bgppeers/NAME (application/merge-patch+json)", 16},
    {"PATCH " + ours + "bgppeers/NAME/status (application/merge-patch+json)", 16},
    // A patch of a Service's status may carry metadata: as long as there is a status subresource.
    {"GET /api/v1/namespaces/SPACE/services/NAME", 0},
    {"PATCH /api/v1/namespaces/SPACE/services/NAME/status (application/merge-patch+json)", 1},
    // Events of core/v1, a Lease: 1.14. The owners of a pod: 1.9.
    {"POST /api/v1/namespaces/SPACE/events (application/json)", 0},
    {"PATCH /api/v1/namespaces/SPACE/events/NAME (application/merge-patch+json)", 0},
    {"GET /apis/coordination.k8s.io/v1/namespaces/SPACE/leases/NAME", 14},
    {"POST /apis/coordination.k8s.io/v1/namespaces/SPACE/leases (application/json)", 14},
    {"PUT /apis/coordination.k8s.io/v1/namespaces/SPACE/leases/NAME (application/json)", 14},
    // The webhook's certificates: stringData 1.2, admissionregistration.k8s.io/v1 1.16.
    {"GET /api/v1/namespaces/SPACE/secrets/NAME", 0},
    {"POST /api/v1/namespaces/SPACE/secrets (application/json)", 2},
    {"PATCH /api/v1/namespaces/SPACE/secrets/NAME (application/merge-patch+json)", 2},
    {"GET " + webhooks + "NAME", 16},
    {"PATCH " + webhooks + "NAME (application/strategic-merge-patch+json)", 16},
    {"GET /api/v1/namespaces/SPACE/pods/NAME", 0},
    {"GET /apis/apps/v1/namespaces/SPACE/replicasets/NAME", 9},
    {"GET /apis/apps/v1/namespaces/SPACE/deployments/NAME", 9},
};

class ApiSurface : public WithServer {
 protected:
  static std::string shape(const Request& request) {
    std::string path = request.path;
    for (const auto& [text, word] : {std::pair{"/the-space", "/SPACE"}, std::pair{"/the-name", "/NAME"}})
      if (const std::size_t at = path.find(text); at != std::string::npos) {
        const std::size_t end = std::min(path.find('/', at + 1), path.size());
        path.replace(at, end - at, word);
      }
    std::string out = request.method + " " + path;
    char separator = '?';
    for (const auto& [key, value] : request.query) {
      out += separator + key;
      separator = '&';
    }
    if (!request.body.empty()) out += " (" + request.header("content-type") + ")";
    return out;
  }

  Reply script(const Request& request) {
    if (!request.parameter("watch").empty()) return streaming({});
    if (request.query.contains("limit"))
      return answer(200, fmt::format(R"({{"metadata":{{"resourceVersion":"1","continue":"{}"}},"items":[]}})",
                                     request.path == "/api/v1/services" && !request.query.contains("continue") ? "more" : ""));
    if (request.path.find("/leases/") != std::string::npos && request.method == "GET" && !lease_) return answer(404, "");
    if (request.path.ends_with("/leases")) lease_ = true;
    if (request.path.find("/secrets/") != std::string::npos && request.method == "GET" && secrets_++ == 0) return answer(404, "");
    if (request.path.starts_with(webhooks))
      return answer(200, R"({"metadata":{"resourceVersion":"1"},"webhooks":[{"name":"webhook","clientConfig":{}}]})");
    std::string owner;
    if (request.path.find("/pods/") != std::string::npos) owner = "ReplicaSet";
    if (request.path.find("/replicasets/") != std::string::npos) owner = "Deployment";
    const std::string owners = owner.empty() ? "" : fmt::format(R"({{"kind":"{}","name":"the-name","controller":true}})", owner);
    return answer(200, fmt::format(R"({{"metadata":{{"name":"the-name","uid":"u","resourceVersion":"2","ownerReferences":[{}]}},)"
                                   R"("spec":{{"replicas":1,"holderIdentity":"me"}}}})",
                                   owners));
  }
  template <class T>
  void watch_one() {
    auto feed = std::make_shared<RecordingFeed<T>>();
    auto health = std::make_shared<kube::WatchHealth>();
    kept_.push_back(feed);
    kept_.push_back(health);
    tasks_.spawn("watch", kube::watch<T>(client(), timers_, rng_, *feed, *health));
  }

  std::vector<std::shared_ptr<void>> kept_;
  bool lease_ = false;
  int secrets_ = 0;
};

TEST_F(ApiSurface, IsThisAndNotNewerThanPromised) {
  serve([this](const Request& request) { return script(request); });
  kube::ApiCluster cluster{client()};
  const ObjectName name{"the-space", "the-name"};
  const auto done = [](const auto& result) { EXPECT_TRUE(result) << result.error().text; };

  watch_one<Service>();
  watch_one<Node>();
  watch_one<Namespace>();
  watch_one<EndpointSlice>();
  watch_one<Pool>();
  watch_one<AddressBlock>();
  watch_one<BgpConf>();
  watch_one<BgpPeer>();
  ASSERT_TRUE(eventually([&] { return server_->hanging() == 8; }));

  AddressBlock block{.name = "the-name", .uid = {"u"}, .version = {}, .addresses = {}};
  done(ask(cluster.read_block("the-name")));
  done(ask(cluster.write_block(block)));
  block.version = {"1"};
  done(ask(cluster.write_block(block)));
  done(ask(cluster.delete_block(block)));
  done(ask(cluster.read_service(name)));
  ServicePatch patch{.name = name, .uid = {"u"}, .version = {"1"}, .labels = {}, .annotations = {}, .finalizers = {}, .ingress = {}};
  done(ask(cluster.patch_service(patch)));
  Pool pool;
  pool.name = "the-name";
  done(ask(cluster.patch_pool_finalizers(pool, {})));
  done(ask(cluster.patch_pool_status("the-name", {})));
  BgpConf conf;
  conf.name = "the-name";
  done(ask(cluster.patch_bgp_conf_finalizers(conf, {})));
  done(ask(cluster.patch_bgp_conf_status("the-name", "node1", std::nullopt)));
  BgpPeer peer;
  peer.name = "the-name";
  done(ask(cluster.patch_bgp_peer_finalizers(peer, {})));
  done(ask(cluster.patch_bgp_peer_status("the-name", "node1", std::nullopt)));
  done(ask(cluster.patch_bgp_peer_sessions("the-name", {})));
  EXPECT_EQ(ask(cluster.workload_fate(name)), Cluster::WorkloadFate::stays);

  kube::EventRecorder recorder{io_.get_executor(), client(), timers_, rng_, [] { return false; }};
  const EventRecord event{{"v1", "Service", "the-space", "the-name", {"u"}}, false, "test", "AssignIP", "success"};
  TaskGroup tasks{io_.get_executor()};
  tasks.spawn("events", recorder.run());
  recorder.post(event);
  recorder.post(event);
  ASSERT_TRUE(eventually([&] { return recorder.written() == 2; }));
  kube::LeaseOptions options;
  options.name = name;
  options.identity = "me";
  kube::LeaseElector elector{client(), timers_, rng_, options, [](bool) {}};
  tasks.spawn("lease", elector.run());
  kube::CertificateKeeper keeper{io_.get_executor(),
                                 client(),
                                 timers_,
                                 rng_,
                                 {.secret = name, .configuration = "the-name", .webhook = "webhook", .names = {"localhost"}},
                                 [] { return true; },
                                 [](const kube::CertificateSet&) {}};
  tasks.spawn("certificates", keeper.run());
  pass(15s, 50ms);
  EXPECT_TRUE(elector.leading());
  tasks.cancel();
  tasks_.cancel();
  drain();
  EXPECT_EQ(tasks.size(), 0U);

  std::set<std::string> used;
  for (const Request& request : requests()) used.insert(shape(request));
  for (const std::string& request : used) EXPECT_TRUE(surface.contains(request)) << "not in the table: " << request;
  for (const auto& [request, since] : surface) {
    EXPECT_TRUE(used.contains(request)) << "in the table, but not asked: " << request;
    EXPECT_LE(since, promised) << request;
  }
}

}  // namespace
}  // namespace berth::contract
