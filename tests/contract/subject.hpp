// What the contract suite is run against: a body of the port Cluster, its watches, and the hands of
// users and other writers around it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "reconcile/cluster.hpp"

namespace berth::contract {

// What a feed was told, in order.
template <class T>
class RecordingFeed final : public TableFeed<T> {
 public:
  struct Told {
    std::optional<T> row;  // absent: erased
    typename T::Key key;
    ResourceVersion version;
  };
  void replace(std::vector<T> rows, ResourceVersion version, bool history_lost) override {
    replaced.push_back({std::move(rows), std::move(version), history_lost});
  }
  void upsert(T row) override {
    auto key = row.key();
    ResourceVersion version = row.version;
    told.push_back({std::move(row), std::move(key), std::move(version)});
  }
  void erase(typename T::Key key, ResourceVersion version) override { told.push_back({std::nullopt, std::move(key), std::move(version)}); }

  [[nodiscard]] std::vector<Told> about(const typename T::Key& key) const {
    std::vector<Told> out;
    for (const Told& one : told)
      if (one.key == key) out.push_back(one);
    return out;
  }
  [[nodiscard]] const T* listed(const typename T::Key& key) const {
    if (!replaced.empty())
      for (const T& row : replaced.back().rows)
        if (row.key() == key) return &row;
    return nullptr;
  }
  [[nodiscard]] bool erased(const typename T::Key& key) const {
    const auto all = about(key);
    return !all.empty() && !all.back().row;
  }

  struct Replaced {
    std::vector<T> rows;
    ResourceVersion version;
    bool history_lost = false;
  };
  std::vector<Replaced> replaced;
  std::vector<Told> told;
};

// Has the feeds of a WorldKeeper.
class Feeds {
 public:
  RecordingFeed<Service>& services() { return services_; }
  RecordingFeed<Pool>& pools() { return pools_; }
  RecordingFeed<AddressBlock>& blocks() { return blocks_; }
  RecordingFeed<Namespace>& namespaces() { return namespaces_; }
  RecordingFeed<BgpConf>& bgp_confs() { return bgp_confs_; }
  RecordingFeed<BgpPeer>& bgp_peers() { return bgp_peers_; }

 private:
  RecordingFeed<Service> services_;
  RecordingFeed<Pool> pools_;
  RecordingFeed<AddressBlock> blocks_;
  RecordingFeed<Namespace> namespaces_;
  RecordingFeed<BgpConf> bgp_confs_;
  RecordingFeed<BgpPeer> bgp_peers_;
};

class Subject {
 public:
  virtual ~Subject() = default;
  virtual asio::io_context& io() = 0;
  virtual Cluster& cluster() = 0;
  // Lets things happen until `done`; false if that takes too long.
  virtual bool eventually(std::function<bool()> done) = 0;
  // Feeds what is watched into `feeds` as long as the subject lives.
  virtual void watch(Feeds& feeds) = 0;

  // What others do. Names are unique for each test; the answer is the object as stored.
  virtual Service create_service(ObjectName name, ServiceType type, Labels annotations, std::vector<std::string> finalizers) = 0;
  virtual Service annotate(ObjectName name, std::string key, std::string value) = 0;
  virtual Service set_type(ObjectName name, ServiceType type) = 0;
  virtual void delete_service(ObjectName name) = 0;
  Pool create_pool(std::string name, const std::string& address) {
    return create_pool_of(std::move(name), R"({"address":")" + address + R"("})");
  }
  // With this spec, as JSON; and another for one that is there.
  virtual Pool create_pool_of(std::string name, std::string spec) = 0;
  virtual Pool replace_pool_spec(std::string name, std::string spec) = 0;
  virtual void delete_pool(std::string name) = 0;
  virtual BgpConf create_conf(std::string name, std::vector<std::string> finalizers) = 0;
  virtual void delete_conf(std::string name) = 0;
  virtual BgpPeer create_peer(std::string name, std::vector<std::string> finalizers) = 0;
  virtual void delete_peer(std::string name) = 0;
  // Fresh reads that the port lacks; nullopt: not found.
  virtual std::optional<Pool> read_pool(std::string name) = 0;
  virtual std::optional<BgpConf> read_conf(std::string name) = 0;
  virtual std::optional<BgpPeer> read_peer(std::string name) = 0;

  template <class T>
  T ask(asio::awaitable<T> question) {
    std::optional<T> answer;
    asio::co_spawn(io(), std::move(question), [&answer](const std::exception_ptr& error, T value) {
      if (error) std::rethrow_exception(error);
      answer = std::move(value);
    });
    if (!eventually([&answer] { return answer.has_value(); })) {
      ADD_FAILURE() << "no answer in time";
      std::abort();  // the coroutine still refers to this frame
    }
    return std::move(*answer);
  }
};

// The body that this program is linked with: the simulation's or the real one.
std::unique_ptr<Subject> make_subject();

class ClusterContract : public ::testing::Test {
 protected:
  // Never the same twice, also over several runs against one cluster.
  static std::string unique(const std::string& stem);
  static ObjectName service_name() { return {"contract", unique("web")}; }

  template <class T>
  T ask(asio::awaitable<T> question) {
    return subject_->ask(std::move(question));
  }
  Cluster& cluster() { return subject_->cluster(); }

  std::unique_ptr<Subject> subject_ = make_subject();
};

}  // namespace berth::contract
