// What one unit works on, in a worker's scratch.
#ifndef ATTN_KERNELS_ENGINES_CPU_UNIT_WORKSPACE_H_
#define ATTN_KERNELS_ENGINES_CPU_UNIT_WORKSPACE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/scratch.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/tile_visibility.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// Words of the masks of one score tile, each of its pieces starting new ones.
inline constexpr int64_t kTileWords = kTileRows * kTileColumns / kLaneCount;

// Row r of row block i is row i * kTileRows + r of the arrays: kernels may touch all kTileRows rows
// of a block, whatever it has. Valid until the scratch's next tile.
struct UnitWorkspace {
  int64_t depth = 0;        // Of the queries.
  int64_t out_columns = 0;  // RoundUp(Dv, kLaneCount)

  std::byte* queries = nullptr;  // [row blocks][kTileRows][depth] operands
  float* scores = nullptr;       // [kTileRows][kTileColumns] of the score tile at hand
  float* out = nullptr;        // [row blocks][kTileRows][out_columns], not yet divided by the sums
  RowState* states = nullptr;  // [row blocks][kTileRows]
  float* carry = nullptr;      // [kTileRows]
  uint64_t* words = nullptr;   // [kTileWords]
  float* bias = nullptr;       // [kTileRows][kTileColumns], where the call has a bias
  float* copies = nullptr;     // [copy_floats] of tokens that are not contiguous

  // RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<UnitWorkspace> Take(const AttentionProblem& problem,
                                            const TileKernels& kernels, int64_t row_blocks,
                                            int64_t copy_floats, Scratch& scratch);

  float* out_of(int64_t row_block) const { return out + row_block * kTileRows * out_columns; }
  RowState* states_of(int64_t row_block) const { return states + row_block * kTileRows; }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_UNIT_WORKSPACE_H_
