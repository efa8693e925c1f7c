#include "migrate/metallb.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "migrate/yaml.hpp"
#include "model/ip_address.hpp"
#include "model/objects.hpp"

namespace berth {
namespace {

namespace json = boost::json;
using LeftOut = MetalLbConversion::LeftOut;

constexpr std::size_t most_aggregates = 32;  // of an entry, by the CRD
constexpr std::int64_t lowest_priority = 2147483647;

std::string string_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string{value->as_string()} : std::string{};
}
std::int64_t number_of(const json::value* value, std::int64_t otherwise) {
  if (value == nullptr) return otherwise;
  if (value->is_int64()) return value->as_int64();
  return value->is_uint64() ? static_cast<std::int64_t>(value->as_uint64()) : otherwise;
}
bool bool_of(const json::value* value, bool otherwise) { return value != nullptr && value->is_bool() ? value->as_bool() : otherwise; }

std::vector<std::string> strings_of(const json::value* value) {
  std::vector<std::string> out;
  if (value != nullptr && value->is_array())
    for (const json::value& item : value->as_array())
      if (item.is_string()) out.emplace_back(item.as_string());
  return out;
}
json::array to_json(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

LabelSelector selector_of(const json::value& value) {
  LabelSelector out;
  const json::object* object = value.if_object();
  if (object == nullptr) return out;
  if (const json::value* labels = object->if_contains("matchLabels"); labels != nullptr && labels->is_object())
    for (const auto& [key, label] : labels->as_object()) out.match_labels[std::string{key}] = string_of(&label);
  if (const json::value* expressions = object->if_contains("matchExpressions"); expressions != nullptr && expressions->is_array())
    for (const json::value& expression : expressions->as_array())
      if (const json::object* one = expression.if_object())
        out.match_expressions.push_back(
            {string_of(one->if_contains("key")), string_of(one->if_contains("operator")), strings_of(one->if_contains("values"))});
  return out;
}

// Go's notation, "1m30s"; nothing if it is not whole seconds.
std::optional<std::int64_t> seconds_of(std::string_view text) {
  double all = 0;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::size_t unit_size = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view unit = text.substr(0, unit_size);
    text.remove_prefix(unit_size);
    if (unit == "h")
      all += number * 3600;
    else if (unit == "m")
      all += number * 60;
    else if (unit == "s")
      all += number;
    else if (unit == "ms")
      all += number / 1000;
    else
      return std::nullopt;
  }
  const auto whole = static_cast<std::int64_t>(all);
  return static_cast<double>(whole) == all ? std::optional{whole} : std::nullopt;
}

// An object of MetalLB's; what nobody asked it for is told at its end.
class Source {
 public:
  explicit Source(const kube::Document& document) : kind(document.kind) {
    if (const json::value* metadata = document.object.if_contains("metadata"); metadata != nullptr && metadata->is_object()) {
      name = string_of(metadata->as_object().if_contains("name"));
      space = string_of(metadata->as_object().if_contains("namespace"));
      if (const json::value* found = metadata->as_object().if_contains("labels"); found != nullptr && found->is_object())
        for (const auto& [key, value] : found->as_object()) labels[std::string{key}] = string_of(&value);
    }
    if (const json::value* found = document.object.if_contains("spec"); found != nullptr && found->is_object()) spec = found->as_object();
  }
  const json::value* take(std::string_view key) {
    asked_.insert(std::string{key});
    return spec.if_contains(key);
  }
  void leave_out(std::string_view field, std::string text) { left_out.push_back({title(), "spec." + std::string{field}, std::move(text)}); }
  // Of a field that says something: not null, false, empty or what `nothing` is.
  void leave_out_if_set(std::string_view field, std::string text, const json::value& nothing = nullptr) {
    const json::value* found = take(field);
    if (found == nullptr || found->is_null() || *found == nothing) return;
    const bool empty = (found->is_string() && found->as_string().empty()) || (found->is_array() && found->as_array().empty()) ||
                       (found->is_object() && found->as_object().empty()) || (found->is_bool() && !found->as_bool()) ||
                       (found->is_int64() && found->as_int64() == 0);
    if (!empty) leave_out(field, std::move(text));
  }
  void end() {
    for (const auto& [key, value] : spec)
      if (!asked_.contains(std::string{key})) leave_out(std::string_view{key}, "is not known here");
  }
  [[nodiscard]] std::string title() const { return kind + " " + (space.empty() ? "" : space + "/") + name; }

