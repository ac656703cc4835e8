// Where tokens of one key head lie, for kernels that read them in place.
#ifndef ATTN_KERNELS_ENGINES_CPU_TOKEN_ADDRESSES_H_
#define ATTN_KERNELS_ENGINES_CPU_TOKEN_ADDRESSES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/core/tensor_view.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Up to kTileColumns tokens of a view; copies of them where their elements are not contiguous.
class TokenAddresses {
 public:
  // Floats that `copies` needs to have.
  static int64_t CopyFloats(const TensorView& view) {
    return view.stride(3) == 1 ? 0 : kTileColumns * view.dim(3);
  }

  TokenAddresses(const TensorView& view, int64_t b, int64_t head, float* copies);

  void Clear() { count_ = 0; }
  void Add(int64_t token);            // In the order of the tensor.
  void Add(const TokenRange& range);  // In the plan's order.

  const void* const* data() const { return addresses_.data(); }
  int64_t count() const { return count_; }
  DType dtype() const { return copied_ ? DType::kFloat32 : view_.dtype; }

 private:
  const TensorView& view_;
  int64_t b_;
  int64_t head_;
  float* copies_;
  bool copied_;
  const std::byte* first_;  // Token 0.
  int64_t stride_bytes_;
  std::array<const void*, kTileColumns> addresses_;
  int64_t count_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TOKEN_ADDRESSES_H_
