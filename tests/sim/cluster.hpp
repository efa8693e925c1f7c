// SimCluster: the port to the API server over a SimStore, in virtual time. Every request takes its time
// there and back; some fail, and of those some were carried out all the same; some are carried out long
// after their sender gave up or died. Watches come late, each kind at its own pace; they break off, and go
// on from where they were if the store still knows that place, as kube/watch does.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/backoff.hpp"
#include "base/bell.hpp"
#include "base/testing/sim_timers.hpp"
#include "reconcile/cluster.hpp"
#include "reconcile/world_keeper.hpp"
#include "rng.hpp"
#include "store.hpp"

namespace berth::sim {

// What requests and watches meet. Shares are between 0 and 1.
struct Network {
  Duration delay_max = std::chrono::milliseconds{5};  // one way
  Duration watch_delay_max = std::chrono::milliseconds{20};
  double failures = 0;  // share of requests whose answer is lost, half of them before they arrive
  double refusals = 0;  // share that the server answers with 429 or 5xx, without doing it
  double slow = 0;      // share of requests that are on the way for up to `slow_max`, there or back
  Duration slow_max = std::chrono::minutes{3};
  Duration deadline = std::chrono::seconds{10};  // the client's
  double watch_breaks = 0;                       // share of deliveries after which the stream breaks off
  double watch_stalls = 0;                       // share of deliveries after which nothing comes for up to `stall_max`
  Duration stall_max = std::chrono::minutes{3};
  double stale_lists = 0;  // share of first lists that show the store as it was some events ago
  // Told when the last of a slow request or of a stall will be over.
  std::function<void(Instant)> on_trouble = {};
};

// A fault in the port itself or beneath it, for the tests of the tests: each breaks a rule that somebody
// looks at from outside.
enum class Flaw : std::uint8_t {
  none,
  services_unchecked,  // patches of Services carry neither uid nor version
  blocks_unchecked,    // nor do writes of blocks
  holders_doubled,     // a block is written with its first holder twice
  wishes_change,       // each start reads another wanted address into one Service
  no_quarantine,       // addresses are given out again at once
  finalizers_stay,     // no patch takes a finalizer off a Service
  blocks_stay,         // an empty block is not deleted, though the answer says so
  pools_stay,          // nor a pool's finalizer taken off
  events_are_lost,     // one in ten of the Services' events never comes
  status_is_not_read,  // the status of pools is lost in decoding
  status_is_lost,      // a write of it is not done, though the answer says so
  notes_are_restless,  // the annotation on a Service has another value with each write
  lists_differ,        // lists show another ip-mode than watches
};
std::string_view to_string(Flaw flaw);

class SimCluster final : public Cluster {
 public:
  SimCluster(SimStore& store, testing::SimTimers& timers, SimRng& rng, const Network& network)
      : SimCluster(store, timers, timers, rng, network) {}
  // `timers` is the process' own clock, `world` that of the network.
  SimCluster(SimStore& store, testing::SimTimers& world, Timers& timers, SimRng& rng, const Network& network)
      : store_(store), world_(world), timers_(timers), rng_(rng), network_(network) {}

  // Lists everything, then follows the logs until cancelled. `keeper` has a feed for each kind, as
  // WorldKeeper does.
  template <class Keeper>
  asio::awaitable<void> watch(Keeper& keeper) {
    using namespace asio::experimental::awaitable_operators;
    co_await (watch_kind<Service>(keeper.services()) && watch_kind<AddressBlock>(keeper.blocks()) && watch_kind<Pool>(keeper.pools()) &&
              watch_kind<Namespace>(keeper.namespaces()) && watch_kind<BgpConf>(keeper.bgp_confs()) &&
              watch_kind<BgpPeer>(keeper.bgp_peers()));
  }
  // One kind may be later than the others.
  template <class T>
  void watch_delay_max(Duration most) {
    std::get<Stream<T>>(streams_).delay_max = most;
  }

