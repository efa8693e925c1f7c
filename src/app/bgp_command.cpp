#include "app/bgp_command.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "speak/bgp/words.hpp"

namespace berth {
namespace {

namespace json = boost::json;
using Row = std::vector<std::string>;

// What is not there, or not of this kind, is empty.
const json::object& object_at(const json::object& in, std::string_view key) {
  static const json::object none;
  const json::value* found = in.if_contains(key);
  return found != nullptr && found->is_object() ? found->as_object() : none;
}
const json::array& array_at(const json::object& in, std::string_view key) {
  static const json::array none;
  const json::value* found = in.if_contains(key);
  return found != nullptr && found->is_array() ? found->as_array() : none;
}
std::string text_of(const json::value& value) {
  return value.is_string() ? std::string{std::string_view{value.as_string()}} : std::string{};
}
std::string text_at(const json::object& in, std::string_view key) {
  const json::value* found = in.if_contains(key);
  return found == nullptr ? std::string{} : text_of(*found);
}

// Columns as wide as their widest word; "-" for nothing.
std::string columns(const std::vector<Row>& rows) {
  std::vector<std::size_t> width;
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == width.size()) width.push_back(1);
      width[i] = std::max(width[i], row[i].size());
    }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i].empty() ? "-" : row[i], width[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string sessions(const json::object& desired, const json::object& actual) {
  std::vector<Row> rows{{"PEER", "NEIGHBOR", "STATE", "SINCE", "BFD", "DETECTION", "WHY NOT"}};
  for (const json::value& entry : array_at(desired, "peers")) {
    if (!entry.is_object()) continue;
    const std::string neighbor = text_at(entry.as_object(), "neighbor");
    const auto of_neighbor = [&](const json::array& list) -> const json::object& {
      static const json::object none;
      const auto found = std::ranges::find_if(
          list, [&](const json::value& one) { return one.is_object() && text_at(one.as_object(), "neighbor") == neighbor; });
      return found == list.end() ? none : found->as_object();
    };
    const json::object& session = of_neighbor(array_at(actual, "sessions"));
    const json::object& bfd = of_neighbor(array_at(object_at(actual, "bfd"), "sessions"));
    const std::string state = text_at(session, "state");
    const bool up = state == "ESTABLISHED";
    const json::value* detection = bfd.if_contains("detectionSeconds");
    std::string why = text_at(bfd, "bgpHeldDown");
    if (why.empty() && !up) why = text_at(session, "lastError");
    rows.push_back({text_at(entry.as_object(), "object"), neighbor, state, up ? text_at(session, "uptime") : "", text_at(bfd, "state"),
                    detection != nullptr && detection->is_number() ? fmt::format("{:.0f} ms", detection->to_number<double>() * 1000) : "",
                    why});
  }
  for (const json::value& entry : array_at(desired, "ranges")) {
    if (!entry.is_object()) continue;
    const std::string object = text_at(entry.as_object(), "object");
    const bool has_routers = std::ranges::any_of(rows, [&](const Row& row) { return row.front() == object; });
    if (!has_routers) rows.push_back({object, text_at(entry.as_object(), "neighbors"), "", "", "", "", std::string{nobody_called_text}});
  }
  return rows.size() == 1 ? "no BgpPeer for this node\n" : columns(rows);
}

std::string joined(const json::array& texts) {
  std::string out;
  for (const json::value& one : texts) out += (out.empty() ? "" : ",") + text_of(one);
  return out;
}

// Of one path, as it goes to routers; "" for nothing but itself to everybody.
std::string attributes(const json::array& offers) {
  if (offers.empty()) return "for nobody";
  std::string out;
  for (const json::value& offer : offers) {
    if (!offer.is_object()) continue;
    const json::object& one = offer.as_object();
    std::vector<std::string> words;
    if (one.contains("to")) words.push_back(joined(array_at(one, "to")) + ":");
    if (const std::string communities = joined(array_at(one, "communities")); !communities.empty()) words.push_back(communities);
    for (const auto& [key, name] : {std::pair{"med", "MED"}, {"localPref", "LOCAL_PREF"}, {"asPathPrepend", "prepend"}})
      if (const json::value* number = one.if_contains(key); number != nullptr && number->is_number())
        words.push_back(fmt::format("{} {}", name, number->to_number<std::uint64_t>()));
    if (words.empty()) continue;
    out += fmt::format("{}{}", out.empty() ? "" : "; ", fmt::join(words, " "));
  }
  return out;
}

struct Paths {
  std::vector<std::string> next_hops;
  std::vector<std::string> attributes;  // of each
  // Once, where they are the same for all.
  [[nodiscard]] std::string words() const {
    if (std::ranges::adjacent_find(attributes, std::not_equal_to<>{}) == attributes.end())
      return attributes.empty() ? "" : attributes.front();
    std::string out;
    for (std::size_t i = 0; i < attributes.size(); ++i)
      if (!attributes[i].empty()) out += fmt::format("{}by {} {}", out.empty() ? "" : "; ", next_hops[i], attributes[i]);
    return out;
  }
};

// By address, or prefix where that is not a host's.
std::map<std::string, Paths> paths_of(const json::object& bgp) {
  std::map<std::string, Paths> out;
  for (const json::value& entry : array_at(bgp, "paths")) {
    if (!entry.is_object()) continue;
    std::string prefix = text_at(entry.as_object(), "address");
    const json::value* length = entry.as_object().if_contains("prefixLength");
    const std::int64_t bits = prefix.find(':') == std::string::npos ? 32 : 128;
    if (length != nullptr && length->is_int64() && length->as_int64() != bits) prefix += fmt::format("/{}", length->as_int64());
    Paths& paths = out[prefix];
    paths.next_hops.push_back(text_at(entry.as_object(), "nextHop"));
    paths.attributes.push_back(attributes(array_at(entry.as_object(), "offers")));
  }
  return out;
}

std::string routes(const json::object& desired) {
  std::map<std::string, Paths> paths = paths_of(object_at(desired, "bgp"));
  std::vector<Row> rows{{"ADDRESS", "SERVICE", "NEXT HOPS", "ATTRIBUTES", "WHY NOT"}};
  for (const auto& [address, entry] : object_at(desired, "announcements")) {
    if (!entry.is_object()) continue;
    std::vector<std::string> nodes;
    for (const json::value& node : array_at(entry.as_object(), "nodes")) nodes.push_back(text_of(node));
    const std::string reason = text_at(entry.as_object(), "reason");
    rows.push_back({std::string{std::string_view{address}}, text_at(entry.as_object(), "service"), fmt::format("{}", fmt::join(nodes, ",")),
                    paths[std::string{std::string_view{address}}].words(), reason == "announced" ? "" : reason});
    paths.erase(std::string{std::string_view{address}});
  }
  // The rest are those of aggregates.
  for (const auto& [prefix, rest] : paths)
    rows.push_back({prefix, "", fmt::format("{}", fmt::join(rest.next_hops, ",")), rest.words(), ""});
  return rows.size() == 1 ? "no address is allocated\n" : columns(rows);
}

std::string left_out(const json::object& bgp) {
  std::vector<Row> rows{{"NODE LEFT OUT", "WHY"}};
  for (const auto& [node, why] : object_at(bgp, "excludedNodes")) rows.push_back({std::string{std::string_view{node}}, text_of(why)});
  return rows.size() == 1 ? "" : "\n" + columns(rows);
}

std::string problems(const json::object& bgp) {
  std::string out;
  for (const json::value& problem : array_at(bgp, "problems"))
    if (problem.is_object())
      out += fmt::format("{}{} {}: {}\n", out.empty() ? "\n" : "", text_at(problem.as_object(), "kind"),
                         text_at(problem.as_object(), "name"), text_at(problem.as_object(), "text"));
  return out;
}

Result<std::string> fetch(const std::string& path) {
  asio::io_context context;
  asio::local::stream_protocol::socket socket{context};
  boost::system::error_code error;
  socket.connect(asio::local::stream_protocol::endpoint{path}, error);
  const std::string_view request = "GET /debug/state HTTP/1.1\r\nHost: berth\r\nConnection: close\r\n\r\n";
  if (!error) asio::write(socket, asio::buffer(request), error);
  std::string answer;
  if (!error) asio::read(socket, asio::dynamic_buffer(answer), error);
  if (error && error != asio::error::eof)
    return fail(ErrorCode::unavailable, fmt::format("{}: {}; is Berth running here, and is this its --run-dir?", path, error.message()));
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos) return fail(ErrorCode::invalid, path + " gave no answer");
  return answer.substr(end + 4);
}

}  // namespace

std::string render_bgp(const json::object& state) {
  const json::object& desired = object_at(state, "desired");
  const json::object& bgp = object_at(desired, "bgp");
  if (bgp.empty()) return "this Berth does not speak BGP: it is a controller\n";
  if (!bgp.contains("global"))
    return "BGP is not configured: there is no BgpConf default, or it says nothing for this node\n" + problems(bgp);
  return sessions(bgp, object_at(object_at(state, "actual"), "bgp")) + "\n" + routes(desired) + left_out(bgp) + problems(bgp);
}

int run_bgp_command(const Flags& flags) {
  const Result<std::string> text = fetch(flags.run_directory + "/debug.sock");
  boost::system::error_code error;
  const json::value state = text ? json::parse(*text, error) : json::value{};
  if (!text || error || !state.is_object()) {
    std::fprintf(stderr, "berth bgp: %s\n", text ? "the answer is not JSON" : text.error().text.c_str());
    return 1;
  }
  std::fputs(render_bgp(state.as_object()).c_str(), stdout);
  return 0;
}

}  // namespace berth
