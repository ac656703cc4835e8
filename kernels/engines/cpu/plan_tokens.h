// The blocks of a plan, implicit or explicit, as runs of tokens.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_
#define ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_

#include <cstdint>

#include "kernels/core/block_plan.h"

namespace attn {

// Positions [begin, end) of a plan's token order. Borrows the plan's permutation.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
  const int32_t* permutation = nullptr;  // nullptr = identity

  int64_t size() const { return end - begin; }
  int64_t original(int64_t position) const {
    return permutation == nullptr ? position : permutation[position];
  }
  TokenRange Slice(int64_t first, int64_t count) const {
    return {begin + first, begin + first + count, permutation};
  }
};

int64_t QueryBlockCount(const Plan& plan);
int64_t KeyBlockCount(const Plan& plan);
TokenRange QueryBlock(const Plan& plan, int64_t block);
TokenRange KeyBlock(const Plan& plan, int64_t block);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLAN_TOKENS_H_
