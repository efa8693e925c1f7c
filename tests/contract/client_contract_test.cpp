// The client against a real API server: what can only be believed when a real one is seen to do it.
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/describe/class.hpp>
#include <fmt/format.h>

#include "api_subject.hpp"
#include "kube/api_types.hpp"
#include "kube/event_recorder.hpp"
#include "kube/lease_elector.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string file_of(const std::string& name) {
  std::ifstream file{require_env("BERTH_CONTRACT_FILES") + "/" + name, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}
void write_file(const std::string& path, const std::string& content) { std::ofstream{path, std::ios::binary | std::ios::trunc} << content; }

// Asks the runner, which has the lab, to do something to the API server.
void ask_runner(const std::string& word) {
  asio::io_context io;
  asio::local::stream_protocol::socket socket{io};
  socket.connect({require_env("BERTH_CONTRACT_SWITCHBOARD")});
  asio::write(socket, asio::buffer(word + "\n"));
  std::string said;
  error_code end;
  asio::read_until(socket, asio::dynamic_buffer(said), "\n", end);
  ASSERT_EQ(said, "ok\n");
}

// A TCP relay to the API server that a test can cut, or keep open and silent.
class Cable {
 public:
  Cable(asio::io_context& io, const kube::ApiConfig& to)
      : io_(io),
        target_(asio::ip::make_address(to.host), to.port),
        acceptor_(io, {asio::ip::address_v4::loopback(), 0}),
        tasks_(io.get_executor()) {
    tasks_.spawn("accept", accept());
  }
  ~Cable() {
    tasks_.cancel();
    stalled_ = false;
    cut(true);
    io_.restart();
    while (tasks_.size() > 0 && io_.run_one_for(1s) > 0) {
    }
  }
  [[nodiscard]] kube::ApiConfig end(kube::ApiConfig config) const {
    config.server_name = config.host;
    config.host = "127.0.0.1";
    config.port = acceptor_.local_endpoint().port();
    return config;
  }
  void cut(bool on) {
    cut_ = on;
    if (!on) return;
    for (const auto& socket : sockets_) {
      error_code ignored;
      socket->close(ignored);
    }
    sockets_.clear();
  }
  void stall() { stalled_ = true; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  using Socket = std::shared_ptr<tcp::socket>;
  asio::awaitable<void> accept() {
    for (;;) {
      auto near = std::make_shared<tcp::socket>(io_);
      const auto [error] = co_await acceptor_.async_accept(*near, as_result);
      if (error) co_return;
      if (cut_) continue;  // closed again
      auto far = std::make_shared<tcp::socket>(io_);
      const auto [connect_error] = co_await far->async_connect(target_, as_result);
      if (connect_error) continue;
      ++connections_;
      for (const auto& socket : {near, far}) {
        socket->set_option(tcp::no_delay{true});
        sockets_.push_back(socket);
      }
      tasks_.spawn("there", pump(near, far));
      tasks_.spawn("back", pump(far, near));
    }
  }
  asio::awaitable<void> pump(Socket from, Socket to) {
    std::vector<char> bytes(16 << 10);
    for (;;) {
      const auto [error, size] = co_await from->async_read_some(asio::buffer(bytes), as_result);
      if (error) break;
      if (stalled_) continue;  // swallowed: no byte, no end
      const auto [write_error, written] = co_await asio::async_write(*to, asio::buffer(bytes.data(), size), as_result);
      if (write_error) break;
    }
    error_code ignored;
    if (!stalled_) to->close(ignored);
  }

  asio::io_context& io_;
  tcp::endpoint target_;
  tcp::acceptor acceptor_;
  std::vector<Socket> sockets_;
  bool cut_ = false;
  bool stalled_ = false;
  int connections_ = 0;
  TaskGroup tasks_;
};

class Client : public ::testing::Test {
 protected:
  template <class T>
  T ask(asio::awaitable<T> question) {
    return api_.ask(std::move(question));
  }
  kube::ApiClient& client() { return api_.client(); }
  bool eventually(std::function<bool()> done) { return api_.eventually(std::move(done)); }
  static std::string unique(const std::string& stem) {
    static int count = 0;
    return fmt::format("{}-{:x}-{}", stem, std::chrono::system_clock::now().time_since_epoch().count() / 1'000'000, ++count);
  }
  Service make_service(const std::string& stem = "client") {
    return api_.create_service({"contract", unique(stem)}, ServiceType::load_balancer, {}, {});
  }
  // One question to a client of its own.
  Result<kube::api::Namespace> get_with(const kube::ApiConfig& config) {
    kube::ApiClient one{api_.io().get_executor(), api_.timers(), api_.rng(), config};
    return ask(one.get<kube::api::Namespace>("/api/v1/namespaces/contract"));
  }
  template <class Got>
  static void expect_error(const Got& got, ErrorCode code, const std::string& part) {
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, code) << got.error().text;
    EXPECT_NE(got.error().text.find(part), std::string::npos) << got.error().text;
  }
  static kube::ApiConfig with_token(std::string token) {
    kube::ApiConfig config = admin_config();
    config.client_certificate_file.clear();
    config.client_key_file.clear();
    config.token = std::move(token);
    return config;
  }

