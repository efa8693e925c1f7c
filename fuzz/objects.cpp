// Objects of the API server to the model and back: a block that was decoded, written and decoded again
// is the same block, and every body that Berth writes is JSON.
#include <cstdint>
#include <string>

#include <boost/json/parse.hpp>

#include "base/check.hpp"
#include "kube/decode.hpp"
#include "kube/encode.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

bool is_json(const std::string& text) {
  boost::json::error_code error;
  boost::json::parse(text, error);
  return !error;
}

void check_block(std::string_view text) {
  auto read = read_json<api::AddressBlock>(text);
  if (!read) return;
  AddressBlock block = to_model(std::move(read->value));
  if (block.version.text.empty()) block.uid = {};  // one that does not exist yet has none
  auto again = read_json<api::AddressBlock>(encode(block));
  BERTH_CHECK(again && again->problem.empty(), "a block is written in the right types");
  BERTH_CHECK(to_model(std::move(again->value)) == block, "a written block is read the same");
}

void check_pool(std::string_view text) {
  auto read = read_json<api::Eip>(text);
  if (!read) return;
  const Pool pool = to_model(std::move(read->value));
  BERTH_CHECK(pool.ranges.empty() == !pool.invalid.empty(), "a pool has addresses, or says why not");
  BERTH_CHECK(pool.invalid.size() < 500, "it says so in short");
  for (const std::vector<IpRange>& ranges : {pool.ranges, pool.offered})
    for (const IpRange& range : ranges) BERTH_CHECK(range.first <= range.last && range.size() > 0, "a range is not empty");
  for (const IpRange& range : pool.offered)
    BERTH_CHECK(pool.contains(range.first) && pool.contains(range.last), "what is offered is in the pool");
  BERTH_CHECK(pool.size() >= 0 && (pool.invalid.empty() || pool.size() == 0), "an unreadable pool has no address");
  for (const auto& [address, service] : pool.reservations) BERTH_CHECK(pool.offers(address), "what is reserved can be given");
  BERTH_CHECK(is_json(pool_status_patch(pool.status)), "every body is JSON");
  BERTH_CHECK(is_json(finalizers_patch(pool.uid, pool.version, pool.finalizers)), "every body is JSON");
  const EventRecord event{.object = {.api_version = "v1", .kind = "Eip", .space = "", .name = pool.name, .uid = pool.uid},
                          .warning = true,
                          .component = "EIPController",
                          .reason = "Invalid",
                          .message = pool.invalid};
  BERTH_CHECK(is_json(new_event(event, "default", "name", WallTime{})), "every body is JSON");
}

void check_service(std::string_view text) {
  auto read = read_json<api::Service>(text);
  if (!read) return;
  const Service service = to_model(std::move(read->value));
  BERTH_CHECK(service.has_pool_label || service.pool_label.empty(), "a label that is not there has no value");
  ServicePatch patch{.name = service.name,
                     .uid = service.uid,
                     .version = service.version,
                     .labels = {},
                     .annotations = {},
                     .finalizers = service.finalizers,
                     .ingress = service.ingress,
                     .conditions = service.conditions};
  for (const auto& [key, value] : service.annotations) patch.annotations[key] = value;
  const std::string body = merge_patch(patch);
  auto again = read_json<api::Service>(body);
  BERTH_CHECK(again && again->problem.empty(), "a patch is written in the right types");
  const Service written = to_model(std::move(again->value));
  BERTH_CHECK(written.uid == service.uid && written.version == service.version, "a patch carries its preconditions");
  BERTH_CHECK(written.finalizers == service.finalizers && written.ingress == service.ingress &&
                  written.annotations == service.annotations && written.conditions == service.conditions,
              "a written Service is read the same");
}

void check_slice(std::string_view text) {
  auto read = read_json<api::EndpointSlice>(text);
  if (!read) return;
  const EndpointSlice slice = to_model(std::move(read->value));
  for (std::size_t i = 1; i < slice.endpoints.size(); ++i)
    BERTH_CHECK(slice.endpoints[i - 1] < slice.endpoints[i], "endpoints are sorted, one of a kind");
}

template <class T>
void decode(std::string_view text) {
  if (auto read = read_json<T>(text)) static_cast<void>(to_model(std::move(read->value)));
}

}  // namespace
}  // namespace berth::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace kube = berth::kube;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  kube::check_block(text);
  kube::check_pool(text);
  kube::check_service(text);
  kube::check_slice(text);
  kube::decode<kube::api::Node>(text);
  kube::decode<kube::api::Namespace>(text);
  kube::decode<kube::api::BgpConf>(text);
  kube::decode<kube::api::BgpPeer>(text);
  return 0;
}
