#include "kernels/core/mask_predicate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "tests/kernels/core/evaluated_mask.h"
#include "tests/support/mask_oracle.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

std::vector<int32_t> Shuffled(int64_t count, std::mt19937_64& random) {
  std::vector<int32_t> permutation(static_cast<size_t>(count));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::shuffle(permutation.begin(), permutation.end(), random);
  return permutation;
}

// Tiles of any part of the tokens, in order and not.
TEST(MaskPredicate, IsIntervalsAndProgramTogether) {
  std::mt19937_64 random(17);
  const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % end); };
  for (uint64_t round = 0; round < 600; ++round) {
    const MaskCase also = RandomMaskCase(random);
    const IntervalMask intervals = also.Create();
    const DrawnMask drawn = DrawMask(round, {also.batch, 2, also.query_len, also.key_len});
    SCOPED_TRACE(drawn.Describe());
    const MaskProgram program = Bound(drawn);
    const MaskPredicate predicate = {&intervals, round % 3 == 0 ? nullptr : &program};
    const std::vector<int32_t> order = Shuffled(also.key_len, random);
    TokenRange queries = {below(also.query_len), also.query_len};
    TokenRange keys = {below(also.key_len), 0, round % 2 == 0 ? nullptr : order.data()};
    keys.end = keys.begin + 1 + below(also.key_len - keys.begin);
    const int64_t b = below(also.batch);
    const int64_t head = below(2);
    const TileWords tile = Evaluated(predicate, b, head, queries, keys);
    for (int64_t i = 0; i < queries.size(); ++i) {
      for (int64_t j = 0; j < keys.size(); ++j) {
        const int64_t query = queries.begin + i;
        const int64_t key = keys.original(keys.begin + j);
        const bool expected = Sees(also, b, query, key) &&
                              (predicate.program == nullptr || drawn.Sees(b, head, query, key));
        ASSERT_EQ(tile.at(i, j), expected) << "query " << query << " key " << key;
      }
    }
  }
}

// Rows of several words, the last one ragged.
TEST(MaskPredicate, WideTilesEndWhereTheKeysDo) {
  const IntervalMask intervals = *IntervalMask::Create({.causal = true}, 1, 300, 300);
  const MaskPredicate predicate = {&intervals, nullptr};
  const TileWords tile = Evaluated(predicate, 0, 0, {100, 300}, {37, 237});
  for (int64_t i = 0; i < 200; ++i) {
    for (int64_t j = 0; j < 200; ++j) ASSERT_EQ(tile.at(i, j), 37 + j <= 100 + i) << i << " " << j;
  }
}

}  // namespace
}  // namespace attn
