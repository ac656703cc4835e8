// Tokens of one tensor that stand in two places: those that the call sent as q, k, v or out, and
// the replicated ones behind them.
#ifndef ATTN_KERNELS_STAGES_JOINED_TOKENS_H_
#define ATTN_KERNELS_STAGES_JOINED_TOKENS_H_

#include <cstdint>

#include "kernels/core/tensor_view.h"

namespace attn {

// The first `count` tokens of a view of rank 3 or 4.
template <typename View>
View FirstTokens(View view, int64_t count) {
  view.layout.dims[2] = count;
  return view;
}

inline TensorView ReadOnly(const MutableTensorView& view) {
  return {view.data, view.dtype, view.layout};
}

// A row of a sample of a rank-4 tensor.
struct RowPlace {
  int64_t head;
  int64_t token;
};

// Copies a row of sample b to another tensor of the same dim: bit for bit where the dtypes are
// equal, else rounded once. `row` has room for dim(3).
void CopyRow(const TensorView& from, RowPlace from_place, const MutableTensorView& to,
             RowPlace to_place, int64_t b, float* row);

// Borrows what the views do.
struct JoinedTokens {
  TensorView first;   // [B, heads, n, dim]
  TensorView second;  // [B, heads, m, dim]; empty where there are none.

  int64_t size() const { return first.dim(2) + (second.empty() ? 0 : second.dim(2)); }

  // Where token `token` of all of them lies.
  struct Place {
    const TensorView& view;
    int64_t token;
  };
  Place At(int64_t token) const {
    const int64_t count = first.dim(2);
    return token < count ? Place{first, token} : Place{second, token - count};
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_JOINED_TOKENS_H_
