// Lists of blocks, as torch's BlockMask has them, to bits.
#ifndef ATTN_KERNELS_CORE_MASK_BLOCK_LISTS_H_
#define ATTN_KERNELS_CORE_MASK_BLOCK_LISTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Where an element stands, for messages: `positions 'ids'[1, 3]`; `element` counts in row-major
// order.
std::string ElementText(const std::string& field, const std::string& tensor, const TensorView& view,
                        int64_t element);

// op.tables() of them: all listed blocks, or partial ones and full ones apart.
// INVALID_ARGUMENT if a count or an index is out of range or a row lists a block twice, be it as
// partial or as full. Shapes have been checked; q_begin and kv_begin stay 0.
absl::StatusOr<std::vector<program_op::Blocks>> BindBlockLists(const std::string& path,
                                                               const mask_op::Blocks& op,
                                                               const MaskSizes& sizes,
                                                               const TensorMap& tensors);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_BLOCK_LISTS_H_
