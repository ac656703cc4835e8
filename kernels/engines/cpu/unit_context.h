// What all units of a call share.
#ifndef ATTN_KERNELS_ENGINES_CPU_UNIT_CONTEXT_H_
#define ATTN_KERNELS_ENGINES_CPU_UNIT_CONTEXT_H_

#include "kernels/core/attention_call.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/bound_modifiers.h"
#include "kernels/core/mask_predicate.h"
#include "kernels/engines/cpu/softmax_scale.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// Borrowed, and read by all threads.
struct UnitContext {
  const AttentionCall& call;
  const Plan& plan;
  const TileKernels& kernels;
  const WorkSplit& split;
  MaskPredicate predicate;  // Of kPredicate blocks, and of the rows of an implicit plan.
  BoundModifiers modifiers;
  SoftmaxScale scale;
  float headroom;  // SoftmaxTile::headroom

  const AttentionProblem& problem() const { return call.problem; }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_UNIT_CONTEXT_H_
