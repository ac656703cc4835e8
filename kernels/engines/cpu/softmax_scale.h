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

// What the softmax takes is `factor` * score in base 2, with factor > 0: the highest score as the
// tiles hold it is then the highest.
//
// Scores that nobody changes stay products: scale * q.k = `factor` * (query_sign * q).k. Modified
// ones are in natural units, so that the maximum is subtracted from what the modifiers gave, and
// base 2 comes after it: a row whose bias is the lowest finite number throughout is uniform.
struct SoftmaxScale {
  SoftmaxScale(double scale, bool modified)
      : query_sign(scale == 0               ? 0
                   : scale < 0 && !modified ? -1
                                            : 1),
        factor(modified     ? static_cast<float>(std::numbers::log2e)
               : scale == 0 ? 1
                            : static_cast<float>(std::abs(scale) * std::numbers::log2e)),
        product(static_cast<float>(scale)) {}

  float query_sign;  // 1, -1, or 0
  float factor;
  float product;  // ModifyTile::scale
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_SOFTMAX_SCALE_H_
