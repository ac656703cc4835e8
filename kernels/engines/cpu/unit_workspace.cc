#include "kernels/engines/cpu/unit_workspace.h"

#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"

namespace attn {

absl::StatusOr<UnitWorkspace> UnitWorkspace::Take(const AttentionProblem& problem,
                                                  const TileKernels& kernels, int64_t row_blocks,
                                                  int64_t copy_floats, Scratch& scratch) {
  UnitWorkspace work;
  work.depth = RoundUp(problem.head_dim, kernels.depth_multiple);
  work.out_columns = RoundUp(problem.value_dim, kLaneCount);
  const int64_t rows = row_blocks * kTileRows;
  const int64_t query_bytes = rows * work.depth * ElementBytes(kernels.operand);
  const int64_t bias_floats = problem.modifiers.bias.empty() ? 0 : kTileRows * kTileColumns;
  const int64_t floats =
      kTileRows * (kTileColumns + 1) + rows * work.out_columns + copy_floats + bias_floats;
  // Eight takes, each rounded up to a cache line.
  ATTN_RETURN_IF_ERROR(scratch.Reserve(query_bytes + floats * static_cast<int64_t>(sizeof(float)) +
                                       rows * static_cast<int64_t>(sizeof(RowState)) +
                                       kTileWords * static_cast<int64_t>(sizeof(uint64_t)) +
                                       8 * kBufferAlignment));
  work.queries = scratch.Take<std::byte>(query_bytes);
  work.scores = scratch.Take<float>(kTileRows * kTileColumns);
  work.out = scratch.Take<float>(rows * work.out_columns);
  work.states = scratch.Take<RowState>(rows);
  work.carry = scratch.Take<float>(kTileRows);
  work.words = scratch.Take<uint64_t>(kTileWords);
  work.bias = scratch.Take<float>(bias_floats);
  work.copies = scratch.Take<float>(copy_floats);
  return work;
}

}  // namespace attn
