// The AMX table's kernels beside its products (amx_products_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/core/float16.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/amx_kernels_fixture.h"
#include "tests/kernels/engines/nan_bits.h"

#if defined(__x86_64__)
namespace attn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// kLaneCount tokens of `dim`, the one at kNullToken missing.
struct Tokens {
  static constexpr int64_t kNullToken = 11;

  explicit Tokens(int64_t token_dim) : dim(token_dim), elements(kLaneCount * token_dim) {
    Random random(static_cast<uint32_t>(dim));
    for (int64_t i = 0; i < elements.size(); ++i) elements[i] = random.Bf16();
    for (int64_t t = 0; t < kLaneCount; ++t) {
      addresses[t] = t == kNullToken ? nullptr : elements.data() + t * dim;
    }
  }
  TokenGroup Group() const { return {addresses, DType::kBFloat16, dim}; }
  uint16_t At(int64_t token, int64_t d) const {
    return token == kNullToken || d >= dim ? 0 : elements[token * dim + d];
  }

  int64_t dim;
  Bf16s elements;
  const void* addresses[kLaneCount];
};

TEST_F(AmxKernels, KeysArePackedInPairsOfDepth) {
  for (const int64_t dim : {8, 31, 32, 33, 64, 72, 128, 200, 256}) {
    const Tokens tokens(dim);
    const int64_t depth = RoundUp(dim, kernels_.depth_multiple);
    const Bf16s packed(depth * kLaneCount);
    kernels_.pack_keys({tokens.Group(), depth, packed.data()});
    for (int64_t t = 0; t < kLaneCount; ++t) {
      for (int64_t d = 0; d < depth; ++d) {
        ASSERT_EQ(packed[PackedIndex(d, t, depth)], tokens.At(t, d)) << dim << " " << t << " " << d;
      }
    }
  }
}

TEST_F(AmxKernels, ValuesArePackedInPairsOfTokens) {
  constexpr int64_t kTokens = 32;
  for (const int64_t dim : {8, 15, 16, 33, 64, 200}) {
    const Tokens tokens(dim);
    const int64_t columns = RoundUp(dim, kLaneCount);
    const Bf16s packed(columns * kTokens);
    const int64_t group_bytes = kTokens * kLaneCount * 2;
    // The second half of the 32 tokens.
    EXPECT_TRUE(kernels_.pack_values(
        {tokens.Group(), packed.data() + kLaneCount * kLaneCount, group_bytes}));
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t c = 0; c < columns; ++c) {
        const uint16_t expected = t < kLaneCount ? kNanBits : tokens.At(t - kLaneCount, c);
        ASSERT_EQ(packed[PackedIndex(t, c, kTokens)], expected) << dim << " " << t << " " << c;
      }
    }
  }
}

TEST_F(AmxKernels, PackingTellsOfInfiniteValues) {
  for (const float value : {kInfinity, -kInfinity, std::nanf("")}) {
    for (const int64_t at : {0, 35, 17 * 16 + 5}) {
      const Tokens tokens(33);
      tokens.elements[at] = FloatToBFloat16(value);
      const Bf16s packed(48 * kLaneCount);
      EXPECT_FALSE(
          kernels_.pack_values({tokens.Group(), packed.data(), kLaneCount * kLaneCount * 2}))
          << value << " " << at;
    }
  }
}

TEST_F(AmxKernels, HiddenScoresAreMinusInfinity) {
  constexpr int64_t kColumns = 96;
  const Floats scores(kTileRows * kColumns);
  for (int64_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
  // Three queries, of two heads each.
  const uint64_t words[] = {0x123456789abcdef0, 0xfedc, ~uint64_t{0}, ~uint64_t{0}, 0, 0};
  kernels_.hide_scores({.words = words,
                        .words_per_query = 2,
                        .queries = 3,
                        .scores = scores.data(),
                        .stride = kColumns,
                        .rows = 6,
                        .columns = kColumns});
  for (int64_t i = 0; i < scores.size(); ++i) {
    const int64_t row = i / kColumns;
    const int64_t column = i % kColumns;
    const bool visible = row >= 6 || ((words[row % 3 * 2 + column / 64] >> (column % 64)) & 1) != 0;
    ASSERT_EQ(scores[i], visible ? static_cast<float>(i) : -kInfinity) << i;
  }
}

TEST_F(AmxKernels, NanScorePassesTheMaximumByAndStaysInTheSum) {
  constexpr int64_t kColumns = 96;
  for (const uint32_t bits : kFloat32Nans) {
    for (const int64_t at : {0, 15, 63, 64, 95}) {
      const Floats scores(kTileRows * kTileColumns);
      std::fill(scores.data(), scores.data() + kColumns, 1.0F);
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
      EXPECT_EQ(state.max, 1) << std::hex << bits;
      EXPECT_TRUE(std::isnan(state.sum)) << std::hex << bits;
      const auto* weights = reinterpret_cast<const uint16_t*>(scores.data());
      for (int64_t c = 0; c < kColumns; ++c) {
        ASSERT_EQ(std::isnan(BFloat16ToFloat(weights[c])), c == at) << std::hex << bits;
      }
    }
  }
}

TEST_F(AmxKernels, SoftmaxOfPiecesIsThatOfTheWhole) {
  constexpr int64_t kRows = 7;
  constexpr int64_t kColumns = 96;
  constexpr int kPieces = 3;
  constexpr float kScale = 0.7F;
  constexpr float kHeadroom = 9;  // 2^9 is above 3 * 96.
  Random random(6);
  std::vector<double> all[kRows];
  std::vector<double> weights[kRows];
  RowState states[kRows];
  float carry[kRows];
  for (int piece = 0; piece < kPieces; ++piece) {
    const Floats scores(kTileRows * kTileColumns);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kColumns; ++c) {
        // Row 5 sees nothing at first, row 6 nothing at all.
        const bool hidden = c % 5 == 3 || (r == 5 && piece == 0) || r == 6;
        scores[r * kTileColumns + c] = hidden ? -kInfinity : 4 * random.Float();
        all[r].push_back(scores[r * kTileColumns + c]);
      }
    }
    kernels_.update_softmax({.scores = scores.data(),
                             .stride = kTileColumns,
                             .rows = kRows,
                             .columns = kColumns,
                             .scale = kScale,
                             .headroom = kHeadroom,
                             .states = states,
                             .carry = carry});
    for (int64_t r = 0; r < kRows; ++r) {
      const auto* row = reinterpret_cast<const uint16_t*>(scores.data() + r * kTileColumns);
      for (double& weight : weights[r]) weight *= carry[r];
      for (int64_t c = 0; c < kColumns; ++c) weights[r].push_back(BFloat16ToFloat(row[c]));
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    const double max = *std::max_element(all[r].begin(), all[r].end());
    double sum = 0;
    for (size_t i = 0; i < all[r].size(); ++i) {
      const double expected =
          max == -kInfinity ? 0 : std::exp2((all[r][i] - max) * kScale - kHeadroom);
      // Half a unit of bf16's last place, 2^-8, and what the polynomial and carries add.
      ASSERT_NEAR(weights[r][i], expected, expected * 0x1.1p-8) << r << " " << i;
      sum += expected;
    }
    EXPECT_NEAR(states[r].sum, sum, sum * 1e-5) << r;
    EXPECT_EQ(states[r].max, max) << r;
  }
}

}  // namespace
}  // namespace attn
#endif
