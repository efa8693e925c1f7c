// Which routers hear of an address, and with which attributes: from BgpConf's spec.advertisements and the annotations of Services. Pure.
//
// An advertisement speaks for the addresses of the pools that it names, of the Services that its serviceSelector takes, with the next
// hops that its nodeSelector takes; what it does not say limits nothing. An address for which none speaks goes to every router. Others go
// to a router if one of those that speak for it names that router, or names none. What they say is put together: communities are united,
// of the rest the first one counts that says something. A Service's annotations come before all of them; with bgp-peers it goes to no
// router but these.
//
// Its aggregates are announced instead of the host routes of addresses in them. An address of which a Service says something for itself,
// or of a Service of policy Local, keeps its host route.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/bgp.hpp"
#include "model/objects.hpp"

namespace berth {

// a:b, a:b:c or large:a:b:c, a well-known name (RFC 1997, 3765, 7999, 8326, 9494), or one of `names`. Errors: what to write.
Result<BgpCommunity> parse_community(std::string_view text, const std::map<std::string, std::string>& names);

// What is said for one address, by names of BgpPeers or of their groups.
struct Advertising {
  struct Say {
    std::set<std::string> peers;  // whom it concerns; empty: all
    BgpAttributes attributes;
    std::optional<std::uint32_t> prepend;
    auto operator<=>(const Say&) const = default;
  };
  std::optional<Say> service;  // its peers: no other gets the route
  std::vector<Say> pool;
  auto operator<=>(const Advertising&) const = default;
};
using AdvertisingByNumber = std::map<std::uint32_t, Advertising>;

class Advertiser {
 public:
  // Absent: no advertisements.
  explicit Advertiser(const BgpConf* conf);

  // An address as the advertisements see it.
  struct Subject {
    IpAddress address;
    std::string pool;
    std::optional<Advertising::Say> said;     // by annotations
    bool may_aggregate = false;
    std::vector<const Service*> services;
  };
  // What annotations say wrong is added to `problem`, in words.
  Subject subject(const IpAddress& address,
                  const std::string& pool,
                  const std::vector<const Service*>& services,
                  std::string& problem) const;

  // One route of an address through one node, by its labels; without its next hop.
  struct Announced {
    IpAddress address;
    std::uint8_t prefix_length = 0;  // 0: a host route
    BgpPath path;
  };
  std::vector<Announced> judge(const Subject& subject, const Labels& node);
  // Nobody has a route with this number any more.
  void forget(std::uint32_t number);

  // Those that judge() gave numbers to: the same one for the same words, in every process.
  [[nodiscard]] const AdvertisingByNumber& numbered() const { return numbered_; }
  // What is wrong in the BgpConf: it counts for nothing, the rest does.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Entry {
    std::set<std::string> pools;
    std::optional<LabelSelector> services, nodes;
    std::vector<IpRange> aggregates;
    Advertising::Say say;
    [[nodiscard]] bool speaks_for(const Subject& subject) const;
  };
  void read(const BgpConf::Advertisement& from, std::size_t at);
  std::optional<Advertising::Say> say_of(const Service& service, std::string& problem) const;
  BgpPath path_of(Advertising advertising);

  const std::map<std::string, std::string> names_;
  std::vector<Entry> entries_;
  bool by_pool_alone_ = true;  // nothing but the pool and annotations make a difference
  std::map<std::string, BgpPath> of_pool_;  // then: of Services that say nothing
  AdvertisingByNumber numbered_;
  std::vector<std::string> problems_;
};

// By number, what each of the routers that are there is offered; routers that get the same are one offer. `as`: ours. Routers of our
// own AS get no longer path: they would take it for a loop.
std::map<std::uint32_t, std::vector<BgpOffer>> offers(const AdvertisingByNumber& numbered,
                                                      const std::vector<BgpPeerConfig>& peers,
                                                      std::uint32_t as);

// How many prefixes each of the routers is told of, but for what a policy of the user's takes out.
std::map<IpAddress, std::uint32_t> prefixes_by_peer(const BgpDesired& desired);

}  // namespace berth