  std::string kind, name, space;
  Labels labels;
  json::object spec;
  std::vector<LeftOut> left_out;

 private:
  std::set<std::string> asked_;
};

json::object manifest(std::string_view kind, const std::string& name) {
  return {{"apiVersion", "network.kubesphere.io/v1alpha2"}, {"kind", kind}, {"metadata", json::object{{"name", name}}}};
}

class Converting {
 public:
  explicit Converting(const std::vector<kube::Document>& documents) {
    for (const kube::Document& document : documents) {
      if (document.kind == "IPAddressPool" || document.kind == "AddressPool") pools_.emplace_back(document);
      if (document.kind == "L2Advertisement") layer2_.emplace_back(document);
      if (document.kind == "BGPAdvertisement") bgp_.emplace_back(document);
      if (document.kind == "BGPPeer") peers_.emplace_back(document);
      if (document.kind == "BFDProfile" || document.kind == "Community" || is_old_configuration(document)) others_.emplace_back(document);
    }
    for (auto* list : {&pools_, &layer2_, &bgp_, &peers_, &others_}) std::ranges::sort(*list, {}, &Source::name);
  }

  MetalLbConversion run() {
    convert_peers();
    choose_default();
    for (Source& pool : pools_) convert(pool);
    for (Source& advertisement : layer2_) read_layer2(advertisement);
    for (Source& advertisement : bgp_) read_bgp(advertisement);
    for (Source& other : others_) read_other(other);
    for (auto* list : {&pools_, &layer2_, &bgp_, &peers_, &others_})
      for (Source& source : *list) {
        source.end();
        std::ranges::move(source.left_out, std::back_inserter(out_.left_out));
      }
    return std::move(out_);
  }

 private:
  static bool is_old_configuration(const kube::Document& document) {
    const Source source{document};
    return document.kind == "ConfigMap" && source.name == "config" && source.space == "metallb-system";
  }

  // -- BGPPeers ------------------------------------------------------------------------------------

  void convert_peers() {
    if (peers_.empty()) return;
    std::map<std::int64_t, int> systems;
    for (Source& peer : peers_) ++systems[number_of(peer.take("myASN"), 0)];
    const std::int64_t as = std::ranges::max_element(systems, {}, [](const auto& one) { return one.second; })->first;
    json::object conf = manifest("BgpConf", "default");
    conf["spec"] = json::object{{"as", as}};
    convert_advertisements(conf["spec"].as_object());
    out_.manifests += to_yaml(conf);
    for (Source& peer : peers_) convert_peer(peer, as);
  }

  // Where no advertisement says more than pools, everything goes to all, and nothing needs to be said.
  void convert_advertisements(json::object& spec) {
    json::array list;
    bool any = false;
    for (Source& from : bgp_) {
      json::object to{{"name", from.name}};
      json::array pools;
      for (const Source& pool : pools_)
        if (selects(from, pool)) pools.emplace_back(pool.name);
      if (pools.empty()) continue;
      if (pools.size() < pools_.size()) to["pools"] = std::move(pools);
      for (const char* field : {"peers", "communities"})
        if (const auto values = strings_of(from.take(field)); !values.empty()) {
          to[field] = to_json(values);
          any = true;
        }
      if (const json::value* preference = from.take("localPref"); preference != nullptr && preference->is_int64()) {
        to["localPref"] = *preference;
        any = true;
      }
      if (json::array aggregates = aggregates_of(from); !aggregates.empty()) {
        to["aggregates"] = std::move(aggregates);
        any = true;
      }
      // There, one of several selectors is enough: an entry for each.
      for (const json::value& services : selectors_of(from, "serviceSelectors", any))
        for (const json::value& nodes : selectors_of(from, "nodeSelectors", any)) {
          json::object entry = to;
          if (!services.is_null()) entry["serviceSelector"] = services;
          if (!nodes.is_null()) entry["nodeSelector"] = nodes;
          list.push_back(std::move(entry));
        }
    }
    if (!any) return;
    spec["advertisements"] = std::move(list);
    json::object names;
    for (Source& other : others_) {
      if (other.kind != "Community") continue;
      const json::value* values = other.take("communities");
      if (values == nullptr || !values->is_array()) continue;
      for (const json::value& one : values->as_array())
        if (const json::object* alias = one.if_object(); alias != nullptr)
          names[string_of(alias->if_contains("name"))] = string_of(alias->if_contains("value"));
    }
    if (!names.empty()) spec["communityNames"] = std::move(names);
  }

