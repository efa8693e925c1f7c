// The contract's subject in the simulation.
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "../sim/cluster.hpp"
#include "base/testing/sim_timers.hpp"
#include "kube/decode.hpp"
#include "kube/json_reader.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

class SimSubject final : public Subject {
 public:
  ~SimSubject() override {
    tasks_.cancel();
    timers_.run_for(0s);
  }
  asio::io_context& io() override { return io_; }
  Cluster& cluster() override { return cluster_; }
  bool eventually(std::function<bool()> done) override {
    for (int i = 0; i < 10'000; ++i) {
      if (done()) return true;
      timers_.run_for(1ms);
    }
    return done();
  }
  void watch(Feeds& feeds) override { tasks_.spawn("watch", cluster_.watch(feeds)); }

  Service create_service(ObjectName name, ServiceType type, Labels annotations, std::vector<std::string> finalizers) override {
    Service service;
    service.name = name;
    service.type = type;
    service.annotations = std::move(annotations);
    service.finalizers = std::move(finalizers);
    service.families = {IpFamily::v4};
    service.ports = {{"TCP", 80}};
    store_.put(std::move(service));
    return store_.services().at(name);
  }
  Service annotate(ObjectName name, std::string key, std::string value) override {
    Service service = store_.services().at(name);
    service.annotations[key] = std::move(value);
    store_.put(std::move(service));
    return store_.services().at(name);
  }
  Service set_type(ObjectName name, ServiceType type) override {
    Service service = store_.services().at(name);
    service.type = type;
    store_.put(std::move(service));
    return store_.services().at(name);
  }
  void delete_service(ObjectName name) override { store_.remove_service(name); }
  Pool create_pool_of(std::string name, std::string spec) override {
    store_.put(with_spec(name, spec));
    return store_.pools().at(name);
  }
  Pool replace_pool_spec(std::string name, std::string spec) override {
    Pool pool = with_spec(name, spec);
    const Pool& now = store_.pools().at(name);
    pool.uid = now.uid;
    pool.version = now.version;
    pool.deleting = now.deleting;
    pool.generation = now.generation;
    pool.finalizers = now.finalizers;
    pool.status = now.status;
    store_.put(std::move(pool));
    return store_.pools().at(name);
  }
  void delete_pool(std::string name) override { store_.remove_pool(name); }
  BgpConf create_conf(std::string name, std::vector<std::string> finalizers) override {
    BgpConf conf;
    conf.name = name;
    conf.finalizers = std::move(finalizers);
    conf.as = 65001;
    store_.put(std::move(conf));
    return store_.bgp_confs().at(name);
  }
  void delete_conf(std::string name) override { store_.remove_bgp_conf(name); }
  BgpPeer create_peer(std::string name, std::vector<std::string> finalizers) override {
    BgpPeer peer;
    peer.name = name;
    peer.finalizers = std::move(finalizers);
    peer.has_conf = true;
    peer.neighbor_address = "172.30.0.1";
    peer.peer_as = 65000;
    store_.put(std::move(peer));
    return store_.bgp_peers().at(name);
  }
  void delete_peer(std::string name) override { store_.remove_bgp_peer(name); }
  std::optional<Pool> read_pool(std::string name) override { return found(store_.pools(), name); }
  std::optional<BgpConf> read_conf(std::string name) override { return found(store_.bgp_confs(), name); }
  std::optional<BgpPeer> read_peer(std::string name) override { return found(store_.bgp_peers(), name); }

 private:
  static Pool with_spec(const std::string& name, const std::string& spec) {
    return kube::to_model(
        kube::read_json<kube::api::Eip>(fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{}}})", name, spec)).value().value);
  }
  template <class T>
  static std::optional<T> found(const std::map<std::string, T>& rows, const std::string& name) {
    const auto at = rows.find(name);
    return at == rows.end() ? std::nullopt : std::optional{at->second};
  }

  asio::io_context io_{1};
  testing::SimTimers timers_{io_};
  sim::SimRng rng_{1};
  sim::SimStore store_;
  sim::Network network_;
  sim::SimCluster cluster_{store_, timers_, rng_, network_};
  TaskGroup tasks_{io_.get_executor()};
};

}  // namespace

std::unique_ptr<Subject> make_subject() { return std::make_unique<SimSubject>(); }

}  // namespace berth::contract
