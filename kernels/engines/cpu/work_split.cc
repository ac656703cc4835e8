#include "kernels/engines/cpu/work_split.h"

#include <algorithm>

#include "kernels/core/ceil_divide.h"

namespace attn {
namespace {

// Units enough to keep many cores busy to the end of a call.
constexpr int64_t kManyUnits = 64;

// A part has at least so many keys, which is worth its merging.
constexpr int64_t kMinPartKeys = 512;

constexpr int64_t kSmallestQueryBlock = kTileRows;

// The largest divisor of `count` that is at most `limit`, and at least 1.
int64_t LargestDivisor(int64_t count, int64_t limit) {
  int64_t divisor = std::clamp<int64_t>(limit, 1, count);
  while (count % divisor != 0) --divisor;
  return divisor;
}

}  // namespace

int64_t WorkSplit::DenseQueryBlock(const AttentionProblem& problem) {
  int64_t block = kMaxUnitRows;
  while (block > kSmallestQueryBlock &&
         problem.batch * problem.heads * CeilDivide(problem.query_len, block) < kManyUnits) {
    block /= 2;
  }
  return block;
}

int64_t WorkSplit::DenseBytes(const AttentionProblem& problem, int64_t block_q) {
  const int64_t chunks = CeilDivide(problem.query_len, std::min(block_q, kMaxUnitRows)) *
                         CeilDivide(block_q, kMaxUnitRows);
  return chunks * static_cast<int64_t>(sizeof(Chunk));
}

// Units of a call that is cut are fewer than kManyUnits, and less than twice that with their parts.
// Each has room for the rows of the longest, so that the last one of a head may double them.
int64_t WorkSplit::MaxPartRows(const AttentionProblem& problem) {
  const int64_t max_parts = std::min(problem.key_len / kMinPartKeys, kManyUnits);
  if (max_parts < 2) return 0;
  const int64_t rows = 2 * problem.batch * problem.heads * RoundUp(problem.query_len, kTileRows);
  return std::min(rows * max_parts, 2 * kManyUnits * kMaxUnitRows);
}

WorkSplit::WorkSplit(const AttentionProblem& problem, const Plan& plan)
    : problem_(problem), plan_(plan) {
  CutChunks();
  const int64_t wanted_parts = CeilDivide(kManyUnits, rows_count());
  part_count_ = std::clamp<int64_t>(problem.key_len / kMinPartKeys, 1, wanted_parts);
}

void WorkSplit::CutChunks() {
  int64_t longest = 1;
  for (int64_t block = 0; block < QueryBlockCount(plan_); ++block) {
    const TokenRange queries = QueryBlock(plan_, block);
    for (int64_t first = 0; first < queries.size(); first += kMaxUnitRows) {
      const int64_t count = std::min(kMaxUnitRows, queries.size() - first);
      chunks_.push_back({block, queries.Slice(first, count)});
      longest = std::max(longest, count);
    }
  }
  // Heads that share keys and rows of the plan go together while they fit: their keys are then read
  // once for all of them.
  const auto* listed = std::get_if<BlockPlan>(&plan_);
  const bool shared = listed == nullptr || listed->heads == 1;
  const int64_t group = shared ? problem_.heads / problem_.kv_heads : 1;
  heads_per_block_ = LargestDivisor(group, kTileRows / longest);
  const int64_t blocks_of_a_head = CeilDivide(longest, kTileRows);
  const int64_t max_blocks = kMaxUnitRows / kTileRows;
  heads_per_unit_ =
      heads_per_block_ * LargestDivisor(group / heads_per_block_, max_blocks / blocks_of_a_head);
  max_row_blocks_ = heads_per_unit_ / heads_per_block_ * blocks_of_a_head;
  max_rows_ = std::min(heads_per_block_ * longest, kTileRows);
}

int64_t WorkSplit::rows_count() const {
  return problem_.batch * (problem_.heads / heads_per_unit_) * static_cast<int64_t>(chunks_.size());
}

Unit WorkSplit::UnitAt(int64_t index) const {
  const auto chunk_count = static_cast<int64_t>(chunks_.size());
  const int64_t head_groups = problem_.heads / heads_per_unit_;
  Unit unit;
  unit.part = index % part_count_;
  unit.rows = index / part_count_;
  const Chunk& chunk = chunks_[static_cast<size_t>(chunk_count - 1 - unit.rows % chunk_count)];
  unit.query_block = chunk.query_block;
  unit.queries = chunk.queries;
  unit.head = unit.rows / chunk_count % head_groups * heads_per_unit_;
  unit.b = unit.rows / chunk_count / head_groups;
  unit.kv_head = problem_.kv_head(unit.head);
  return unit;
}

int64_t WorkSplit::RowBlockCount(const Unit& unit) const {
  return heads_per_unit_ / heads_per_block_ * CeilDivide(unit.queries.size(), kTileRows);
}

// More than kTileRows queries are never stacked: heads_per_block_ is then 1.
RowBlock WorkSplit::RowBlockAt(const Unit& unit, int64_t index) const {
  const int64_t blocks_of_a_head = CeilDivide(unit.queries.size(), kTileRows);
  RowBlock block;
  block.head = index / blocks_of_a_head * heads_per_block_;
  block.first_query = index % blocks_of_a_head * kTileRows;
  block.queries = std::min(kTileRows, unit.queries.size() - block.first_query);
  block.rows = heads_per_block_ * block.queries;
  return block;
}

}  // namespace attn
