// Sums and products of counts that may be anything from 0 to INT64_MAX, which they stay at instead
// of wrapping: bytes that backends announce, plug-ins among them, and elements of huge shapes.
#ifndef ATTN_KERNELS_CORE_SATURATING_H_
#define ATTN_KERNELS_CORE_SATURATING_H_

#include <cstdint>
#include <limits>

namespace attn {

// For a >= 0 and b >= 0.
constexpr int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

constexpr int64_t SaturatingMultiply(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_SATURATING_H_