  ApiSubject api_;
};

// ---- who is who

TEST_F(Client, TheRightAuthorityHostAndCertificateAreTaken) {
  const auto got = get_with(admin_config());
  ASSERT_TRUE(got) << got.error().text;
  EXPECT_EQ(got->metadata.name, "contract");
  kube::ApiConfig by_name = admin_config();
  by_name.server_name = "kubernetes.default.svc";
  EXPECT_TRUE(get_with(by_name));
}

TEST_F(Client, AWrongAuthorityIsRefused) {
  kube::ApiConfig wrong = admin_config();
  wrong.ca_file.clear();  // the system's, which did not sign this one
  expect_error(get_with(wrong), ErrorCode::unauthorized, "its certificate is refused");
  wrong.insecure_skip_tls_verify = true;
  EXPECT_TRUE(get_with(wrong));
}

TEST_F(Client, AWrongHostNameIsRefused) {
  kube::ApiConfig wrong = admin_config();
  wrong.server_name = "other.example";
  expect_error(get_with(wrong), ErrorCode::unauthorized,
               "its certificate is refused (hostname mismatch): check certificate-authority and the host name");
}

TEST_F(Client, AServiceAccountsTokenIsTakenAndItsMissingRightsAreSaid) {
  const kube::ApiConfig reader = with_token(file_of("token"));
  EXPECT_TRUE(get_with(reader));
  kube::ApiClient one{api_.io().get_executor(), api_.timers(), api_.rng(), reader};
  const Service service = make_service();
  kube::ApiCluster cluster{one};
  EXPECT_EQ(ask(cluster.read_service(service.name)).value(), service);
  ServicePatch patch{.name = service.name,
                     .uid = service.uid,
                     .version = service.version,
                     .labels = {},
                     .annotations = {},
                     .finalizers = {},
                     .ingress = std::vector<Ingress>{{"192.0.2.1", ""}}};
  expect_error(ask(cluster.patch_service(patch)), ErrorCode::forbidden,
               "User \"system:serviceaccount:contract:reader\" cannot patch resource \"services/status\"");
}

TEST_F(Client, AWrongTokenIsUnauthorizedAndNoneIsForbidden) {
  expect_error(get_with(with_token("nonsense")), ErrorCode::unauthorized, "check the token or client certificate");
  expect_error(get_with(with_token("")), ErrorCode::forbidden, "system:anonymous");
}

TEST_F(Client, InAPodTheServiceAccountsFilesAreUsedAndFollowed) {
  const std::string token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  expect_error(kube::in_cluster_config(), ErrorCode::invalid, "not in a pod ($KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE");
  ::setenv("KUBERNETES_SERVICE_HOST", admin_config().host.c_str(), 1);
  ::setenv("KUBERNETES_SERVICE_PORT", std::to_string(admin_config().port).c_str(), 1);
  const auto config = kube::in_cluster_config();
  ASSERT_TRUE(config) << config.error().text;
  kube::ApiClient pod{api_.io().get_executor(), api_.timers(), api_.rng(), *config};
  const auto get = [&] { return ask(pod.get<kube::api::Namespace>("/api/v1/namespaces/contract")); };
  EXPECT_TRUE(get());

  // A token that has run out is noticed by the server, and the next one is found in the file.
  kube::ApiClient late{api_.io().get_executor(), api_.timers(), api_.rng(), *config};
  write_file(token, "header.of.another\n");
  expect_error(ask(late.get<kube::api::Namespace>("/api/v1/namespaces/contract")), ErrorCode::unauthorized, "");
  write_file(token, file_of("token") + "\n");
  EXPECT_TRUE(ask(late.get<kube::api::Namespace>("/api/v1/namespaces/contract")));

  std::filesystem::remove(token);
  expect_error(kube::in_cluster_config(), ErrorCode::invalid, "automountServiceAccountToken must not be false");
  EXPECT_TRUE(get()) << "a file that goes away costs nothing";
  write_file(token, file_of("token"));
}

