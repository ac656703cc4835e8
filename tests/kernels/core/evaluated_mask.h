// Tiles of a mask program for tests to look at.
#ifndef ATTN_TESTS_KERNELS_CORE_EVALUATED_MASK_H_
#define ATTN_TESTS_KERNELS_CORE_EVALUATED_MASK_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/token_range.h"
#include "tests/support/random_masks.h"

namespace attn {

inline constexpr uint64_t kPoison = 0xa5a5a5a5a5a5a5a5;

// Bits of one tile, and whether what lies beyond them was left alone.
struct TileWords {
  std::vector<uint64_t> words;
  int64_t words_per_query = 0;

  bool at(int64_t i, int64_t j) const {
    return (words[static_cast<size_t>(i * words_per_query + j / 64)] >> (j % 64) & 1) != 0;
  }
};

// Of a MaskProgram or a MaskPredicate.
template <typename Evaluator>
TileWords Evaluated(const Evaluator& evaluator, int64_t b, int64_t head, const TokenRange& queries,
                    const TokenRange& keys) {
  const int64_t used = CeilDivide(keys.size(), 64);
  TileWords tile;
  tile.words_per_query = used + 1;
  tile.words.assign(static_cast<size_t>(queries.size() * tile.words_per_query), kPoison);
  evaluator.Evaluate(b, head, queries, keys, tile.words.data(), tile.words_per_query);
  for (int64_t i = 0; i < queries.size(); ++i) {
    for (int64_t j = keys.size(); j < used * 64; ++j) EXPECT_FALSE(tile.at(i, j)) << i << " " << j;
    EXPECT_EQ(tile.words[static_cast<size_t>((i + 1) * tile.words_per_query - 1)], kPoison) << i;
  }
  return tile;
}

inline MaskProgram Bound(const DrawnMask& mask) {
  auto program = MaskProgram::Bind(*mask.Create(), mask.tensors.map());
  EXPECT_TRUE(program.ok()) << program.status();
  return *std::move(program);
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_CORE_EVALUATED_MASK_H_
