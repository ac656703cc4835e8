#include "kernels/engines/reference/modify_scores.h"

#include <cmath>
#include <cstdlib>

#include "kernels/core/dtype.h"
#include "kernels/core/tensor_view.h"

namespace attn {
namespace {

// The columns of these keys.
TensorView Columns(const TensorView& view, const KeyInterval& keys) {
  TensorView columns = view;
  columns.data += keys.begin * view.stride(3) * (BitWidth(view.dtype) / 8);
  columns.layout.dims[3] = keys.size();
  return columns;
}

}  // namespace

void ModifyScores(const BoundModifiers& modifiers, const IntervalMask& mask,
                  const ReferenceTile& tile) {
  if (tile.keys.empty() || !modifiers.change_scores()) return;
  const double softcap = modifiers.softcap();
  const double slope = modifiers.has_slopes() ? modifiers.slope(tile.b, tile.head) : 0;
  for (int64_t row = 0; row < tile.rows(); ++row) {
    const int64_t query = tile.begin + row;
    const int64_t aligned = mask.EndAlignedKey(tile.b, query);
    if (modifiers.has_bias()) {
      LoadRow(Columns(modifiers.bias(), tile.keys), tile.b, tile.head, query, tile.bias);
    }
    for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
      if (!tile.Sees(row, key)) continue;
      double& score = *tile.score(row, key);
      if (softcap != 0) score = softcap * std::tanh(score / softcap);
      if (modifiers.has_bias()) score += tile.bias[key - tile.keys.begin];
      if (modifiers.has_slopes()) score -= slope * static_cast<double>(std::abs(aligned - key));
    }
  }
}

}  // namespace attn