// ---- writes

TEST_F(Client, EachKindOfPatchDoesWhatItIsFor) {
  Service service = api_.create_service({"contract", unique("patch")}, ServiceType::load_balancer, {{"a.kubesphere.io/x", "1"}},
                                        {"example.com/first", "example.com/second"});
  const std::string path = "/api/v1/namespaces/contract/services/" + service.name.name;
  const auto patched = [&](kube::PatchKind kind, const std::string& body) {
    auto answer = ask(client().patch<kube::api::Service>(kind, path, body));
    if (!answer) ADD_FAILURE() << answer.error().text;
    return answer ? to_model(std::move(*answer)) : Service{};
  };
  service = patched(kube::PatchKind::merge,
                    R"({"metadata":{"finalizers":["example.com/second"],"annotations":{"b.kubesphere.io/x":"2"}}})");
  EXPECT_EQ(service.finalizers, (std::vector<std::string>{"example.com/second"})) << "a merge patch replaces lists";
  EXPECT_EQ(service.annotations, (Labels{{"a.kubesphere.io/x", "1"}, {"b.kubesphere.io/x", "2"}}));
  service = patched(kube::PatchKind::strategic_merge, R"({"metadata":{"finalizers":["example.com/third"]}})");
  EXPECT_EQ(service.finalizers.size(), 2U) << "a strategic one merges them";
  service = patched(kube::PatchKind::strategic_merge, R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/third"]}})");
  EXPECT_EQ(service.finalizers, (std::vector<std::string>{"example.com/second"}));
  service = patched(kube::PatchKind::json, R"([{"op":"replace","path":"/metadata/finalizers","value":[]}])");
  EXPECT_TRUE(service.finalizers.empty());
  expect_error(
      ask(client().patch<kube::api::Service>(kube::PatchKind::json, path, R"([{"op":"test","path":"/metadata/name","value":"x"}])")),
      ErrorCode::invalid, "");
  expect_error(ask(client().patch<kube::api::Service>(kube::PatchKind::merge, path, "{")), ErrorCode::invalid, "");
}

