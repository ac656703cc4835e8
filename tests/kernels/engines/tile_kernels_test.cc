// Every table of tile kernels that this machine runs, against plain double-precision arithmetic.
#include "kernels/engines/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/engines/nan_bits.h"
#include "tests/kernels/engines/tile_kernels_fixture.h"

namespace attn {
namespace {

class TileKernelsTest : public TileTest {};

INSTANTIATE_TEST_SUITE_P(, TileKernelsTest, testing::ValuesIn(TestedTables()), TableName);

// Queries or weights: rows in the operand's form, `stride` four-byte words apart.
Aligned<float> Operands(const TileKernels& kernels, const std::vector<std::vector<double>>& rows,
                        int64_t stride) {
  Aligned<float> words(kTileRows * stride);
  for (size_t r = 0; r < rows.size(); ++r) {
    float* row = words.data() + static_cast<int64_t>(r) * stride;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const auto value = static_cast<float>(rows[r][i]);
      if (kernels.operand == Operand::kFloat32) {
        row[i] = value;
      } else {
        reinterpret_cast<uint16_t*>(row)[i] = FloatToBFloat16(value);
      }
    }
  }
  return words;
}

float WeightAt(const TileKernels& kernels, const float* row, int64_t column) {
  return kernels.operand == Operand::kFloat32
             ? row[column]
             : BFloat16ToFloat(reinterpret_cast<const uint16_t*>(row)[column]);
}

std::vector<std::vector<double>> RowsOf(const Tokens& tokens, int64_t count) {
  std::vector<std::vector<double>> rows(static_cast<size_t>(count));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t d = 0; d < tokens.dim(); ++d) {
      rows[static_cast<size_t>(r)].push_back(tokens.At(r, d));
    }
  }
  return rows;
}

TEST_P(TileKernelsTest, ScoresAreProductsOfQueriesAndKeys) {
  for (const int64_t dim : {1, 7, 16, 33, 64, 128, 256}) {
    for (const int64_t rows : {1, 5, 8, 31, 32}) {
      for (const int64_t count : {1, 16, 40, 256}) {
        const Tokens queries(dtype_, rows, dim, 1);
        const Tokens keys(dtype_, count, dim, 2);
        PackedTokens packed = PackKeysOf(kernels_, keys, count);
        const int64_t depth = RoundUp(dim, kernels_.depth_multiple);
        Aligned<float> operands =
            Operands(kernels_, RowsOf(queries, rows), depth * ElementBytes(kernels_.operand) / 4);
        Aligned<float> scores(kTileRows * kTileColumns);
        kernels_.compute_scores({.queries = operands.data(),
                                 .keys = packed.bytes.data(),
                                 .scores = scores.data(),
                                 .stride = kTileColumns,
                                 .rows = rows,
                                 .depth = depth,
                                 .columns = packed.padded});
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < packed.padded; ++c) {
            double expected = 0;
            double size = 1e-30;
            for (int64_t d = 0; c < count && d < dim; ++d) {
              expected += queries.At(r, d) * keys.At(c, d);
              size += std::abs(queries.At(r, d) * keys.At(c, d));
            }
            ASSERT_NEAR(scores[r * kTileColumns + c], expected, size * 1e-6)
                << "dim " << dim << ", row " << r << " of " << rows << ", key " << c << " of "
                << count;
          }
        }
      }
    }
  }
}

TEST_P(TileKernelsTest, ValuesAreWeighedAndCarriedOver) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform;
  for (const int64_t dim : {1, 16, 40, 64, 256}) {
    for (const int64_t rows : {1, 7, 32}) {
      for (const int64_t count : {1, 17, 64, 256}) {
        for (const bool carried : {false, true}) {
          const Tokens values(dtype_, count, dim, 4);
          PackedTokens packed = PackValuesOf(kernels_, values, count);
          EXPECT_TRUE(packed.finite);
          std::vector<std::vector<double>> weights(static_cast<size_t>(rows));
          for (auto& row : weights) {
            for (int64_t t = 0; t < count; ++t) {
              row.push_back(BFloat16ToFloat(FloatToBFloat16(uniform(random))));
            }
          }
          Aligned<float> operands = Operands(kernels_, weights, kTileColumns);
          const int64_t columns = RoundUp(dim, kLaneCount);
          Aligned<float> out(kTileRows * columns);
          std::fill(out.data(), out.data() + rows * columns, 3.0F);
          const std::vector<float> carry(static_cast<size_t>(rows), 0.5F);
          kernels_.accumulate_values({.weights = operands.data(),
                                      .stride = kTileColumns,
                                      .values = packed.bytes.data(),
                                      .group_bytes = packed.group_bytes,
                                      .carry = carried ? carry.data() : nullptr,
                                      .out = out.data(),
                                      .rows = rows,
                                      .tokens = packed.padded,
                                      .columns = columns});
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < dim; ++c) {
              double expected = carried ? 1.5 : 3.0;
              double size = 3;
              for (int64_t t = 0; t < count; ++t) {
                const double term =
                    weights[static_cast<size_t>(r)][static_cast<size_t>(t)] * values.At(t, c);
                expected += term;
                size += std::abs(term);
              }
              ASSERT_NEAR(out[r * columns + c], expected, size * 2e-6)
                  << "dim " << dim << ", row " << r << ", column " << c << ", tokens " << count;
            }
          }
        }
      }
    }
  }
}

