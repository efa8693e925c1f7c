// A routing policy as a user's ConfigMap has it: any text is read or refused with words, and what is read holds together.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/check.hpp"
#include "gobgp/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth;
  const auto read = gobgp::parse_policy({reinterpret_cast<const char*>(data), size});
  if (!read) {
    BERTH_CHECK(!read.error().text.empty(), "a refusal has words");
    return 0;
  }
  std::set<std::string> policies;
  for (const auto& policy : read->policies) {
    BERTH_CHECK(!policy.name().empty() && !policy.name().starts_with("berth-"), "our names are our own");
    BERTH_CHECK(policy.statements_size() > 0, "a policy has a statement");
    policies.insert(policy.name());
  }
  for (const std::string& name : read->exported) BERTH_CHECK(policies.contains(name), "what is assigned is there");
  return 0;
}
