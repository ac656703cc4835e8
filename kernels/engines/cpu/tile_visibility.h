// Which elements of a score tile count: one bit each.
#ifndef ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_
#define ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_

#include <cstdint>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/flag_bits.h"
#include "kernels/core/mask_predicate.h"
#include "kernels/core/token_range.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Bits of queries x keys, least significant first, each query starting a new word. Bits past the
// last key of a query may have any value. Borrows the words.
struct TileVisibility {
  const uint64_t* words = nullptr;
  int64_t words_per_query = 0;
  int64_t queries = 0;
  int64_t keys = 0;

  const uint64_t* query(int64_t index) const { return words + index * words_per_query; }
  bool Sees(int64_t index, int64_t key) const {
    return ((query(index)[key / kWordBits] >> (key % kWordBits)) & 1U) != 0;
  }
  // Number of visible elements.
  int64_t Count() const;
};

// Words of one query over `keys` keys.
constexpr int64_t VisibilityWords(int64_t keys) { return CeilDivide(keys, kWordBits); }

// `words` has room for queries.size() * VisibilityWords(keys.size()).
TileVisibility EvaluatePredicate(const MaskPredicate& predicate, int64_t b, int64_t head,
                                 const TokenRange& queries, const TokenRange& keys,
                                 uint64_t* words);

// Of every row of a score tile: columns [begin, end) count for nothing.
void HideColumns(float* scores, int64_t rows, int64_t begin, int64_t end);

// TileKernels::accumulate_values that never touches a hidden value: 0 * NaN would be NaN. Row r
// belongs to query r % visibility.queries.
void AccumulateVisibleValues(const TileVisibility& visibility, Operand operand,
                             const ValueTile& tile);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_
