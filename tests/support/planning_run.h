// Runs a planning to its end on the calling thread.
#ifndef ATTN_TESTS_SUPPORT_PLANNING_RUN_H_
#define ATTN_TESTS_SUPPORT_PLANNING_RUN_H_

#include "absl/status/statusor.h"
#include "kernels/core/planning.h"
#include "kernels/core/status_macros.h"

namespace attn {

// Every tile in order; the plan borrows from `planning`.
inline absl::StatusOr<Plan> RunPlanning(Planning& planning) {
  Scratch scratch;
  for (int phase = 0; phase < planning.phase_count(); ++phase) {
    const int64_t tiles = planning.tiles(phase);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(planning.RunTile(phase, tile, scratch));
    }
  }
  return planning.Take();
}

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_PLANNING_RUN_H_
