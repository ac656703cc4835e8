// Views of tensors: a pointer, a dtype, a shape and strides. A view never owns, is cheap to copy
// and safe to read from any thread while the memory behind it lives.
#ifndef ATTN_KERNELS_CORE_TENSOR_VIEW_H_
#define ATTN_KERNELS_CORE_TENSOR_VIEW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "kernels/core/dtype.h"

namespace attn {

inline constexpr int kMaxRank = 6;

// Product of the dimensions, or nullopt if one is negative or the product overflows int64.
std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims);

// Shape and element strides. q, k, v, out and weights always have rank 4: [B, H, S, D] whatever
// the caller's pattern was (tensor_pattern.h derives the strides); lse has rank 3: [B, H, Sq].
struct TensorLayout {
  int rank = 0;
  std::array<int64_t, kMaxRank> dims{};
  std::array<int64_t, kMaxRank> strides{};  // In elements.

  static TensorLayout Contiguous(std::span<const int64_t> dims);

  std::span<const int64_t> shape() const { return {dims.data(), static_cast<size_t>(rank)}; }
  int64_t element_count() const;
};

template <typename Byte>  // std::byte or const std::byte
struct BasicTensorView {
  Byte* data = nullptr;
  DType dtype = DType::kFloat32;
  TensorLayout layout;

  bool empty() const { return data == nullptr; }
  int64_t dim(int axis) const { return layout.dims[static_cast<size_t>(axis)]; }
  int64_t stride(int axis) const { return layout.strides[static_cast<size_t>(axis)]; }

  // Address of element (b, h, s, 0) of a rank-4 view, as T. Requires sizeof(T) to be the
  // element's size.
  template <typename T>
  auto* row(int64_t b, int64_t h, int64_t s) const {
    using Pointer = std::conditional_t<std::is_const_v<Byte>, const T*, T*>;
    return reinterpret_cast<Pointer>(data) + b * stride(0) + h * stride(1) + s * stride(2);
  }
};

using TensorView = BasicTensorView<const std::byte>;
using MutableTensorView = BasicTensorView<std::byte>;

// Tensors of a call beside q, k and v, by the name that an option or a field gives them. Before the
// payload is there the views have no data, yet dtype and shape: enough to validate.
using TensorMap = std::map<std::string, TensorView, std::less<>>;

// Copies row (b, h, s) of a rank-4 float view into `to` as fp32; `to` has room for dim(3).
void LoadRow(const TensorView& from, int64_t b, int64_t h, int64_t s, float* to);

// The reverse, rounding to the view's dtype (nearest even).
void StoreRow(const float* from, int64_t b, int64_t h, int64_t s, const MutableTensorView& to);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TENSOR_VIEW_H_
