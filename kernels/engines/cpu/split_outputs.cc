#include "kernels/engines/cpu/split_outputs.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

int64_t RowBytes(const AttentionProblem& problem) {
  return RoundUp(problem.value_dim, kLaneCount) * static_cast<int64_t>(sizeof(float)) +
         static_cast<int64_t>(sizeof(RowState));
}

}  // namespace

int64_t SplitOutputs::DenseBytes(const AttentionProblem& problem) {
  return WorkSplit::MaxSplitRows(problem) * (RowBytes(problem) + kBufferAlignment);
}

int64_t SplitOutputs::ListedBytes(const AttentionProblem& problem) {
  return WorkSplit::MaxListedSplitRows(problem) * (RowBytes(problem) + kBufferAlignment);
}

absl::StatusOr<SplitOutputs> SplitOutputs::Create(const AttentionProblem& problem,
                                                  const WorkSplit& split, BufferPool& pool) {
  SplitOutputs outputs(problem, split);
  ATTN_ASSIGN_OR_RETURN(outputs.memory_, pool.Take(split.unit_count() * outputs.unit_bytes_));
  return outputs;
}

SplitOutputs::SplitOutputs(const AttentionProblem& problem, const WorkSplit& split)
    : split_(&split),
      columns_(RoundUp(problem.value_dim, kLaneCount)),
      unit_rows_(split.max_row_blocks() * split.max_rows()),
      unit_bytes_(RoundUp(unit_rows_ * RowBytes(problem), kBufferAlignment)) {}

SplitOutputs::Rows SplitOutputs::RowsOf(int64_t unit_index) const {
  auto* out = reinterpret_cast<float*>(memory_.data() + unit_index * unit_bytes_);
  return {out, reinterpret_cast<RowState*>(out + unit_rows_ * columns_)};
}

void SplitOutputs::Keep(int64_t unit_index, const Unit& unit, const UnitWorkspace& work) {
  const Rows rows = RowsOf(unit_index);
  for (int64_t i = 0; i < split_->RowBlockCount(unit); ++i) {
    const int64_t count = split_->RowBlockAt(unit, i).rows;
    const int64_t first = i * split_->max_rows();
    std::copy_n(work.out_of(i), count * columns_, rows.out + first * columns_);
    std::copy_n(work.states_of(i), count, rows.states + first);
  }
}

// Each split is weighed by 2^(its maximum - the highest).
RowState SplitOutputs::Merge(int64_t group, int64_t row_block, int64_t row, float scale,
                             float* out) const {
  const int64_t first_unit = group * split_->split_count();
  const int64_t at = row_block * split_->max_rows() + row;
  RowState merged;
  for (int64_t i = 0; i < split_->split_count(); ++i) {
    merged.max = std::max(merged.max, RowsOf(first_unit + i).states[at].max);
  }
  std::fill_n(out, columns_, 0.0F);
  for (int64_t i = 0; i < split_->split_count(); ++i) {
    const Rows rows = RowsOf(first_unit + i);
    const RowState& state = rows.states[at];
    if (state.sum == 0) continue;  // Saw nothing.
    const float weight = std::exp2((state.max - merged.max) * scale);
    merged.sum += state.sum * weight;
    const float* from = rows.out + at * columns_;
    for (int64_t c = 0; c < columns_; ++c) out[c] += from[c] * weight;
  }
  return merged;
}

}  // namespace attn