  asio::awaitable<Result<AddressBlock>> read_block(std::string name) override {
    return ask<Result<AddressBlock>>([store = &store_, name = std::move(name)] { return store->read_block(name); });
  }
  asio::awaitable<Result<Service>> read_service(ObjectName name) override {
    return ask<Result<Service>>([store = &store_, name = std::move(name)] { return store->read_service(name); });
  }
  asio::awaitable<Result<AddressBlock>> write_block(AddressBlock block) override {
    ++block_writes;
    if (flaw == Flaw::holders_doubled)
      for (auto& [ip, entry] : block.addresses)
        if (entry.holders.size() == 1) entry.holders.push_back(entry.holders.front());
    const auto check = flaw == Flaw::blocks_unchecked ? SimStore::Check::nothing : SimStore::Check::preconditions;
    return write<Result<AddressBlock>>([store = &store_, block = std::move(block), check] { return store->write_block(block, check); });
  }
  asio::awaitable<Result<>> delete_block(AddressBlock block) override {
    ++block_writes;
    if (flaw == Flaw::blocks_stay) return write<Result<>>([] { return Result<>{}; });
    const auto check = flaw == Flaw::blocks_unchecked ? SimStore::Check::nothing : SimStore::Check::preconditions;
    return write<Result<>>([store = &store_, block = std::move(block), check] { return store->delete_block(block, check); });
  }
  asio::awaitable<Result<Service>> patch_service(ServicePatch patch) override {
    ++service_patches;
    if (flaw == Flaw::finalizers_stay && patch.finalizers &&
        std::ranges::find(*patch.finalizers, keys::service_finalizer) == patch.finalizers->end())
      patch.finalizers.reset();
    if (flaw == Flaw::notes_are_restless && patch.annotations.contains(std::string{keys::allocated}))
      patch.annotations[std::string{keys::allocated}] = std::to_string(store_.version());
    const auto check = flaw == Flaw::services_unchecked ? SimStore::Check::nothing : SimStore::Check::preconditions;
    return write<Result<Service>>([store = &store_, patch = std::move(patch), check] { return store->patch_service(patch, check); });
  }
  asio::awaitable<Result<Pool>> patch_pool_finalizers(Pool pool, std::vector<std::string> finalizers) override {
    if (flaw == Flaw::pools_stay && finalizers.empty()) return write<Result<Pool>>([pool = std::move(pool)] { return Result<Pool>{pool}; });
    return write<Result<Pool>>([store = &store_, pool = std::move(pool), finalizers = std::move(finalizers)] {
      return store->patch_pool_finalizers(pool, finalizers);
    });
  }
  asio::awaitable<Result<Pool>> patch_pool_status(std::string name, Pool::Status status) override {
    ++pool_status_patches;
    return write<Result<Pool>>([store = &store_, flaw = flaw, name = std::move(name), status = std::move(status)] {
      const auto known = store->pools().find(name);
      if (flaw == Flaw::status_is_lost && known != store->pools().end()) {
        Pool answer = known->second;
        answer.status = status;
        return Result<Pool>{std::move(answer)};
      }
      Result<Pool> answer = store->patch_pool_status(name, status);
      if (answer && flaw == Flaw::status_is_not_read) answer->status = {};
      return answer;
    });
  }
  asio::awaitable<Result<>> patch_bgp_conf_finalizers(BgpConf conf, std::vector<std::string> finalizers) override {
    return write<Result<>>([store = &store_, conf = std::move(conf), finalizers = std::move(finalizers)] {
      return without_value(store->patch_bgp_conf_finalizers(conf, finalizers));
    });
  }
  asio::awaitable<Result<>> patch_bgp_peer_finalizers(BgpPeer peer, std::vector<std::string> finalizers) override {
    return write<Result<>>([store = &store_, peer = std::move(peer), finalizers = std::move(finalizers)] {
      return without_value(store->patch_bgp_peer_finalizers(peer, finalizers));
    });
  }
  asio::awaitable<Result<>> patch_bgp_conf_status(std::string name, std::string node, std::optional<BgpConf::NodeStatus> status) override {
    return write<Result<>>([store = &store_, name = std::move(name), node = std::move(node), status = std::move(status)] {
      return store->patch_bgp_conf_status(name, node, status);
    });
  }
  asio::awaitable<Result<>> patch_bgp_peer_status(std::string name, std::string node, std::optional<BgpPeerStatus> status) override {
    return write<Result<>>([store = &store_, name = std::move(name), node = std::move(node), status = std::move(status)] {
      return store->patch_bgp_peer_status(name, node, status);
    });
  }
  asio::awaitable<Result<>> patch_bgp_peer_sessions(std::string name, BgpSessions sessions) override {
    ++sessions_writes;
    return write<Result<>>([store = &store_, name = std::move(name), sessions = std::move(sessions)] {
      return store->patch_bgp_peer_sessions(name, sessions);
    });
  }
  asio::awaitable<WorkloadFate> workload_fate(ObjectName) override { co_return WorkloadFate::unknown; }

