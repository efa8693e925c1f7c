#include "gobgp/policy.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

// toml++ 3.3 asserts what a user's text may well break, and has the compiler rely on it where assertions are off; its own checks follow.
// Of characters beyond ASCII it relies on more, see ascii_only().
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/text.hpp"
#include "model/ip_address.hpp"

namespace berth::gobgp {
namespace {

constexpr std::size_t most_text = std::size_t{1} << 20;
constexpr std::string_view own_names = "berth-";

// Numbers of gobgpd's API.
constexpr std::uint32_t set_prefix = 1, set_neighbor = 2, set_as_path = 4, set_community = 5, set_ext_community = 6,
                        set_large_community = 7;
using Words = std::vector<std::pair<std::string_view, std::uint32_t>>;
const Words any_or_invert{{"any", 1}, {"invert", 3}};
const Words any_all_invert{{"any", 1}, {"all", 2}, {"invert", 3}};
const Words comparisons{{"eq", 1}, {"ge", 2}, {"le", 3}, {"attribute-eq", 1}, {"attribute-ge", 2}, {"attribute-le", 3}};
const Words route_types{{"internal", 1}, {"external", 2}, {"local", 3}};
const Words dispositions{{"none", 0}, {"accept-route", 1}, {"reject-route", 2}};
const Words origins{{"igp", 1}, {"egp", 2}, {"incomplete", 3}};
const Words set_options{{"add", 1}, {"remove", 2}, {"replace", 3}};

std::string words_of(const Words& words) {
  std::string out;
  for (const auto& [word, number] : words) out += (out.empty() ? "" : ", ") + std::string{word};
  return out;
}

// The first thing that is wrong; what is read after it counts for nothing.
struct Report {
  std::optional<std::string> error;
  std::vector<std::string> notes;
};

// One table of the text. Every key is taken by name, and those that nobody took are told at the end.
class Table {
 public:
  Table(const toml::table* table, std::string place, Report& report) : table_(table), place_(std::move(place)), report_(report) {}
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() = default;

  [[nodiscard]] const std::string& place() const { return place_; }
  [[nodiscard]] bool present() const { return table_ != nullptr; }

  void wrong(std::string_view key, std::string_view text) const {
    if (report_.error) return;
    const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
    const std::string line = node == nullptr ? "" : fmt::format("line {}: ", node->source().begin.line);
    report_.error = fmt::format("{}{}{}{}: {}", line, place_, place_.empty() || key.empty() ? "" : ".", clipped(std::string{key}, 60),
                                text);
  }

  template <class Use>
  void table(std::string_view key, Use&& use) {
    const toml::node* node = take(key);
    if (node != nullptr && !node->is_table()) return wrong(key, "write a table");
    Table inner{node == nullptr ? nullptr : node->as_table(), join(key), report_};
    use(inner);
    inner.finish();
  }
  template <class Use>
  void each(std::string_view key, Use&& use) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    if (!node->is_array()) return wrong(key, fmt::format("write a list of tables: [[{}]]", join(key)));
    std::size_t at = 0;
    for (const toml::node& item : *node->as_array()) {
      const std::string place = fmt::format("{}[{}]", key, at++);
      if (!item.is_table()) return wrong(place, "write a table");
      Table inner{item.as_table(), join(place), report_};
      use(inner);
      inner.finish();
    }
  }