struct Involved {
  std::string kind;
  std::string name;
  std::string uid;
};
BOOST_DESCRIBE_STRUCT(Involved, (), (kind, name, uid))
struct Source {
  std::string component;
};
BOOST_DESCRIBE_STRUCT(Source, (), (component))
struct WrittenEvent {
  kube::api::Metadata metadata;
  Involved involvedObject;
  Source source;
  std::string reason;
  std::string message;
  std::string type;
  std::string firstTimestamp;
  std::string lastTimestamp;
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(WrittenEvent, (), (metadata, involvedObject, source, reason, message, type, firstTimestamp, lastTimestamp, count))

class Events : public Client {
 protected:
  std::vector<WrittenEvent> about(const std::string& name, const std::string& space) {
    auto list = ask(client().get<kube::api::List<WrittenEvent>>(
        fmt::format("/api/v1/namespaces/{}/events?fieldSelector=involvedObject.name%3D{}", space, name)));
    if (!list) ADD_FAILURE() << list.error().text;
    if (!list) return {};
    std::ranges::sort(list->items, {}, &WrittenEvent::reason);
    return list->items;
  }
  void SetUp() override { api_.tasks().spawn("events", recorder_.run()); }
  void TearDown() override {
    api_.tasks().cancel();
    EXPECT_TRUE(eventually([&] { return api_.tasks().size() == 0; }));
  }
  bool busy_ = false;
  kube::EventRecorder recorder_{api_.io().get_executor(), client(), api_.timers(), api_.rng(), [this] { return busy_; }};
};

TEST_F(Events, EqualOnesAreOneObjectWithACount) {
  const Service service = make_service();
  const EventRecord assigned{{"v1", "Service", "contract", service.name.name, service.uid},
                             false,
                             "OpenELBController",
                             "AssignIP",
                             "success to assign ip: 192.0.2.1"};
  EventRecord failed = assigned;
  failed.warning = true;
  failed.reason = "AssignIPFailed";
  failed.message = "no pool: \"quoted\", ü";
  for (const EventRecord& event : {assigned, failed, assigned, assigned}) recorder_.post(event);
  ASSERT_TRUE(eventually([&] { return recorder_.written() == 4; }));
  const auto written = about(service.name.name, "contract");
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(written[0].count, 3);
  EXPECT_EQ(written[0].reason, "AssignIP");
  EXPECT_EQ(written[0].message, assigned.message);
  EXPECT_EQ(written[0].type, "Normal");
  EXPECT_EQ(written[0].source.component, "OpenELBController");
  EXPECT_EQ(written[0].involvedObject.kind, "Service");
  EXPECT_EQ(written[0].involvedObject.uid, service.uid.text);
  EXPECT_FALSE(written[0].firstTimestamp.empty());
  EXPECT_LE(written[0].firstTimestamp, written[0].lastTimestamp);
  EXPECT_EQ(written[1].count, 1);
  EXPECT_EQ(written[1].type, "Warning");
  EXPECT_EQ(written[1].message, failed.message);
  EXPECT_EQ(recorder_.dropped(), 0U);
}

TEST_F(Events, OneThatHasExpiredIsWrittenAnew) {
  const Service service = make_service();
  const EventRecord event{{"v1", "Service", "contract", service.name.name, service.uid}, false, "OpenELBController", "AssignIP", "x"};
  recorder_.post(event);
  ASSERT_TRUE(eventually([&] { return recorder_.written() == 1; }));
  auto written = about(service.name.name, "contract");
  ASSERT_EQ(written.size(), 1U);
  ASSERT_TRUE(ask(client().remove("/api/v1/namespaces/contract/events/" + written[0].metadata.name, "")));
  recorder_.post(event);
  ASSERT_TRUE(eventually([&] { return recorder_.written() == 2; }));
  written = about(service.name.name, "contract");
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].count, 1);
}

TEST_F(Events, OfClusterScopedObjectsAreInDefault) {
  const Pool pool = api_.create_pool(unique("lan"), "192.0.2.1");
  recorder_.post({{"network.kubesphere.io/v1alpha2", "Eip", "", pool.name, pool.uid}, true, "EIPController", "Invalid", "x"});
  ASSERT_TRUE(eventually([&] { return recorder_.written() + recorder_.dropped() == 1; }));
  const auto written = about(pool.name, "default");
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].involvedObject.kind, "Eip");
}

TEST_F(Events, WaitWhileSomethingOfMoreWeightIsWritten) {
  busy_ = true;
  const Service service = make_service();
  recorder_.post({{"v1", "Service", "contract", service.name.name, service.uid}, false, "OpenELBController", "AssignIP", "x"});
  make_service();
  EXPECT_EQ(recorder_.written(), 0U);
  EXPECT_EQ(recorder_.queued(), 1U);
  busy_ = false;
  EXPECT_TRUE(eventually([&] { return recorder_.written() == 1; }));
}

TEST_F(Client, ThePortSeesWhatBecomesOfItsWorkload) {
  const std::string name = unique("workload");
  const std::string labels = fmt::format(R"({{"app":"{}"}})", name);
  const std::string deployments = "/apis/apps/v1/namespaces/contract/deployments";
  // The finalizer stands for the time that a pod takes to end.
  auto made = ask(client().create<kube::api::Workload>(
      deployments, fmt::format(R"({{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"{0}"}},)"
                               R"("spec":{{"replicas":1,"selector":{{"matchLabels":{1}}},)"
                               R"("template":{{"metadata":{{"labels":{1},"finalizers":["example.com/hold"]}},)"
                               R"("spec":{{"containers":[{{"name":"c","image":"none"}}]}}}}}}}})",
                               name, labels)));
  ASSERT_TRUE(made) << made.error().text;
  std::string pod;
  const auto pods = [&]() -> std::size_t {
    auto list = ask(client().get<kube::api::List<kube::api::Workload>>("/api/v1/namespaces/contract/pods?labelSelector=app%3D" + name));
    if (list && !list->items.empty()) pod = list->items[0].metadata.name;
    return list ? list->items.size() : 0;
  };
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (pods() == 0 && std::chrono::steady_clock::now() < end) eventually([] { return true; });
  ASSERT_FALSE(pod.empty()) << "the controller manager made no pod";
  const auto fate = [&] { return ask(api_.cluster().workload_fate({"contract", pod})); };
  EXPECT_EQ(fate(), Cluster::WorkloadFate::stays);
  ASSERT_TRUE(ask(client().patch_only(kube::PatchKind::merge, deployments + "/" + name, R"({"spec":{"replicas":0}})")));
  EXPECT_EQ(fate(), Cluster::WorkloadFate::goes);
  ASSERT_TRUE(ask(client().patch_only(kube::PatchKind::merge, deployments + "/" + name, R"({"spec":{"replicas":1}})")));
  EXPECT_EQ(fate(), Cluster::WorkloadFate::stays);
  ASSERT_TRUE(ask(client().remove(deployments + "/" + name, "")));
  EXPECT_EQ(fate(), Cluster::WorkloadFate::goes);
  EXPECT_EQ(ask(api_.cluster().workload_fate({"contract", unique("no-pod")})), Cluster::WorkloadFate::unknown);
  ASSERT_TRUE(
      ask(client().patch_only(kube::PatchKind::merge, "/api/v1/namespaces/contract/pods/" + pod, R"({"metadata":{"finalizers":[]}})")));
}

