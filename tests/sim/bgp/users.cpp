#include "users.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t first_as = 64512;
constexpr Duration drain_wait = 5s + 1s;  // RouteOptions', and it is heard of late

std::string peer_name(const SimulatedRouter& router) { return "peer-" + router.options().address.to_string(); }

}  // namespace

// -- the beginning --------------------------------------------------------------------------------

void BgpUsers::begin() {
  nodes_ = 2 + rng_.below(4);
  for (std::size_t i = 0; i < nodes_; ++i) cluster_.put(node_number(i));
  for (std::uint32_t i = 0; i < 10; ++i) {
    const bool six = i >= 8;
    const IpAddress ip = six ? IpAddress::parse("2001:db8::10")->plus(i) : IpAddress::v4(0xCB007101U + i);
    addresses_.push_back({ip, i % 2 == 0 ? "blue" : "red", {"default", fmt::format("s{}", i)}});
  }
  BgpConf conf;
  conf.name = "default";
  conf.as = first_as;
  conf.listen_port = -1;
  conf.community_names = {{"ours", "64512:777"}};
  if (rng_.chance(0.5)) conf.advertisements = some_advertisements();
  as_ = conf.as;
  cluster_.put(conf);
  for (const auto& [address, router] : routers_) put_peer(some_peer(*router));
  for (int i = 0; i < 5; ++i) hold();
}

Node BgpUsers::node_number(std::size_t number) {
  Node out;
  out.name = fmt::format("n{}", number);
  out.uid = {fmt::format("node-{}-{}", number, ++uids_)};
  out.ready = true;
  out.internal_ips = {IpAddress::v4(0x0A000001U + static_cast<std::uint32_t>(number))};
  if (number % 3 != 2) out.internal_ips.push_back(IpAddress::parse("2001:db8:1::1")->plus(number));
  return out;
}

BgpPeer BgpUsers::some_peer(const SimulatedRouter& router) {
  BgpPeer out;
  out.name = peer_name(router);
  out.uid = {fmt::format("peer-{}", ++uids_)};
  out.has_conf = true;
  out.neighbor_address = router.options().address.to_string();
  out.peer_as = router.options().as;
  out.hold_time = one_of<std::string>({"", "9", "60", "180"});
  out.connect_retry = one_of<std::string>({"1", "2", "5", "10", ""});
  if (rng_.chance(0.15)) out.graceful_restart = GracefulRestart{.enabled = rng_.chance(0.5)};
  if (rng_.chance(0.7)) {
    for (const char* family : {"AFI_IP", "AFI_IP6"}) {
      BgpPeer::Family& to = out.families.emplace_back();
      to.afi = family;
      to.safi = "SAFI_UNICAST";
      to.add_path_send_max = rng_.chance(0.8) ? 10 : 0;
    }
  }
  return out;
}

// -- what others ask for --------------------------------------------------------------------------

Intent BgpUsers::intent() const {
  Intent out{cluster_.world(), cluster_.world().bgp_confs.find("default"), as_, {}, answering_, {}, {}};
  for (const auto& [name, peer] : good_)
    if (!unknown_.contains(name)) out.peers.emplace(*IpAddress::parse(peer.neighbor_address), peer);
  for (const auto& [name, gone] : left_)
    if (time_.now() - gone.second < drain_wait) out.left.emplace(name, gone.first);
  for (const auto& [what, when] : before_)
    if (time_.now() - when < hearing_time) out.before.push_back(what);
  return out;
}

Instant BgpUsers::touched(const IpAddress& router) const {
  const auto found = touched_.find(router);
  return found == touched_.end() ? Instant{} : found->second;
}

Instant BgpUsers::stirred(const IpAddress& ip) const {
  const auto address = std::ranges::find(addresses_, ip, &Address::ip);
  const auto found = address == addresses_.end() ? stirred_.end() : stirred_.find(address->service);
  return std::max(nodes_stirred_, found == stirred_.end() ? Instant{} : found->second);
}

void BgpUsers::speaker_begins() {
  speaker_began_ = time_.now();
  unknown_ = bad_;
  if (conf_is_bad_) as_.reset();
  on_intent();
}

void BgpUsers::mend() {
  while (!bad_.empty()) repair();
  const BgpConf* conf = cluster_.find<BgpConf>("default");
  if (conf == nullptr) remove_or_add_conf();
  if (conf_is_bad_) edit_global();
}