// One row through tiles of 48 columns, some hidden, against the softmax of all of them.
TEST_P(TileKernelsTest, SoftmaxRunsOverTiles) {
  constexpr int64_t kColumns = 48;
  constexpr int64_t kTiles = 4;
  constexpr float kScale = 0.7F;
  constexpr float kHeadroom = 8;
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0, 6);
  std::vector<RowState> states(kTileRows);
  std::vector<double> sums(kTileRows, 0.0);
  std::vector<float> all(kTileRows * kTiles * kColumns);
  for (int64_t tile = 0; tile < kTiles; ++tile) {
    Aligned<float> scores(kTileRows * kTileColumns);
    for (int64_t r = 0; r < kTileRows; ++r) {
      for (int64_t c = 0; c < kColumns; ++c) {
        const bool hidden = r == 3 || (c + r) % 7 == 0;  // Row 3 sees nothing.
        const float score = hidden ? -kFloatInfinity : normal(random);
        scores[r * kTileColumns + c] = score;
        all[static_cast<size_t>((r * kTiles + tile) * kColumns + c)] = score;
      }
    }
    Aligned<float> carry(kTileRows);
    const std::vector<RowState> before = states;
    const bool carries = kernels_.update_softmax({.scores = scores.data(),
                                                  .stride = kTileColumns,
                                                  .rows = kTileRows,
                                                  .columns = kColumns,
                                                  .scale = kScale,
                                                  .headroom = kHeadroom,
                                                  .states = states.data(),
                                                  .carry = carry.data()});
    EXPECT_EQ(carries, std::any_of(carry.data(), carry.data() + kTileRows,
                                   [](float factor) { return factor != 1; }));
    for (int64_t r = 0; r < kTileRows; ++r) {
      const RowState& state = states[static_cast<size_t>(r)];
      const float old_max = before[static_cast<size_t>(r)].max;
      const double expected_carry =
          state.max == old_max ? 1 : std::exp2((double{old_max} - state.max) * kScale);
      EXPECT_NEAR(carry[r], expected_carry, 5e-6 * expected_carry);
      sums[static_cast<size_t>(r)] *= carry[r];
      for (int64_t c = 0; c < kColumns; ++c) {
        const float* row = scores.data() + r * kTileColumns;
        const float weight = WeightAt(kernels_, row, c);
        const float score = all[static_cast<size_t>((r * kTiles + tile) * kColumns + c)];
        const double expected = score == -kFloatInfinity
                                    ? 0
                                    : std::exp2((double{score} - state.max) * kScale - kHeadroom);
        const double rounding = kernels_.operand == Operand::kFloat32 ? 4e-6 : 0x1p-8;
        ASSERT_NEAR(weight, expected, expected * rounding + 1e-37) << "row " << r;
        sums[static_cast<size_t>(r)] += expected;
      }
    }
  }
  for (int64_t r = 0; r < kTileRows; ++r) {
    const auto row = static_cast<size_t>(r);
    EXPECT_NEAR(states[row].sum, sums[row], 1e-5 * sums[row]);
    EXPECT_LE(states[row].sum, 1);
    EXPECT_EQ(states[row].max == -kFloatInfinity, r == 3);
  }
}

// Of a row of 96: steps of several vectors, and what is left over.
TEST_P(TileKernelsTest, NanScorePassesTheMaximumByAndStaysInTheSum) {
  constexpr int64_t kColumns = 96;
  for (const uint32_t bits : kFloat32Nans) {
    for (const int64_t at : {0, 5, 15, 16, 31, 63, 64, 80, 95}) {
      for (const float others : {1.0F, -kFloatInfinity}) {
        SCOPED_TRACE(testing::Message() << std::hex << bits << std::dec << " at " << at);
        Aligned<float> scores(kTileRows * kTileColumns);
        std::fill(scores.data(), scores.data() + kColumns, others);
        scores[at] = std::bit_cast<float>(bits);
        RowState state;
        float carry = 0;
        kernels_.update_softmax({.scores = scores.data(),
                                 .stride = kTileColumns,
                                 .rows = 1,
                                 .columns = kColumns,
                                 .scale = 1,
                                 .headroom = 7,
                                 .states = &state,
                                 .carry = &carry});
        EXPECT_EQ(state.max, others);
        EXPECT_TRUE(std::isnan(state.sum));
        for (int64_t c = 0; c < kColumns; ++c) {
          ASSERT_EQ(std::isnan(WeightAt(kernels_, scores.data(), c)), c == at) << c;
        }
      }
    }
  }
}

TEST_P(TileKernelsTest, HidesWhereABitIsNotSet) {
  std::mt19937_64 random(7);
  constexpr int64_t kQueries = 3;
  std::vector<uint64_t> words(kQueries * 4);
  for (uint64_t& word : words) word = random();
  words[0] = ~uint64_t{0};
  words[5] = 0;
  Aligned<float> scores(kTileRows * kTileColumns);
  kernels_.hide_scores({.words = words.data(),
                        .words_per_query = 4,
                        .queries = kQueries,
                        .scores = scores.data(),
                        .stride = kTileColumns,
                        .rows = kTileRows,
                        .columns = 200});
  for (int64_t r = 0; r < kTileRows; ++r) {
    for (int64_t c = 0; c < 200; ++c) {
      const uint64_t word = words[static_cast<size_t>(r % kQueries * 4 + c / 64)];
      const float expected = ((word >> (c % 64)) & 1U) != 0 ? 0 : -kFloatInfinity;
      ASSERT_EQ(scores[r * kTileColumns + c], expected) << "row " << r << ", column " << c;
    }
  }
}

}  // namespace
}  // namespace attn
