// The users of the simulated cluster: who allocates addresses, moves endpoints, takes out nodes, edits BgpConf and BgpPeers, and makes
// mistakes. Each deed says which sessions it is allowed to touch.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster_view.hpp"
#include "gobgpd.hpp"
#include "wishes.hpp"

namespace berth::sim {

class BgpUsers {
 public:
  BgpUsers(testing::SimTimers& time, SimRng& rng, TrueCluster& cluster, const Routers& routers)
      : time_(time), rng_(rng), cluster_(cluster), routers_(routers) {}

  void begin();
  std::string deed();  // one, drawn; says what it was
  void mend();         // takes back what nobody could live with for long: mistakes, an absent BgpConf
  // A speaker that begins now has never seen what an object said before a mistake was written into it.
  void speaker_begins();

  [[nodiscard]] Intent intent() const;
  [[nodiscard]] const AnsweringNodes& answering() const { return answering_; }
  // When the users last did what makes this session another, and what makes the server another, which ends all of them.
  [[nodiscard]] Instant touched(const IpAddress& router) const;
  [[nodiscard]] Instant touched_server() const { return touched_server_; }
  // When its Service's endpoints or traffic policy last changed, or a node came: of which a speaker may hear after it misses another.
  [[nodiscard]] Instant stirred(const IpAddress& ip) const;
  [[nodiscard]] std::uint64_t deeds() const { return deeds_; }
  [[nodiscard]] std::size_t addresses_held() const { return held_.size(); }
  std::function<void()> on_answering = [] {};
  std::function<void()> on_intent = [] {};  // called after what no row tells: peers as they count, nodes that left

 private:
  struct Address {
    IpAddress ip;
    std::string pool;
    ObjectName service;
  };
  struct Deed {
    unsigned weight;
    std::string (BgpUsers::*act)();
  };

  std::string hold();
  std::string give_back();
  std::string delete_service();
  std::string move_endpoints();
  std::string change_node();
  std::string add_or_remove_node();
  std::string change_answers();
  std::string annotate();
  std::string change_policy();
  std::string advertise();
  std::string edit_session();
  std::string edit_harmlessly();
  std::string edit_badly();
  std::string repair();
  std::string stop_or_start_peer();
  std::string remove_or_add_peer();
  std::string edit_global();
  std::string edit_global_badly();
  std::string remove_or_add_conf();

  [[nodiscard]] AddressBlock block_of(const IpAddress& ip);
  void change_entry(const Address& address, std::optional<BlockEntry> entry);
  void free_later(const Address& address);
  void write_slices(const ObjectName& service);
  void delete_service_and_slices(const ObjectName& service);
  std::vector<BgpConf::Advertisement> some_advertisements();
  void note_left(const Node& node);
  void note_before(const Address& address);
  BgpPeer some_peer(const SimulatedRouter& router);
  void put_peer(BgpPeer peer);
  [[nodiscard]] const BgpPeer* peer_that_is_well();
  [[nodiscard]] Node node_number(std::size_t number);
  void later(Duration after, std::function<void()> what) { time_.call_at(time_.now() + after, std::move(what)); }
  Duration some(Duration least, Duration most) {
    return least + Duration{static_cast<Duration::rep>(rng_.fraction() * static_cast<double>((most - least).count()))};
  }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[rng_.below(all.size())];
  }

  testing::SimTimers& time_;
  SimRng& rng_;
  TrueCluster& cluster_;
  const Routers& routers_;
  std::size_t nodes_ = 3;
  std::vector<Address> addresses_;
  std::map<std::size_t, Uid> held_;  // by index of the address
  std::uint64_t uids_ = 0;
  std::uint64_t deeds_ = 0;
  AnsweringNodes answering_;
  std::map<std::string, std::pair<std::vector<IpAddress>, Instant>> left_;
  std::vector<std::pair<Intent::Before, Instant>> before_;
  std::map<std::string, BgpPeer> good_;        // by object, as last written without a mistake
  std::set<std::string> bad_;                  // objects with a mistake in them now
  std::set<std::string> unknown_;              // of those, what the speaker never saw well
  // It may hear the next edit before it looks for the first time.
  [[nodiscard]] bool speaker_is_new() const { return time_.now() - speaker_began_ < std::chrono::seconds{30}; }
  Instant speaker_began_;
  std::map<IpAddress, Instant> touched_;
  std::map<ObjectName, Instant> stirred_;
  Instant nodes_stirred_{};
  std::map<ObjectName, std::vector<ObjectName>> slices_;  // of each Service
  Instant touched_server_;
  std::optional<std::uint32_t> as_;
  bool conf_is_bad_ = false;
};

}  // namespace berth::sim
