// A stretch of tokens in a plan's order.
#ifndef ATTN_KERNELS_CORE_TOKEN_RANGE_H_
#define ATTN_KERNELS_CORE_TOKEN_RANGE_H_

#include <cstdint>

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

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TOKEN_RANGE_H_
