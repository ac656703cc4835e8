// Which key blocks each query block attends, and how: the meeting point of methods and engines.
#ifndef ATTN_KERNELS_CORE_BLOCK_PLAN_H_
#define ATTN_KERNELS_CORE_BLOCK_PLAN_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_predicate.h"

namespace attn {

struct AttentionProblem;

// How an engine treats the elements of one listed block.
enum class BlockMask : uint8_t {
  kFull,       // Every element counts.
  kPredicate,  // The plan's mask and program decide, on original positions.
  kBits,       // A bit tile decides: BlockPlan::bit_tiles.
};

struct PlanEntry {
  int32_t key_block = 0;
  // 1 = plain. 1 < v <= kMaxPlanLevel: the block's keys and values average-pooled by v, each pooled
  // score entering the softmax with + ln v; never masked per element, so its mask is kFull.
  int16_t level = 1;
  BlockMask mask = BlockMask::kFull;
  // For kBits: index of the first word of this tile in BlockPlan::bit_tiles.
  int64_t bits = -1;

  bool operator==(const PlanEntry&) const = default;
};

// Offsets of blocks of fixed size over `tokens`, the last one ragged.
std::vector<int32_t> FixedOffsets(int64_t tokens, int64_t block);

// An explicit plan. Plain arrays, so that a device can hold the same. Tokens may be permuted
// without padding; blocks are offsets into permuted order, so ragged tiles are ordinary. A row
// without entries attends nothing.
struct BlockPlan {
  int64_t batch = 1;                   // B, or 1 if all samples share the rows
  int64_t heads = 1;                   // H, or 1 if all heads do
  std::vector<int32_t> q_permutation;  // [Sq] original index of each permuted position; empty = id
  std::vector<int32_t> k_permutation;  // [Sk]
  std::vector<int32_t> q_offsets;      // [Nq+1] from 0 to Sq, blocks of kMinBlock to kMaxBlock
  std::vector<int32_t> k_offsets;      // [Nk+1] from 0 to Sk, likewise
  std::vector<int64_t> row_begin;      // [batch*heads*Nq+1] into entries
  std::vector<PlanEntry> entries;      // Of each row ascending by key block, each block once.
  // kBits tiles: query-major, one bit an element of (query block x key block), least significant
  // first, each query row starting a new word.
  std::vector<uint64_t> bit_tiles;
  // What kPredicate blocks evaluate, both where both are there, over the problem's sizes. Borrowed,
  // they outlive the plan. Rows of all samples, or of all heads, are shared only where neither
  // tells them apart.
  const IntervalMask* mask = nullptr;    // Null = the problem's.
  const MaskProgram* program = nullptr;  // Null = none.

  int64_t query_blocks() const { return static_cast<int64_t>(q_offsets.size()) - 1; }
  int64_t key_blocks() const { return static_cast<int64_t>(k_offsets.size()) - 1; }

  // Everything stated above, against these sizes, in O(tokens + entries). INVALID_ARGUMENT names
  // the first field that breaks it, where, its value and what is allowed.
  absl::Status Validate(int64_t problem_batch, int64_t problem_heads, int64_t query_len,
                        int64_t key_len) const;
};

// The plan of dense attention under an interval mask: the problem's, or what it and the problem's
// expression come to. It never materialises: blocks of fixed size in original order, every visible
// block listed, full where the mask leaves every element.
struct ImplicitPlan {
  int64_t block_q = 64;  // kMinBlock to kMaxBlock
  int64_t block_k = 64;
  const IntervalMask* mask = nullptr;  // Borrowed; outlives the plan.

  int64_t query_blocks() const { return (mask->query_len() + block_q - 1) / block_q; }
  int64_t key_blocks() const { return (mask->key_len() + block_k - 1) / block_k; }

  // As BlockPlan::Validate; `mask` must be over exactly these sizes.
  absl::Status Validate(int64_t problem_batch, int64_t query_len, int64_t key_len) const;

  // The entries of row (b, any head, query_block), ascending, in the form of an explicit plan.
  // A key block is listed iff some query of the block sees one of its keys.
  void AppendRow(int64_t b, int64_t query_block, std::vector<PlanEntry>* entries) const;

  // The same plan in explicit form, for reporting and tests.
  BlockPlan Materialise() const;
};

using Plan = std::variant<ImplicitPlan, BlockPlan>;

// What decides inside kPredicate blocks, and in every row of an implicit plan.
MaskPredicate PredicateOf(const Plan& plan, const AttentionProblem& problem);

// The one validation of a plan that an engine is about to run on `problem`: no plan that passes it
// leads an engine out of bounds.
absl::Status ValidatePlan(const Plan& plan, const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_BLOCK_PLAN_H_
