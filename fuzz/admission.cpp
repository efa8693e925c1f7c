// What the API server, or whoever reaches the port, asks the admission webhook: an answer is JSON with the uid of the
// question, refuses with a message or allows, and bounds its warnings; the real judge sees what was read.
#include <cstdint>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "base/check.hpp"
#include "kube/admission_review.hpp"
#include "kube/admission_types.hpp"
#include "kube/json_reader.hpp"
#include "plan/admission.hpp"

namespace berth::kube {
namespace {

// A pool with an address in use, which the seeds overlap, shrink and leave alone.
World make_world() {
  Pool lan;
  lan.name = "lan";
  lan.version = {"1"};
  lan.address = "192.0.2.0/24";
  lan.ranges = lan.offered = parse_ip_ranges(lan.address).value();
  lan.is_default = lan.marked_default = true;
  BlockEntry entry;
  entry.pool = "lan";
  entry.holders = {{{"shop", "web"}, {"u"}, HolderState::held, ""}};
  AddressBlock block;
  block.version = {"1"};
  const IpAddress used = IpAddress::parse("192.0.2.7").value();
  block.name = block_name(used);
  block.addresses.emplace(used, entry);
  World out;
  out.pools.replace({lan}, {"1"}, true);
  out.blocks.replace({block}, {"1"}, true);
  out.namespaces.replace({}, {"1"}, true);
  return out;
}

void check(std::string_view text) {
  static const World world = make_world();
  int asked = 0;
  auto said = answer_review(text, [&](const Pool* before, const Pool& after) {
    ++asked;
    Admission verdict = judge_pool(before, after, world);
    BERTH_CHECK(judge_pool(before, after, world) == verdict, "the same question has the same answer");
    BERTH_CHECK(verdict.allowed() || verdict.warnings.empty(), "a refusal says one thing");
    BERTH_CHECK(before == nullptr || after.invalid != before->invalid || after.invalid.empty() || verdict.allowed(),
                "what can't be read as before can be written");
    return verdict;
  });
  auto read = read_json<api::AdmissionReview>(text);
  if (!said) {
    BERTH_CHECK(asked == 0, "what is no review is not judged");
    return;
  }
  BERTH_CHECK(read && read->value.request, "an answer has a question");
  const boost::json::value answer = boost::json::parse(said->body);
  const boost::json::object& response = answer.at("response").as_object();
  BERTH_CHECK(response.at("uid").as_string() == read->value.request->uid, "an answer has the uid of the question");
  const bool allowed = response.at("allowed").as_bool();
  BERTH_CHECK(allowed == (said->outcome == ReviewOutcome::allowed), "the outcome is what is said");
  BERTH_CHECK(allowed == !response.contains("status"), "a refusal has a message, and nothing else has");
  if (!allowed) BERTH_CHECK(!response.at("status").at("message").as_string().empty(), "a refusal says why");
  if (response.contains("warnings"))
    for (const auto& warning : response.at("warnings").as_array())
      BERTH_CHECK(!warning.as_string().empty() && warning.as_string().size() <= 256, "a warning is short");
}

}  // namespace
}  // namespace berth::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  berth::kube::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
