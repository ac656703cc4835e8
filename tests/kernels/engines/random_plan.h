// Plans that use everything a plan may say.
#ifndef ATTN_TESTS_KERNELS_ENGINES_RANDOM_PLAN_H_
#define ATTN_TESTS_KERNELS_ENGINES_RANDOM_PLAN_H_

#include <cstdint>
#include <random>

#include "kernels/core/attention_problem.h"
#include "kernels/core/block_plan.h"

namespace attn {

struct RandomPlanShape {
  bool permuted = false;      // Tokens of queries and keys.
  bool shared_batch = false;  // One sample's rows for all.
  bool shared_heads = false;
  int64_t largest_block = 300;
  int64_t largest_query_block = 300;
  bool levels = true;
  bool interval_masks = true;
  bool bit_tiles = true;
};

// Ragged blocks, some rows without entries.
BlockPlan RandomPlan(const AttentionProblem& problem, const RandomPlanShape& shape,
                     std::mt19937_64& random);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_RANDOM_PLAN_H_
