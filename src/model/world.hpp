// World: everything that is known, as last heard from the API server. One writer (reconcile/), many
// readers (plan/). Nothing is withdrawn, released or allocated from a table that is not yet synced.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "model/objects.hpp"

namespace berth {

// Which rows changed, for readers that don't want to look at all of them. A reader keeps its own position;
// one that is too far behind looks at everything, and so does one that was never here.
template <class Key>
class ChangeLog {
 public:
  using Position = std::uint64_t;  // 0: never read

  // Calls `each` for every key that changed since `position`, which is moved to the end. False, without
  // any call, if everything is to be looked at.
  template <class F>
  bool read(Position& position, F each) const {
    const Position from = std::exchange(position, end_);
    const Position first = end_ - keys_.size();
    if (from < first) return false;
    for (Position at = from; at < end_; ++at) each(keys_[static_cast<std::size_t>(at - first)]);
    return true;
  }
  void add(const Key& key) {
    keys_.push_back(key);
    ++end_;
    if (keys_.size() > most) keys_.pop_front();
  }
  void everything() {
    keys_.clear();
    ++end_;
  }

 private:
  static constexpr std::size_t most = 4096;
  std::deque<Key> keys_;  // the last ones
  Position end_ = 1;
};

template <class T>
class Table {
 public:
  using Key = typename T::Key;

  [[nodiscard]] const ChangeLog<Key>& changes() const { return changes_; }

  [[nodiscard]] bool synced() const { return synced_; }
  [[nodiscard]] const std::map<Key, T>& rows() const { return rows_; }
  [[nodiscard]] const T* find(const Key& key) const {
    const auto it = rows_.find(key);
    return it == rows_.end() ? nullptr : &it->second;
  }

  // Puts a row in, unless the one that is there is newer, or its end is: our own writes' answers overtake the
  // watch, and the watch overtakes them. False if it was refused for that.
  bool upsert(T row) {
    const auto end = ended_.find(row.key());
    if (end != ended_.end() && (row.version.older_than(end->second) || row.version == end->second)) return false;
    auto [it, added] = rows_.try_emplace(row.key());
    if (!added && row.version.older_than(it->second.version)) return false;
    it->second = std::move(row);
    changes_.add(it->first);
    return true;
  }
  // Puts a row in whatever is there: a read that began after that was heard shows an older version, so the
  // store lost history.
  void overwrite(T row) {
    const Key key = row.key();
    changes_.add(key);
    rows_.insert_or_assign(key, std::move(row));
  }
  // A deletion seen at `version`; a newer row, of a re-creation that we made ourselves, stays.
  bool erase(const Key& key, const ResourceVersion& version) {
    const auto it = rows_.find(key);
    if (it != rows_.end() && version.older_than(it->second.version)) return false;
    remember_end(key, version);
    if (it == rows_.end()) return false;
    changes_.add(key);
    rows_.erase(it);
    return true;
  }
  bool erase(const Key& key) {
    const auto it = rows_.find(key);
    return it != rows_.end() && erase(key, ResourceVersion{it->second.version});
  }
  // The result of a complete list as of `version`. Afterwards the table holds exactly these and
  // those that we wrote after the list was taken; unless `history_lost` (the store was restored from
  // a backup, so versions went back), then exactly these.
  void replace(std::vector<T> rows, const ResourceVersion& version, bool history_lost) {
    std::map<Key, T> next;
    for (T& row : rows) {
      Key key = row.key();
      next.insert_or_assign(std::move(key), std::move(row));
    }
    if (!history_lost) {
      for (auto& [key, row] : rows_)
        if (version.older_than(row.version)) next.insert_or_assign(key, std::move(row));
    }
    rows_ = std::move(next);
    ended_.clear();
    ends_.clear();
    synced_ = true;
    changes_.everything();
  }

 private:
  // The last deletions, for the answers that are still under way.
  void remember_end(const Key& key, const ResourceVersion& version) {
    constexpr std::size_t most = 4096;
    if (!ended_.insert_or_assign(key, version).second) return;
    ends_.push_back(key);
    if (ends_.size() <= most) return;
    ended_.erase(ends_.front());
    ends_.pop_front();
  }

  std::map<Key, T> rows_;
  std::map<Key, ResourceVersion> ended_;
  std::deque<Key> ends_;
  ChangeLog<Key> changes_;
  bool synced_ = false;
};

struct World {
  Table<Service> services;
  Table<Pool> pools;
  Table<AddressBlock> blocks;
  Table<Node> nodes;
  Table<EndpointSlice> endpoint_slices;
  Table<Namespace> namespaces;
  Table<BgpConf> bgp_confs;
  Table<BgpPeer> bgp_peers;
  Table<PasswordSecret> password_secrets;
  Table<PolicyConfigMap> policy_config_maps;
};

}  // namespace berth
