#include "kube/documents.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/text.hpp"
#include "kube/api_types.hpp"
#include "kube/decode.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

namespace json = boost::json;

constexpr std::size_t max_text = std::size_t{512} << 20;
constexpr std::size_t max_values = 20'000'000;  // of a YAML text, each alias counted anew
constexpr int max_depth = 100;
constexpr int page_size = 500;
constexpr auto list_silence = std::chrono::seconds{30};

// -- YAML -----------------------------------------------------------------------------------------

// A plain scalar is what it looks like (YAML's core schema); a quoted one is text.
json::value scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return json::value(text);
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto [last, error] = std::from_chars(text.data(), end, whole); error == std::errc{} && last == end) return whole;
  double number = 0;
  const bool numeric = text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (const auto [last, error] = std::from_chars(text.data(), end, number); numeric && error == std::errc{} && last == end) return number;
  return json::value(text);
}

// Nothing if it is too deep or too much.
std::optional<json::value> to_json(const YAML::Node& node, int depth, std::size_t& left) {
  if (depth > max_depth || left-- == 0) return std::nullopt;
  if (node.IsSequence()) {
    json::array out;
    for (const YAML::Node& item : node) {
      auto value = to_json(item, depth + 1, left);
      if (!value) return std::nullopt;
      out.push_back(std::move(*value));
    }
    return out;
  }
  if (node.IsMap()) {
    json::object out;
    for (const auto& item : node) {
      if (!item.first.IsScalar()) return std::nullopt;
      auto value = to_json(item.second, depth + 1, left);
      if (!value) return std::nullopt;
      out[item.first.Scalar()] = std::move(*value);
    }
    return out;
  }
  if (node.IsScalar()) return scalar(node);
  return json::value(nullptr);
}

Result<std::vector<json::value>> read_yaml(std::string_view text) {
  std::vector<json::value> out;
  std::size_t left = max_values;
  try {
    for (const YAML::Node& document : YAML::LoadAll(std::string{text})) {
      if (!document.IsDefined() || document.IsNull()) continue;
      auto value = to_json(document, 0, left);
      if (!value) return fail(ErrorCode::invalid, "the text is nested too deeply or has too much in it");
      out.push_back(std::move(*value));
    }
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::invalid, fmt::format("neither JSON nor YAML: line {}: {}", error.mark.line + 1, error.msg));
  }
  return out;
}

// -- objects --------------------------------------------------------------------------------------

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string{found->as_string()} : std::string{};
}

Result<> open(json::value value, const std::string& kind_of_list, std::vector<Document>& out) {
  if (!value.is_object()) return fail(ErrorCode::invalid, "this is no object: write what `kubectl get -o json` or `-o yaml` prints");
  json::object& object = value.as_object();
  std::string kind = text_at(object, "kind");
  if (json::value* items = object.if_contains("items"); items != nullptr && kind.ends_with("List")) {
    if (!items->is_array()) return {};
    kind.resize(kind.size() - 4);  // of EipList; a List has objects that say themselves what they are
    for (json::value& item : items->as_array())
      if (auto done = open(std::move(item), kind, out); !done) return done;
    return {};
  }
  if (kind.empty()) kind = kind_of_list;
  if (kind.empty()) return fail(ErrorCode::invalid, "an object without `kind`");
  out.push_back({std::move(kind), std::move(object)});
  return {};
}

template <class Wire>
auto rows_of(const std::vector<Document>& documents, std::string_view kind) {
  std::vector<decltype(to_model(Wire{}))> out;
  for (const Document& document : documents)
    if (document.kind == kind)
      if (auto read = read_json<Wire>(json::serialize(document.object))) out.push_back(to_model(std::move(read->value)));
  return out;
}

}  // namespace

Result<std::vector<Document>> read_documents(std::string_view text) {
  if (text.size() > max_text) return fail(ErrorCode::invalid, "the text is larger than 512 MiB");
  std::vector<json::value> values;
  json::error_code error;
  json::value whole = json::parse(text, error);
  if (!error) {
    values.push_back(std::move(whole));
  } else {
    auto read = read_yaml(text);
    if (!read) return fail(read.error());
    values = std::move(*read);
  }
  std::vector<Document> out;
  for (json::value& value : values)
    if (auto done = open(std::move(value), "", out); !done) return fail(done.error());
  return out;
}

asio::awaitable<Result<std::vector<Document>>> list_documents(ApiClient& client, std::string path) {
  std::vector<Document> out;
  for (std::string next;;) {
    std::string text;
    const std::string page = fmt::format("{}?limit={}{}{}", path, page_size, next.empty() ? "" : "&continue=", next);
    const auto done = co_await client.stream(
        page,
        [&text](std::string_view bytes) -> Result<> {
          if (text.size() + bytes.size() > max_text) return fail(ErrorCode::invalid, "the list is larger than 512 MiB");
          text.append(bytes);
          return {};
        },
        list_silence);
    if (!done && done.error().code == ErrorCode::not_found) co_return out;
    if (!done) co_return fail(done.error());
    auto read = read_documents(text);
    if (!read) co_return fail(read.error());
    std::ranges::move(*read, std::back_inserter(out));
    auto list = read_json<api::List<api::Namespace>>(text);  // for its metadata
    if (!list || list->value.metadata.continue_.empty()) co_return out;
    next = boost::urls::encode(list->value.metadata.continue_, boost::urls::unreserved_chars);
  }
}

World world_of(const std::vector<Document>& documents) {
  const ResourceVersion version{"0"};
  World out;
  out.services.replace(rows_of<api::Service>(documents, "Service"), version, true);
  out.pools.replace(rows_of<api::Eip>(documents, "Eip"), version, true);
  out.blocks.replace(rows_of<api::AddressBlock>(documents, "AddressBlock"), version, true);
  out.nodes.replace(rows_of<api::Node>(documents, "Node"), version, true);
  out.endpoint_slices.replace(rows_of<api::EndpointSlice>(documents, "EndpointSlice"), version, true);
  out.namespaces.replace(rows_of<api::Namespace>(documents, "Namespace"), version, true);
  out.bgp_confs.replace(rows_of<api::BgpConf>(documents, "BgpConf"), version, true);
  out.bgp_peers.replace(rows_of<api::BgpPeer>(documents, "BgpPeer"), version, true);
  out.password_secrets.replace({}, version, true);
  out.policy_config_maps.replace(rows_of<api::PolicyConfigMap>(documents, "ConfigMap"), version, true);
  return out;
}

}  // namespace berth::kube
