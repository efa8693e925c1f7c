// Objects as text, as kubectl prints them: JSON or YAML, one or many, Lists opened. For programs that look once and end; what
// runs on reads by watch.hpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "kube/api_client.hpp"
#include "model/world.hpp"

namespace berth::kube {

struct Document {
  std::string kind;
  boost::json::object object;
};

// invalid: neither JSON nor YAML, or no objects; too large.
Result<std::vector<Document>> read_documents(std::string_view text);

// All objects of a kind, as the API server lists them at `path`. Empty where it does not know the kind.
asio::awaitable<Result<std::vector<Document>>> list_documents(ApiClient& client, std::string path);

// A World of those that Berth knows; what can't be understood is left out, as in decode.hpp. Every table is synced.
World world_of(const std::vector<Document>& documents);

}  // namespace berth::kube
