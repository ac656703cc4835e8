// Whether the tables of a mask expression hold the positions at which it reads them: one that is
// too short would hide tokens that nobody meant to hide.
#ifndef ATTN_KERNELS_CORE_MASK_EXPRESSION_REACH_H_
#define ATTN_KERNELS_CORE_MASK_EXPRESSION_REACH_H_

#include "absl/status/status.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// INVALID_ARGUMENT if the ids of a `packed` or the positions of a `remap` end before the largest
// position of the call's queries and keys there. Not judged: what stands below a remap, whose
// positions are data, and positions below 0. Shapes have been checked.
absl::Status CheckMaskReach(const MaskExpressionSpec& spec, const MaskSizes& sizes,
                            const TensorMap& tensors);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_EXPRESSION_REACH_H_