  std::string text(std::string_view key) {
    const toml::node* node = take(key);
    if (node == nullptr) return {};
    if (const auto value = node->value<std::string>(); value && node->is_string()) return *value;
    wrong(key, "write a text, in quotes");
    return {};
  }
  // A name that something else refers to.
  std::string name(std::string_view key) {
    std::string out = text(key);
    if (out.empty()) wrong(key, "a name is needed");
    if (out.starts_with(own_names)) wrong(key, fmt::format("names that begin with {} are Berth's own", own_names));
    return out;
  }
  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> out;
    const toml::node* node = take(key);
    if (node == nullptr) return out;
    if (!node->is_array()) {
      wrong(key, "write a list of texts: [\"...\"]");
      return out;
    }
    for (const toml::node& item : *node->as_array()) {
      if (!item.is_string()) {
        wrong(key, "write a list of texts: [\"...\"]");
        return out;
      }
      out.push_back(item.as_string()->get());
    }
    return out;
  }
  std::optional<std::uint32_t> number(std::string_view key, std::int64_t most = 4'294'967'295) {
    const toml::node* node = take(key);
    if (node == nullptr) return std::nullopt;
    if (const toml::value<std::int64_t>* value = node->as_integer(); value != nullptr && value->get() >= 0 && value->get() <= most)
      return static_cast<std::uint32_t>(value->get());
    wrong(key, fmt::format("write a number from 0 to {}", most));
    return std::nullopt;
  }
  std::optional<std::uint32_t> word(std::string_view key, const Words& words) {
    if (table_ == nullptr || table_->get(key) == nullptr) return std::nullopt;
    const std::string value = text(key);
    for (const auto& [word, number] : words)
      if (word == value) return number;
    wrong(key, fmt::format("\"{}\" is none of {}", clipped(value, 40), words_of(words)));
    return std::nullopt;
  }
  void without_effect(std::string_view key, std::string_view why) {
    if (take(key) != nullptr) report_.notes.push_back(fmt::format("{}: {}", join(key), why));
  }
  void finish() const {
    if (table_ == nullptr) return;
    for (const auto& [key, node] : *table_)
      if (!taken_.contains(std::string{key.str()})) wrong(key.str(), "there is no such key here");
  }

