// What of a mask expression can be checked before its tensors' data is there: structure, bounds,
// dtypes and shapes.
#ifndef ATTN_KERNELS_CORE_MASK_EXPRESSION_CHECK_H_
#define ATTN_KERNELS_CORE_MASK_EXPRESSION_CHECK_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_function.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// What MaskExpression says of itself, under the same names.
struct MaskSummary {
  bool per_sample = false;
  bool per_head = false;
  int64_t program_bytes = 0;
};

// Errors are those of MaskExpression::Create.
absl::StatusOr<MaskSummary> CheckMaskExpression(const MaskExpressionSpec& spec,
                                                const MaskSizes& sizes, const TensorMap& tensors,
                                                const std::vector<const MaskFunction*>& functions);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_EXPRESSION_CHECK_H_
