// Numbers at and beyond the ends of their range: what attention makes of them is exact, or IEEE's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

double LargestOf(DType dtype) {
  return dtype == DType::kFloat16 ? 65504 : dtype == DType::kBFloat16 ? 0x1.fep127 : 0x1.fffffep127;
}

std::vector<double> ValueRow(const OwnedCall& call, int64_t b, int64_t h, int64_t s) {
  std::vector<double> row;
  for (int64_t d = 0; d < call.v.view().dim(3); ++d) row.push_back(call.v.At(b, h, s, d));
  return row;
}

// Queries of 1, keys of 0, so that `Favour` decides.
void ClearScores(OwnedCall& call) {
  const AttentionProblem& problem = call.call.problem;
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t h = 0; h < problem.heads; ++h) {
      for (int64_t s = 0; s < problem.query_len; ++s) SetRow(call.q, b, h, s, 1);
    }
    for (int64_t g = 0; g < problem.kv_heads; ++g) {
      for (int64_t s = 0; s < problem.key_len; ++s) SetRow(call.k, b, g, s, 0);
    }
  }
}

class Numbers : public EngineTest {
 protected:
  // Output of the inputs' dtype, where a value may come out as it went in.
  static CallShape SameOut(CallShape shape) {
    shape.out_dtype = GetParam().dtype;
    return Shape(shape);
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, Numbers,
                         testing::ValuesIn(TestedEngines({DType::kFloat32, DType::kBFloat16,
                                                          DType::kFloat16})),
                         EngineName);

// One key so far above the rest that theirs weigh nothing: its value, to the last bit of its dtype.
TEST_P(Numbers, ADominatingKeyIsTheOutput) {
  for (const int64_t queries : {1, 70}) {
    for (const int64_t winner : {0, 255, 256, 599}) {
      for (const double scale : {1.0, 1e4, 1e16}) {
        OwnedCall call(
            SameOut({.query_len = queries, .key_len = 600, .head_dim = 8, .scale = scale}));
        ClearScores(call);
        for (int64_t h = 0; h < 2; ++h) call.k.Set(0, h, winner, 3, 1024);
        Run(call);
        for (int64_t s = 0; s < queries; ++s) {
          ASSERT_EQ(OutRow(call, 0, 1, s), ValueRow(call, 0, 1, winner))
              << "key " << winner << ", scale " << scale;
        }
        const double score = scale * 1024;
        EXPECT_NEAR(call.lse.At(0, 0, 0, 0), score, score * 0x1p-22);
      }
    }
  }
}

TEST_P(Numbers, ADominatedKeyOfAnySizeDoesNotShow) {
  // The others score -1e4 to -6e8.
  OwnedCall call(SameOut({.query_len = 70, .key_len = 600, .head_dim = 8, .scale = 1e4}));
  ClearScores(call);
  for (int64_t s = 0; s < 600; ++s) {
    for (int64_t h = 0; h < 2; ++h) {
      call.k.Set(0, h, s, 0, s == 300 ? 0 : -static_cast<double>(s % 7 + 1) * 1024);
    }
  }
  Run(call);
  for (int64_t s = 0; s < 70; ++s) {
    ASSERT_EQ(OutRow(call, 0, 1, s), ValueRow(call, 0, 1, 300));
  }
  EXPECT_NEAR(call.lse.At(0, 0, 0, 0), 0, lse_abs());
}

TEST_P(Numbers, EqualScoresGiveTheMeanValue) {
  for (const auto& [queries, keys] : {std::pair{1, 1}, {1, 5000}, {1, 300}, {70, 257}, {70, 600}}) {
    for (const double scale : {0.0, 1e-18, -1.0, 1e4}) {
      OwnedCall call(
          Shape({.query_len = queries, .key_len = keys, .head_dim = 16, .scale = scale}));
      ClearScores(call);
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t s = 0; s < keys; ++s) SetRow(call.k, 0, h, s, 0.5);
      }
      const OracleResult oracle = DenseOracle(call.call);
      Run(call);
      // Weights are equal, hence exact but for their number.
      EXPECT_LT(Compare(call.out.Values(), oracle.out).rel_l2, 4e-6 + roundoff().weights)
          << queries << " x " << keys << ", scale " << scale;
      const double lse = scale * 8 + std::log(static_cast<double>(keys));
      EXPECT_NEAR(call.lse.At(0, 1, 0, 0), lse, lse_abs() * std::max(1.0, std::abs(lse)));
    }
  }
}

