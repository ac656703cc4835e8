#include "kernels/engines/cpu/tile_visibility.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

#include "kernels/core/float16.h"

namespace attn {
namespace {

float WeightAt(const float* row, Operand operand, int64_t token) {
  if (operand == Operand::kFloat32) return row[token];
  return BFloat16ToFloat(reinterpret_cast<const uint16_t*>(row)[token]);
}

// The layout of packed values: tile_kernels.h.
float ValueAt(const ValueTile& tile, Operand operand, int64_t token, int64_t column) {
  const auto* group =
      static_cast<const std::byte*>(tile.values) + column / kLaneCount * tile.group_bytes;
  const int64_t lane = column % kLaneCount;
  if (operand == Operand::kFloat32) {
    return reinterpret_cast<const float*>(group)[token * kLaneCount + lane];
  }
  const int64_t pair = token / 2 * kLaneCount + lane;
  return BFloat16ToFloat(reinterpret_cast<const uint16_t*>(group)[2 * pair + token % 2]);
}

}  // namespace

int64_t TileVisibility::Count() const {
  int64_t count = 0;
  for (int64_t q = 0; q < queries; ++q) {
    for (int64_t w = 0; w < VisibilityWords(keys); ++w) {
      count += std::popcount(query(q)[w] & LowBits(keys - w * kWordBits));
    }
  }
  return count;
}

TileVisibility EvaluatePredicate(const MaskPredicate& predicate, int64_t b, int64_t head,
                                 const TokenRange& queries, const TokenRange& keys,
                                 uint64_t* words) {
  const int64_t words_per_query = VisibilityWords(keys.size());
  predicate.Evaluate(b, head, queries, keys, words, words_per_query);
  return {words, words_per_query, queries.size(), keys.size()};
}

void HideColumns(float* scores, int64_t rows, int64_t begin, int64_t end) {
  for (int64_t r = 0; r < rows; ++r) {
    std::fill(scores + r * kTileColumns + begin, scores + r * kTileColumns + end,
              -std::numeric_limits<float>::infinity());
  }
}

void AccumulateVisibleValues(const TileVisibility& visibility, Operand operand,
                             const ValueTile& tile) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* out = tile.out + r * tile.columns;
    if (tile.carry != nullptr) {
      for (int64_t c = 0; c < tile.columns; ++c) out[c] *= tile.carry[r];
    }
    const float* weights = static_cast<const float*>(tile.weights) + r * tile.stride;
    for (int64_t t = 0; t < visibility.keys; ++t) {
      if (!visibility.Sees(r % visibility.queries, t)) continue;
      const float weight = WeightAt(weights, operand, t);
      for (int64_t c = 0; c < tile.columns; ++c) out[c] += weight * ValueAt(tile, operand, t, c);
    }
  }
}

}  // namespace attn