  // null: every one.
  static json::array selectors_of(Source& from, std::string_view field, bool& any) {
    const json::value* found = from.take(field);
    if (found == nullptr || !found->is_array() || found->as_array().empty()) return {nullptr};
    any = true;
    return found->as_array();
  }

  // A length there, prefixes here: of that length, with the addresses of the pools in them.
  json::array aggregates_of(Source& from) {
    json::array out;
    const std::int64_t lengths[] = {number_of(from.take("aggregationLength"), 32), number_of(from.take("aggregationLengthV6"), 128)};
    for (Source& pool : pools_) {
      if (!selects(from, pool)) continue;
      for (std::string part : strings_of(pool.take("addresses"))) {
        std::erase_if(part, [](unsigned char c) { return std::isspace(c) != 0; });
        const auto range = parse_ip_range(part);
        if (!range) continue;  // told with the pool
        const bool is_v4 = range->first.family == IpFamily::v4;
        const std::int64_t length = lengths[is_v4 ? 0 : 1], bits = range->first.bits();
        if (length >= bits || length < (is_v4 ? 8 : 16)) continue;
        const IpNumber size = IpNumber{1} << static_cast<unsigned>(bits - length);
        for (IpAddress at{range->first.family, range->first.number & ~(size - 1)}; at <= range->last; at = at.plus(size)) {
          if (out.size() == most_aggregates) {
            from.leave_out(is_v4 ? "aggregationLength" : "aggregationLengthV6",
                           fmt::format("the pools have more than {} such prefixes: only these are announced as one, take a shorter length",
                                       most_aggregates));
            return out;
          }
          json::value text(fmt::format("{}/{}", at.to_string(), length));
          if (std::ranges::find(out, text) == out.end()) out.push_back(std::move(text));
          if (range->last.number - at.number < size) break;
        }
      }
    }
    return out;
  }

