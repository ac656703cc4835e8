// The blocks and rows of a plan, and where their tokens are.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_
#define ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/core/block_plan.h"
#include "kernels/core/tensor_view.h"
#include "kernels/core/token_range.h"

namespace attn {

// Address of the first element of token (b, head, token) of a rank-4 view.
template <typename Byte>
Byte* TokenAddress(const BasicTensorView<Byte>& view, int64_t b, int64_t head, int64_t token) {
  const int64_t elements = b * view.stride(0) + head * view.stride(1) + token * view.stride(2);
  return view.data + elements * (BitWidth(view.dtype) / 8);
}

int64_t QueryBlockCount(const Plan& plan);
int64_t KeyBlockCount(const Plan& plan);
TokenRange QueryBlock(const Plan& plan, int64_t block);
TokenRange KeyBlock(const Plan& plan, int64_t block);

// The entries of one row of an explicit plan; `b` and `head` are the problem's.
using PlanRow = std::span<const PlanEntry>;
PlanRow RowOf(const BlockPlan& plan, int64_t b, int64_t head, int64_t query_block);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_
