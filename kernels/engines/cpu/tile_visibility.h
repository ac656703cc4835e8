// Which elements of a score tile count: one bit each, and what follows from the zeros.
#ifndef ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_
#define ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_

#include <cstdint>

#include "kernels/core/mask.h"
#include "kernels/engines/cpu/plan_tokens.h"
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
  // Number of visible elements.
  int64_t Count() const;
};

// Words of one query over `keys` keys.
constexpr int64_t VisibilityWords(int64_t keys) { return (keys + 63) / 64; }

// Evaluates the mask on the original positions of queries and keys. `words` has room for
// queries.size() * VisibilityWords(keys.size()).
TileVisibility EvaluateMask(const IntervalMask& mask, int64_t b, const TokenRange& queries,
                            const TokenRange& keys, uint64_t* words);

// Sets hidden scores to -infinity. Row r of the `rows` belongs to query r % queries: heads that
// share keys are stacked. Rows are PaddedCount(keys) apart.
void HideScores(const TileVisibility& visibility, int64_t rows, float* scores);

// TileKernels::accumulate_values that never touches a hidden value: 0 * NaN would be NaN.
void AccumulateVisibleValues(const TileVisibility& visibility, const ValueTile& tile);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TILE_VISIBILITY_H_
