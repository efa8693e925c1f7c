// AdmissionReview (admission.k8s.io/v1): what the API server asks about an Eip, and the answer. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/admission.hpp"
#include "model/objects.hpp"

namespace berth::kube {

// `before` is null when the pool is created.
using PoolJudge = std::function<Admission(const Pool* before, const Pool& after)>;

enum class ReviewOutcome : std::uint8_t { allowed, refused };

struct ReviewAnswer {
  ReviewOutcome outcome = ReviewOutcome::allowed;
  std::string body;  // JSON
};

// invalid: this is no review. Anything but the creation or a change of an Eip is allowed unseen.
Result<ReviewAnswer> answer_review(std::string_view review, const PoolJudge& judge);

}  // namespace berth::kube
