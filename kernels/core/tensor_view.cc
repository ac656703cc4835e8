#include "kernels/core/tensor_view.h"

#include <algorithm>
#include <cassert>

#include "kernels/core/float16.h"

namespace attn {
namespace {

float ToFloat(float value) { return value; }

template <auto Convert, typename Stored>
void LoadElements(const Stored* from, int64_t count, int64_t stride, float* to) {
  if (stride == 1) {  // Apart, so that the compiler vectorises it.
    for (int64_t i = 0; i < count; ++i) to[i] = Convert(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = Convert(from[i * stride]);
  }
}

template <auto Convert, typename Stored>
void StoreElements(const float* from, int64_t count, int64_t stride, Stored* to) {
  if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = Convert(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * stride] = Convert(from[i]);
  }
}

}  // namespace

std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims) {
  int64_t count = 1;
  bool overflow = false;
  bool zero = false;
  for (const int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    zero = zero || dim == 0;
    overflow = overflow || __builtin_mul_overflow(count, dim, &count);
  }
  if (zero) return 0;  // Whatever the other dimensions are.
  return overflow ? std::nullopt : std::optional<int64_t>(count);
}

TensorLayout TensorLayout::Contiguous(std::span<const int64_t> dims) {
  assert(dims.size() <= kMaxRank);
  TensorLayout layout;
  layout.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), layout.dims.begin());
  int64_t stride = 1;
  for (size_t axis = dims.size(); axis-- > 0;) {
    layout.strides[axis] = stride;
    stride *= dims[axis];
  }
  return layout;
}

int64_t TensorLayout::element_count() const {
  int64_t count = 1;
  for (const int64_t dim : shape()) count *= dim;
  return count;
}

void LoadRow(const TensorView& from, int64_t b, int64_t h, int64_t s, float* to) {
  assert(from.layout.rank == 4 && IsFloat(from.dtype));
  const int64_t count = from.dim(3);
  const int64_t stride = from.stride(3);
  switch (from.dtype) {
    case DType::kFloat16:
      return LoadElements<Float16ToFloat>(from.row<uint16_t>(b, h, s), count, stride, to);
    case DType::kBFloat16:
      return LoadElements<BFloat16ToFloat>(from.row<uint16_t>(b, h, s), count, stride, to);
    default:
      return LoadElements<ToFloat>(from.row<float>(b, h, s), count, stride, to);
  }
}

void StoreRow(const float* from, int64_t b, int64_t h, int64_t s, const MutableTensorView& to) {
  assert(to.layout.rank == 4 && IsFloat(to.dtype));
  const int64_t count = to.dim(3);
  const int64_t stride = to.stride(3);
  switch (to.dtype) {
    case DType::kFloat16:
      return StoreElements<FloatToFloat16>(from, count, stride, to.row<uint16_t>(b, h, s));
    case DType::kBFloat16:
      return StoreElements<FloatToBFloat16>(from, count, stride, to.row<uint16_t>(b, h, s));
    default:
      return StoreElements<ToFloat>(from, count, stride, to.row<float>(b, h, s));
  }
}

}  // namespace attn
