#include "kernels/engines/cpu/plan_tokens.h"

#include <algorithm>
#include <vector>

namespace attn {
namespace {

TokenRange FixedBlock(int64_t block, int64_t size, int64_t tokens) {
  return {block * size, std::min((block + 1) * size, tokens)};
}

TokenRange OffsetBlock(int64_t block, const std::vector<int32_t>& offsets,
                       const std::vector<int32_t>& permutation) {
  const auto index = static_cast<size_t>(block);
  return {offsets[index], offsets[index + 1], permutation.empty() ? nullptr : permutation.data()};
}

}  // namespace

int64_t QueryBlockCount(const Plan& plan) {
  return std::visit([](const auto& form) { return form.query_blocks(); }, plan);
}

int64_t KeyBlockCount(const Plan& plan) {
  return std::visit([](const auto& form) { return form.key_blocks(); }, plan);
}

TokenRange QueryBlock(const Plan& plan, int64_t block) {
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) {
    return FixedBlock(block, dense->block_q, dense->mask->query_len());
  }
  const auto& listed = std::get<BlockPlan>(plan);
  return OffsetBlock(block, listed.q_offsets, listed.q_permutation);
}

TokenRange KeyBlock(const Plan& plan, int64_t block) {
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) {
    return FixedBlock(block, dense->block_k, dense->mask->key_len());
  }
  const auto& listed = std::get<BlockPlan>(plan);
  return OffsetBlock(block, listed.k_offsets, listed.k_permutation);
}

PlanRow RowOf(const BlockPlan& plan, int64_t b, int64_t head, int64_t query_block) {
  const int64_t plan_b = plan.batch == 1 ? 0 : b;
  const int64_t plan_head = plan.heads == 1 ? 0 : head;
  const auto row =
      static_cast<size_t>((plan_b * plan.heads + plan_head) * plan.query_blocks() + query_block);
  const PlanEntry* entries = plan.entries.data();
  return {entries + plan.row_begin[row], entries + plan.row_begin[row + 1]};
}

}  // namespace attn
