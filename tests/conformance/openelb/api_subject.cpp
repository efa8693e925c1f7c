// The suite's subject on a real API server, with the production client, watches and Events. The server is
// shared by all tests, one after the other; each leaves nothing behind.
#include <algorithm>
#include <chrono>

#include <boost/describe/class.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "../../contract/api_subject.hpp"
#include "faulty_cluster.hpp"
#include "kube/event_recorder.hpp"
#include "reconcile/controller.hpp"
#include "subject.hpp"

namespace berth::openelb {

struct EventSource {
  std::string component;
};
BOOST_DESCRIBE_STRUCT(EventSource, (), (component))
struct EventObject {
  std::string uid;
};
BOOST_DESCRIBE_STRUCT(EventObject, (), (uid))
struct Event {
  std::string type;
  std::string reason;
  std::string message;
  std::int64_t count = 0;
  EventSource source;
  EventObject involvedObject;
};
BOOST_DESCRIBE_STRUCT(Event, (), (type, reason, message, count, source, involvedObject))

namespace {

using namespace std::chrono_literals;
using contract::RecordingFeed;
namespace api = kube::api;

const std::string group = "/apis/network.kubesphere.io/v1alpha2/";
const std::vector<std::string> spaces{"shop", "bank"};

std::string collection(const ObjectId& id) {
  switch (id.kind) {
    case Kind::service: return fmt::format("/api/v1/namespaces/{}/services", id.space);
    case Kind::eip: return group + "eips";
    case Kind::bgp_conf: return group + "bgpconfs";
    case Kind::bgp_peer: return group + "bgppeers";
    case Kind::namespace_: return "/api/v1/namespaces";
    case Kind::node: return "/api/v1/nodes";
  }
  return "";
}
std::string path(const ObjectId& id) { return collection(id) + "/" + id.name; }

// The connections to the server, and all that was heard of Services, for all tests.
struct Shared {
  Shared() { api.tasks().spawn("history", kube::watch<Service>(api.client(), api.timers(), api.rng(), history, health)); }
  RecordingFeed<Service> history;
  kube::WatchHealth health;
  contract::ApiSubject api;  // last: its watch feeds the history
};
std::unique_ptr<Shared> shared_by_all;
struct Sharing final : ::testing::Environment {
  void SetUp() override { shared_by_all = std::make_unique<Shared>(); }
  void TearDown() override { shared_by_all.reset(); }
};
const auto* const registered = ::testing::AddGlobalTestEnvironment(new Sharing);

class RealSubject final : public Subject {
 public:
  RealSubject() {
    EXPECT_TRUE(eventually([&] { return !shared_.history.replaced.empty(); }));
    shared_.history.told.clear();
    force_clear();
  }
  ~RealSubject() override {
    if (running_) kill_controller();
  }

  void create(Kind kind, json::object manifest) override {
    const json::object& metadata = manifest["metadata"].as_object();
    const json::value* space = metadata.if_contains("namespace");
    const ObjectId id{kind, space == nullptr ? "" : std::string{space->as_string()}, std::string{metadata.at("name").as_string()}};
    const bool ours = kind == Kind::eip || kind == Kind::bgp_conf || kind == Kind::bgp_peer;
    static constexpr const char* kinds[] = {"Service", "Eip", "BgpConf", "BgpPeer", "Namespace", "Node"};
    manifest["apiVersion"] = ours ? "network.kubesphere.io/v1alpha2" : "v1";
    manifest["kind"] = kinds[static_cast<std::size_t>(kind)];
    const auto made = api_.ask(client().create<api::Workload>(collection(id), json::serialize(manifest)));
    if (!made && made.error().code == ErrorCode::already_exists && kind == Kind::namespace_) return;
    if (!made) ADD_FAILURE() << made.error().text;
    if (const json::value* status = manifest.if_contains("status")) patch(id, {{"status", *status}});
  }
  void patch(const ObjectId& id, json::object change) override {
    if (const json::value* status = change.if_contains("status")) {
      must(api_.ask(client().patch_only(kube::PatchKind::merge, path(id) + "/status", json::serialize(json::object{{"status", *status}}))));
      change.erase("status");
    }
    if (!change.empty()) must(api_.ask(client().patch_only(kube::PatchKind::merge, path(id), json::serialize(change))));
  }
  void remove(const ObjectId& id) override { must(api_.ask(client().remove(path(id), ""))); }

