// Which samples of a call skip their attention scores, and how far.
#ifndef ATTN_KERNELS_STAGES_SKIP_WEIGHTS_H_
#define ATTN_KERNELS_STAGES_SKIP_WEIGHTS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"

namespace attn {

// A plain value. Sample b's output is V + weight * (attention - V).
class SkipWeights {
 public:
  // Of the call's tensor; all 1 where nothing is skipped, all 0 where samples have no weights.
  // INVALID_ARGUMENT names a sample whose weight is not in [0, 1].
  static absl::StatusOr<SkipWeights> Create(const AttentionCall& call);

  float operator[](int64_t b) const { return weights_[static_cast<size_t>(b)]; }

  bool all_zero() const;
  bool all_one() const;
  bool any_fraction() const;

  // The samples of weight 0; empty if there are none.
  std::vector<bool> Skipped() const;

 private:
  explicit SkipWeights(std::vector<float> weights) : weights_(std::move(weights)) {}

  std::vector<float> weights_;  // [B]
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_SKIP_WEIGHTS_H_
