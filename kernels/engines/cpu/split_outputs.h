// Outputs of units whose keys are split, kept until they are merged (split-KV; Dao et al.,
// "Flash-Decoding for long-context inference", 2023).
#ifndef ATTN_KERNELS_ENGINES_CPU_SPLIT_OUTPUTS_H_
#define ATTN_KERNELS_ENGINES_CPU_SPLIT_OUTPUTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// Borrows the split. Distinct units may be kept at once, and merged when all of a group are kept.
class SplitOutputs {
 public:
  // Most bytes for a dense call.
  static int64_t DenseBytes(const AttentionProblem& problem);
  // Likewise under an explicit plan.
  static int64_t ListedBytes(const AttentionProblem& problem);

  // RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<SplitOutputs> Create(const AttentionProblem& problem,
                                             const WorkSplit& split, BufferPool& pool);

  void Keep(int64_t unit_index, const Unit& unit, const UnitWorkspace& work);

  // Row `row` of row block `row_block` of a group, over all splits: its state, and in
  // out [RoundUp(Dv, kLaneCount)] what they weigh. `scale` is SoftmaxTile::scale.
  RowState Merge(int64_t group, int64_t row_block, int64_t row, float scale, float* out) const;

  int64_t bytes() const { return memory_.size(); }

 private:
  // Of one unit; row r of row block i is row i * max_rows + r.
  struct Rows {
    float* out;        // [rows][columns_]
    RowState* states;  // [rows]
  };

  SplitOutputs(const AttentionProblem& problem, const WorkSplit& split);

  Rows RowsOf(int64_t unit_index) const;

  const WorkSplit* split_;
  int64_t columns_;
  int64_t unit_rows_;
  int64_t unit_bytes_;
  BufferPool::Lease memory_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_SPLIT_OUTPUTS_H_