  // For leader election; not part of the port.
  asio::awaitable<Result<Lease>> read_lease(std::string name, Duration deadline) {
    return ask<Result<Lease>>([store = &store_, name = std::move(name)] { return store->read_lease(name); }, deadline);
  }
  asio::awaitable<Result<Lease>> write_lease(Lease lease, Duration deadline) {
    return ask<Result<Lease>>([store = &store_, lease = std::move(lease)] { return store->write_lease(lease); }, deadline);
  }

  std::uint64_t block_writes = 0;
  std::uint64_t service_patches = 0;
  std::uint64_t sessions_writes = 0;
  std::uint64_t pool_status_patches = 0;
  std::uint64_t writes = 0;  // all that this port was asked to make

  Flaw flaw = Flaw::none;
  std::pair<ObjectName, std::string> other_wish;  // of Flaw::wishes_change
  // Where a process may be killed or frozen: a write is decided but not sent; a write was just carried out.
  enum class Moment : std::uint8_t { leaving, done };
  std::function<void(Moment)> on_write;

 private:
  static constexpr Duration departure_max = std::chrono::milliseconds{1};  // between the decision and the wire
  static constexpr Backoff::Limits waits{.initial = std::chrono::milliseconds{100}, .limit = std::chrono::seconds{5}};
  static constexpr Duration bookmark_period = std::chrono::minutes{1};
  static constexpr Duration watch_time = std::chrono::minutes{5};  // then the server ends it

  // -- watches ------------------------------------------------------------------------------------

  template <class T>
  struct Stream {
    ResourceVersion version;  // of what was heard last
    std::optional<Duration> delay_max;
  };
  template <class T>
  struct Listed {
    std::vector<T> rows;
    ResourceVersion version;
  };

  // As kube/watch.cpp Watcher::run: list, watch from there, resume; list anew when the server forgot.
  template <class T>
  asio::awaitable<void> watch_kind(TableFeed<T>& feed) {
    Backoff backoff{waits};
    Bell news{co_await asio::this_coro::executor};
    const std::shared_ptr<void> listening = store_.on_change<T>([&news] { news.ring(); });
    Stream<T>& stream = std::get<Stream<T>>(streams_);
    for (bool listed = false, just_listed = false;;) {
      if (!listed) {
        listed = just_listed = co_await list(feed, stream);
        if (!listed) co_await timers_.sleep_for(backoff.next(rng_));
        continue;
      }
      if (!std::exchange(just_listed, false)) {
        const auto version = co_await ask<Result<ResourceVersion>>(
            [store = &store_] { return Result<ResourceVersion>{store->list_version()}; });
        if (version && version->older_than(stream.version)) listed = false;
        if (!version || !listed) {
          co_await timers_.sleep_for(backoff.next(rng_));
          continue;
        }
      }
      if (number(stream.version) < store_.compacted()) {  // 410
        listed = false;
        co_await timers_.sleep_for(backoff.next(rng_));
        continue;
      }
      backoff.succeeded();
      co_await follow(feed, stream, news);
      co_await timers_.sleep_for(backoff.next(rng_));
    }
  }

