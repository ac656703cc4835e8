// Compiles the mask of a call, intervals and expression together, to a plan: blocks are full,
// partial or skipped, decided by bounds over ranges of blocks and element by element only where
// bounds do not decide.
#ifndef ATTN_KERNELS_CORE_MASK_PLANNING_H_
#define ATTN_KERNELS_CORE_MASK_PLANNING_H_

#include <cstdint>
#include <limits>
#include <memory>

#include "kernels/core/attention_call.h"
#include "kernels/core/planning.h"

namespace attn {

struct MaskPlanOptions {
  int64_t block_q = 128;  // kMinBlock to kMaxBlock
  int64_t block_k = 128;
  // A mask of one interval a query stays an ImplicitPlan; false = every plan is listed.
  bool implicit_intervals = true;
  // Blocks of an implicit plan; 0 = those above. Engines cut it anew: larger ones cost it nothing.
  int64_t implicit_block_q = 0;
  int64_t implicit_block_k = 0;
};

// The plan lists a block iff some element of it is visible, full iff all are, else kPredicate. Its
// batch and heads are 1 where neither intervals nor expression tell samples or heads apart. Its
// tensors are checked in a first phase of one tile, whose errors are MaskProgram::Bind's; all other
// tiles are of bounded work. A call without an expression is planned as well.
std::unique_ptr<Planning> PlanMask(const AttentionCall& call, const MaskPlanOptions& options);

// Memory that planning takes and leaves in the plan, at most and roughly, for admission. Plans of
// more blocks than `most_blocks`, over all samples and heads, are the caller's to refuse.
int64_t MaskPlanBytes(const AttentionProblem& problem, const MaskPlanOptions& options,
                      int64_t most_blocks = std::numeric_limits<int64_t>::max());

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_PLANNING_H_