  std::optional<Service> service(const ObjectName& name) override { return read<api::Service>({Kind::service, name.space, name.name}); }
  std::optional<Pool> pool(const std::string& name) override { return read<api::Eip>({Kind::eip, "", name}); }
  std::optional<std::vector<std::string>> finalizers(const ObjectId& id) override {
    auto answer = get<api::Workload>(path(id));
    if (!answer) return std::nullopt;
    return answer->metadata.finalizers;
  }
  std::map<IpAddress, BlockEntry> records() override {
    std::map<IpAddress, BlockEntry> out;
    for (api::AddressBlock& block : list<api::AddressBlock>(group + "addressblocks")) {
      const AddressBlock row = kube::to_model(std::move(block));
      out.insert(row.addresses.begin(), row.addresses.end());
    }
    return out;
  }
  std::vector<Service> history(const ObjectName& name) override {
    const auto now = service(name);
    const auto all_heard = [&] {
      const auto heard = shared_.history.about(name);
      return now ? std::ranges::any_of(heard, [&](const auto& one) { return one.version == now->version; }) : shared_.history.erased(name);
    };
    EXPECT_TRUE(eventually(all_heard)) << "the watch does not follow";
    std::vector<Service> out;
    for (auto& told : shared_.history.about(name))
      if (told.row) out.push_back(std::move(*told.row));
    return out;
  }
  std::vector<Told> events(const ObjectId& about) override {
    const std::string kind = about.kind == Kind::service ? "Service" : "Eip";
    std::vector<Told> out;
    const Uid uid = uid_of(about);
    for (Event& event :
         list<Event>(fmt::format("/api/v1/namespaces/{}/events?fieldSelector=involvedObject.kind%3D{}%2CinvolvedObject.name%3D{}",
                                 about.space.empty() ? "default" : about.space, kind, about.name)))
      if (event.involvedObject.uid == uid.text)
        out.push_back(
            {event.type == "Warning", std::move(event.source.component), std::move(event.reason), std::move(event.message), event.count});
    return out;
  }
  std::map<std::string, std::string> versions() override {
    std::map<std::string, std::string> out;
    for (const std::string& space : spaces)
      for (const auto& one : list<api::Workload>(collection({Kind::service, space, ""})))
        out["service " + space + "/" + one.metadata.name] = one.metadata.resourceVersion;
    for (const auto& one : list<api::Workload>(group + "eips")) out["eip " + one.metadata.name] = one.metadata.resourceVersion;
    for (const auto& one : list<api::Workload>(group + "addressblocks")) out["block " + one.metadata.name] = one.metadata.resourceVersion;
    return out;
  }

  void start_controller(const Faults& faults) override { running_ = std::make_unique<Running>(api_, faults); }
  void kill_controller() override {
    running_->tasks.cancel();
    running_->recorder_tasks.cancel();
    TaskGroup end{api_.io().get_executor()};
    end.spawn("end", running_->controller.ended());
    EXPECT_TRUE(eventually([&] { return end.size() + running_->tasks.size() + running_->recorder_tasks.size() == 0; }));
    running_.reset();
  }
  bool controller_hangs() override { return running_->cluster.hangs(); }

  bool eventually(const std::function<bool()>& done) override {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      api_.io().restart();
      api_.io().run_for(4ms);
    }
    return true;
  }

  // It has heard of everything as it is now, has planned since, writes nothing and has nothing to take back.
  void settle() override {
    for (;;) {
      const World& world = running_->keeper.world();
      std::map<std::string, std::string> before;
      const auto heard = [&] {
        before = versions();
        std::map<std::string, std::string> known;
        for (const auto& [name, row] : world.services.rows())
          if (std::ranges::find(spaces, name.space) != spaces.end()) known["service " + name.to_string()] = row.version.text;
        for (const auto& [name, row] : world.pools.rows()) known["eip " + name] = row.version.text;
        for (const auto& [name, row] : world.blocks.rows()) known["block " + name] = row.version.text;
        return known == before;
      };
      if (!comes_true(heard, "the controller does not hear of everything")) return;
      const std::uint64_t plans = running_->controller.counters().plans;
      running_->controller.look_again();
      const auto planned = [&] {
        return running_->controller.counters().plans > plans && !running_->controller.busy() && running_->recorder.queued() == 0;
      };
      if (!comes_true(planned, "the controller does not come to rest")) return;
      bool taking_back = false;
      for (const auto& [ip, entry] : records())
        taking_back |= std::ranges::any_of(entry.holders, [](const Holder& holder) { return holder.state == HolderState::freeing; });
      if (!taking_back && versions() == before) return;
    }
  }

  void clear() override {
    remove_all();
    eventually([&] { return services_left() == 0; });
    for (const auto& one : list<api::Workload>(group + "eips")) remove({Kind::eip, "", one.metadata.name});
  }

