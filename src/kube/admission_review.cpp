#include "kube/admission_review.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/text.hpp"
#include "kube/admission_types.hpp"
#include "kube/decode.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {
namespace {

namespace json = boost::json;

constexpr std::size_t max_uid = 128;
constexpr std::size_t max_message = 2000;
// The API server cuts longer ones, and leaves out what is beyond 4 KiB in all.
constexpr std::size_t max_warning = 256;
constexpr std::size_t max_warnings = 12;

Pool pool_of(api::ReviewedEip eip) { return to_model(api::Eip{std::move(eip.metadata), std::move(eip.spec), {}}); }

Admission judge_request(api::AdmissionRequest request, const PoolJudge& judge) {
  const bool of_an_eip = request.kind.group == "network.kubesphere.io" && request.kind.kind == "Eip" && request.subResource.empty();
  const bool changes = request.operation == "CREATE" || request.operation == "UPDATE";
  if (!of_an_eip || !changes || !request.object) return {};
  const Pool after = pool_of(std::move(*request.object));
  if (request.operation == "CREATE" || !request.oldObject) return judge(nullptr, after);
  const Pool before = pool_of(std::move(*request.oldObject));
  return judge(&before, after);
}

}  // namespace

Result<ReviewAnswer> answer_review(std::string_view text, const PoolJudge& judge) {
  auto read = read_json<api::AdmissionReview>(text);
  if (!read) return fail(read.error().with("the body"));
  api::AdmissionReview& review = read->value;
  if (review.kind != "AdmissionReview" || !review.request) return fail(ErrorCode::invalid, "this is no AdmissionReview with a request");
  if (review.request->uid.empty() || review.request->uid.size() > max_uid) return fail(ErrorCode::invalid, "request.uid is missing");
  json::object response{{"uid", review.request->uid}};
  const Admission said = judge_request(std::move(*review.request), judge);
  response["allowed"] = said.allowed();
  if (!said.allowed())
    response["status"] = json::object{
        {"status", "Failure"}, {"code", 403}, {"reason", "Forbidden"}, {"message", clipped(said.refusal, max_message)}};
  json::array warnings;
  for (std::size_t i = 0; i < std::min(said.warnings.size(), max_warnings); ++i)
    warnings.emplace_back(clipped(said.warnings[i], max_warning));
  if (!warnings.empty()) response["warnings"] = std::move(warnings);
  const std::string version = review.apiVersion == "admission.k8s.io/v1beta1" ? review.apiVersion : "admission.k8s.io/v1";
  return ReviewAnswer{
      said.allowed() ? ReviewOutcome::allowed : ReviewOutcome::refused,
      json::serialize(json::object{{"apiVersion", version}, {"kind", "AdmissionReview"}, {"response", std::move(response)}})};
}

}  // namespace berth::kube
