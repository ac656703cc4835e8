// Rows of a plan under a mask program, one after the other.
#ifndef ATTN_KERNELS_CORE_ROW_PLANNER_H_
#define ATTN_KERNELS_CORE_ROW_PLANNER_H_

#include <cstdint>
#include <vector>

#include "kernels/core/block_plan.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_bounds.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/mask_verdict.h"

namespace attn {

// How the rows of a plan are cut into tiles of bounded work: several rows, or, where one is too
// much already, a stretch of its keys.
struct RowTiles {
  int64_t rows = 1;
  int64_t stretches = 1;
  int key_level = 0;  // A stretch is one KeyBlocks of this level.
};
// `expression` = null: rows of intervals alone, over all keys.
RowTiles CutRows(const MaskExpression* expression, int64_t block_q, int64_t block_k,
                 int64_t key_len);

// Descends from a range of key blocks to one where bounds do not decide, and looks at elements
// where they do not either. Of one thread; borrows everything.
class RowPlanner {
 public:
  // Words that a block takes to be looked at.
  static int64_t WordsOf(int64_t block_k);

  // Blocks are those of `bounds`, which are built; `words` has WordsOf(block_k).
  RowPlanner(const MaskProgram& program, const MaskBounds& bounds, const IntervalMask& intervals,
             int64_t block_q, int64_t block_k, uint64_t* words)
      : program_(program),
        bounds_(bounds),
        intervals_(intervals),
        block_q_(block_q),
        block_k_(block_k),
        words_(words) {}

  // The entries of row (b, head, query_block) among `keys`, ascending.
  void Append(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys,
              std::vector<PlanEntry>* entries);

 private:
  void Descend(KeyBlocks keys, std::vector<PlanEntry>* entries);
  // Evaluates elements until both a visible and a hidden one are known, or none are left.
  void Look(int64_t key_block, MaskVerdict* verdict);

  // First key of a block; the end of the keys for the block behind the last.
  int64_t KeyOf(int64_t block) const;

  const MaskProgram& program_;
  const MaskBounds& bounds_;
  const IntervalMask& intervals_;
  const int64_t block_q_;
  const int64_t block_k_;
  uint64_t* const words_;

  // Of the row at hand.
  int64_t b_ = 0;
  int64_t head_ = 0;
  int64_t query_block_ = 0;
  int64_t query_begin_ = 0;
  int64_t query_end_ = 0;
  IntervalMask::Bounds rows_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ROW_PLANNER_H_
