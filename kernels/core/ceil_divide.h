// Integer division that rounds up: how many blocks cover so many tokens.
#ifndef ATTN_KERNELS_CORE_CEIL_DIVIDE_H_
#define ATTN_KERNELS_CORE_CEIL_DIVIDE_H_

#include <cstdint>

namespace attn {

// For a >= 0 and b >= 1.
constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_CEIL_DIVIDE_H_
