// The contract's subject on a real API server; also what the tests of the client start from.
#pragma once

#include <deque>

#include "kube/cluster.hpp"
#include "kube/config.hpp"
#include "kube/decode.hpp"
#include "kube/watch.hpp"
#include "os/system_clock.hpp"
#include "subject.hpp"

namespace berth::contract {

using kube::to_model;

// Ends the program with a hint if the runner did not set it.
std::string require_env(const char* name);
kube::ApiConfig admin_config();

class ApiSubject final : public Subject {
 public:
  explicit ApiSubject(kube::ApiConfig config = admin_config()) : client_(io_.get_executor(), *timers_, *rng_, std::move(config)) {
    make_namespace();
  }
  ~ApiSubject() override;

  asio::io_context& io() override { return io_; }
  Cluster& cluster() override { return cluster_; }
  kube::ApiClient& client() { return client_; }
  Timers& timers() { return *timers_; }
  Rng& rng() { return *rng_; }
  TaskGroup& tasks() { return tasks_; }
  bool eventually(std::function<bool()> done) override;
  void watch(Feeds& feeds) override;
  Service create_service(ObjectName name, ServiceType type, Labels annotations, std::vector<std::string> finalizers) override;
  Service annotate(ObjectName name, std::string key, std::string value) override;
  Service set_type(ObjectName name, ServiceType type) override;
  void delete_service(ObjectName name) override;
  Pool create_pool_of(std::string name, std::string spec) override;
  Pool replace_pool_spec(std::string name, std::string spec) override;
  void delete_pool(std::string name) override;
  BgpConf create_conf(std::string name, std::vector<std::string> finalizers) override;
  void delete_conf(std::string name) override;
  BgpPeer create_peer(std::string name, std::vector<std::string> finalizers) override;
  void delete_peer(std::string name) override;
  std::optional<Pool> read_pool(std::string name) override;
  std::optional<BgpConf> read_conf(std::string name) override;
  std::optional<BgpPeer> read_peer(std::string name) override;

 private:
  void make_namespace();
  template <class T>
  void spawn_watch(TableFeed<T>& feed);
  template <class Wire>
  auto read(std::string path) -> std::optional<decltype(to_model(Wire{}))>;

  asio::io_context io_{1};
  std::unique_ptr<Timers> timers_ = make_system_timers(io_.get_executor());
  std::unique_ptr<Rng> rng_ = make_system_rng();
  kube::ApiClient client_;
  kube::ApiCluster cluster_{client_};
  std::deque<kube::WatchHealth> healths_;
  TaskGroup tasks_{io_.get_executor()};
};

}  // namespace berth::contract
