// modify_scores of every instruction set against its formula in fp64.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/engines/tile_kernels_fixture.h"

namespace attn {
namespace {

constexpr double kUlp = 0x1p-23;
constexpr float kFloatNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLowestBias = std::numeric_limits<float>::lowest();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

struct NamedKernels {
  std::string name;
  const TileKernels* kernels;
};

// Modifiers ask for no tiles: those of the AMX table run wherever AVX-512 BF16 does.
std::vector<NamedKernels> AllKernels() {
  std::vector<NamedKernels> all;
  for (const NamedTable& table : TestedTables()) {
    if (table.dtype == DType::kFloat16) continue;
    all.push_back(
        {std::string(Name(table.isa)) + "_" + std::string(Name(table.dtype)), &table.table()});
  }
#if defined(__x86_64__)
  const std::vector<CpuIsa>& supported = SupportedCpuIsas();
  if (std::find(supported.begin(), supported.end(), CpuIsa::kAvx512Bf16) != supported.end()) {
    all.push_back({"amx_bf16", &kAmxBf16Kernels});
  }
#endif
  return all;
}

class ModifyScores : public testing::TestWithParam<NamedKernels> {
 protected:
  // Softcap alone, of as many scores as there are.
  std::vector<float> Capped(std::vector<float> scores, float softcap, float scale = 1) const {
    const auto count = static_cast<int64_t>(scores.size());
    Aligned<float> tile(RoundUp(count, kLaneCount));
    std::copy(scores.begin(), scores.end(), tile.data());
    Run({.scores = tile.data(),
         .stride = kTileColumns,
         .rows = 1,
         .columns = RoundUp(count, kLaneCount),
         .scale = scale,
         .softcap = softcap});
    std::copy_n(tile.data(), count, scores.begin());
    return scores;
  }

  void Run(const ModifyTile& tile) const { GetParam().kernels->modify_scores(tile); }
};

INSTANTIATE_TEST_SUITE_P(Tables, ModifyScores, testing::ValuesIn(AllKernels()),
                         [](const auto& tested) { return tested.param.name; });

struct FormulaCase {
  const char* name;
  float scale;
  float softcap;
  bool bias;
  int64_t bias_stride;
  bool slopes;
};

TEST_P(ModifyScores, IsTheFormulaInItsOrder) {
  const FormulaCase cases[] = {
      {"scale", 0.3F, 0, false, 0, false},
      {"negative scale", -2.5F, 0, false, 0, false},
      {"zero", 0, 0, true, kTileColumns, true},
      {"softcap", 0.3F, 1.5F, false, 0, false},
      {"bias", 0.3F, 0, true, kTileColumns, false},
      {"bias of one row", 0.3F, 0, true, 0, false},
      {"bias elsewhere", 0.3F, 0, true, kTileColumns + 7, false},
      {"slopes", 0.3F, 0, false, 0, true},
      {"softcap, bias", 1, 0.7F, true, kTileColumns, false},
      {"all", -0.8F, 2.5F, true, kTileColumns, true},
  };
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const FormulaCase& row : cases) {
    for (const int64_t rows : {1, 5, 32}) {
      for (const int64_t columns : {16, 48, 64, 208, 256}) {
        SCOPED_TRACE(testing::Message() << row.name << ", " << rows << " x " << columns);
        Aligned<float> scores(kTileRows * kTileColumns);
        Aligned<float> bias(kTileRows * (kTileColumns + 7) + 1);
        std::vector<float> slopes(kTileRows);
        std::vector<int32_t> at(kTileRows);
        std::vector<int32_t> keys(kTileColumns);
        for (int64_t i = 0; i < kTileRows * kTileColumns; ++i) scores[i] = 2 * normal(random);
        for (int64_t i = 0; i < kTileRows * (kTileColumns + 7); ++i) bias[i] = normal(random);
        for (float& slope : slopes) slope = std::abs(normal(random));
        // Farther apart than fp32 counts, on both sides.
        for (int32_t& position : at)
          position = static_cast<int32_t>(random() % 40000000) - 20000000;
        for (int32_t& position : keys) position = static_cast<int32_t>(random() % 40000000);
        const std::vector<float> before(scores.data(), scores.data() + kTileRows * kTileColumns);
        // The first element of the bias need not be aligned.
        Run({.scores = scores.data(),
             .stride = kTileColumns,
             .rows = rows,
             .columns = columns,
             .scale = row.scale,
             .softcap = row.softcap,
             .bias = row.bias ? bias.data() + 1 : nullptr,
             .bias_stride = row.bias_stride,
             .slopes = row.slopes ? slopes.data() : nullptr,
             .row_positions = row.slopes ? at.data() : nullptr,
             .column_positions = row.slopes ? keys.data() : nullptr});
        for (int64_t r = 0; r < kTileRows; ++r) {
          for (int64_t c = 0; c < kTileColumns; ++c) {
            const auto i = static_cast<size_t>(r * kTileColumns + c);
            if (r >= rows || c >= columns) {
              ASSERT_EQ(scores[r * kTileColumns + c], before[i]) << "untouched " << r << " " << c;
              continue;
            }
            double expected = static_cast<double>(row.scale) * before[i];
            double size = std::abs(expected);
            if (row.softcap != 0) expected = row.softcap * std::tanh(expected / row.softcap);
            if (row.bias) {
              const double addend = bias[1 + r * row.bias_stride + c];
              expected += addend;
              size += std::abs(addend);
            }
            if (row.slopes) {
              const double distance = std::abs(static_cast<double>(at[static_cast<size_t>(r)]) -
                                               keys[static_cast<size_t>(c)]);
              expected -= slopes[static_cast<size_t>(r)] * distance;
              size += slopes[static_cast<size_t>(r)] * distance;
            }
            ASSERT_NEAR(scores[r * kTileColumns + c], expected, 4 * kUlp * size) << r << " " << c;
          }
        }
      }
    }
  }
}

// 3.5 units in the last place at most, from the smallest normal result to the largest.
TEST_P(ModifyScores, SoftcapIsAccurateAtEveryMagnitude) {
  for (const float softcap : {1.0F, 30.0F, 50.0F, 0.37F, 1e-30F, 1e30F, 3e38F}) {
    double worst = 0;
    float worst_at = 0;
    for (uint32_t bits = 1; bits < std::bit_cast<uint32_t>(kFloatInfinity);
         bits += kTileColumns * 6007) {
      std::vector<float> scores;
      for (uint32_t i = 0; i < kTileColumns; ++i) {
        const float score = std::bit_cast<float>(bits + i * 6007);
        scores.push_back(!std::isfinite(score) ? 1.0F : i % 2 == 0 ? score : -score);
      }
      const std::vector<float> capped = Capped(scores, softcap);
      for (size_t i = 0; i < scores.size(); ++i) {
        const double expected = softcap * std::tanh(static_cast<double>(scores[i]) / softcap);
        if (std::abs(expected) < kSmallestNormal) continue;
        const double error = std::abs(capped[i] / expected - 1) / kUlp;
        if (error <= worst) continue;  // Of a NaN as well.
        worst = error;
        worst_at = scores[i];
      }
    }
    EXPECT_LE(worst, 4) << "softcap " << softcap << " of " << worst_at;
  }
}

TEST_P(ModifyScores, AHugeSoftcapChangesNothing) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 100);
  std::vector<float> scores(kTileColumns);
  for (float& score : scores) score = normal(random);
  const std::vector<float> scaled = Capped(scores, 0, 0.37F);
  for (const float softcap : {1e10F, 1e30F, 3e38F, kFloatInfinity}) {
    EXPECT_EQ(Capped(scores, softcap, 0.37F), scaled) << softcap;
  }
}

