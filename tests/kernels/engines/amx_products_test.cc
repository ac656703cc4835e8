// The products of the AMX table against plain sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/core/float16.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/amx_kernels_fixture.h"

#if defined(__x86_64__)
namespace attn {
namespace {

// Of a sum of `terms` in fp32, whatever its order, with |terms| summing to `size`.
double Tolerance(int64_t terms, double size) {
  return static_cast<double>(terms + 2) * 0x1p-24 * size;
}

// Queries and keys of one score tile. Rows beyond `rows` are NaN.
struct ScoreInputs {
  ScoreInputs(int64_t tile_rows, int64_t tile_depth, int64_t tile_columns)
      : rows(tile_rows),
        depth(tile_depth),
        columns(tile_columns),
        queries(kTileRows * depth),
        keys(columns * depth) {
    Random random(static_cast<uint32_t>(rows + 1000 * depth + 1000000 * columns));
    for (int64_t i = 0; i < rows * depth; ++i) queries[i] = random.Bf16();
    for (int64_t i = 0; i < keys.size(); ++i) keys[i] = random.Bf16();
  }

  ScoreTile Tile(const Floats& scores, int64_t stride) const {
    return {.queries = queries.data(),
            .keys = keys.data(),
            .scores = scores.data(),
            .stride = stride,
            .rows = rows,
            .depth = depth,
            .columns = columns};
  }

  void ExpectScores(const Floats& scores, int64_t stride) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        double expected = 0;
        double size = 0;
        for (int64_t d = 0; d < depth; ++d) {
          const double product = double{BFloat16ToFloat(queries[r * depth + d])} *
                                 BFloat16ToFloat(keys[PackedIndex(d, c, depth)]);
          expected += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(scores[r * stride + c], expected, Tolerance(depth, size))
            << "row " << r << " of " << rows << ", column " << c << " of " << columns << ", depth "
            << depth;
      }
    }
  }

  int64_t rows;
  int64_t depth;
  int64_t columns;
  Bf16s queries;
  Bf16s keys;
};

TEST_F(AmxKernels, ScoresAreDotProductsForAnyNumberOfRows) {
  for (int64_t rows = 1; rows <= kTileRows; ++rows) {
    const ScoreInputs inputs(rows, 64, 96);
    const Floats scores(kTileRows * 96);
    kernels_.compute_scores(inputs.Tile(scores, 96));
    inputs.ExpectScores(scores, 96);
  }
}

TEST_F(AmxKernels, ScoresAreDotProductsForAnyDepthAndColumns) {
  for (const int64_t rows : {13, 16, 17, 32}) {
    for (int64_t depth = 32; depth <= 256; depth += 32) {
      for (const int64_t columns : {32, 64, 96, 224, 256}) {
        const ScoreInputs inputs(rows, depth, columns);
        const Floats scores(kTileRows * kTileColumns);
        kernels_.compute_scores(inputs.Tile(scores, kTileColumns));
        inputs.ExpectScores(scores, kTileColumns);
      }
    }
  }
}

TEST_F(AmxKernels, ScoresTouchNoColumnsBesideTheirs) {
  for (const int64_t rows : {9, 25}) {
    const ScoreInputs inputs(rows, 64, 96);
    const Floats scores(kTileRows * kTileColumns);
    for (int64_t i = 0; i < scores.size(); ++i) scores[i] = 7;
    ScoreTile tile = inputs.Tile(scores, kTileColumns);
    tile.scores += 64;
    kernels_.compute_scores(tile);
    for (int64_t i = 0; i < scores.size(); ++i) {
      const int64_t column = i % kTileColumns;
      if (column < 64 || column >= 160) {
        ASSERT_EQ(scores[i], 7) << i;
      }
    }
  }
}

