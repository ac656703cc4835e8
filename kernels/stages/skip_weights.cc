#include "kernels/stages/skip_weights.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status CheckRange(const std::vector<float>& weights) {
  for (size_t b = 0; b < weights.size(); ++b) {
    if (weights[b] >= 0 && weights[b] <= 1) continue;  // Not of NaN.
    return absl::InvalidArgumentError(absl::StrCat("skip_scores.sample_weights: the weight of ",
                                                   "sample ", b, " is ", weights[b],
                                                   ", allowed: 0 to 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SkipWeights> SkipWeights::Create(const AttentionCall& call) {
  const SkipScores& skip = call.problem.stages.skip_scores;
  const auto samples = static_cast<size_t>(call.problem.batch);
  if (skip.mode == SkipMode::kNone) return SkipWeights(std::vector<float>(samples, 1));
  std::vector<float> weights(samples, 0);
  if (!skip.sample_weights.empty()) {
    const auto found = call.extra.find(skip.sample_weights);
    assert(found != call.extra.end());
    TensorView view = found->second;
    assert(view.layout.rank == 1 && view.dim(0) == call.problem.batch);
    view.layout = {.rank = 4,  // A row [1, 1, 1, B].
                   .dims = {1, 1, 1, view.dim(0)},
                   .strides = {0, 0, 0, view.stride(0)}};
    LoadRow(view, 0, 0, 0, weights.data());
  }
  ATTN_RETURN_IF_ERROR(CheckRange(weights));
  return SkipWeights(std::move(weights));
}

bool SkipWeights::all_zero() const {
  return std::all_of(weights_.begin(), weights_.end(), [](float weight) { return weight == 0; });
}

bool SkipWeights::all_one() const {
  return std::all_of(weights_.begin(), weights_.end(), [](float weight) { return weight == 1; });
}

bool SkipWeights::any_fraction() const {
  return std::any_of(weights_.begin(), weights_.end(),
                     [](float weight) { return weight != 0 && weight != 1; });
}

std::vector<bool> SkipWeights::Skipped() const {
  std::vector<bool> skipped;
  if (std::find(weights_.begin(), weights_.end(), 0.0F) == weights_.end()) return skipped;
  for (const float weight : weights_) skipped.push_back(weight == 0);
  return skipped;
}

}  // namespace attn