// ---- leader election

class Lease : public Client {
 protected:
  struct One {
    One(Lease& test, const std::string& identity, Duration duration)
        : elector(
              test.client(),
              test.api_.timers(),
              test.api_.rng(),
              {.name = test.name_, .identity = identity, .duration = duration, .renew_deadline = duration * 2 / 3, .retry_period = 100ms},
              [](bool) {}),
          tasks(test.api_.io().get_executor()) {
      tasks.spawn("lease", elector.run());
    }
    kube::LeaseElector elector;
    TaskGroup tasks;
  };
  void kill(One& one) {
    one.tasks.cancel();
    ASSERT_TRUE(eventually([&] { return one.tasks.size() == 0; }));
  }
  kube::api::LeaseSpec stored() {
    return ask(client().get<kube::api::Lease>("/apis/coordination.k8s.io/v1/namespaces/contract/leases/" + name_.name)).value().spec;
  }
  ObjectName name_{"contract", unique("lease")};
};

TEST_F(Lease, IsHeldByOneAndHandedOverAtOnceWhenReleased) {
  One a{*this, "a", 1h};
  ASSERT_TRUE(eventually([&] { return a.elector.leading(); })) << a.elector.error();
  One b{*this, "b", 1h};
  ASSERT_TRUE(eventually([&] { return b.elector.holder() == "a"; }));
  EXPECT_FALSE(b.elector.leading());
  const kube::api::LeaseSpec held = stored();
  EXPECT_EQ(held.holderIdentity, "a");
  EXPECT_EQ(held.leaseDurationSeconds, 3600);
  EXPECT_FALSE(held.acquireTime.empty());
  EXPECT_FALSE(held.renewTime.empty());
  kill(a);
  TaskGroup end{api_.io().get_executor()};
  end.spawn("release", a.elector.release());
  ASSERT_TRUE(eventually([&] { return end.size() == 0; }));
  ASSERT_TRUE(eventually([&] { return b.elector.leading(); })) << "long before an hour is over";
  EXPECT_EQ(stored().holderIdentity, "b");
  EXPECT_EQ(stored().leaseTransitions, 1);
  kill(b);
}

TEST_F(Lease, OfADeadLeaderIsTakenAfterItsDuration) {
  One a{*this, "a", 2s};
  ASSERT_TRUE(eventually([&] { return a.elector.leading(); }));
  One b{*this, "b", 2s};
  ASSERT_TRUE(eventually([&] { return b.elector.holder() == "a"; }));
  kill(a);
  const auto killed = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return b.elector.leading(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - killed, 1800ms) << "its last renewal was at most a retry period ago";
  EXPECT_EQ(stored().holderIdentity, "b");
  kill(b);
}

// ---- watching through a connection that breaks

