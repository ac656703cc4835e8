// What is done to scores between the product and the softmax.
#ifndef ATTN_KERNELS_CORE_SCORE_MODIFIERS_H_
#define ATTN_KERNELS_CORE_SCORE_MODIFIERS_H_

#include <string>

#include "absl/status/status.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// In this order: s = scale * q.k, softcap * tanh(s / softcap), + bias, + ALiBi, mask, softmax with
// the sinks in its denominator (attention.proto, ScoreModifiers). Texts name tensors of the call,
// of a float dtype; empty = none.
struct ScoreModifiers {
  double softcap = 0;        // 0 = none
  std::string bias;          // [B or 1, H or 1, Sq or 1, Sk or 1]
  std::string alibi_slopes;  // [H] or [B, H]
  std::string sinks;         // [H]

  // Whether scores themselves are changed; sinks change the sum alone.
  bool change_scores() const { return softcap != 0 || !bias.empty() || !alibi_slopes.empty(); }
};

// Of one that is asked for: INVALID_ARGUMENT unless it is a normal positive number of fp32.
absl::Status CheckSoftcap(double softcap);

// INVALID_ARGUMENT names the field, the tensor's dtype or shape and what is allowed.
absl::Status CheckScoreModifiers(const ScoreModifiers& modifiers, const MaskSizes& sizes,
                                 const TensorMap& tensors);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_SCORE_MODIFIERS_H_