 private:
  struct Running {
    Running(contract::ApiSubject& of, const Faults& faults)
        : client(of.io().get_executor(), of.timers(), of.rng(), contract::admin_config()),
          real(client),
          cluster(real, of.timers(), faults),
          recorder(of.io().get_executor(), client, of.timers(), of.rng(), [this] { return controller.busy(); }),
          controller(of.io().get_executor(),
                     of.timers(),
                     of.rng(),
                     cluster,
                     recorder,
                     keeper,
                     {.node = "node-a", .identity = fmt::format("a{:x}", of.rng().next()), .quarantine = 20ms}),
          tasks(of.io().get_executor()),
          recorder_tasks(of.io().get_executor()) {
      keeper.on_change([this] { controller.look_again(); });
      watch(of, keeper.services());
      watch(of, keeper.pools());
      watch(of, keeper.blocks());
      watch(of, keeper.namespaces());
      watch(of, keeper.bgp_confs());
      watch(of, keeper.bgp_peers());
      recorder_tasks.spawn("events", recorder.run());
      tasks.spawn("controller", controller.run());
    }
    template <class T>
    void watch(contract::ApiSubject& of, TableFeed<T>& feed) {
      healths.emplace_back();
      tasks.spawn("watch", kube::watch<T>(client, of.timers(), of.rng(), feed, healths.back()));
    }
    kube::ApiClient client;
    kube::ApiCluster real;
    FaultyCluster cluster;
    WorldKeeper keeper;
    kube::EventRecorder recorder;
    Controller controller;
    std::deque<kube::WatchHealth> healths;
    TaskGroup tasks;
    TaskGroup recorder_tasks;
  };

  kube::ApiClient& client() { return api_.client(); }
  static void must(const Result<>& result) {
    if (!result && result.error().code != ErrorCode::not_found) ADD_FAILURE() << result.error().text;
  }
  bool comes_true(const std::function<bool()>& done, const char* otherwise) {
    if (eventually(done)) return true;
    ADD_FAILURE() << otherwise;
    return false;
  }
  // Of the newest object of this name, or of the last there was.
  Uid uid_of(const ObjectId& id) {
    if (id.kind != Kind::service) return pool(id.name).value_or(Pool{}).uid;
    if (const auto now = service({id.space, id.name})) return now->uid;
    const auto all = history({id.space, id.name});
    return all.empty() ? Uid{} : all.back().uid;
  }
  template <class Wire>
  std::optional<Wire> get(std::string at) {
    auto answer = api_.ask(client().get<Wire>(std::move(at)));
    if (answer) return std::move(*answer);
    if (answer.error().code != ErrorCode::not_found) ADD_FAILURE() << answer.error().text;
    return std::nullopt;
  }
  template <class Wire>
  auto read(const ObjectId& id) -> std::optional<decltype(kube::to_model(Wire{}))> {
    auto found = get<Wire>(path(id));
    if (!found) return std::nullopt;
    return kube::to_model(std::move(*found));
  }
  template <class Wire>
  std::vector<Wire> list(std::string at) {
    auto found = get<api::List<Wire>>(std::move(at));
    return found ? std::move(found->items) : std::vector<Wire>{};
  }

  std::size_t services_left() {
    std::size_t out = 0;
    for (const std::string& space : spaces) out += list<api::Workload>(collection({Kind::service, space, ""})).size();
    return out;
  }
  void remove_all() {
    for (const std::string& space : spaces)
      for (const auto& one : list<api::Workload>(collection({Kind::service, space, ""}))) remove({Kind::service, space, one.metadata.name});
    for (const auto& one : list<api::Workload>(group + "bgpconfs")) remove({Kind::bgp_conf, "", one.metadata.name});
    for (const auto& one : list<api::Workload>(group + "bgppeers")) remove({Kind::bgp_peer, "", one.metadata.name});
  }
  // What a test that failed left behind.
  void force_clear() {
    if (versions().empty()) return;
    const json::object none{{"metadata", json::object{{"finalizers", nullptr}}}};
    for (const std::string& space : spaces)
      for (const auto& one : list<api::Workload>(collection({Kind::service, space, ""})))
        patch({Kind::service, space, one.metadata.name}, none);
    for (const auto& one : list<api::Workload>(group + "eips")) patch({Kind::eip, "", one.metadata.name}, none);
    clear();
    for (const auto& one : list<api::Workload>(group + "addressblocks"))
      must(api_.ask(client().remove(group + "addressblocks/" + one.metadata.name, "")));
    eventually([&] { return versions().empty(); });
  }

  Shared& shared_ = *shared_by_all;
  contract::ApiSubject& api_ = shared_.api;
  std::unique_ptr<Running> running_;
};

}  // namespace

std::unique_ptr<Subject> make_subject() { return std::make_unique<RealSubject>(); }

}  // namespace berth::openelb
