// The JSON mapper: it takes exactly what Boost.JSON takes as JSON, wherever the pieces end; and what it
// read, printed, reads the same.
#include <cstdint>
#include <optional>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include "base/check.hpp"
#include "pieces.hpp"
#include "kube/api_types.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

namespace json = boost::json;

template <class T>
std::string print(const T& value) {
  return json::serialize(json::value_from(value));
}

template <class T>
std::optional<ReadJson<T>> read_pieces(std::string_view text) {
  JsonReader<T> reader;
  for (const auto& piece : fuzz::pieces(text))
    if (auto fed = reader.feed(fuzz::view(piece)); !fed) {
      BERTH_CHECK(!reader.feed(" ") && !reader.finish(), "a reader that failed stays so");
      return std::nullopt;
    }
  if (!reader.finish()) return std::nullopt;
  return ReadJson<T>{std::move(reader.value()), reader.problem()};
}

template <class T>
void check(std::string_view text, bool is_json) {
  const auto whole = read_json<T>(text);
  BERTH_CHECK(whole.has_value() == is_json, "what is JSON is taken and nothing else");
  const auto pieces = read_pieces<T>(text);
  BERTH_CHECK(pieces.has_value() == is_json, "where the pieces end does not matter");
  if (!whole) return;
  const std::string printed = print(whole->value);
  BERTH_CHECK(printed == print(pieces->value) && whole->problem == pieces->problem, "where the pieces end does not matter");
  const auto again = read_json<T>(printed);
  BERTH_CHECK(again && again->problem.empty(), "what was read has the right types");
  BERTH_CHECK(print(again->value) == printed, "what was read, printed, reads the same");
}

}  // namespace
}  // namespace berth::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace kube = berth::kube;
  namespace api = kube::api;
  const std::string text{reinterpret_cast<const char*>(data), size};
  boost::json::parse_options options;
  options.max_depth = 1000;
  boost::json::error_code error;
  boost::json::parse(text, error, {}, options);
  const bool is_json = !error;
  kube::check<api::List<api::Service>>(text, is_json);
  kube::check<api::WatchEvent<api::EndpointSlice>>(text, is_json);
  kube::check<api::AddressBlock>(text, is_json);
  kube::check<api::Eip>(text, is_json);
  kube::check<api::BgpConf>(text, is_json);
  kube::check<api::BgpPeer>(text, is_json);
  kube::check<api::Node>(text, is_json);
  kube::check<api::Status>(text, is_json);
  kube::check<api::Lease>(text, is_json);
  kube::check<api::Workload>(text, is_json);
  return 0;
}