  void convert_peer(Source& peer, std::int64_t as) {
    json::object conf;
    const std::string address = string_of(peer.take("peerAddress"));
    const std::string interface = string_of(peer.take("interface"));
    if (address.empty() && interface.empty()) {
      peer.leave_out("peerAddress", "there are no sessions with nobody: all of it is left out");
      for (const auto& [key, value] : peer.spec) peer.take(key);
      return;
    }
    conf[address.empty() ? "neighborInterface" : "neighborAddress"] = address.empty() ? interface : address;
    if (const std::int64_t peer_as = number_of(peer.take("peerASN"), 0); peer_as != 0) conf["peerAs"] = peer_as;
    peer.leave_out_if_set("dynamicASN", "the neighbour's AS number has to be known: put it into spec.conf.peerAs");
    if (const std::int64_t own = number_of(peer.take("myASN"), 0); own != as) conf["localAs"] = own;
    if (const std::string password = string_of(peer.take("password")); !password.empty()) conf["authPassword"] = password;
    if (const json::value* secret = peer.take("passwordSecret"); secret != nullptr && secret->is_object())
      if (const std::string name = string_of(secret->as_object().if_contains("name")); !name.empty()) {
        conf["passwordSecret"] = json::object{{"name", name}};
        peer.leave_out("passwordSecret", fmt::format("copy Secret {} into Berth's namespace", name));
      }

    json::object spec{{"conf", std::move(conf)}};
    if (bool_of(peer.take("ebgpMultiHop"), false)) spec["ebgpMultihop"] = json::object{{"enabled", true}, {"multihopTtl", 255}};
    json::object timers;
    for (const auto& [theirs, ours] :
         {std::pair{"connectTime", "connectRetry"}, std::pair{"holdTime", "holdTime"}, std::pair{"keepaliveTime", "keepaliveInterval"}})
      if (const std::string text = string_of(peer.take(theirs)); !text.empty()) {
        if (const auto seconds = seconds_of(text))
          timers[ours] = std::to_string(*seconds);
        else
          peer.leave_out(theirs, fmt::format("{} is not whole seconds", text));
      }
    if (!timers.empty()) spec["timers"] = json::object{{"config", std::move(timers)}};
    json::object transport;
    if (const std::int64_t port = number_of(peer.take("peerPort"), 179); port != 179 && port != 0) transport["remotePort"] = port;
    if (const std::string source = string_of(peer.take("sourceAddress")); !source.empty()) transport["localAddress"] = source;
    if (const std::string vrf = string_of(peer.take("vrf")); !vrf.empty()) transport["bindInterface"] = vrf;
    if (!transport.empty()) spec["transport"] = std::move(transport);
    if (bool_of(peer.take("enableGracefulRestart"), false)) spec["gracefulRestart"] = json::object{{"enabled", true}};
    if (bool_of(peer.take("dualStackAddressFamily"), false)) spec["afiSafis"] = json::array{family("AFI_IP"), family("AFI_IP6")};
    if (const json::value* selectors = peer.take("nodeSelectors"); selectors != nullptr && selectors->is_array()) {
      if (selectors->as_array().size() == 1) spec["nodeSelector"] = selectors->as_array().front();
      if (selectors->as_array().size() > 1)
        peer.leave_out(
            "nodeSelectors",
            "there is one selector for each BgpPeer: the session is set up on every node. Join them, or make a BgpPeer for each");
    }
    peer.leave_out_if_set("routerID", "each node's own address is its router id");
    if (const std::string profile = string_of(peer.take("bfdProfile")); !profile.empty()) convert_bfd(peer, profile, spec);
    peer.take("disableMP");  // families of one session are what the address or dualStackAddressFamily says
    json::object made = manifest("BgpPeer", peer.name);
    made["spec"] = std::move(spec);
    out_.manifests += to_yaml(made);
  }

  // A profile becomes part of each peer that names it. MetalLB's own defaults stand in it.
  void convert_bfd(Source& peer, const std::string& name, json::object& spec) {
    const auto found = std::ranges::find_if(others_, [&](const Source& one) { return one.kind == "BFDProfile" && one.name == name; });
    if (found == others_.end()) {
      peer.leave_out("bfdProfile", fmt::format("there is no BFDProfile {} in what was given: set spec.bfd", name));
      return;
    }
    json::object bfd{{"minTxIntervalMs", number_of(found->take("transmitInterval"), 300)},
                     {"minRxIntervalMs", number_of(found->take("receiveInterval"), 300)},
                     {"detectMultiplier", number_of(found->take("detectMultiplier"), 3)}};
    if (bool_of(found->take("passiveMode"), false)) bfd["passive"] = true;
    if (const std::int64_t ttl = number_of(found->take("minimumTtl"), 254); ttl != 254) bfd["minimumTtl"] = ttl;
    spec["bfd"] = std::move(bfd);
  }

  static json::object family(const char* afi) {
    return {{"config", json::object{{"family", json::object{{"afi", afi}, {"safi", "SAFI_UNICAST"}}}, {"enabled", true}}}};
  }

  // -- pools ---------------------------------------------------------------------------------------

  static const json::object* allocation_of(Source& pool) {
    const json::value* found = pool.take("serviceAllocation");
    return found != nullptr ? found->if_object() : nullptr;
  }
  static std::size_t size_of(const json::object* allocation, std::string_view key) {
    const json::value* found = allocation == nullptr ? nullptr : allocation->if_contains(key);
    return found != nullptr && found->is_array() ? found->as_array().size() : 0;
  }
  static bool is_bound(Source& pool) {
    const json::object* allocation = allocation_of(pool);
    return size_of(allocation, "namespaces") > 0 || size_of(allocation, "namespaceSelectors") > 0;
  }
  static std::int64_t priority_of(Source& pool) {
    const json::object* allocation = allocation_of(pool);
    return allocation == nullptr ? 0 : number_of(allocation->if_contains("priority"), 0);
  }

