// The suite's subject in the simulation: what users write is kept as JSON beside the store, because the
// store has the model's nouns only.
#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "../../sim/cluster.hpp"
#include "base/task_group.hpp"
#include "base/testing/sim_timers.hpp"
#include "faulty_cluster.hpp"
#include "kube/decode.hpp"
#include "kube/json_reader.hpp"
#include "reconcile/controller.hpp"
#include "subject.hpp"

namespace berth::openelb {
namespace {

using namespace std::chrono_literals;
namespace api = kube::api;

void merge(json::object& into, const json::object& change) {
  for (const auto& [key, value] : change) {
    if (value.is_null()) {
      into.erase(key);
    } else if (const json::object* inner = value.if_object()) {
      json::value& below = into[key];
      if (!below.is_object()) below = json::object{};
      merge(below.get_object(), *inner);
    } else {
      into[key] = value;
    }
  }
}

json::object& part(json::object& of, std::string_view name) {
  json::value& found = of[name];
  if (!found.is_object()) found = json::object{};
  return found.get_object();
}

template <class T>
T text_or(const json::object& in, std::string_view key, T otherwise) {
  const json::value* found = in.if_contains(key);
  return found != nullptr ? T{found->as_string()} : otherwise;
}

// What the API server fills in.
void complete(json::object& service, int number) {
  json::object& metadata = part(service, "metadata");
  if (!metadata.contains("creationTimestamp"))
    metadata["creationTimestamp"] = fmt::format("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
  json::object& spec = part(service, "spec");
  if (!spec.contains("ipFamilies")) spec["ipFamilies"] = json::array{"IPv4"};
  if (!spec.contains("ports")) spec["ports"] = json::array{json::object{{"port", 80}}};
  for (json::value& port : spec["ports"].as_array())
    if (!port.as_object().contains("protocol")) port.as_object()["protocol"] = "TCP";
}

// What the controller may have written, as it is in the store.
void refresh(json::object& manifest, const Service& now) {
  json::object& metadata = part(manifest, "metadata");
  json::object& labels = part(metadata, "labels");
  labels.erase(keys::pool);
  if (now.has_pool_label) labels[keys::pool] = now.pool_label;
  json::object& annotations = part(metadata, "annotations");
  for (auto it = annotations.begin(); it != annotations.end();)
    it = it->key().find("kubesphere.io/") != json::string_view::npos ? annotations.erase(it) : std::next(it);
  for (const auto& [key, value] : now.annotations) annotations[key] = value;
  metadata["finalizers"] = json::value_from(now.finalizers);
  json::array ingress;
  for (const Ingress& entry : now.ingress) {
    json::object one;
    if (!entry.ip.empty()) one["ip"] = entry.ip;
    if (!entry.hostname.empty()) one["hostname"] = entry.hostname;
    if (!entry.ip_mode.empty()) one["ipMode"] = entry.ip_mode;
    json::array ports;
    for (const IngressPort& port : entry.ports)
      ports.emplace_back(json::object{{"port", port.port}, {"protocol", port.protocol}, {"error", port.error}});
    if (!ports.empty()) one["ports"] = std::move(ports);
    ingress.emplace_back(std::move(one));
  }
  part(part(manifest, "status"), "loadBalancer")["ingress"] = std::move(ingress);
}
void refresh(json::object& manifest, const Pool& now) {
  part(manifest, "metadata")["finalizers"] = json::value_from(now.finalizers);
  manifest["status"] = json::object{{"occupied", now.status.occupied},  {"usage", now.status.usage},
                                    {"poolSize", now.status.pool_size}, {"used", json::value_from(now.status.used)},
                                    {"firstIP", now.status.first_ip},   {"lastIP", now.status.last_ip},
                                    {"ready", now.status.ready},        {"v4", now.status.v4}};
}
template <class T>
void refresh(json::object& manifest, const T& now) {
  part(manifest, "metadata")["finalizers"] = json::value_from(now.finalizers);
}

template <class Wire>
auto decode(const json::object& manifest) {
  auto read = kube::read_json<Wire>(json::serialize(manifest));
  if (!read || !read->problem.empty()) {
    ADD_FAILURE() << "a manifest can't be read: " << (read ? read->problem : read.error().text) << "\n" << json::serialize(manifest);
    std::abort();
  }
  return kube::to_model(std::move(read->value));
}

class SimSubject final : public Subject {
 public:
  ~SimSubject() override {
    if (running_) kill_controller();
  }

  void create(Kind kind, json::object manifest) override {
    const json::object& metadata = manifest["metadata"].as_object();
    const ObjectId id{kind, text_or<std::string>(metadata, "namespace", ""), std::string{metadata.at("name").as_string()}};
    if (kind == Kind::service) complete(manifest, ++created_);
    put(id, std::move(manifest));
  }
  void patch(const ObjectId& id, json::object change) override {
    json::object& manifest = manifests_.at(id);
    switch (id.kind) {
      case Kind::service: refresh(manifest, store_.services().at({id.space, id.name})); break;
      case Kind::eip: refresh(manifest, store_.pools().at(id.name)); break;
      case Kind::bgp_conf: refresh(manifest, store_.bgp_confs().at(id.name)); break;
      case Kind::bgp_peer: refresh(manifest, store_.bgp_peers().at(id.name)); break;
      case Kind::namespace_:
      case Kind::node: break;
    }
    json::object changed = manifest;
    merge(changed, change);
    put(id, std::move(changed));
  }
  void remove(const ObjectId& id) override {
    switch (id.kind) {
      case Kind::service: return store_.remove_service({id.space, id.name});
      case Kind::eip: return store_.remove_pool(id.name);
      case Kind::bgp_conf: return store_.remove_bgp_conf(id.name);
      case Kind::bgp_peer: return store_.remove_bgp_peer(id.name);
      case Kind::namespace_:
      case Kind::node: FAIL() << "namespaces and nodes stay";
    }
  }

  std::optional<Service> service(const ObjectName& name) override { return found(store_.services(), name); }
  std::optional<Pool> pool(const std::string& name) override { return found(store_.pools(), name); }
  std::optional<std::vector<std::string>> finalizers(const ObjectId& id) override {
    const auto of = [](const auto& row) { return row ? std::optional{row->finalizers} : std::nullopt; };
    switch (id.kind) {
      case Kind::service: return of(service({id.space, id.name}));
      case Kind::eip: return of(pool(id.name));
      case Kind::bgp_conf: return of(found(store_.bgp_confs(), id.name));
      case Kind::bgp_peer: return of(found(store_.bgp_peers(), id.name));
      case Kind::namespace_:
      case Kind::node: break;
    }
    return std::nullopt;
  }
  std::map<IpAddress, BlockEntry> records() override {
    std::map<IpAddress, BlockEntry> out;
    for (const auto& [name, block] : store_.blocks()) out.insert(block.addresses.begin(), block.addresses.end());
    return out;
  }
  std::vector<Service> history(const ObjectName& name) override {
    std::vector<Service> out;
    for (const auto& event : store_.service_log())
      if (event.row.name == name && !event.deleted) out.push_back(event.row);
    return out;
  }
  std::vector<Told> events(const ObjectId& about) override {
    std::vector<Told> out;
    const std::string kind = about.kind == Kind::service ? "Service" : about.kind == Kind::eip ? "Eip" : "";
    for (const EventRecord& event : events_.all) {
      if (event.object.kind != kind || event.object.space != about.space || event.object.name != about.name) continue;
      const auto same = std::ranges::find_if(out, [&](const Told& told) {
        return told.warning == event.warning && told.reason == event.reason && told.message == event.message;
      });
      if (same != out.end())
        ++same->count;
      else
        out.push_back({event.warning, event.component, event.reason, event.message});
    }
    return out;
  }
  std::map<std::string, std::string> versions() override {
    std::map<std::string, std::string> out;
    for (const auto& [name, row] : store_.services()) out["service " + name.to_string()] = row.version.text;
    for (const auto& [name, row] : store_.pools()) out["eip " + name] = row.version.text;
    for (const auto& [name, row] : store_.blocks()) out["block " + name] = row.version.text;
    return out;
  }

  void start_controller(const Faults& faults) override {
    running_ = std::make_unique<Running>(*this, faults);
    running_->tasks.spawn("watch", running_->sim.watch(running_->keeper));
    running_->keeper.nodes().replace({}, {"1"}, false);
    for (const auto& [name, row] : nodes_) running_->keeper.nodes().upsert(row);
    running_->tasks.spawn("controller", running_->controller.run());
  }
  void kill_controller() override {
    running_->tasks.cancel();
    TaskGroup end{io_.get_executor()};
    end.spawn("end", running_->controller.ended());
    timers_.run_for(0s);
    EXPECT_EQ(end.size(), 0U);
    EXPECT_EQ(running_->tasks.size(), 0U);
    running_.reset();
  }
  bool controller_hangs() override { return running_->cluster.hangs(); }

  bool eventually(const std::function<bool()>& done) override {
    for (int i = 0; i < 60'000; ++i) {
      if (done()) return true;
      timers_.run_for(1ms);
    }
    return done();
  }
  void settle() override { timers_.run_for(10s); }
  void clear() override {
    for (const auto& [name, row] : std::map{store_.services()}) store_.remove_service(name);
    for (const auto& [name, row] : std::map{store_.bgp_confs()}) store_.remove_bgp_conf(name);
    for (const auto& [name, row] : std::map{store_.bgp_peers()}) store_.remove_bgp_peer(name);
    eventually([&] { return store_.services().empty(); });
    for (const auto& [name, row] : std::map{store_.pools()}) store_.remove_pool(name);
  }

 private:
  struct Running {
    Running(SimSubject& of, const Faults& faults)
        : sim(of.store_, of.timers_, of.rng_, of.network_),
          cluster(sim, of.timers_, faults),
          controller(of.io_.get_executor(), of.timers_, of.rng_, cluster, of.events_, keeper, {.node = "node-a", .identity = "a"}),
          tasks(of.io_.get_executor()) {
      keeper.on_change([this] { controller.look_again(); });
    }
    WorldKeeper keeper;
    sim::SimCluster sim;
    FaultyCluster cluster;
    Controller controller;
    TaskGroup tasks;
  };

  // As the API server stores it: uid, version and deletion are its own.
  template <class Row>
  void store(Row row, const Row* now) {
    row.version = {};
    if (now != nullptr) {
      row.version = now->version;
      if constexpr (requires { row.deleting; }) {
        row.uid = now->uid;
        row.deleting = now->deleting;
      }
    }
    store_.put(std::move(row));
  }
  void put(const ObjectId& id, json::object manifest) {
    const auto now = [](const auto& rows, const auto& key) {
      const auto at = rows.find(key);
      return at == rows.end() ? nullptr : &at->second;
    };
    switch (id.kind) {
      case Kind::service: store(decode<api::Service>(manifest), now(store_.services(), ObjectName{id.space, id.name})); break;
      case Kind::eip: store(decode<api::Eip>(manifest), now(store_.pools(), id.name)); break;
      case Kind::bgp_conf: store(decode<api::BgpConf>(manifest), now(store_.bgp_confs(), id.name)); break;
      case Kind::bgp_peer: store(decode<api::BgpPeer>(manifest), now(store_.bgp_peers(), id.name)); break;
      case Kind::namespace_: store(decode<api::Namespace>(manifest), now(store_.rows<Namespace>(), id.name)); break;
      case Kind::node:
        nodes_[id.name] = decode<api::Node>(manifest);
        nodes_[id.name].version = {fmt::format("{}", ++node_version_)};
        if (running_) running_->keeper.nodes().upsert(nodes_[id.name]);
        break;
    }
    manifests_[id] = std::move(manifest);
  }
  template <class K, class T>
  static std::optional<T> found(const std::map<K, T>& rows, const K& key) {
    const auto at = rows.find(key);
    return at == rows.end() ? std::nullopt : std::optional{at->second};
  }

  asio::io_context io_{1};
  testing::SimTimers timers_{io_};
  // Other delays, so other orders of events: --gtest_shuffle --gtest_random_seed=N.
  sim::SimRng rng_{static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()) + 1};
  sim::SimStore store_;
  sim::Network network_;
  sim::RecordingEvents events_;
  std::map<ObjectId, json::object> manifests_;
  std::map<std::string, Node> nodes_;
  std::unique_ptr<Running> running_;
  int created_ = 0;
  int node_version_ = 0;
};

}  // namespace

std::unique_ptr<Subject> make_subject() { return std::make_unique<SimSubject>(); }

}  // namespace berth::openelb
