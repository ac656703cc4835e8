#include "kernels/core/token_axis.h"

#include <array>
#include <utility>

namespace attn {

std::optional<IndexTable> KeyFlagsOf(const program_op::Dense& dense) {
  const bool keys_alone = dense.mask.dim(1) == 1 && dense.mask.dim(2) == 1;
  // One column stands for all keys, wherever they are.
  if (!keys_alone || dense.mask.dim(3) == 1) return std::nullopt;
  TensorView flags = dense.mask;
  flags.layout = TensorLayout::Contiguous(std::array{dense.mask.dim(0), dense.mask.dim(3)});
  return IndexTable(flags);
}

TokenAxis TokenAxis::Shifted(int64_t by) const {
  TokenAxis shifted = *this;
  shifted.shift_ += by;
  return shifted;
}

TokenAxis TokenAxis::Remapped(const IndexTable& positions, int64_t b) const {
  std::vector<int64_t> moved(static_cast<size_t>(end_ - begin_), kNowhere);
  for (int64_t token = begin_; token < end_; ++token) {
    if (!stands(token)) continue;
    const int64_t at = position(token);
    if (positions.Has(at)) moved[static_cast<size_t>(token - begin_)] = positions.at(b, at);
  }
  TokenAxis axis(begin_, end_, 0);
  axis.positions_ = std::make_shared<const std::vector<int64_t>>(std::move(moved));
  return axis;
}

}  // namespace attn
