#include "kernels/engines/cpu/tile_visibility.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

#include "kernels/core/float16.h"

namespace attn {
namespace {

constexpr uint64_t kAllOnes = ~uint64_t{0};

// The lowest `count` bits, 0 <= count <= 64.
uint64_t LowBits(int64_t count) {
  return count >= kWordBits ? kAllOnes : (uint64_t{1} << count) - 1;
}

// Bits [begin, end) of the word that starts at bit `word_begin`.
uint64_t WordOfRange(int64_t begin, int64_t end, int64_t word_begin) {
  const int64_t from = std::clamp<int64_t>(begin - word_begin, 0, kWordBits);
  const int64_t to = std::clamp<int64_t>(end - word_begin, from, kWordBits);
  return LowBits(to) & ~LowBits(from);
}

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

TilePredicate TilePredicate::Of(const Plan& plan, const AttentionProblem& problem) {
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) return {dense->mask, nullptr};
  const auto& listed = std::get<BlockPlan>(plan);
  return {listed.mask != nullptr ? listed.mask : &problem.mask, listed.program};
}

TileVisibility EvaluatePredicate(const TilePredicate& predicate, int64_t b, int64_t head,
                                 const TokenRange& queries, const TokenRange& keys,
                                 uint64_t* words) {
  const int64_t words_per_query = VisibilityWords(keys.size());
  if (predicate.program == nullptr) {
    std::fill_n(words, queries.size() * words_per_query, kAllOnes);
  } else {
    predicate.program->Evaluate(b, head, queries, keys, words, words_per_query);
  }
  uint64_t* row = words;
  for (int64_t q = queries.begin; q < queries.end; ++q, row += words_per_query) {
    const KeyInterval seen = predicate.intervals->VisibleKeys(b, queries.original(q));
    if (keys.permutation == nullptr) {
      for (int64_t w = 0; w < words_per_query; ++w) {
        row[w] &= WordOfRange(seen.begin, seen.end, keys.begin + w * kWordBits);
      }
      continue;
    }
    for (int64_t i = 0; i < keys.size(); ++i) {
      const int64_t key = keys.original(keys.begin + i);
      const auto hidden = static_cast<uint64_t>(key < seen.begin || key >= seen.end);
      row[i / kWordBits] &= ~(hidden << (i % kWordBits));
    }
  }
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
