// SimCluster: the port to the API server over a SimStore, in virtual time. Every request takes its time
// there and back; some fail, and of those some were carried out all the same. Watches come late.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "reconcile/cluster.hpp"
#include "reconcile/world_keeper.hpp"
#include "rng.hpp"
#include "store.hpp"

namespace berth::sim {

struct Network {
  Duration delay_max = std::chrono::milliseconds{5};  // one way
  Duration watch_delay_max = std::chrono::milliseconds{20};
  double failures = 0;  // share of requests whose answer is lost, half of them before they arrive
};

class SimCluster final : public Cluster {
 public:
  SimCluster(SimStore& store, Timers& timers, SimRng& rng, const Network& network)
      : store_(store), timers_(timers), rng_(rng), network_(network) {}

  // Lists everything once, then follows the logs until cancelled. `keeper` has a feed for each kind, as
  // WorldKeeper does.
  template <class Keeper>
  asio::awaitable<void> watch(Keeper& keeper) {
    list(keeper);
    for (;;) {
      co_await timers_.sleep_for(some(network_.watch_delay_max) + Duration{1});
      follow(store_.service_log(), services_, keeper.services());
      follow(store_.block_log(), blocks_, keeper.blocks());
      follow(store_.pool_log(), pools_, keeper.pools());
      follow(store_.bgp_conf_log(), bgp_confs_, keeper.bgp_confs());
      follow(store_.bgp_peer_log(), bgp_peers_, keeper.bgp_peers());
    }
  }

  asio::awaitable<Result<AddressBlock>> read_block(std::string name) override {
    return ask<Result<AddressBlock>>([this, name = std::move(name)] { return store_.read_block(name); });
  }
  asio::awaitable<Result<Service>> read_service(ObjectName name) override {
    return ask<Result<Service>>([this, name = std::move(name)] { return store_.read_service(name); });
  }
  asio::awaitable<Result<AddressBlock>> write_block(AddressBlock block) override {
    ++block_writes;
    return ask<Result<AddressBlock>>([this, block = std::move(block)] { return store_.write_block(block); });
  }
  asio::awaitable<Result<>> delete_block(AddressBlock block) override {
    return ask<Result<>>([this, block = std::move(block)] { return store_.delete_block(block); });
  }
  asio::awaitable<Result<Service>> patch_service(ServicePatch patch) override {
    ++service_patches;
    return ask<Result<Service>>([this, patch = std::move(patch)] { return store_.patch_service(patch); });
  }
  asio::awaitable<Result<Pool>> patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) override {
    return ask<Result<Pool>>(
        [this, pool = std::move(pool), finalizers = std::move(finalizers)] { return store_.patch_pool_finalizers(pool, finalizers); });
  }
  asio::awaitable<Result<Pool>> patch_pool_status(std::string name, Pool::Status status) override {
    ++pool_status_patches;
    return ask<Result<Pool>>([this, name = std::move(name), status = std::move(status)] { return store_.patch_pool_status(name, status); });
  }
  asio::awaitable<Result<>> patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) override {
    return ask<Result<>>([this, conf = std::move(conf), finalizers = std::move(finalizers)] {
      return without_value(store_.patch_bgp_conf_finalizers(conf, finalizers));
    });
  }
  asio::awaitable<Result<>> patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) override {
    return ask<Result<>>([this, peer = std::move(peer), finalizers = std::move(finalizers)] {
      return without_value(store_.patch_bgp_peer_finalizers(peer, finalizers));
    });
  }
  asio::awaitable<Result<>> patch_bgp_conf_status(std::string name, std::string node, std::optional<BgpConf::NodeStatus> status) override {
    return ask<Result<>>([this, name = std::move(name), node = std::move(node), status = std::move(status)] {
      return store_.patch_bgp_conf_status(name, node, status);
    });
  }
  asio::awaitable<Result<>> patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) override {
    return ask<Result<>>([this, name = std::move(name), node = std::move(node), status = std::move(status)] {
      return store_.patch_bgp_peer_status(name, node, status);
    });
  }
  asio::awaitable<WorkloadFate> workload_fate(ObjectName) override { co_return WorkloadFate::unknown; }

  std::uint64_t block_writes = 0;
  std::uint64_t service_patches = 0;
  std::uint64_t pool_status_patches = 0;

 private:
  template <class Keeper>
  void list(Keeper& keeper) {
    services_ = store_.service_log().size();
    blocks_ = store_.block_log().size();
    pools_ = store_.pool_log().size();
    bgp_confs_ = store_.bgp_conf_log().size();
    bgp_peers_ = store_.bgp_peer_log().size();
    const ResourceVersion version{std::to_string(store_.version())};
    keeper.services().replace(values(store_.services()), version, false);
    keeper.pools().replace(values(store_.pools()), version, false);
    keeper.namespaces().replace({}, version, false);
    keeper.blocks().replace(values(store_.blocks()), version, false);
    keeper.bgp_confs().replace(values(store_.bgp_confs()), version, false);
    keeper.bgp_peers().replace(values(store_.bgp_peers()), version, false);
  }

  template <class K, class T>
  static std::vector<T> values(const std::map<K, T>& map) {
    std::vector<T> out;
    for (const auto& [key, value] : map) out.push_back(value);
    return out;
  }
  template <class T>
  static void follow(const EventLog<T>& log, std::size_t& position, TableFeed<T>& feed) {
    for (; position < log.size(); ++position) {
      if (log[position].deleted)
        feed.erase(log[position].row.key(), log[position].version);
      else
        feed.upsert(log[position].row);
    }
  }
  Duration some(Duration most) { return Duration{static_cast<Duration::rep>(rng_.fraction() * static_cast<double>(most.count()))}; }
  template <class T>
  static Result<> without_value(const Result<T>& result) {
    if (!result) return fail(result.error());
    return {};
  }

  template <class Answer, class Request>
  asio::awaitable<Answer> ask(Request request) {
    const bool lost = rng_.chance(network_.failures);
    const bool arrives = !lost || rng_.chance(0.5);
    co_await timers_.sleep_for(some(network_.delay_max));
    Answer answer = fail(ErrorCode::timed_out, "no answer within the deadline");
    if (arrives) {
      Answer real = request();
      if (!lost) answer = std::move(real);
    }
    co_await timers_.sleep_for(some(network_.delay_max));
    co_return answer;
  }

  SimStore& store_;
  Timers& timers_;
  SimRng& rng_;
  const Network& network_;
  std::size_t services_ = 0;  // how far each log was followed
  std::size_t blocks_ = 0;
  std::size_t pools_ = 0;
  std::size_t bgp_confs_ = 0;
  std::size_t bgp_peers_ = 0;
};

class RecordingEvents final : public EventSink {
 public:
  void post(EventRecord event) override { all.push_back(std::move(event)); }
  [[nodiscard]] std::size_t count(std::string_view reason) const {
    std::size_t out = 0;
    for (const EventRecord& event : all) out += event.reason == reason ? 1 : 0;
    return out;
  }
  std::vector<EventRecord> all;
};

}  // namespace berth::sim
