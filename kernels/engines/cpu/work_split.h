// How the rows of a call are cut into units of work, and units into row blocks.
#ifndef ATTN_KERNELS_ENGINES_CPU_WORK_SPLIT_H_
#define ATTN_KERNELS_ENGINES_CPU_WORK_SPLIT_H_

#include <cstdint>
#include <vector>

#include "kernels/core/attention_problem.h"
#include "kernels/core/block_plan.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Query rows that pass over a panel together. A panel is read from beyond the second-level cache
// once a unit: 256 rows do 256 FLOP a byte of bf16 and 128 a byte of fp32, so that 1.4 TFLOP/s ask
// for 5.5 GB/s, within the 15 that one core reads.
inline constexpr int64_t kMaxUnitRows = 256;

// Rows of one head, or of heads that share keys where one has few: one score tile's.
struct RowBlock {
  int64_t head = 0;         // The first, counted from the unit's.
  int64_t first_query = 0;  // Counted from the unit's.
  int64_t queries = 0;
  int64_t rows = 0;  // Row r is query r % queries of head `head` + r / queries.
};

// Queries of a block of the plan, of one sample and of heads that share their keys, against one of
// `split_count` stretches of their row of the plan.
struct Unit {
  int64_t b = 0;
  int64_t head = 0;   // The first.
  int64_t heads = 1;  // That share their keys.
  int64_t kv_head = 0;
  int64_t query_block = 0;
  TokenRange queries;
  int64_t split = 0;  // Units of one group differ in this alone.
};

// Blocks of keys [begin, end) of a row of the plan.
struct BlockRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// Depends on shapes and plan alone, not on threads: neither do results. Borrows both.
class WorkSplit {
 public:
  WorkSplit(const AttentionProblem& problem, const Plan& plan);

  // Query block of a dense plan for a problem: as large as leaves work for many cores, and units
  // that other calls need not wait for long.
  static int64_t DenseQueryBlock(const AttentionProblem& problem);

  // Most bytes that the split of a dense call in query blocks of `block_q` or more takes.
  static int64_t DenseBytes(const AttentionProblem& problem, int64_t block_q);

  // Likewise of an explicit plan.
  static int64_t ListedBytes(const AttentionProblem& problem, int64_t block_q);

  // Most rows that all units of a dense call together have where keys are split; 0 where they are
  // not.
  static int64_t MaxSplitRows(const AttentionProblem& problem);

  // Likewise under any explicit plan.
  static int64_t MaxListedSplitRows(const AttentionProblem& problem);

  // The splits of a group follow each other. Groups of much work come first, so that a short one
  // ends the call: of a dense plan those of a head, the last first, which under a causal mask is
  // the longest; of an explicit one those of the longest rows, to a factor of two, and else in
  // order.
  int64_t unit_count() const { return group_count() * split_count_; }
  Unit UnitAt(int64_t index) const;

  int64_t group_count() const;

  // Stretches that a row of the plan is cut into, whose outputs are to be merged: more than one
  // where groups are few and keys many (split-KV, flash-decoding).
  int64_t split_count() const { return split_count_; }

  int64_t max_row_blocks() const { return max_row_blocks_; }  // Of a unit.
  int64_t max_rows() const { return max_rows_; }              // Of a row block.

  // The unit's share of `count` blocks of keys.
  BlockRange BlocksOf(const Unit& unit, int64_t count) const {
    return {count * unit.split / split_count_, count * (unit.split + 1) / split_count_};
  }

  int64_t RowBlockCount(const Unit& unit) const;
  RowBlock RowBlockAt(const Unit& unit, int64_t index) const;

 private:
  struct Chunk {
    int64_t query_block = 0;
    TokenRange queries;
  };

  void CutChunks();
  void OrderGroups();
  Unit GroupAt(int64_t group) const;
  int64_t head_units() const;  // Units of one chunk and sample, but for their splits.
  int64_t LongestRow() const;

  const AttentionProblem& problem_;
  const Plan& plan_;
  std::vector<Chunk> chunks_;
  int64_t group_heads_ = 1;  // That share keys and rows of the plan.
  int64_t heads_per_block_ = 1;
  int64_t heads_per_unit_ = 1;
  int64_t max_row_blocks_ = 1;
  int64_t max_rows_ = 1;
  int64_t split_count_ = 1;
  std::vector<int32_t> group_order_;  // Empty: as they are.
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_WORK_SPLIT_H_