  template <class T>
  asio::awaitable<bool> list(TableFeed<T>& feed, Stream<T>& stream) {
    const bool first = stream.version.text.empty();
    const std::size_t ago = first && rng_.chance(network_.stale_lists) ? rng_.below(10) : 0;
    auto listed = co_await ask<Result<Listed<T>>>([store = &store_, ago] { return Result<Listed<T>>{take_list<T>(*store, ago)}; });
    if (!listed) co_return false;
    const bool history_lost = listed->version.older_than(stream.version);
    stream.version = listed->version;
    for (T& row : listed->rows) {
      spoil(row);
      if constexpr (std::is_same_v<T, Service>)
        if (flaw == Flaw::lists_differ) row.annotations[std::string{keys::ip_mode}] = "Proxy";
    }
    feed.replace(std::move(listed->rows), stream.version, history_lost);
    co_return true;
  }

  template <class T>
  static Listed<T> take_list(const SimStore& store, std::size_t ago) {
    Listed<T> out{{}, store.list_version()};
    const EventLog<T>& log = store.log<T>();
    if (ago == 0 || log.size() < ago) {
      for (const auto& [key, row] : store.rows<T>()) out.rows.push_back(row);
      return out;
    }
    out.version = {"0"};
    std::map<typename T::Key, T> rows;
    for (std::size_t i = 0; i + ago < log.size(); ++i) {
      if (log[i].deleted)
        rows.erase(log[i].row.key());
      else
        rows[log[i].row.key()] = log[i].row;
      out.version = log[i].version;
    }
    for (auto& [key, row] : rows) out.rows.push_back(std::move(row));
    return out;
  }

  // Until the stream breaks off.
  template <class T>
  asio::awaitable<void> follow(TableFeed<T>& feed, Stream<T>& stream, Bell& news) {
    const std::uint64_t restores = store_.restores();
    const EventLog<T>& log = store_.log<T>();
    std::size_t position = static_cast<std::size_t>(
        std::ranges::upper_bound(log, number(stream.version), {}, [](const Event<T>& event) { return number(event.version); }) -
        log.begin());
    const Instant ends = timers_.now() + watch_time;
    while (timers_.now() < ends) {
      if (position == log.size()) {
        const bool rung = co_await news.wait_until(timers_, timers_.now() + bookmark_period);
        if (store_.restores() != restores) co_return;
        if (position == log.size()) {
          if (!rung) stream.version = store_.list_version();  // a bookmark
          continue;
        }
      }
      co_await timers_.sleep_for(some(stream.delay_max.value_or(network_.watch_delay_max)) + Duration{1});
      if (store_.restores() != restores) co_return;
      // What is there by now, or the first of it.
      const std::size_t count = rng_.chance(0.5) ? log.size() - position : 1 + rng_.below(log.size() - position);
      for (const std::size_t end = position + count; position < end; ++position) tell(feed, stream, log[position]);
      if (rng_.chance(network_.watch_breaks)) co_return;
      if (rng_.chance(network_.watch_stalls)) co_await stall();
      if (store_.restores() != restores) co_return;
    }
  }

  asio::awaitable<void> stall() {
    const Duration time = some(network_.stall_max);
    if (network_.on_trouble) network_.on_trouble(world_.now() + time);
    co_await timers_.sleep_for(time);
  }