TEST_P(ModifyScores, SoftcapOfSpecialScoresIsThatOfIeee) {
  const std::vector<float> capped =
      Capped({kFloatInfinity, -kFloatInfinity, kFloatNan, 0.0F, -0.0F, 3e38F, -3e38F}, 50);
  EXPECT_FLOAT_EQ(capped[0], 50);
  EXPECT_FLOAT_EQ(capped[1], -50);
  EXPECT_TRUE(std::isnan(capped[2]));
  EXPECT_EQ(std::bit_cast<uint32_t>(capped[3]), std::bit_cast<uint32_t>(0.0F));
  EXPECT_EQ(std::bit_cast<uint32_t>(capped[4]), std::bit_cast<uint32_t>(-0.0F));
  EXPECT_FLOAT_EQ(capped[5], 50);
  EXPECT_FLOAT_EQ(capped[6], -50);
  const std::vector<float> tiny = Capped({kFloatInfinity, -5, 0, kFloatNan}, kSmallestNormal);
  EXPECT_FLOAT_EQ(tiny[0], kSmallestNormal);
  EXPECT_FLOAT_EQ(tiny[1], -kSmallestNormal);
  EXPECT_EQ(tiny[2], 0);
  EXPECT_TRUE(std::isnan(tiny[3]));
}

TEST_P(ModifyScores, BiasIsAddedAsIeeeDoes) {
  Aligned<float> scores(kLaneCount);
  Aligned<float> bias(kLaneCount);
  const float score[] = {1, -2, kFloatInfinity, 1, -kFloatInfinity, 7};
  const float added[] = {-kFloatInfinity, kLowestBias, -kFloatInfinity,
                         kFloatNan,       3,           kFloatInfinity};
  std::copy(std::begin(score), std::end(score), scores.data());
  std::copy(std::begin(added), std::end(added), bias.data());
  Run({.scores = scores.data(),
       .stride = kTileColumns,
       .rows = 1,
       .columns = kLaneCount,
       .scale = 1,
       .bias = bias.data()});
  EXPECT_EQ(scores[0], -kFloatInfinity);
  EXPECT_EQ(scores[1], kLowestBias);
  EXPECT_TRUE(std::isnan(scores[2]));
  EXPECT_TRUE(std::isnan(scores[3]));
  EXPECT_EQ(scores[4], -kFloatInfinity);
  EXPECT_EQ(scores[5], kFloatInfinity);
}

}  // namespace
}  // namespace attn
