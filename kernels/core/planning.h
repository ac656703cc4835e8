// One call's way from its problem and tensors to a plan: what a sparse method is, and what the
// compilation of a mask is.
#ifndef ATTN_KERNELS_CORE_PLANNING_H_
#define ATTN_KERNELS_CORE_PLANNING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/scratch.h"

namespace attn {

// Phases of tiles, as an Execution's (backend.h). Borrows the call.
class Planning {
 public:
  virtual ~Planning() = default;

  virtual int phase_count() const = 0;

  // Asked once, after every tile of the phases before has run.
  virtual int64_t tiles(int phase) = 0;

  // Distinct tiles of a phase run concurrently; the scratch belongs to the thread, and the caller
  // has reset it.
  virtual absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) = 0;

  // After all tiles, once. The plan may borrow from the planning, which outlives it.
  virtual absl::StatusOr<Plan> Take() = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_PLANNING_H_
