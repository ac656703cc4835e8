#include "kernels/engines/cpu/tile_visibility.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace attn {
namespace {

constexpr int64_t kWordBits = 64;
constexpr uint64_t kAllOnes = ~uint64_t{0};

// The lowest `count` bits, 0 <= count <= 64.
uint64_t LowBits(int64_t count) {
  return count >= kWordBits ? kAllOnes : (uint64_t{1} << count) - 1;
}

bool Bit(const uint64_t* words, int64_t index) {
  return ((words[index / kWordBits] >> (index % kWordBits)) & 1U) != 0;
}

// Bits [begin, end) of the word that starts at bit `word_begin`.
uint64_t WordOfRange(int64_t begin, int64_t end, int64_t word_begin) {
  const int64_t from = std::clamp<int64_t>(begin - word_begin, 0, kWordBits);
  const int64_t to = std::clamp<int64_t>(end - word_begin, from, kWordBits);
  return LowBits(to) & ~LowBits(from);
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

TileVisibility EvaluateMask(const IntervalMask& mask, int64_t b, const TokenRange& queries,
                            const TokenRange& keys, uint64_t* words) {
  const int64_t words_per_query = VisibilityWords(keys.size());
  uint64_t* row = words;
  for (int64_t q = queries.begin; q < queries.end; ++q, row += words_per_query) {
    const KeyInterval seen = mask.VisibleKeys(b, queries.original(q));
    if (keys.permutation == nullptr) {
      for (int64_t w = 0; w < words_per_query; ++w) {
        row[w] = WordOfRange(seen.begin, seen.end, keys.begin + w * kWordBits);
      }
      continue;
    }
    std::fill(row, row + words_per_query, 0);
    for (int64_t i = 0; i < keys.size(); ++i) {
      const int64_t key = keys.original(keys.begin + i);
      const auto visible = static_cast<uint64_t>(seen.begin <= key && key < seen.end);
      row[i / kWordBits] |= visible << (i % kWordBits);
    }
  }
  return {words, words_per_query, queries.size(), keys.size()};
}

void HideScores(const TileVisibility& visibility, int64_t rows, float* scores) {
  const int64_t stride = PaddedCount(visibility.keys);
  for (int64_t r = 0; r < rows; ++r, scores += stride) {
    const uint64_t* bits = visibility.query(r % visibility.queries);
    for (int64_t begin = 0; begin < visibility.keys; begin += kWordBits) {
      const uint64_t word = bits[begin / kWordBits];
      if (word == kAllOnes) continue;
      const int64_t end = std::min(begin + kWordBits, visibility.keys);
      for (int64_t i = begin; i < end; ++i) {
        const bool visible = ((word >> (i - begin)) & 1U) != 0;
        scores[i] = visible ? scores[i] : -std::numeric_limits<float>::infinity();
      }
    }
  }
}

void AccumulateVisibleValues(const TileVisibility& visibility, const ValueTile& tile) {
  const int64_t stride = PaddedCount(tile.keys);
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* out = tile.out + r * tile.columns;
    for (int64_t c = 0; c < tile.columns; ++c) out[c] *= tile.carry[r];
    for (int64_t j = 0; j < tile.keys; ++j) {
      if (!Bit(visibility.query(r % visibility.queries), j)) continue;
      const float weight = tile.weights[r * stride + j];
      const float* value = tile.values + j * tile.columns;
      for (int64_t c = 0; c < tile.columns; ++c) out[c] += weight * value[c];
    }
  }
}

}  // namespace attn