TEST_P(Numbers, AScaleBeyondOrdinaryOnesIsRightOrRefused) {
  for (const double scale : {1e18, -1e18, 1e30, 3e38, -3e38}) {
    OwnedCall call(SameOut({.query_len = 40, .key_len = 300, .head_dim = 8, .scale = scale}));
    const absl::Status supported = backend().Supports(call.call.problem);
    if (!supported.ok()) {
      EXPECT_EQ(supported.code(), absl::StatusCode::kUnimplemented);
      continue;
    }
    // Key 7 scores 0, the others below -|scale|.
    ClearScores(call);
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < 300; ++s) call.k.Set(0, h, s, 0, s == 7 ? 0 : scale > 0 ? -1 : 1);
    }
    Run(call);
    for (int64_t s = 0; s < 40; ++s) {
      ASSERT_EQ(OutRow(call, 0, 1, s), ValueRow(call, 0, 1, 7)) << "scale " << scale;
    }
    EXPECT_NEAR(call.lse.At(0, 0, 0, 0), 0, lse_abs());
  }
}

TEST_P(Numbers, ValuesOfOneGiveOne) {
  for (const int64_t queries : {1, 70}) {
    OwnedCall call(Shape({.query_len = queries, .key_len = 1000, .deviation = 3}));
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < 1000; ++s) SetRow(call.v, 0, h, s, 1);
    }
    Run(call);
    // Each panel of an fp32 engine rescales once, a sum of 1000 weights rounds more.
    const double tolerance = 40 * 0x1p-24 + roundoff().weights;
    for (const double value : call.out.Values()) EXPECT_NEAR(value, 1, tolerance);
  }
}

TEST_P(Numbers, HugeValuesDoNotOverflow) {
  // Of the largest finite value half may be lost to rounding up: 3e38 leaves room for 13%.
  const double huge = GetParam().dtype == DType::kFloat16 ? 65504 : 3e38;
  for (const int64_t queries : {1, 70}) {
    OwnedCall call(Shape({.query_len = queries, .key_len = 600, .deviation = 0.01}));
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < 600; ++s) SetRow(call.v, 0, h, s, huge);
    }
    Run(call);
    const double held = call.v.At(0, 0, 0, 0);
    const double tolerance = held * (1e-5 + roundoff().weights);
    for (const double value : call.out.Values()) EXPECT_NEAR(value, held, tolerance);
  }
}

// Of both signs they cancel.
TEST_P(Numbers, TheLargestFiniteValuesCancel) {
  const double largest = LargestOf(GetParam().dtype);
  for (const int64_t queries : {1, 70}) {
    OwnedCall call(Shape({.query_len = queries, .key_len = 600, .scale = 0}));
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < 600; ++s) SetRow(call.v, 0, h, s, s % 2 == 0 ? largest : -largest);
    }
    Run(call);
    for (const double value : call.out.Values()) EXPECT_NEAR(value, 0, largest * 1e-5);
  }
}

TEST_P(Numbers, ProductsOfTheLargestFp16InputsAreFinite) {
  if (GetParam().dtype != DType::kFloat16) GTEST_SKIP() << "of fp16 alone they fit fp32";
  OwnedCall call(Shape({.query_len = 20, .key_len = 300, .head_dim = 256, .scale = 1e-12}));
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 20; ++s) SetRow(call.q, 0, h, s, 65504);
    for (int64_t s = 0; s < 300; ++s) SetRow(call.k, 0, h, s, s % 3 == 0 ? -65504 : 65504);
  }
  const OracleResult oracle = DenseOracle(call.call);
  Run(call);
  EXPECT_EQ(Disagreement(call, oracle, roundoff()), "");
}

TEST_P(Numbers, ARowOfMinusInfinityScoresIsEmpty) {
  for (const int64_t queries : {1, 70}) {
    OwnedCall call(Shape({.query_len = queries, .key_len = 600, .head_dim = 8}));
    for (int64_t s = 0; s < queries; ++s) SetRow(call.q, 0, 0, s, 1);
    for (int64_t key = 0; key < 600; ++key) SetRow(call.k, 0, 0, key, -kInfinity);
    Run(call);
    for (int64_t s = 0; s < queries; ++s) {
      EXPECT_EQ(OutRow(call, 0, 0, s), std::vector<double>(8)) << "row " << s;
      EXPECT_EQ(call.lse.At(0, 0, s, 0), -kInfinity) << "row " << s;
      EXPECT_TRUE(std::isfinite(call.lse.At(0, 1, s, 0))) << "the other head";
    }
  }
}

}  // namespace
}  // namespace attn
