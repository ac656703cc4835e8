// What a call computed.
#ifndef ATTN_KERNELS_CORE_RUN_STATS_H_
#define ATTN_KERNELS_CORE_RUN_STATS_H_

#include <algorithm>
#include <optional>

#include "kernels/core/block_plan.h"

namespace attn {

struct RunStats {
  // Score elements computed: mask-true elements of the listed blocks; a pooled block of level v
  // counts 1/v of its elements.
  double computed_elements = 0;
  // Score elements of dense attention under the same mask.
  double dense_elements = 0;
  // Work that is not score elements (compressed branches, linear branches).
  double extra_flops = 0;
  // Blocks of the plan that are listed, over all of them; where the backend has blocks of its own.
  std::optional<double> block_density;

  double sparsity() const {
    return dense_elements > 0 ? std::max(0.0, 1.0 - computed_elements / dense_elements) : 0.0;
  }
};

struct RunResult {
  RunStats stats;
  std::optional<BlockPlan> plan;  // Present iff wanted.plan.
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_RUN_STATS_H_
