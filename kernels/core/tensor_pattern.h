// Layout patterns in the notation of einops: `b h s d`, `b s (h d)`, `t h d`.
#ifndef ATTN_KERNELS_CORE_TENSOR_PATTERN_H_
#define ATTN_KERNELS_CORE_TENSOR_PATTERN_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// A parsed pattern: axes in memory order, each a group of one or more letters. Letters are b, h,
// s, d for padded tensors and t, h, d for packed ones (B = 1, S = t); `n` is read as h. Each of
// them stands exactly once.
class TensorPattern {
 public:
  static absl::StatusOr<TensorPattern> Parse(absl::string_view text);

  // `b h s d` or, packed, `t h d`.
  static const TensorPattern& Default(bool packed);

  bool packed() const { return packed_; }
  const std::string& text() const { return text_; }  // Normalised: single spaces, h for n.

  // The strides of [B, H, S, D] for a contiguous tensor of this shape. `heads` is the number of
  // heads where the pattern joins h with another axis (0 elsewhere, or equal to the axis). A group
  // with two unknown letters, a shape of another rank, a size that does not divide or an overflow
  // is INVALID_ARGUMENT; the message begins with `name`.
  absl::StatusOr<TensorLayout> Resolve(absl::string_view name, std::span<const int64_t> shape,
                                       int64_t heads) const;

  // The shape, in this pattern, of a contiguous tensor that holds [B, H, S, D], with its strides.
  struct Shaped {
    std::vector<int64_t> shape;
    TensorLayout layout;
  };
  Shaped ShapeOf(int64_t batch, int64_t heads, int64_t tokens, int64_t dim) const;

 private:
  TensorPattern() = default;

  std::string text_;
  std::vector<std::string> groups_;  // Letters of each axis, outermost first.
  bool packed_ = false;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TENSOR_PATTERN_H_
