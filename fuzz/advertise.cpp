// What users write about routes: a line for each annotation of a Service, then communities of a BgpConf. Nothing is believed that is
// not in range, and what is right is the same in every process.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "plan/advertise.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth;
  std::string_view left{reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 4096)};
  const auto line = [&left] {
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::string out{left.substr(0, end)};
    left.remove_prefix(std::min(end + 1, left.size()));
    return out;
  };
  Service service;
  for (const std::string_view key :
       {keys::bgp_communities, keys::bgp_peers, keys::bgp_local_pref, keys::bgp_med, keys::bgp_as_path_prepend})
    if (std::string value = line(); !value.empty()) service.annotations[std::string{key}] = std::move(value);
  BgpConf conf;
  conf.community_names["name"] = line();
  while (!left.empty() && conf.advertisements.size() < 8)
    conf.advertisements.push_back({.peers = {line()}, .communities = {line(), "name"}, .aggregates = {line()}});

  std::vector<BgpPeerConfig> peers(2);
  peers[0].object = "a";
  peers[0].neighbor = IpAddress::v4(1);
  peers[1].neighbor = IpAddress::v4(2);
  const auto judge = [&](std::string& problem) {
    Advertiser advertiser{&conf};
    const IpAddress address = IpAddress::v4(0xC0000201);
    const auto routes = advertiser.judge(advertiser.subject(address, "pool", {&service}, problem), {});
    for (const auto& route : routes)
      BERTH_CHECK(route.prefix_length == 0 ? route.address == address : route.prefix_length >= 8 && route.address <= address,
                  "a route is the address's, or an aggregate's that it is in");
    return std::pair{routes.empty() ? BgpPath{} : routes.front().path, offers(advertiser.numbered(), peers, 65000)};
  };
  std::string problem, again;
  const auto [path, offered] = judge(problem);
  BERTH_CHECK(judge(again) == std::pair(path, offered) && problem == again, "the same words, the same routes");
  BERTH_CHECK(path.audience == 0 || offered.contains(path.audience), "an audience is known");
  const auto check = [](const BgpAttributes& attributes) {
    BERTH_CHECK(std::ranges::is_sorted(attributes.communities), "communities are sorted");
    for (const BgpCommunity& one : attributes.communities)
      BERTH_CHECK(one.large || (one.a <= 65535 && one.b <= 65535 && one.c == 0), "a standard community has two halves of 16 bits");
  };
  check(path.attributes);
  for (const auto& [number, list] : offered)
    for (const BgpOffer& offer : list) {
      check(offer.attributes);
      BERTH_CHECK(offer.prepend <= 10 && !offer.peers.empty(), "an offer is within bounds and for somebody");
    }
  return 0;
}
