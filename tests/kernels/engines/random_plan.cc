#include "tests/kernels/engines/random_plan.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace attn {
namespace {

int64_t Between(std::mt19937_64& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

std::vector<int32_t> RandomOffsets(std::mt19937_64& random, int64_t tokens, int64_t largest) {
  std::vector<int32_t> offsets = {0};
  while (offsets.back() < tokens) {
    const int64_t block = std::min(Between(random, 1, largest), tokens - offsets.back());
    offsets.push_back(static_cast<int32_t>(offsets.back() + block));
  }
  return offsets;
}

std::vector<int32_t> RandomPermutation(std::mt19937_64& random, int64_t tokens) {
  std::vector<int32_t> permutation(static_cast<size_t>(tokens));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::shuffle(permutation.begin(), permutation.end(), random);
  return permutation;
}

PlanEntry RandomEntry(const RandomPlanShape& shape, int64_t key_block, int64_t queries,
                      int64_t keys, std::mt19937_64& random, std::vector<uint64_t>* bit_tiles) {
  constexpr int16_t kLevels[] = {2, 3, 4, 8, 127};
  PlanEntry entry = {.key_block = static_cast<int32_t>(key_block)};
  const int64_t kind = Between(random, 0, 3);
  if (kind == 1 && shape.levels) entry.level = kLevels[Between(random, 0, 4)];
  if (kind == 2 && shape.interval_masks) entry.mask = BlockMask::kPredicate;
  if (kind == 3 && shape.bit_tiles) {
    entry.mask = BlockMask::kBits;
    entry.bits = static_cast<int64_t>(bit_tiles->size());
    // All of a tile, none of it, or any of its elements; bits past the last key are noise.
    const int64_t filling = Between(random, 0, 3);
    for (int64_t i = 0; i < queries * ((keys + 63) / 64); ++i) {
      bit_tiles->push_back(filling == 0 ? 0 : filling == 1 ? ~uint64_t{0} : random());
    }
  }
  return entry;
}

}  // namespace

BlockPlan RandomPlan(const AttentionProblem& problem, const RandomPlanShape& shape,
                     std::mt19937_64& random) {
  BlockPlan plan;
  plan.batch = shape.shared_batch ? 1 : problem.batch;
  plan.heads = shape.shared_heads ? 1 : problem.heads;
  plan.q_offsets = RandomOffsets(random, problem.query_len, shape.largest_query_block);
  plan.k_offsets = RandomOffsets(random, problem.key_len, shape.largest_block);
  if (shape.permuted) {
    plan.q_permutation = RandomPermutation(random, problem.query_len);
    plan.k_permutation = RandomPermutation(random, problem.key_len);
  }
  plan.row_begin = {0};
  for (int64_t row = 0; row < plan.batch * plan.heads * plan.query_blocks(); ++row) {
    const auto block = static_cast<size_t>(row % plan.query_blocks());
    const int64_t queries = plan.q_offsets[block + 1] - plan.q_offsets[block];
    // None of the key blocks, some of them or all.
    const int64_t percent = 50 * Between(random, 0, 2);
    for (int64_t k = 0; k < plan.key_blocks(); ++k) {
      if (Between(random, 1, 100) > percent) continue;
      const auto key_block = static_cast<size_t>(k);
      const int64_t keys = plan.k_offsets[key_block + 1] - plan.k_offsets[key_block];
      plan.entries.push_back(RandomEntry(shape, k, queries, keys, random, &plan.bit_tiles));
    }
    plan.row_begin.push_back(static_cast<int64_t>(plan.entries.size()));
  }
  return plan;
}

}  // namespace attn