class Watch : public Client {
 protected:
  template <class T>
  void start(TableFeed<T>& feed) {
    health_.kind = "test";
    api_.tasks().spawn("watch", kube::watch<T>(through_, api_.timers(), api_.rng(), feed, health_));
  }
  void TearDown() override {
    api_.tasks().cancel();
    EXPECT_TRUE(eventually([&] { return api_.tasks().size() == 0; }));
  }
  AddressBlock fresh_block(const std::string& pool) {
    static std::uint32_t count = 0;
    const auto base = static_cast<std::uint32_t>(std::chrono::system_clock::now().time_since_epoch().count() / 1'000'000);
    const IpAddress first = IpAddress::v4(((base + ++count) << 6) & 0xffffffc0U);
    AddressBlock block;
    block.name = block_name(first);
    BlockEntry entry;
    entry.pool = pool;
    entry.holders = {{{"shop", "a"}, {"u"}, HolderState::held, ""}};
    block.addresses.emplace(first, entry);
    return ask(api_.cluster().write_block(block)).value();
  }

  Cable cable_{api_.io(), admin_config()};
  kube::ApiClient through_{api_.io().get_executor(), api_.timers(), api_.rng(), cable_.end(admin_config())};
  // What the watches feed; they end in TearDown().
  RecordingFeed<Service> services_;
  RecordingFeed<AddressBlock> blocks_;
  RecordingFeed<Node> nodes_;
  RecordingFeed<Namespace> namespaces_;
  RecordingFeed<EndpointSlice> slices_;
  kube::WatchHealth health_;
  kube::WatchHealth more_health_[2];
};

TEST_F(Watch, ResumesWhereItWasAfterTheConnectionBroke) {
  const Service before = make_service();
  auto& feed = services_;
  start(feed);
  const Service first = make_service();
  ASSERT_TRUE(eventually([&] { return !feed.about(first.name).empty() || feed.listed(first.name) != nullptr; }));
  cable_.cut(true);
  const Service second = make_service();
  const Service third = make_service();
  api_.delete_service(before.name);
  ASSERT_TRUE(eventually([&] { return !health_.error.empty(); }));
  EXPECT_TRUE(feed.about(second.name).empty());
  cable_.cut(false);
  ASSERT_TRUE(eventually([&] { return feed.erased(before.name); }));
  EXPECT_EQ(feed.about(second.name).size(), 1U);
  EXPECT_EQ(feed.about(third.name).size(), 1U);
  EXPECT_EQ(health_.lists, 1U) << "no object was listed again";
  EXPECT_EQ(feed.replaced.size(), 1U);
  EXPECT_EQ(health_.error, "");
}

TEST_F(Watch, SilenceEndsAStream) {
  auto& feed = services_;
  start(feed);
  ASSERT_TRUE(eventually([&] { return health_.synced && health_.watches == 1; }));
  std::size_t bytes = 0;
  std::optional<Result<>> ended;
  asio::co_spawn(api_.io(),
                 through_.stream(
                     "/api/v1/services?watch=1&allowWatchBookmarks=true&timeoutSeconds=300",
                     [&bytes](std::string_view piece) -> Result<> {
                       bytes += piece.size();
                       return {};
                     },
                     1s),
                 [&ended](const std::exception_ptr&, Result<> result) { ended = std::move(result); });
  make_service();
  ASSERT_TRUE(eventually([&] { return bytes > 0; }));
  cable_.stall();
  ASSERT_TRUE(eventually([&] { return ended.has_value(); }));
  expect_error(*ended, ErrorCode::timed_out, "no answer in time");
}

TEST_F(Watch, BookmarksComeAndMoveTheVersion) {
  const Service before = make_service();
  RecordingFeed<Service> feed;
  kube::LineSplitter splitter{std::size_t{16} << 20};
  std::vector<ResourceVersion> bookmarks;
  std::optional<Result<>> ended;
  const auto on_line = [&](std::string_view line) -> Result<> {
    const auto outcome = kube::apply_watch_line<Service>(line, feed);
    if (outcome.outcome == kube::WatchLine::Outcome::bookmark) bookmarks.push_back(outcome.version);
    return {};
  };
  asio::co_spawn(api_.io(),
                 client().stream(
                     "/api/v1/services?watch=1&allowWatchBookmarks=true&timeoutSeconds=5&resourceVersion=" + before.version.text,
                     [&](std::string_view piece) { return splitter.feed(piece, on_line); }, 30s),
                 [&ended](const std::exception_ptr&, Result<> result) { ended = std::move(result); });
  const Service after = make_service();
  ASSERT_TRUE(eventually([&] { return ended.has_value(); }));
  EXPECT_TRUE(*ended) << (*ended).error().text << ": the server ends a watch in order";
  ASSERT_EQ(feed.about(after.name).size(), 1U);
  ASSERT_FALSE(bookmarks.empty());
  EXPECT_FALSE(bookmarks.back().older_than(after.version));
}

