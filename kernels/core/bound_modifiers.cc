#include "kernels/core/bound_modifiers.h"

#include <cassert>
#include <string>

namespace attn {
namespace {

const TensorView& ModifierTensor(const AttentionCall& call, const std::string& name) {
  const auto found = call.extra.find(name);
  assert(found != call.extra.end());
  return found->second;
}

// A tensor of rank 1 or 2, widened, row by row.
std::vector<float> WidenedRows(const TensorView& tensor) {
  const bool rows = tensor.layout.rank == 2;
  TensorView wide = tensor;  // [1, 1, rows, columns]
  wide.layout.rank = 4;
  wide.layout.dims = {1, 1, rows ? tensor.dim(0) : 1, tensor.dim(rows ? 1 : 0)};
  wide.layout.strides = {0, 0, rows ? tensor.stride(0) : 0, tensor.stride(rows ? 1 : 0)};
  std::vector<float> values(static_cast<size_t>(wide.dim(2) * wide.dim(3)));
  for (int64_t row = 0; row < wide.dim(2); ++row) {
    LoadRow(wide, 0, 0, row, values.data() + row * wide.dim(3));
  }
  return values;
}

TensorView BroadcastBias(const TensorView& tensor, const MaskSizes& sizes) {
  TensorView view = tensor;
  const int64_t full[] = {sizes.batch, sizes.heads, sizes.query_len, sizes.key_len};
  for (size_t axis = 0; axis < 4; ++axis) {
    if (view.layout.dims[axis] == 1) view.layout.strides[axis] = 0;
    view.layout.dims[axis] = full[axis];
  }
  return view;
}

}  // namespace

BoundModifiers::BoundModifiers(const AttentionCall& call) : heads_(call.problem.heads) {
  const ScoreModifiers& modifiers = call.problem.modifiers;
  softcap_ = modifiers.softcap;
  if (!modifiers.bias.empty()) {
    bias_ = BroadcastBias(ModifierTensor(call, modifiers.bias), call.problem.sizes());
  }
  if (!modifiers.alibi_slopes.empty())
    slopes_ = WidenedRows(ModifierTensor(call, modifiers.alibi_slopes));
  if (!modifiers.sinks.empty()) sinks_ = WidenedRows(ModifierTensor(call, modifiers.sinks));
}

float BoundModifiers::slope(int64_t b, int64_t head) const {
  const int64_t samples = static_cast<int64_t>(slopes_.size()) / heads_;
  return slopes_[static_cast<size_t>((samples == 1 ? 0 : b) * heads_ + head)];
}

}  // namespace attn
