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
// `part_count` parts of their row of the plan.
struct Unit {
  int64_t b = 0;
  int64_t head = 0;
  int64_t kv_head = 0;
  int64_t query_block = 0;
  TokenRange queries;
  int64_t part = 0;
  int64_t rows = 0;  // Of its parts: which rows they share, from 0 to rows_count - 1.
};

struct PartRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// Depends on shapes and plan alone, not on threads: neither do results. Borrows both.
class WorkSplit {
 public:
  WorkSplit(const AttentionProblem& problem, const Plan& plan);

  // Query block of a dense plan for a problem: as large as leaves work for many cores.
  static int64_t DenseQueryBlock(const AttentionProblem& problem);

  // Most bytes that the split of a dense call in query blocks of `block_q` or more takes.
  static int64_t DenseBytes(const AttentionProblem& problem, int64_t block_q);

  // Most rows that all parts of a dense call together have; 0 if it is not cut into parts.
  static int64_t MaxPartRows(const AttentionProblem& problem);

  // Parts follow each other, then the units of a head, the last first: under a causal mask it is
  // the longest, and a short one ends the call.
  int64_t unit_count() const { return rows_count() * part_count_; }
  Unit UnitAt(int64_t index) const;

  // Units but for their parts.
  int64_t rows_count() const;

  // Parts that each unit's row of the plan is cut into, to be merged: more than one where units are
  // few and keys many.
  int64_t part_count() const { return part_count_; }

  int64_t heads_per_unit() const { return heads_per_unit_; }
  int64_t max_row_blocks() const { return max_row_blocks_; }  // Of a unit.
  int64_t max_rows() const { return max_rows_; }              // Of a row block.

  // The unit's part of `count` blocks of keys.
  PartRange PartOf(const Unit& unit, int64_t count) const {
    return {count * unit.part / part_count_, count * (unit.part + 1) / part_count_};
  }

  int64_t RowBlockCount(const Unit& unit) const;
  RowBlock RowBlockAt(const Unit& unit, int64_t index) const;

 private:
  struct Chunk {
    int64_t query_block = 0;
    TokenRange queries;
  };

  void CutChunks();

  const AttentionProblem& problem_;
  const Plan& plan_;
  std::vector<Chunk> chunks_;
  int64_t heads_per_block_ = 1;
  int64_t heads_per_unit_ = 1;
  int64_t max_row_blocks_ = 1;
  int64_t max_rows_ = 1;
  int64_t part_count_ = 1;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_WORK_SPLIT_H_
