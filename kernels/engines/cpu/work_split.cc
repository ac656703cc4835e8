#include "kernels/engines/cpu/work_split.h"

#include <algorithm>
#include <bit>

#include "kernels/core/ceil_divide.h"

namespace attn {
namespace {

// Units enough to keep many cores busy to the end of a call.
constexpr int64_t kManyUnits = 64;

// A split has at least so many keys, which is worth its merging.
constexpr int64_t kMinSplitKeys = 512;

constexpr int64_t kSmallestQueryBlock = kTileRows;

// Most work of a unit while it has more than kFewestLongRows: 5 to 10 milliseconds. With fewer rows
// panels would be read too often: 64 ask for 7 GB/s on Zen 5 already, and for 22 where AMX does
// 1.4 TFLOP/s, more than one core reads there.
constexpr double kUnitFlops = 2e9;
constexpr int64_t kFewestLongRows = 64;

bool TakesLong(const AttentionProblem& problem, int64_t rows) {
  const double elements = static_cast<double>(rows) * static_cast<double>(problem.key_len);
  return rows > kFewestLongRows && problem.Flops(elements) > kUnitFlops;
}

}  // namespace

int64_t WorkSplit::DenseQueryBlock(const AttentionProblem& problem) {
  int64_t block = kMaxUnitRows;
  while (block > kSmallestQueryBlock &&
         problem.batch * problem.heads * CeilDivide(problem.query_len, block) < kManyUnits) {
    block /= 2;
  }
  while (TakesLong(problem, block)) block /= 2;
  return block;
}

int64_t WorkSplit::DenseBytes(const AttentionProblem& problem, int64_t block_q) {
  const int64_t chunks = CeilDivide(problem.query_len, std::min(block_q, kMaxUnitRows)) *
                         CeilDivide(block_q, kMaxUnitRows);
  return chunks * static_cast<int64_t>(sizeof(Chunk));
}

// Where keys are split, groups are fewer than kManyUnits, and units less than twice that. Each has
// room for the rows of the longest chunk and the most heads: with query blocks of 48 and 5 heads
// over one of the keys, 49 queries take 4 units of 256 rows, 3.2 times their own rounded up.
int64_t WorkSplit::MaxSplitRows(const AttentionProblem& problem) {
  const int64_t max_splits = std::min(problem.key_len / kMinSplitKeys, kManyUnits);
  if (max_splits < 2) return 0;
  const int64_t rows = 4 * problem.batch * problem.heads * RoundUp(problem.query_len, kTileRows);
  return std::min(rows * max_splits, 2 * kManyUnits * kMaxUnitRows);
}

// Each group has a place in the order.
int64_t WorkSplit::ListedBytes(const AttentionProblem& problem, int64_t block_q) {
  const int64_t chunks = CeilDivide(problem.query_len, std::min(block_q, kMaxUnitRows)) *
                         CeilDivide(block_q, kMaxUnitRows);
  const int64_t group_bytes = sizeof(int32_t) + sizeof(int);  // With its octave.
  return DenseBytes(problem, block_q) + problem.batch * problem.heads * chunks * group_bytes;
}

// Ragged blocks: every unit has the room of the largest.
int64_t WorkSplit::MaxListedSplitRows(const AttentionProblem& problem) {
  if (problem.key_len / kMinSplitKeys < 2) return 0;
  const int64_t stacked_rows =
      problem.heads / problem.kv_heads * RoundUp(problem.query_len, kTileRows);
  return 2 * kManyUnits * std::min(kMaxUnitRows, stacked_rows);
}

WorkSplit::WorkSplit(const AttentionProblem& problem, const Plan& plan)
    : problem_(problem), plan_(plan) {
  CutChunks();
  OrderGroups();
  const int64_t wanted = std::min(CeilDivide(kManyUnits, group_count()), LongestRow());
  split_count_ =
      std::clamp<int64_t>(problem.key_len / kMinSplitKeys, 1, std::max<int64_t>(wanted, 1));
}

// Blocks of keys of the longest row: no use in more splits.
int64_t WorkSplit::LongestRow() const {
  const auto* listed = std::get_if<BlockPlan>(&plan_);
  if (listed == nullptr) return problem_.key_len;
  int64_t longest = 0;
  for (size_t row = 0; row + 1 < listed->row_begin.size(); ++row) {
    longest = std::max(longest, listed->row_begin[row + 1] - listed->row_begin[row]);
  }
  return longest;
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
  const bool dense = listed == nullptr;
  const bool shared = dense || listed->heads == 1;
  group_heads_ = shared ? problem_.heads / problem_.kv_heads : 1;
  const int64_t blocks_of_a_head = CeilDivide(longest, kTileRows);
  int64_t most_rows = kMaxUnitRows;
  while (dense && TakesLong(problem_, most_rows)) most_rows /= 2;
  const int64_t most_blocks = std::max<int64_t>(1, most_rows / kTileRows / blocks_of_a_head);
  heads_per_block_ = std::clamp<int64_t>(kTileRows / longest, 1, group_heads_);
  heads_per_unit_ = std::min(heads_per_block_ * most_blocks, group_heads_);
  max_row_blocks_ = CeilDivide(heads_per_unit_, heads_per_block_) * blocks_of_a_head;
  max_rows_ = std::min(heads_per_block_ * longest, kTileRows);
}

int64_t WorkSplit::head_units() const {
  return problem_.heads / group_heads_ * CeilDivide(group_heads_, heads_per_unit_);
}

int64_t WorkSplit::group_count() const {
  return problem_.batch * head_units() * static_cast<int64_t>(chunks_.size());
}

Unit WorkSplit::UnitAt(int64_t index) const {
  const int64_t place = index / split_count_;
  Unit unit = GroupAt(group_order_.empty() ? place : group_order_[static_cast<size_t>(place)]);
  unit.split = index % split_count_;
  return unit;
}

Unit WorkSplit::GroupAt(int64_t group) const {
  const auto chunk_count = static_cast<int64_t>(chunks_.size());
  const int64_t units_of_a_group = CeilDivide(group_heads_, heads_per_unit_);
  const Chunk& chunk = chunks_[static_cast<size_t>(chunk_count - 1 - group % chunk_count)];
  const int64_t head_unit = group / chunk_count % head_units();
  const int64_t first_of_group = head_unit % units_of_a_group * heads_per_unit_;
  Unit unit;
  unit.query_block = chunk.query_block;
  unit.queries = chunk.queries;
  unit.head = head_unit / units_of_a_group * group_heads_ + first_of_group;
  unit.heads = std::min(heads_per_unit_, group_heads_ - first_of_group);
  unit.kv_head = problem_.kv_head(unit.head);
  unit.b = group / chunk_count / head_units();
  return unit;
}

// By the octave of the row's length: rows of nearly the same length keep their order, in which
// those of a head share its cached keys.
void WorkSplit::OrderGroups() {
  const auto* listed = std::get_if<BlockPlan>(&plan_);
  if (listed == nullptr) return;
  std::vector<int> octaves;
  for (int64_t group = 0; group < group_count(); ++group) {
    const Unit unit = GroupAt(group);
    octaves.push_back(std::bit_width(RowOf(*listed, unit.b, unit.head, unit.query_block).size()));
    group_order_.push_back(static_cast<int32_t>(group));
  }
  std::stable_sort(group_order_.begin(), group_order_.end(), [&octaves](int32_t a, int32_t b) {
    return octaves[static_cast<size_t>(a)] > octaves[static_cast<size_t>(b)];
  });
}

int64_t WorkSplit::RowBlockCount(const Unit& unit) const {
  return CeilDivide(unit.heads, heads_per_block_) * CeilDivide(unit.queries.size(), kTileRows);
}

// More than kTileRows queries are never stacked: heads_per_block_ is then 1.
RowBlock WorkSplit::RowBlockAt(const Unit& unit, int64_t index) const {
  const int64_t blocks_of_a_head = CeilDivide(unit.queries.size(), kTileRows);
  RowBlock block;
  block.head = index / blocks_of_a_head * heads_per_block_;
  block.first_query = index % blocks_of_a_head * kTileRows;
  block.queries = std::min(kTileRows, unit.queries.size() - block.first_query);
  block.rows = std::min(heads_per_block_, unit.heads - block.head) * block.queries;
  return block;
}

}  // namespace attn