 private:
  const toml::node* take(std::string_view key) {
    taken_.emplace(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  [[nodiscard]] std::string join(std::string_view key) const { return place_.empty() ? std::string{key} : place_ + "." + std::string{key}; }

  const toml::table* table_;
  const std::string place_;
  Report& report_;
  std::set<std::string> taken_;
};

class Reader {
 public:
  explicit Reader(Report& report) : report_(report) {}

  RoutingPolicy read(const toml::table& whole) {
    Table root{&whole, "", report_};
    root.table("defined-sets", [this](Table& sets) { read_sets(sets); });
    root.each("policy-definitions", [this](Table& policy) { read_policy(policy); });
    root.table("global", [this](Table& global) {
      global.table("apply-policy", [this](Table& apply) { apply.table("config", [this](Table& config) { read_assignment(config); }); });
    });
    root.finish();
    return std::move(out_);
  }

 private:
  void read_sets(Table& sets) {
    sets.each("prefix-sets", [this](Table& from) {
      api::DefinedSet& to = add_set(set_prefix, from.name("prefix-set-name"), from);
      from.each("prefix-list", [&to, this](Table& item) { read_prefix(item, *to.add_prefixes()); });
    });
    sets.each("neighbor-sets", [this](Table& from) {
      api::DefinedSet& to = add_set(set_neighbor, from.name("neighbor-set-name"), from);
      for (const std::string& item : from.texts("neighbor-info-list")) {
        const auto address = IpAddress::parse(item);
        const auto range = parse_ip_range(item, "");
        if (!range || item.find('-') != std::string::npos)
          from.wrong("neighbor-info-list", fmt::format("\"{}\" is no address, nor address/length", clipped(item, 60)));
        to.add_list(address ? fmt::format("{}/{}", address->to_string(), address->bits()) : item);
      }
    });
    sets.without_effect("tag-sets", "GoBGP has no tags on routes");
    sets.table("bgp-defined-sets", [this](Table& bgp) {
      const auto lists = [&](std::string_view of, std::string_view name, std::string_view list, std::uint32_t type) {
        bgp.each(of, [&, this](Table& from) {
          api::DefinedSet& to = add_set(type, from.name(name), from);
          for (std::string& item : from.texts(list)) to.add_list(std::move(item));
        });
      };
      lists("community-sets", "community-set-name", "community-list", set_community);
      lists("ext-community-sets", "ext-community-set-name", "ext-community-list", set_ext_community);
      lists("as-path-sets", "as-path-set-name", "as-path-list", set_as_path);
      lists("large-community-sets", "large-community-set-name", "large-community-list", set_large_community);
    });
  }

  api::DefinedSet& add_set(std::uint32_t type, std::string name, const Table& from) {
    if (!names_.emplace(type, name).second) from.wrong("", fmt::format("there are two sets \"{}\"", clipped(name, 60)));
    api::DefinedSet& out = out_.sets.emplace_back();
    out.set_defined_type(type);
    out.set_name(std::move(name));
    return out;
  }

  void read_prefix(Table& from, api::Prefix& to) const {
    const std::string text = from.text("ip-prefix");
    const std::string lengths = from.text("masklength-range");
    const std::size_t slash = text.find('/');
    const auto range = parse_ip_range(text, "");
    if (!range || slash == std::string::npos)
      return from.wrong("ip-prefix", fmt::format("\"{}\": write address/length, as 192.0.2.0/24", clipped(text, 60)));
    const auto bits = static_cast<std::uint32_t>(range->first.bits());
    const auto length = [bits](std::string_view digits) -> std::optional<std::uint32_t> {
      std::uint32_t out = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
      if (error != std::errc{} || end != digits.data() + digits.size() || out > bits) return std::nullopt;
      return out;
    };
    const auto own = length(std::string_view{text}.substr(slash + 1));
    std::optional<std::uint32_t> least = own, most = own;
    if (!lengths.empty()) {
      const std::size_t dots = lengths.find("..");
      least = length(std::string_view{lengths}.substr(0, dots));
      most = dots == std::string::npos ? std::nullopt : length(std::string_view{lengths}.substr(dots + 2));
    }
    if (!least || !most || *least > *most)
      return from.wrong("masklength-range", fmt::format("\"{}\": write two lengths up to {}, as 24..32", clipped(lengths, 60), bits));
    to.set_ip_prefix(text);
    to.set_mask_length_min(*least);
    to.set_mask_length_max(*most);
  }

  void read_policy(Table& from) {
    api::Policy& policy = out_.policies.emplace_back();
    policy.set_name(from.name("name"));
    if (!policies_.insert(policy.name()).second)
      from.wrong("name", fmt::format("there are two policies \"{}\"", clipped(policy.name(), 60)));
    from.each("statements", [&, this](Table& statement) {
      api::Statement& to = *policy.add_statements();
      to.set_name(statement.name("name"));
      if (!statements_.insert(to.name()).second)
        statement.wrong("name", fmt::format("there are two statements \"{}\"", clipped(to.name(), 60)));
      statement.table("conditions", [&, this](Table& conditions) { read_conditions(conditions, *to.mutable_conditions()); });
      statement.table("actions", [&](Table& actions) { read_actions(actions, *to.mutable_actions()); });
    });
    if (policy.statements_size() == 0) from.wrong("statements", "a policy needs one statement at least");
  }

  template <class Match>
  void match(Table& in, std::string_view key, std::string_view set, std::uint32_t type, const Words& options, Match&& to) {
    in.table(key, [&, this](Table& from) {
      if (!from.present()) return;
      const std::string name = from.text(set);
      const auto option = from.word("match-set-options", options);
      if (name.empty()) return;
      if (!names_.contains({type, name})) from.wrong(set, fmt::format("there is no such set \"{}\"", clipped(name, 60)));
      api::MatchSet& out = *to();
      out.set_name(name);
      out.set_type(option.value_or(1));
    });
  }

  void read_conditions(Table& from, api::Statement::Conditions& to) {
    from.without_effect("call-policy", "GoBGP calls no policies");
    from.without_effect("match-tag-set", "GoBGP has no tags on routes");
    from.without_effect("install-protocol-eq", "GoBGP has no such condition");
    from.without_effect("igp-conditions", "GoBGP has no such condition");
    match(from, "match-prefix-set", "prefix-set", set_prefix, any_or_invert, [&] { return to.mutable_prefix_set(); });
    match(from, "match-neighbor-set", "neighbor-set", set_neighbor, any_or_invert, [&] { return to.mutable_neighbor_set(); });
    from.table("bgp-conditions", [&, this](Table& bgp) {
      match(bgp, "match-community-set", "community-set", set_community, any_all_invert, [&] { return to.mutable_community_set(); });
      match(bgp, "match-ext-community-set", "ext-community-set", set_ext_community, any_all_invert,
            [&] { return to.mutable_ext_community_set(); });
      match(bgp, "match-as-path-set", "as-path-set", set_as_path, any_all_invert, [&] { return to.mutable_as_path_set(); });
      match(bgp, "match-large-community-set", "large-community-set", set_large_community, any_all_invert,
            [&] { return to.mutable_large_community_set(); });
      bgp.table("as-path-length", [&](Table& length) {
        const auto operation = length.word("operator", comparisons);
        const auto value = length.number("value");
        if (!operation || !value) return;
        to.mutable_as_path_length()->set_type(*operation);
        to.mutable_as_path_length()->set_length(*value);
      });
      bgp.table("community-count", [&](Table& count) {
        const auto operation = count.word("operator", comparisons);
        const auto value = count.number("value");
        if (!operation || !value) return;
        to.mutable_community_count()->set_type(*operation);
        to.mutable_community_count()->set_count(*value);
      });
      if (const auto type = bgp.word("route-type", route_types)) to.set_route_type(*type);
      if (const auto origin = bgp.word("origin-eq", origins)) to.set_origin(*origin);
      if (const auto value = bgp.number("med-eq")) to.mutable_med_eq()->set_value(*value);
      if (const auto value = bgp.number("local-pref-eq")) to.mutable_local_pref_eq()->set_value(*value);
      bgp.without_effect("rpki-validation-result", "Berth accepts no routes, so there is nothing to validate");
      for (const std::string& hop : bgp.texts("next-hop-in-list")) {
        if (!parse_ip_range(hop, "") || hop.find('-') != std::string::npos)
          bgp.wrong("next-hop-in-list", fmt::format("\"{}\" is no address", clipped(hop, 60)));
        to.add_next_hop_in_list(hop);
      }
      for (const std::string& family : bgp.texts("afi-safi-in-list")) {
        if (family != "ipv4-unicast" && family != "ipv6-unicast")
          bgp.wrong("afi-safi-in-list", fmt::format("\"{}\" is none of ipv4-unicast, ipv6-unicast", clipped(family, 40)));
        api::Family& out = *to.add_afi_safi_in();
        out.set_afi(family == "ipv4-unicast" ? 1 : 2);
        out.set_safi(1);
      }
    });
  }

  static void read_communities(Table& in, std::string_view key, std::string_view method, std::string_view list, api::CommunityAction& to) {
    in.table(key, [&](Table& from) {
      if (!from.present()) return;
      if (const auto option = from.word("options", set_options); option)
        to.set_type(*option);
      else
        from.wrong("options", "write add, remove or replace");
      from.table(method, [&](Table& inner) {
        for (std::string& item : inner.texts(list)) to.add_communities(std::move(item));
        inner.without_effect("community-set-ref", "GoBGP reads communities-list");
        inner.without_effect("ext-community-set-ref", "GoBGP reads communities-list");
      });
    });
  }

  static void read_actions(Table& from, api::Statement::Actions& to) {
    if (const auto disposition = from.word("route-disposition", dispositions)) to.set_route_action(*disposition);
    from.without_effect("igp-actions", "GoBGP has no such action");
    from.table("bgp-actions", [&](Table& bgp) {
      api::CommunityAction standard, extended, large;
      read_communities(bgp, "set-community", "set-community-method", "communities-list", standard);
      read_communities(bgp, "set-ext-community", "set-ext-community-method", "communities-list", extended);
      read_communities(bgp, "set-large-community", "set-large-community-method", "communities-list", large);
      if (standard.type() != 0) *to.mutable_community() = std::move(standard);
      if (extended.type() != 0) *to.mutable_ext_community() = std::move(extended);
      if (large.type() != 0) *to.mutable_large_community() = std::move(large);
      bgp.table("set-as-path-prepend", [&](Table& prepend) { read_prepend(prepend, to); });
      if (const auto value = bgp.number("set-local-pref")) to.mutable_local_pref()->set_value(*value);
      if (const auto origin = bgp.word("set-route-origin", origins)) to.mutable_origin_action()->set_origin(*origin);
      if (const std::string hop = bgp.text("set-next-hop"); hop == "self" || hop == "unchanged" || hop == "peer-address") {
        to.mutable_nexthop()->set_self(hop == "self");
        to.mutable_nexthop()->set_unchanged(hop == "unchanged");
        to.mutable_nexthop()->set_peer_address(hop == "peer-address");
      } else if (!hop.empty()) {
        if (!IpAddress::parse(hop)) bgp.wrong("set-next-hop", fmt::format("\"{}\" is neither self nor an address", clipped(hop, 60)));
        to.mutable_nexthop()->set_address(hop);
      }
      read_med(bgp, to);
    });
  }

  static void read_prepend(Table& from, api::Statement::Actions& to) {
    const std::string as = from.text("as");
    const auto repeat = from.number("repeat-n", 255);
    if (as.empty()) return;
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(as.data(), as.data() + as.size(), number);
    if (as == "last-as")
      to.mutable_as_prepend()->set_use_left_most(true);
    else if (error != std::errc{} || end != as.data() + as.size() || number == 0)
      return from.wrong("as", fmt::format("\"{}\" is neither an AS number nor last-as", clipped(as, 40)));
    to.mutable_as_prepend()->set_asn(number);
    to.mutable_as_prepend()->set_repeat(repeat.value_or(1));
  }

  // "100" is a value, "+100" and "-100" a change.
  static void read_med(Table& from, api::Statement::Actions& to) {
    const std::string text = from.text("set-med");
    if (text.empty()) return;
    const bool change = text.front() == '+' || text.front() == '-';
    std::uint32_t number = 0;
    const char* end_of_text = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + (change ? 1 : 0), end_of_text, number);
    if (error != std::errc{} || end != end_of_text)
      return from.wrong("set-med", fmt::format("\"{}\": write a number, +number or -number", clipped(text, 40)));
    to.mutable_med()->set_type(change ? 1 : 2);
    to.mutable_med()->set_value(text.front() == '-' ? -static_cast<std::int64_t>(number) : number);
  }

  void read_assignment(Table& from) {
    for (const std::string_view key : {"import-policy-list", "default-import-policy", "in-policy-list", "default-in-policy"})
      from.without_effect(key, "Berth accepts no routes");
    out_.exported = from.texts("export-policy-list");
    for (const std::string& name : out_.exported)
      if (!policies_.contains(name)) from.wrong("export-policy-list", fmt::format("there is no policy \"{}\"", clipped(name, 60)));
    if (const auto otherwise = from.word("default-export-policy", {{"accept-route", 1}, {"reject-route", 2}}))
      out_.reject_by_default = *otherwise == 2;
  }

  Report& report_;
  RoutingPolicy out_;
  std::set<std::pair<std::uint32_t, std::string>> names_;
  std::set<std::string> policies_, statements_;
};

// In comments anything may stand, and is taken for question marks. Elsewhere toml++ takes some characters beyond ASCII for impossible.
Result<std::string> ascii_only(std::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  std::string out{text};
  bool comment = false;
  std::size_t line = 1;
  for (char& c : out) {
    if (c == '\n') ++line;
    comment = c == '#' || (comment && c != '\n');
    if (is_ascii(c)) continue;
    if (!comment) return fail(ErrorCode::invalid, fmt::format("line {}: write it in ASCII; other characters only in comments", line));
    c = '?';
  }
  return out;
}

}  // namespace

Result<RoutingPolicy> parse_policy(std::string_view text) {
  if (text.size() > most_text) return fail(ErrorCode::invalid, fmt::format("it is longer than {} bytes", most_text));
  const auto ascii = ascii_only(text);
  if (!ascii) return fail(ascii.error());
  const toml::parse_result parsed = toml::parse(*ascii);
  if (!parsed)
    return fail(ErrorCode::invalid,
                fmt::format("line {}: {}", parsed.error().source().begin.line, clipped(std::string{parsed.error().description()}, 200)));
  Report report;
  RoutingPolicy out = Reader{report}.read(parsed.table());
  if (report.error) return fail(ErrorCode::invalid, *report.error);
  out.notes = std::move(report.notes);
  out.text = text;
  return out;
}

}  // namespace berth::gobgp