  template <class T>
  void tell(TableFeed<T>& feed, Stream<T>& stream, const Event<T>& event) {
    stream.version = event.version;
    if (std::is_same_v<T, Service> && flaw == Flaw::events_are_lost && rng_.chance(0.1)) return;
    if (event.deleted) return feed.erase(event.row.key(), event.version);
    T row = event.row;
    spoil(row);
    feed.upsert(std::move(row));
  }

  // What a flaw makes of an object.
  template <class T>
  void spoil(T& row) {
    if constexpr (std::is_same_v<T, Pool>)
      if (flaw == Flaw::status_is_not_read) row.status = {};
    if constexpr (std::is_same_v<T, Service>)
      if (flaw == Flaw::wishes_change && !other_wish.first.name.empty() && row.name == other_wish.first)
        row.annotations[std::string{keys::wanted_ip}] = other_wish.second;
  }

  // -- requests -----------------------------------------------------------------------------------

  enum class Kind : std::uint8_t { read, write };

  template <class Answer, class Request>
  asio::awaitable<Answer> write(Request request) {
    ++writes;
    return ask<Answer>(std::move(request), {}, Kind::write);
  }

  template <class Answer, class Request>
  asio::awaitable<Answer> ask(Request request, std::optional<Duration> limit = {}, Kind kind = Kind::read) {
    const Instant deadline = timers_.now() + limit.value_or(network_.deadline);
    if (kind == Kind::write && on_write) on_write(Moment::leaving);
    co_await timers_.sleep_for(some(std::min(departure_max, network_.delay_max)) + Duration{1});
    const Duration there = travel_time();
    const Duration back = travel_time();
    const bool fails = rng_.chance(network_.failures);
    const bool arrives = !fails || rng_.chance(0.5);
    std::optional<ErrorCode> refused;
    if (rng_.chance(network_.refusals)) refused = rng_.chance(0.5) ? ErrorCode::throttled : ErrorCode::unavailable;
    const std::uint64_t restores = store_.restores();
    auto answer = std::make_shared<std::optional<Answer>>();
    if (arrives) {
      world_.call_at(world_.now() + there, [store = &store_, restores, request = std::move(request), answer, refused,
                                            done = kind == Kind::write ? on_write : nullptr] {
        if (store->restores() != restores) return;  // that API server is no more
        if (refused) {
          *answer = fail(*refused, "the API server can't do it now");
          return;
        }
        *answer = request();
        if (done) done(Moment::done);
      });
    }
    if (there + back > network_.delay_max * 2 && network_.on_trouble) network_.on_trouble(world_.now() + there + back);
    co_await timers_.sleep_until(std::min(timers_.now() + there + back, deadline));
    // A clock that runs fast or jumped is here before the answer.
    while (!fails && !*answer && timers_.now() < deadline) co_await timers_.sleep_for(std::chrono::milliseconds{10});
    // API servers that start anew on a restored store break every connection.
    if (store_.restores() != restores) co_return fail(ErrorCode::unavailable, "the connection broke");
    if (!fails && *answer) co_return std::move(**answer);
    co_return fail(ErrorCode::timed_out, "no answer within the deadline");
  }

  Duration travel_time() { return some(rng_.chance(network_.slow) ? network_.slow_max : network_.delay_max); }
  Duration some(Duration most) { return Duration{static_cast<Duration::rep>(rng_.fraction() * static_cast<double>(most.count()))}; }
  static std::uint64_t number(const ResourceVersion& version) { return version.text.empty() ? 0 : std::stoull(version.text); }
  template <class T>
  static Result<> without_value(const Result<T>& result) {
    if (!result) return fail(result.error());
    return {};
  }

  SimStore& store_;
  testing::SimTimers& world_;
  Timers& timers_;
  SimRng& rng_;
  const Network& network_;
  std::tuple<Stream<Service>, Stream<AddressBlock>, Stream<Pool>, Stream<Namespace>, Stream<BgpConf>, Stream<BgpPeer>> streams_;
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
