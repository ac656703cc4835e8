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
  const auto count = static_cast<size_t>(count_);
  Table table;
  table.positions.resize(count, kNowhere);
  for (int64_t token = 0; token < count_; ++token) {
    if (!stands(token) || !positions.Has(position(token))) continue;
    table.positions[static_cast<size_t>(token)] = positions.at(b, position(token));
  }
  table.rising_end.resize(count);
  for (size_t token = count; token-- > 0;) {
    const bool rises = token + 1 < count && table.positions[token] <= table.positions[token + 1];
    table.rising_end[token] = rises ? table.rising_end[token + 1] : static_cast<int32_t>(token + 1);
  }
  TokenAxis remapped(count_, 0);
  remapped.table_ = std::make_shared<const Table>(std::move(table));
  return remapped;
}

}  // namespace attn
