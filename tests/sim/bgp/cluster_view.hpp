// The cluster of the simulation: the World that is true, and what a speaker has heard of it, which is late.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "../rng.hpp"
#include "base/testing/sim_timers.hpp"
#include "model/world.hpp"

namespace berth::sim {

inline Table<Service>& table_of(World& world, const Service*) { return world.services; }
inline Table<AddressBlock>& table_of(World& world, const AddressBlock*) { return world.blocks; }
inline Table<Node>& table_of(World& world, const Node*) { return world.nodes; }
inline Table<EndpointSlice>& table_of(World& world, const EndpointSlice*) { return world.endpoint_slices; }
inline Table<BgpConf>& table_of(World& world, const BgpConf*) { return world.bgp_confs; }
inline Table<BgpPeer>& table_of(World& world, const BgpPeer*) { return world.bgp_peers; }

// What a speaker has heard. Each kind comes at its own pace, in order.
class ClusterView {
 public:
  World world;
  std::function<void()> on_change = [] {};

 private:
  friend class TrueCluster;
  std::vector<std::pair<const void*, Instant>> heard_until_;
  Instant& heard_until(const void* kind) {
    const auto found = std::ranges::find(heard_until_, kind, &std::pair<const void*, Instant>::first);
    return found != heard_until_.end() ? found->second : heard_until_.emplace_back(kind, Instant{}).second;
  }
};

class TrueCluster {
 public:
  TrueCluster(testing::SimTimers& time, SimRng& rng) : time_(time), rng_(rng) {
    for_all_kinds([&](auto& table) { table.replace({}, ResourceVersion{"1"}, true); });
  }

  [[nodiscard]] const World& world() const { return world_; }
  template <class T>
  [[nodiscard]] const T* find(const typename T::Key& key) {
    return table_of(world_, static_cast<const T*>(nullptr)).find(key);
  }

  template <class T>
  void put(T row) {
    row.version = next_version();
    table_of(world_, static_cast<const T*>(nullptr)).upsert(row);
    if (!distort_row || distort_row(&row)) tell<T>([row](Table<T>& table) { table.upsert(row); });
    on_change();
  }
  template <class T>
  void remove(typename T::Key key) {
    const ResourceVersion version = next_version();
    table_of(world_, static_cast<const T*>(nullptr)).erase(key, version);
    tell<T>([key, version](Table<T>& table) { table.erase(key, version); });
    on_change();
  }

  // A new speaker: lists everything first.
  void follow(const std::shared_ptr<ClusterView>& view) {
    view_ = view;
    for_all_kinds([&]<class T>(Table<T>& table) {
      std::vector<T> rows;
      for (const auto& [key, row] : table.rows())
        if (T heard = row; !distort_row || distort_row(&heard)) rows.push_back(std::move(heard));
      tell<T>([rows, version = ResourceVersion{std::to_string(version_)}](Table<T>& to) { to.replace(rows, version, false); });
    });
  }

  Duration lag_max = std::chrono::milliseconds{100};
  std::function<void()> on_change = [] {};
  // For flaws: whether a row is told, which may be changed on the way; of any kind.
  struct Row {
    template <class T>
    Row(T* row) : row_(row), kind_(kind<T>()) {}  // NOLINT(google-explicit-constructor)
    template <class T>
    [[nodiscard]] T* as() const {
      return kind_ == kind<T>() ? static_cast<T*>(row_) : nullptr;
    }

   private:
    void* row_;
    const void* kind_;
  };
  std::function<bool(Row)> distort_row;

 private:
  template <class T>
  static const void* kind() {
    static const char place = 0;
    return &place;
  }
  template <class F>
  void for_all_kinds(F each) {
    each(world_.services);
    each(world_.blocks);
    each(world_.nodes);
    each(world_.endpoint_slices);
    each(world_.bgp_confs);
    each(world_.bgp_peers);
  }
  ResourceVersion next_version() { return {std::to_string(++version_)}; }

  template <class T, class Change>
  void tell(Change change) {
    const auto view = view_.lock();
    if (!view) return;
    Instant& until = view->heard_until(kind<T>());
    until = std::max(until, time_.now() + Duration{static_cast<Duration::rep>(rng_.fraction() * static_cast<double>(lag_max.count()))});
    time_.call_at(until, [weak = view_, change = std::move(change)] {
      const auto to = weak.lock();
      if (!to) return;
      change(table_of(to->world, static_cast<const T*>(nullptr)));
      to->on_change();
    });
  }

  testing::SimTimers& time_;
  SimRng& rng_;
  World world_;
  std::uint64_t version_ = 1;
  std::weak_ptr<ClusterView> view_;
};

}  // namespace berth::sim