// Weights, values and sums of one tile. Rows beyond `rows` are NaN.
struct ValueInputs {
  ValueInputs(int64_t tile_rows, int64_t tile_tokens, int64_t tile_columns, bool carries)
      : rows(tile_rows),
        tokens(tile_tokens),
        columns(tile_columns),
        weights(kTileRows * kTileColumns * 2),
        values(columns * tokens),
        carry(kTileRows),
        sums(kTileRows * columns),
        has_carry(carries) {
    Random random(static_cast<uint32_t>(rows + 1000 * tokens + 1000000 * columns));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t t = 0; t < tokens; ++t) weights[r * kWeightStride + t] = random.Bf16();
      for (int64_t c = 0; c < columns; ++c) sums[r * columns + c] = random.Float();
      // Rows of every kind side by side: 1 leaves its row, 0 takes away all but what is new.
      carry[r] = r % 3 == 0 ? 1 : r % 7 == 1 ? 0 : random.Float();
    }
    for (int64_t i = 0; i < values.size(); ++i) values[i] = random.Bf16();
  }

  // The sums, carried and added to.
  Floats Run() const {
    Floats out(sums.size());
    std::copy_n(sums.data(), sums.size(), out.data());
    kAmxBf16Kernels.accumulate_values({.weights = weights.data(),
                                       .stride = kTileColumns,
                                       .values = values.data(),
                                       .group_bytes = tokens * kLaneCount * 2,
                                       .carry = has_carry ? carry.data() : nullptr,
                                       .out = out.data(),
                                       .rows = rows,
                                       .tokens = tokens,
                                       .columns = columns});
    return out;
  }

  void ExpectSums(const Floats& out) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        double expected = double{sums[r * columns + c]} * (has_carry ? carry[r] : 1);
        double size = std::abs(expected);
        for (int64_t t = 0; t < tokens; ++t) {
          const double product = double{BFloat16ToFloat(weights[r * kWeightStride + t])} *
                                 BFloat16ToFloat(values[PackedIndex(t, c, tokens)]);
          expected += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(out[r * columns + c], expected, Tolerance(tokens, size))
            << "row " << r << " of " << rows << ", column " << c << " of " << columns << ", "
            << tokens << " tokens" << (has_carry ? ", carried" : "");
      }
    }
  }

  // Weights stand where their scores did: bf16 in rows of fp32.
  static constexpr int64_t kWeightStride = kTileColumns * 2;

  int64_t rows;
  int64_t tokens;
  int64_t columns;
  Bf16s weights;
  Bf16s values;
  Floats carry;
  Floats sums;
  bool has_carry;
};

TEST_F(AmxKernels, ValuesAreAddedToWhatIsCarriedForAnyNumberOfRows) {
  for (int64_t rows = 1; rows <= kTileRows; ++rows) {
    for (const bool carries : {false, true}) {
      const ValueInputs inputs(rows, 64, 80, carries);
      inputs.ExpectSums(inputs.Run());
    }
  }
}

TEST_F(AmxKernels, ValuesAreAddedForAnyTokensAndColumns) {
  for (const int64_t rows : {5, 16, 31}) {
    for (const int64_t tokens : {32, 64, 96, 128, 256}) {
      for (int64_t columns = 16; columns <= 256; columns += columns < 128 ? 16 : 64) {
        const ValueInputs inputs(rows, tokens, columns, columns % 32 == 0);
        inputs.ExpectSums(inputs.Run());
      }
    }
  }
}

TEST_F(AmxKernels, TwoRunsAreBitEqual) {
  const ScoreInputs scored(29, 128, 256);
  const Floats scores[] = {Floats(kTileRows * 256), Floats(kTileRows * 256)};
  for (const Floats& each : scores) kernels_.compute_scores(scored.Tile(each, 256));
  EXPECT_EQ(std::memcmp(scores[0].data(), scores[1].data(), 29 * 256 * sizeof(float)), 0);
  const ValueInputs weighed(29, 256, 112, true);
  EXPECT_EQ(std::memcmp(weighed.Run().data(), weighed.Run().data(), 29 * 112 * sizeof(float)), 0);
}

// A row's result is its own, whichever rows stand beside it.
TEST_F(AmxKernels, ARowDoesNotDependOnTheirNumber) {
  const ScoreInputs inputs(32, 96, 64);
  const Floats all(kTileRows * 64);
  kernels_.compute_scores(inputs.Tile(all, 64));
  for (const int64_t rows : {1, 16, 17}) {
    const Floats some(kTileRows * 64);
    ScoreTile tile = inputs.Tile(some, 64);
    tile.rows = rows;
    kernels_.compute_scores(tile);
    EXPECT_EQ(std::memcmp(all.data(), some.data(), static_cast<size_t>(rows) * 64 * 4), 0) << rows;
  }
}

}  // namespace
}  // namespace attn
#endif
