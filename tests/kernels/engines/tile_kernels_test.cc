#include "kernels/engines/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/aligned_buffer.h"

namespace attn {
namespace {

constexpr float kInfinityFloat = std::numeric_limits<float>::infinity();
constexpr float kNanFloat = std::numeric_limits<float>::quiet_NaN();

// Aligned floats, normal data by default.
class Floats {
 public:
  explicit Floats(int64_t count, uint64_t seed = 1)
      : buffer_(AlignedBuffer::Allocate(count * static_cast<int64_t>(sizeof(float)))) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < count; ++i) data()[i] = normal(random);
  }
  float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  float& operator[](int64_t i) const { return data()[i]; }

 private:
  AlignedBuffer buffer_;
};

// Each instruction set that this processor has.
class Kernels : public testing::TestWithParam<TileKernels> {};

INSTANTIATE_TEST_SUITE_P(Sets, Kernels,
                         testing::ValuesIn(AvailableTileKernels().begin(),
                                           AvailableTileKernels().end()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Kernels, ScoresAreScaledDotProductsOfAnyShape) {
  for (const int64_t rows : {1, 2, 5, 6, 7, 13, 64}) {
    for (const int64_t columns : {16, 32, 48, 128}) {
      for (const int64_t dim : {1, 3, 64}) {
        const Floats queries(rows * dim, 1);
        const Floats keys(dim * columns, 2);
        const Floats scores(rows * columns, 3);
        GetParam().compute_scores(
            {queries.data(), keys.data(), scores.data(), rows, dim, columns, 0.5F, 0.25F});
        for (int64_t i = 0; i < rows * columns; ++i) {
          double sum = 0;
          double size = 1;
          for (int64_t d = 0; d < dim; ++d) {
            const double product =
                double{queries[i / columns * dim + d]} * keys[d * columns + i % columns];
            sum += product;
            size += std::abs(product);
          }
          ASSERT_NEAR(scores[i], 0.5 * sum + 0.25, static_cast<double>(dim + 2) * 0x1p-24 * size)
              << rows << " " << columns << " " << dim;
        }
      }
    }
  }
}

TEST_P(Kernels, ValuesAreAddedToWhatIsCarried) {
  for (const int64_t rows : {1, 2, 6, 9, 64}) {
    for (const int64_t columns : {16, 32, 80}) {
      for (const int64_t keys : {1, 17, 128}) {
        const Floats weights(rows * PaddedCount(keys), 1);
        const Floats values(keys * columns, 2);
        const Floats carry(rows, 3);
        const Floats before(rows * columns, 4);
        const Floats out(rows * columns, 4);
        GetParam().accumulate_values(
            {weights.data(), values.data(), carry.data(), out.data(), rows, keys, columns});
        for (int64_t i = 0; i < rows * columns; ++i) {
          const int64_t r = i / columns;
          double sum = double{carry[r]} * before[i];
          double size = std::abs(sum);
          for (int64_t j = 0; j < keys; ++j) {
            const double product =
                double{weights[r * PaddedCount(keys) + j]} * values[j * columns + i % columns];
            sum += product;
            size += std::abs(product);
          }
          // Summed in sequence: each of the keys + 2 terms rounds once.
          ASSERT_NEAR(out[i], sum, static_cast<double>(keys + 2) * 0x1p-24 * size)
              << rows << " " << columns << " " << keys;
        }
      }
    }
  }
}

TEST_P(Kernels, ExponentialIsExactToTwoTenMillionths) {
  const Floats scores(16);
  for (float x = -87.2F; x <= 0; x += 0.0037F) {
    scores[0] = 0;
    scores[1] = x;
    float carry = 0;
    SoftmaxState<float> state;
    GetParam().update_softmax({scores.data(), &state, &carry, 1, 2});
    const double sum = 1 + std::exp(double{x});
    ASSERT_NEAR(scores[1] / (std::exp(double{x}) / sum), 1, 3e-7) << x;
  }
}

TEST_P(Kernels, SoftmaxOfPiecesIsThatOfTheWhole) {
  const Floats scores(300);
  std::vector<double> whole(scores.data(), scores.data() + 300);
  const double max = *std::max_element(whole.begin(), whole.end());
  double sum = 0;
  for (const double score : whole) sum += std::exp(score - max);
  SoftmaxState<float> state;
  std::vector<double> weights;
  for (int64_t begin = 0; begin < 300; begin += 37) {
    const int64_t keys = std::min<int64_t>(37, 300 - begin);
    const Floats piece(PaddedCount(keys));
    std::copy_n(scores.data() + begin, keys, piece.data());
    float carry = kNanFloat;
    GetParam().update_softmax({piece.data(), &state, &carry, 1, keys});
    for (double& weight : weights) weight *= carry;
    weights.insert(weights.end(), piece.data(), piece.data() + keys);
    for (int64_t i = keys; i < PaddedCount(keys); ++i) EXPECT_EQ(piece[i], 0);
  }
  for (size_t i = 0; i < 300; ++i) {
    EXPECT_NEAR(weights[i], std::exp(whole[i] - max) / sum, 1e-8) << i;
  }
  EXPECT_NEAR(state.Lse(), max + std::log(sum), 1e-6);
}

TEST_P(Kernels, SoftmaxOfSpecialScores) {
  struct Row {
    const char* name;
    std::vector<float> scores;
    bool nan;
    float lse;
  };
  const Row rows[] = {
      {"nothing visible", {-kInfinityFloat, -kInfinityFloat}, false, -kInfinityFloat},
      {"one visible", {-kInfinityFloat, 3}, false, 3},
      {"far below", {-1e30F, 0}, false, 0},
      {"largest floats", {3e38F, -3e38F}, false, 3e38F},
      {"nan", {1, kNanFloat, -kInfinityFloat}, true, kNanFloat},
      {"nan among hidden", {-kInfinityFloat, kNanFloat, -kInfinityFloat}, true, kNanFloat},
      {"infinity", {1, kInfinityFloat}, true, kNanFloat},
  };
  for (const Row& row : rows) {
    const auto keys = static_cast<int64_t>(row.scores.size());
    const Floats scores(16);
    std::copy(row.scores.begin(), row.scores.end(), scores.data());
    float carry = 0;
    SoftmaxState<float> state;
    GetParam().update_softmax({scores.data(), &state, &carry, 1, keys});
    for (int64_t j = 0; j < keys; ++j) {
      if (row.nan) {
        EXPECT_TRUE(std::isnan(scores[j])) << row.name;
      } else {
        const bool visible =
            row.scores[static_cast<size_t>(j)] == row.lse && row.lse > -kInfinityFloat;
        EXPECT_EQ(scores[j], visible ? 1 : 0) << row.name;
      }
    }
    EXPECT_EQ(std::isnan(state.Lse()), row.nan) << row.name;
    if (row.nan) continue;
    EXPECT_EQ(state.Lse(), row.lse) << row.name;
    EXPECT_EQ(carry, 0) << row.name;
  }
}

}  // namespace
}  // namespace attn
