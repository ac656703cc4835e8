// Rounding up: how many blocks cover so many tokens, and how many tokens they hold.
#ifndef ATTN_KERNELS_CORE_CEIL_DIVIDE_H_
#define ATTN_KERNELS_CORE_CEIL_DIVIDE_H_

#include <cstdint>

namespace attn {

// For a >= 0 and b >= 1.
constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t RoundUp(int64_t a, int64_t b) { return CeilDivide(a, b) * b; }

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_CEIL_DIVIDE_H_