TEST_F(Watch, AVersionTooOldIsToldWithinTheStream) {
  RecordingFeed<AddressBlock> feed;
  kube::LineSplitter splitter{std::size_t{16} << 20};
  std::vector<kube::WatchLine> lines;
  const auto ended = ask(client().stream(
      "/apis/network.kubesphere.io/v1alpha2/addressblocks?watch=1&timeoutSeconds=5&resourceVersion=1",
      [&](std::string_view piece) {
        return splitter.feed(piece, [&](std::string_view line) -> Result<> {
          lines.push_back(kube::apply_watch_line<AddressBlock>(line, feed));
          return {};
        });
      },
      30s));
  EXPECT_TRUE(ended) << ended.error().text;
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].outcome, kube::WatchLine::Outcome::relist);
  EXPECT_NE(lines[0].text.find("too old resource version"), std::string::npos) << lines[0].text;
}

TEST_F(Watch, WhenHistoryIsGoneItListsAgainAndTheFeedCanCompare) {
  AddressBlock changed = fresh_block("before");
  const AddressBlock deleted = fresh_block("before");
  auto& feed = blocks_;
  start(feed);
  ASSERT_TRUE(eventually([&] { return health_.synced && health_.watches == 1; }));
  const auto page = ask(
      client().get<kube::api::List<kube::api::AddressBlock>>("/apis/network.kubesphere.io/v1alpha2/addressblocks?limit=1"));
  ASSERT_TRUE(page) << page.error().text;
  ASSERT_FALSE(page->metadata.continue_.empty());

  cable_.cut(true);
  changed.addresses.begin()->second.pool = "after";
  changed = ask(api_.cluster().write_block(changed)).value();
  ASSERT_TRUE(ask(api_.cluster().delete_block(deleted)));
  const AddressBlock added = fresh_block("after");
  ask_runner("compact-etcd");
  ask_runner("restart-apiserver");
  EXPECT_EQ(feed.replaced.size(), 1U);
  EXPECT_TRUE(feed.told.empty()) << "nothing is withdrawn while the API server is away";
  cable_.cut(false);
  ASSERT_TRUE(eventually([&] { return feed.replaced.size() == 2; })) << health_.error;
  EXPECT_FALSE(feed.replaced[1].history_lost);
  ASSERT_NE(feed.listed(changed.name), nullptr);
  EXPECT_EQ(*feed.listed(changed.name), changed);
  ASSERT_NE(feed.listed(added.name), nullptr);
  EXPECT_EQ(feed.listed(deleted.name), nullptr);
  ASSERT_TRUE(eventually([&] { return health_.error.empty(); })) << health_.error;

  // The other form: HTTP status 410, of a list whose next page is of a time that is gone.
  expect_error(ask(client().get<kube::api::List<kube::api::AddressBlock>>(
                   "/apis/network.kubesphere.io/v1alpha2/addressblocks?limit=1&continue=" + page->metadata.continue_)),
               ErrorCode::gone, "continue");
}

