// The scale of a call as the kernels take it.
#ifndef ATTN_KERNELS_ENGINES_CPU_SOFTMAX_SCALE_H_
#define ATTN_KERNELS_ENGINES_CPU_SOFTMAX_SCALE_H_

#include <cmath>
#include <numbers>

namespace attn {

// Scales that the kernels take, beside 0: within them no intermediate leaves fp32's range where the
// scaled scores do not.
inline constexpr double kMinScale = 0x1p-64;
inline constexpr double kMaxScale = 0x1p64;

// scale * q.k in base 2 = `factor` * (query_sign * q).k, with factor > 0: the highest product is
// then the highest score.
struct SoftmaxScale {
  explicit SoftmaxScale(double scale)
      : query_sign(scale > 0   ? 1
                   : scale < 0 ? -1
                               : 0),
        factor(scale == 0 ? 1 : static_cast<float>(std::abs(scale) * std::numbers::log2e)) {}

  float query_sign;  // 1, -1, or 0
  float factor;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_SOFTMAX_SCALE_H_