  // MetalLB takes any pool with autoAssign; here one is the default.
  void choose_default() {
    for (Source& pool : pools_) {
      const bool automatic = bool_of(pool.take("autoAssign"), true) && !is_bound(pool);
      if (automatic && !default_) default_ = pool.name;
      prioritized_ = prioritized_ || priority_of(pool) > 0;
    }
  }

  void convert(Source& pool) {
    std::string address;
    for (std::string part : strings_of(pool.take("addresses"))) {
      std::erase_if(part, [](unsigned char c) { return std::isspace(c) != 0; });  // "a - b" is allowed there
      address += (address.empty() ? "" : ", ") + part;
    }
    const auto ranges = parse_ip_ranges(address);
    if (!ranges) {
      pool.leave_out("addresses", ranges.error().text + ": all of it is left out");
      for (const auto& [key, value] : pool.spec) pool.take(key);
      return;
    }
    json::object spec{{"address", address}};
    set_protocol(pool, ranges->front(), spec);
    if (bool_of(pool.take("avoidBuggyIPs"), false)) spec["avoidBuggyIPs"] = true;
    pool.leave_out_if_set(
        "bgpAdvertisements",
        "say it in spec.advertisements of the BgpConf; until then addresses go to every BgpPeer, one route each, without attributes");
    bind(pool, spec);
    json::object made = manifest("Eip", pool.name);
    if (default_ == pool.name) made["metadata"].as_object()["annotations"] = json::object{{keys::default_pool, "true"}};
    made["spec"] = std::move(spec);
    out_.manifests += to_yaml(made);
  }

  void set_protocol(Source& pool, const IpRange& first, json::object& spec) {
    const std::string own = string_of(pool.take("protocol"));  // of an AddressPool
    std::vector<std::string> interfaces;
    bool by_layer2 = own == "layer2";
    for (Source& advertisement : layer2_)
      if (selects(advertisement, pool)) {
        by_layer2 = true;
        for (std::string& name : strings_of(advertisement.take("interfaces"))) interfaces.push_back(std::move(name));
      }
    const bool by_bgp = own == "bgp" || std::ranges::any_of(bgp_, [&](Source& advertisement) { return selects(advertisement, pool); });
    if (by_layer2 && !by_bgp) {
      spec["protocol"] = "layer2";
      // The interface is needed. Without one, it is that of the pool's network.
      spec["interface"] = interfaces.empty() ? "can_reach:" + first.first.to_string() : interfaces.front();
      pool.left_out.push_back(
          {pool.title(), "", "is announced by Layer 2, which Berth does not do yet: its addresses would be given out and not answer"});
      return;
    }
    spec["protocol"] = "bgp";
    if (by_layer2) pool.left_out.push_back({pool.title(), "", "is announced by Layer 2 and BGP: an Eip has one protocol, bgp was taken"});
    if (!by_layer2 && !by_bgp)
      pool.left_out.push_back({pool.title(), "", "is selected by no advertisement: MetalLB announces nothing of it, Berth would, by BGP"});
  }

  static bool selects(Source& advertisement, const Source& pool) {
    const std::vector<std::string> names = strings_of(advertisement.take("ipAddressPools"));
    const json::value* selectors = advertisement.take("ipAddressPoolSelectors");
    const bool any = selectors != nullptr && selectors->is_array() && !selectors->as_array().empty();
    if (pool.kind == "AddressPool") return false;
    if (names.empty() && !any) return true;
    if (std::ranges::find(names, pool.name) != names.end()) return true;
    return any && std::ranges::any_of(selectors->as_array(), [&](const json::value& one) { return selector_of(one).matches(pool.labels); });
  }