TEST_F(Watch, OfNodesNamespacesAndSlicesIsUnderstood) {
  const std::string name = unique("node");
  ASSERT_TRUE(ask(client().create<kube::api::Node>(
      "/api/v1/nodes", fmt::format(R"({{"apiVersion":"v1","kind":"Node","metadata":{{"name":"{}","labels":{{"rack":"r1"}}}},)"
                                   R"("spec":{{"taints":[{{"key":"k","effect":"NoExecute"}}]}}}})",
                                   name))));
  ASSERT_TRUE(
      ask(client().patch_only(kube::PatchKind::strategic_merge, "/api/v1/nodes/" + name + "/status",
                              R"({"status":{"conditions":[{"type":"Ready","status":"True"}],)"
                              R"("addresses":[{"type":"Hostname","address":"x"},{"type":"InternalIP","address":"172.30.0.99"}]}})")));
  const auto make_slice = [&](const std::string& slice, const std::string& labels) {
    const auto made = ask(client().create<kube::api::EndpointSlice>(
        "/apis/discovery.k8s.io/v1/namespaces/contract/endpointslices",
        fmt::format(R"({{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{{"name":"{}","labels":{{{}}}}},)"
                    R"("addressType":"IPv4","ports":[{{"port":80}}],"endpoints":[{{"addresses":["10.0.0.1"],"nodeName":"{}"}},)"
                    R"({{"addresses":["10.0.0.2"],"conditions":{{"ready":false,"serving":true,"terminating":true}}}}]}})",
                    slice, labels, name)));
    EXPECT_TRUE(made) << made.error().text;
  };
  const std::string slice = unique("slice");
  make_slice(slice, R"("kubernetes.io/service-name":"web")");
  make_slice(slice + "-headless", R"("kubernetes.io/service-name":"web","service.kubernetes.io/headless":"")");
  make_slice(slice + "-foreign", R"("a":"b")");

  start(nodes_);
  api_.tasks().spawn("watch", kube::watch<Namespace>(through_, api_.timers(), api_.rng(), namespaces_, more_health_[0]));
  api_.tasks().spawn("watch", kube::watch<EndpointSlice>(through_, api_.timers(), api_.rng(), slices_, more_health_[1]));
  ASSERT_TRUE(eventually([&] { return health_.synced && more_health_[0].synced && more_health_[1].synced; }));
  const Node* node = nodes_.listed(name);
  ASSERT_NE(node, nullptr);
  EXPECT_TRUE(node->ready);
  EXPECT_EQ(node->labels.at("rack"), "r1");
  EXPECT_NE(std::ranges::find(node->taints, "k"), node->taints.end());
  EXPECT_EQ(node->internal_ips, (std::vector<IpAddress>{IpAddress::parse("172.30.0.99").value()}));
  ASSERT_NE(namespaces_.listed("contract"), nullptr);
  EXPECT_EQ(namespaces_.listed("contract")->labels.at("kubernetes.io/metadata.name"), "contract");
  const EndpointSlice* listed = slices_.listed({"contract", slice});
  ASSERT_NE(listed, nullptr);
  EXPECT_EQ(listed->service, "web");
  EXPECT_EQ(listed->endpoints, (std::vector<Endpoint>{{"", false, true, true}, {name, true, true, false}}));
  EXPECT_EQ(slices_.listed({"contract", slice + "-headless"}), nullptr);
  EXPECT_EQ(slices_.listed({"contract", slice + "-foreign"}), nullptr);
  ASSERT_TRUE(ask(client().remove("/api/v1/nodes/" + name, "")));
  ASSERT_TRUE(eventually([&] { return nodes_.erased(name); }));
}

// Last, since its objects stay: every later list would have them.
TEST_F(Watch, AListOfSeveralPagesIsWhatIsInTheStore) {
  constexpr std::size_t count = 1200;
  std::size_t made = 0;
  std::size_t failed = 0;
  std::size_t next = 0;
  const std::string stem = unique("page");
  std::function<void()> make_next = [&] {
    if (next == count) return;
    asio::co_spawn(api_.io(),
                   client().create<kube::api::Service>(
                       "/api/v1/namespaces/contract/services",
                       fmt::format(R"({{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{}-{}"}},"spec":{{"clusterIP":"None"}}}})",
                                   stem, next++),
                       30s),
                   [&](const std::exception_ptr&, const Result<kube::api::Service>& answer) {
                     ++(answer ? made : failed);
                     make_next();
                   });
  };
  for (int i = 0; i < 32; ++i) make_next();
  for (int patience = 0; patience < 4 && made + failed < count; ++patience) eventually([&] { return made + failed == count; });
  ASSERT_EQ(made, count);
  auto& feed = services_;
  start(feed);
  ASSERT_TRUE(eventually([&] { return health_.synced; }));
  auto whole = ask(client().get<kube::api::List<kube::api::Service>>("/api/v1/services", 30s));
  ASSERT_TRUE(whole) << whole.error().text;
  ASSERT_EQ(feed.replaced.size(), 1U);
  EXPECT_GT(feed.replaced[0].rows.size(), count);
  ASSERT_EQ(feed.replaced[0].rows.size(), whole->items.size());
  std::ranges::sort(feed.replaced[0].rows, {}, &Service::name);
  std::vector<Service> stored;
  for (auto& item : whole->items) stored.push_back(to_model(std::move(item)));
  std::ranges::sort(stored, {}, &Service::name);
  EXPECT_TRUE(feed.replaced[0].rows == stored);
}

}  // namespace
}  // namespace berth::contract