std::string BgpUsers::deed() {
  static const std::vector<Deed> all{{12, &BgpUsers::hold},
                                     {8, &BgpUsers::give_back},
                                     {2, &BgpUsers::delete_service},
                                     {12, &BgpUsers::move_endpoints},
                                     {6, &BgpUsers::change_node},
                                     {3, &BgpUsers::add_or_remove_node},
                                     {4, &BgpUsers::change_answers},
                                     {8, &BgpUsers::annotate},
                                     {3, &BgpUsers::change_policy},
                                     {6, &BgpUsers::advertise},
                                     {3, &BgpUsers::edit_session},
                                     {3, &BgpUsers::edit_harmlessly},
                                     {3, &BgpUsers::edit_badly},
                                     {4, &BgpUsers::repair},
                                     {2, &BgpUsers::stop_or_start_peer},
                                     {2, &BgpUsers::remove_or_add_peer},
                                     {1, &BgpUsers::edit_global},
                                     {1, &BgpUsers::edit_global_badly},
                                     {1, &BgpUsers::remove_or_add_conf}};
  ++deeds_;
  unsigned sum = 0;
  for (const Deed& deed : all) sum += deed.weight;
  auto drawn = static_cast<unsigned>(rng_.below(sum));
  for (const Deed& deed : all) {
    if (drawn < deed.weight) return (this->*deed.act)();
    drawn -= deed.weight;
  }
  return {};
}

// -- addresses ------------------------------------------------------------------------------------

AddressBlock BgpUsers::block_of(const IpAddress& ip) {
  const std::string name = ip.family == IpFamily::v4 ? "v4" : "v6";
  const AddressBlock* known = cluster_.find<AddressBlock>(name);
  AddressBlock out = known != nullptr ? *known : AddressBlock{};
  out.name = name;
  return out;
}

void BgpUsers::change_entry(const Address& address, std::optional<BlockEntry> entry) {
  AddressBlock block = block_of(address.ip);
  if (entry)
    block.addresses.insert_or_assign(address.ip, std::move(*entry));
  else
    block.addresses.erase(address.ip);
  cluster_.put(std::move(block));
}

// As the controller: recorded, then published, in two writes.
std::string BgpUsers::hold() {
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < addresses_.size(); ++i)
    if (!held_.contains(i) && !block_of(addresses_[i].ip).addresses.contains(addresses_[i].ip)) free.push_back(i);
  if (free.empty()) return "nothing";
  const std::size_t index = one_of(free);
  const Address& address = addresses_[index];
  const Uid uid{fmt::format("service-{}", ++uids_)};
  held_.emplace(index, uid);
  Service service;
  service.name = address.service;
  service.uid = uid;
  service.type = ServiceType::load_balancer;
  service.external_traffic_policy = rng_.chance(0.4) ? TrafficPolicy::local : TrafficPolicy::cluster;
  cluster_.put(service);
  write_slices(address.service);
  BlockEntry entry;
  entry.holders.push_back({.service = address.service, .uid = uid, .state = HolderState::held, .mark = ""});
  entry.pool = address.pool;
  change_entry(address, std::move(entry));
  if (rng_.chance(0.9))
    later(some(1ms, 600ms), [this, address, uid] {
      const Service* known = cluster_.find<Service>(address.service);
      if (known == nullptr || known->uid != uid) return;
      Service shown = *known;
      shown.ingress = {{address.ip.to_string()}};
      cluster_.put(std::move(shown));
    });
  return "address " + address.ip.to_string() + " is taken";
}

std::string BgpUsers::give_back() {
  if (held_.empty()) return "nothing";
  const auto chosen = std::next(held_.begin(), static_cast<std::ptrdiff_t>(rng_.below(held_.size())));
  const Address address = addresses_[chosen->first];
  AddressBlock block = block_of(address.ip);
  BlockEntry entry = block.addresses.at(address.ip);
  note_before(address);
  entry.holders.front().state = HolderState::freeing;
  change_entry(address, entry);
  held_.erase(chosen);
  free_later(address);
  return "address " + address.ip.to_string() + " is given back";
}

void BgpUsers::note_before(const Address& address) {
  const Service* service = cluster_.find<Service>(address.service);
  if (service == nullptr) return;
  std::erase_if(before_, [this](const auto& one) { return time_.now() - one.second >= hearing_time; });
  before_.push_back({{address.ip, address.pool, *service}, time_.now()});
  later(hearing_time, [this] { on_intent(); });
}

void BgpUsers::free_later(const Address& address) {
  later(some(50ms, 800ms), [this, address] {
    if (cluster_.find<Service>(address.service) != nullptr) delete_service_and_slices(address.service);
  });
  later(some(900ms, 2s), [this, address] { change_entry(address, std::nullopt); });
}

// Without a word: the controller finds out later.
std::string BgpUsers::delete_service() {
  if (held_.empty()) return "nothing";
  const auto chosen = std::next(held_.begin(), static_cast<std::ptrdiff_t>(rng_.below(held_.size())));
  const Address address = addresses_[chosen->first];
  held_.erase(chosen);
  note_before(address);
  delete_service_and_slices(address.service);
  later(some(100ms, 3s), [this, address] { change_entry(address, std::nullopt); });
  return "Service " + address.service.to_string() + " is deleted";
}