  void bind(Source& pool, json::object& spec) {
    const bool automatic = bool_of(pool.take("autoAssign"), true);
    const json::object* allocation = allocation_of(pool);
    if (!automatic) {
      if (allocation != nullptr && !allocation->empty())
        pool.leave_out("serviceAllocation",
                       "with autoAssign: false only Services that name the pool get its addresses; whose they may be is not checked");
      return;
    }
    if (!is_bound(pool) && default_ != pool.name)
      pool.leave_out(
          "autoAssign",
          fmt::format("one pool is the default, Eip {}: Services get addresses of this one only by naming it. Bind it to namespaces "
                      "(spec.namespaces), or put its addresses into Eip {}",
                      *default_, *default_));
    if (allocation == nullptr) return;
    for (const auto& [key, value] : *allocation)
      if (key != "priority" && key != "namespaces" && key != "namespaceSelectors" && key != "serviceSelectors")
        pool.leave_out("serviceAllocation." + std::string{key}, "is not known here");
    if (const auto namespaces = strings_of(allocation->if_contains("namespaces")); !namespaces.empty())
      spec["namespaces"] = to_json(namespaces);
    bind_selectors(pool, *allocation, spec);
    if (!spec.contains("namespaces") && !spec.contains("namespaceSelector")) return;
    spec["enforceNamespaces"] = true;  // MetalLB refuses Services of other namespaces that name the pool
    const std::int64_t priority = priority_of(pool);
    if (priority > 0)
      spec["priority"] = priority;
    else if (prioritized_)
      spec["priority"] = lowest_priority;  // there, none is the last
  }

  static void bind_selectors(Source& pool, const json::object& allocation, json::object& spec) {
    if (const std::size_t count = size_of(&allocation, "namespaceSelectors"); count > 0) {
      const json::value& first = allocation.at("namespaceSelectors").as_array().front();
      const LabelSelector selector = selector_of(first);
      if (count == 1 && selector.match_expressions.empty() && !selector.match_labels.empty())
        spec["namespaceSelector"] = first.as_object().at("matchLabels");
      else
        pool.leave_out(
            "serviceAllocation.namespaceSelectors",
            "there is one selector, of labels that must be equal: name the namespaces in spec.namespaces, or label them; until then "
            "Services of these get addresses of this pool only by naming it");
    }
    if (const std::size_t count = size_of(&allocation, "serviceSelectors"); count == 1)
      spec["serviceSelector"] = allocation.at("serviceSelectors").as_array().front();
    else if (count > 1)
      pool.leave_out("serviceAllocation.serviceSelectors",
                     "there is one selector for each Eip: join them, or every Service of the namespaces is served");
  }

  // -- the rest ------------------------------------------------------------------------------------

  static void read_layer2(Source& advertisement) {
    static_cast<void>(selects(advertisement, advertisement));
    advertisement.leave_out_if_set("nodeSelectors", "which node answers can't be chosen");
    if (strings_of(advertisement.take("interfaces")).size() > 1)
      advertisement.leave_out("interfaces", "an Eip has one interface: the first was taken");
  }

  static void read_bgp(Source& advertisement) {
    static_cast<void>(selects(advertisement, advertisement));
    for (const char* field :
         {"localPref", "communities", "peers", "aggregationLength", "aggregationLengthV6", "nodeSelectors", "serviceSelectors"})
      advertisement.take(field);
  }

  static void read_other(Source& other) {
    if (other.kind == "BFDProfile") {
      other.leave_out_if_set("echoMode", "there is no echo function: intervals of 50 ms do as well");
      for (const char* field : {"echoInterval", "transmitInterval", "receiveInterval", "detectMultiplier", "passiveMode", "minimumTtl"})
        other.take(field);
      return;
    }
    for (const auto& [key, value] : other.spec) other.take(key);
    if (other.kind == "ConfigMap")
      other.left_out.push_back(
          {other.title(), "", "is MetalLB's configuration before 0.13: have MetalLB's own converter make objects of it first"});
  }

  std::vector<Source> pools_, layer2_, bgp_, peers_, others_;
  std::optional<std::string> default_;
  bool prioritized_ = false;
  MetalLbConversion out_;
};

}  // namespace

MetalLbConversion from_metallb(const std::vector<kube::Document>& documents) { return Converting{documents}.run(); }

std::string to_text(const std::vector<LeftOut>& left_out) {
  std::string out;
  for (const LeftOut& one : left_out) out += fmt::format("{}{}{}: {}\n", one.object, one.field.empty() ? "" : " ", one.field, one.text);
  return out;
}

}  // namespace berth
