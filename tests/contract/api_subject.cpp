// The contract's subject on a real API server: the one of the kubeconfig $BERTH_CONTRACT_KUBECONFIG.
#include "api_subject.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "kube/api_types.hpp"
#include "kube/decode.hpp"
#include "kube/encode.hpp"

namespace berth::contract {
namespace {

const std::string group = "/apis/network.kubesphere.io/v1alpha2/";

std::string quoted(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += fmt::format("{}\"{}\"", out.empty() ? "" : ",", text);
  return out;
}
std::string type_name(ServiceType type) { return type == ServiceType::load_balancer ? "LoadBalancer" : "ClusterIP"; }
std::string path_of(const ObjectName& name) { return fmt::format("/api/v1/namespaces/{}/services/{}", name.space, name.name); }

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  ADD_FAILURE() << result.error().text;
  std::abort();
}
void must(Result<> result) {
  if (!result) ADD_FAILURE() << result.error().text;
}

}  // namespace

std::string require_env(const char* name) {
  const char* value = std::getenv(name);
  if (value != nullptr && *value != '\0') return value;
  std::fprintf(stderr, "%s is not set: run tests/contract/run, which brings up an API server\n", name);
  std::exit(2);
}

kube::ApiConfig admin_config() {
  static const kube::ApiConfig config = [] {
    auto loaded = kube::load_kubeconfig(require_env("BERTH_CONTRACT_KUBECONFIG"));
    if (!loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().text.c_str());
      std::exit(2);
    }
    return *loaded;
  }();
  return config;
}

ApiSubject::~ApiSubject() {
  tasks_.cancel();
  io_.restart();
  while (tasks_.size() > 0 && io_.run_one_for(std::chrono::seconds{1}) > 0) {
  }
}

bool ApiSubject::eventually(std::function<bool()> done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds{20});
  }
  return true;
}

template <class T>
void ApiSubject::spawn_watch(TableFeed<T>& feed) {
  healths_.emplace_back();
  tasks_.spawn("watch", kube::watch<T>(client_, *timers_, *rng_, feed, healths_.back()));
}

void ApiSubject::watch(Feeds& feeds) {
  spawn_watch(feeds.services());
  spawn_watch(feeds.pools());
  spawn_watch(feeds.blocks());
  spawn_watch(feeds.bgp_confs());
  spawn_watch(feeds.bgp_peers());
}

void ApiSubject::make_namespace() {
  const auto made = ask(client_.create<kube::api::Namespace>("/api/v1/namespaces",
                                                             R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"contract"}})"));
  if (!made && made.error().code != ErrorCode::already_exists) must(made);
}

Service ApiSubject::create_service(ObjectName name, ServiceType type, Labels annotations, std::vector<std::string> finalizers) {
  std::string notes;
  for (const auto& [key, value] : annotations) notes += fmt::format(R"({}"{}":"{}")", notes.empty() ? "" : ",", key, value);
  return to_model(must(ask(client_.create<kube::api::Service>(
      fmt::format("/api/v1/namespaces/{}/services", name.space),
      fmt::format(R"({{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{}","annotations":{{{}}},"finalizers":[{}]}},)"
                  R"("spec":{{"type":"{}",{}"ports":[{{"port":80}}]}}}})",
                  name.name, notes, quoted(finalizers), type_name(type),
                  type == ServiceType::load_balancer ? R"("allocateLoadBalancerNodePorts":false,)" : "")))));
}

Service ApiSubject::annotate(ObjectName name, std::string key, std::string value) {
  return to_model(must(ask(client_.patch<kube::api::Service>(
      kube::PatchKind::merge, path_of(name), fmt::format(R"({{"metadata":{{"annotations":{{"{}":"{}"}}}}}})", key, value)))));
}

Service ApiSubject::set_type(ObjectName name, ServiceType type) {
  return to_model(must(ask(client_.patch<kube::api::Service>(
      kube::PatchKind::merge, path_of(name),
      type == ServiceType::load_balancer ? R"({"spec":{"type":"LoadBalancer"}})"
                                         : R"({"spec":{"type":"ClusterIP","allocateLoadBalancerNodePorts":null}})"))));
}

void ApiSubject::delete_service(ObjectName name) { must(ask(client_.remove(path_of(name), ""))); }

Pool ApiSubject::create_pool_of(std::string name, std::string spec) {
  return to_model(must(ask(client_.create<kube::api::Eip>(
      group + "eips",
      fmt::format(R"({{"apiVersion":"network.kubesphere.io/v1alpha2","kind":"Eip","metadata":{{"name":"{}"}},"spec":{}}})", name, spec)))));
}
Pool ApiSubject::replace_pool_spec(std::string name, std::string spec) {
  return to_model(must(ask(client_.patch<kube::api::Eip>(kube::PatchKind::json, group + "eips/" + name,
                                                         fmt::format(R"([{{"op":"replace","path":"/spec","value":{}}}])", spec)))));
}
void ApiSubject::delete_pool(std::string name) { must(ask(client_.remove(group + "eips/" + name, ""))); }

BgpConf ApiSubject::create_conf(std::string name, std::vector<std::string> finalizers) {
  return to_model(must(ask(client_.create<kube::api::BgpConf>(
      group + "bgpconfs", fmt::format(R"({{"apiVersion":"network.kubesphere.io/v1alpha2","kind":"BgpConf","metadata":{{"name":"{}",)"
                                      R"("finalizers":[{}]}},"spec":{{"as":65001,"routerId":"10.0.0.1"}}}})",
                                      name, quoted(finalizers))))));
}
void ApiSubject::delete_conf(std::string name) { must(ask(client_.remove(group + "bgpconfs/" + name, ""))); }

BgpPeer ApiSubject::create_peer(std::string name, std::vector<std::string> finalizers) {
  return to_model(must(ask(client_.create<kube::api::BgpPeer>(
      group + "bgppeers", fmt::format(R"({{"apiVersion":"network.kubesphere.io/v1alpha2","kind":"BgpPeer","metadata":{{"name":"{}",)"
                                      R"("finalizers":[{}]}},"spec":{{"conf":{{"neighborAddress":"172.30.0.1","peerAs":65000}}}}}})",
                                      name, quoted(finalizers))))));
}
void ApiSubject::delete_peer(std::string name) { must(ask(client_.remove(group + "bgppeers/" + name, ""))); }

template <class Wire>
auto ApiSubject::read(std::string path) -> std::optional<decltype(to_model(Wire{}))> {
  auto answer = ask(client_.get<Wire>(std::move(path)));
  if (!answer && answer.error().code == ErrorCode::not_found) return std::nullopt;
  return to_model(must(std::move(answer)));
}
std::optional<Pool> ApiSubject::read_pool(std::string name) { return read<kube::api::Eip>(group + "eips/" + name); }
std::optional<BgpConf> ApiSubject::read_conf(std::string name) { return read<kube::api::BgpConf>(group + "bgpconfs/" + name); }
std::optional<BgpPeer> ApiSubject::read_peer(std::string name) { return read<kube::api::BgpPeer>(group + "bgppeers/" + name); }

std::unique_ptr<Subject> make_subject() { return std::make_unique<ApiSubject>(); }

}  // namespace berth::contract
