#include "kernels/stages/joined_tokens.h"

#include <algorithm>
#include <cassert>

namespace attn {
namespace {

template <typename Bits>
void CopyBits(const Bits* from, int64_t from_stride, Bits* to, int64_t to_stride, int64_t count) {
  if (from_stride == 1 && to_stride == 1) {
    std::copy_n(from, count, to);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

}  // namespace

void CopyRow(const TensorView& from, RowPlace from_place, const MutableTensorView& to,
             RowPlace to_place, int64_t b, float* row) {
  assert(from.dim(3) == to.dim(3));
  const auto [from_head, from_token] = from_place;
  const auto [to_head, to_token] = to_place;
  if (from.dtype != to.dtype) {
    LoadRow(from, b, from_head, from_token, row);
    StoreRow(row, b, to_head, to_token, to);
  } else if (from.dtype == DType::kFloat32) {
    CopyBits(from.row<uint32_t>(b, from_head, from_token), from.stride(3),
             to.row<uint32_t>(b, to_head, to_token), to.stride(3), to.dim(3));
  } else {
    CopyBits(from.row<uint16_t>(b, from_head, from_token), from.stride(3),
             to.row<uint16_t>(b, to_head, to_token), to.stride(3), to.dim(3));
  }
}

}  // namespace attn