// One slice or two; each has a name that was never there before, or is an old one that changed. As Kubernetes does, it deletes those that
// are not needed any more after it wrote the others.
void BgpUsers::write_slices(const ObjectName& service) {
  stirred_[service] = time_.now();
  std::vector<ObjectName>& names = slices_[service];
  const std::vector<ObjectName> before = names;
  if (rng_.chance(0.3)) names.clear();
  names.resize(rng_.chance(0.3) ? 2 : 1);
  std::vector<EndpointSlice> slices(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].name.empty()) names[i] = {service.space, fmt::format("{}-{:04x}", service.name, rng_.below(0x10000))};
    slices[i].name = names[i];
    slices[i].service = service.name;
  }
  const double many = rng_.fraction();
  for (std::size_t i = 0; i < nodes_; ++i) {
    const std::string node = fmt::format("n{}", i);
    if (rng_.chance(many)) slices[rng_.below(slices.size())].endpoints.push_back({node, true, true, false});
    if (rng_.chance(0.1)) slices[rng_.below(slices.size())].endpoints.push_back({node, false, true, true});
  }
  for (EndpointSlice& slice : slices) cluster_.put(std::move(slice));
  for (const ObjectName& name : before)
    if (std::ranges::find(names, name) == names.end()) cluster_.remove<EndpointSlice>(name);
}

void BgpUsers::delete_service_and_slices(const ObjectName& service) {
  cluster_.remove<Service>(service);
  for (const ObjectName& name : std::exchange(slices_[service], {})) cluster_.remove<EndpointSlice>(name);
}

std::string BgpUsers::move_endpoints() {
  if (held_.empty()) return "nothing";
  const auto chosen = std::next(held_.begin(), static_cast<std::ptrdiff_t>(rng_.below(held_.size())));
  write_slices(addresses_[chosen->first].service);
  return "endpoints of " + addresses_[chosen->first].service.to_string() + " move";
}

std::string BgpUsers::change_policy() {
  if (held_.empty()) return "nothing";
  const auto chosen = std::next(held_.begin(), static_cast<std::ptrdiff_t>(rng_.below(held_.size())));
  const Service* known = cluster_.find<Service>(addresses_[chosen->first].service);
  if (known == nullptr) return "nothing";
  Service service = *known;
  stirred_[service.name] = time_.now();
  service.external_traffic_policy = service.external_traffic_policy == TrafficPolicy::local ? TrafficPolicy::cluster : TrafficPolicy::local;
  cluster_.put(service);
  return "policy of " + service.name.to_string() + " changes";
}

// -- nodes: n0 is our own, and always well --------------------------------------------------------

void BgpUsers::note_left(const Node& node) {
  left_.insert_or_assign(node.name, std::pair{node.internal_ips, time_.now()});
  later(drain_wait, [this] { on_intent(); });
}

std::string BgpUsers::change_node() {
  const Node* known = cluster_.find<Node>(fmt::format("n{}", 1 + rng_.below(nodes_ - 1)));
  if (known == nullptr) return "nothing";
  Node node = *known;
  const bool was_out = taken_out(node);
  std::string what;
  switch (rng_.below(4)) {
    case 0:
      what = "exclude label";
      if (node.labels.erase(std::string{keys::exclude_node}) == 0) node.labels[std::string{keys::exclude_node}] = "";
      break;
    case 1:
      what = "taint";
      node.taints = node.taints.empty() ? std::vector<std::string>{std::string{keys::out_of_service_taint}} : std::vector<std::string>{};
      break;
    case 2:
      what = "Ready";
      node.ready = !node.ready;
      break;
    default: what = "NetworkUnavailable"; node.network_unavailable = !node.network_unavailable;
  }
  if (!was_out && taken_out(node)) note_left(node);
  if (!taken_out(node)) nodes_stirred_ = time_.now();
  cluster_.put(node);
  return fmt::format("{} of {} changes", what, node.name);
}

std::string BgpUsers::add_or_remove_node() {
  const std::size_t number = 1 + rng_.below(nodes_ - 1);
  const std::string name = fmt::format("n{}", number);
  if (const Node* known = cluster_.find<Node>(name); known != nullptr) {
    note_left(*known);
    cluster_.remove<Node>(name);
    return name + " is removed";
  }
  cluster_.put(node_number(number));
  nodes_stirred_ = time_.now();
  return name + " is added";
}

// At most one node does not answer: if none does, it is we who can't ask.
std::string BgpUsers::change_answers() {
  std::optional<std::string> silent;
  for (const auto& [node, answers] : answering_)
    if (!answers) silent = node;
  if (silent) {
    answering_[*silent] = true;
  } else {
    for (std::size_t i = 1; i < nodes_; ++i)
      if (i == 1 || rng_.chance(0.8)) answering_[fmt::format("n{}", i)] = true;
    if (answering_.size() > 1) answering_[fmt::format("n{}", 1 + rng_.below(nodes_ - 1))] = false;
    if (std::ranges::none_of(answering_, [](const auto& item) { return item.second; })) answering_.clear();
  }
  on_answering();
  on_intent();
  return silent ? *silent + " answers again" : "other nodes answer";
}

}  // namespace berth::sim
