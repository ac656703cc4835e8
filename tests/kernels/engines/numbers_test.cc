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

bool AllNan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
}

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

TEST_P(Numbers, HiddenNanLeaksNowhere) {
  struct Row {
    const char* name;
    CallShape shape;
  };
  const Row rows[] = {
      {"lengths", {.batch = 2, .query_len = 50, .key_len = 150, .mask = {.k_lengths = {150, 40}}}},
      {"lengths_decode",
       {.batch = 2, .query_len = 1, .key_len = 3000, .mask = {.k_lengths = {2999, 40}}}},
      {"q_lengths", {.batch = 2, .query_len = 50, .key_len = 150, .mask = {.q_lengths = {0, 50}}}},
      {"top_left",
       {.query_len = 60,
        .key_len = 150,
        .mask = {.causal = true, .alignment = CausalAlignment::kTopLeft}}},
      {"window", {.query_len = 20, .key_len = 150, .mask = {.window = Window{10, 3}}}},
      {"window_decode", {.query_len = 2, .key_len = 700, .mask = {.window = Window{300, 0}}}},
      {"packed",
       {.query_len = 30,
        .key_len = 150,
        .mask = {.cu_seqlens_q = {0, 10, 10, 30}, .cu_seqlens_k = {0, 20, 70, 150}}}},
  };
  for (const Row& row : rows) {
    OwnedCall call(Shape(row.shape));
    const AttentionProblem& problem = call.call.problem;
    const OracleResult oracle = DenseOracle(call.call);
    int poisoned = 0;
    for (int64_t b = 0; b < problem.batch; ++b) {
      std::vector<bool> seen(static_cast<size_t>(problem.key_len));
      for (int64_t i = 0; i < problem.query_len; ++i) {
        const KeyInterval keys = problem.mask.VisibleKeys(b, i);
        std::fill(seen.begin() + keys.begin, seen.begin() + keys.end, true);
      }
      for (int64_t key = 0; key < problem.key_len; ++key) {
        if (seen[static_cast<size_t>(key)]) continue;
        ++poisoned;
        SetRow(call.k, b, 0, key, kNan);
        SetRow(call.v, b, 0, key, key % 2 == 0 ? kNan : kInfinity);
        SetRow(call.v, b, 1, key, kInfinity);
      }
    }
    ASSERT_GT(poisoned, 0) << row.name;
    Run(call);
    EXPECT_EQ(Disagreement(call, oracle, roundoff()), "") << row.name;
  }
}

TEST_P(Numbers, VisibleNanPoisonsTheRowsThatSeeItAndNoOther) {
  struct Row {
    const char* name;
    bool in_value;
    double poison;
  };
  for (const Row& row : {Row{"key_nan", false, kNan}, Row{"value_nan", true, kNan},
                         Row{"value_infinity", true, kInfinity}}) {
    for (const int64_t poisoned : {0, 100, 149}) {
      const CallShape shape = Shape({.query_len = 150, .key_len = 150, .mask = {.causal = true}});
      OwnedCall clean(shape);
      Run(clean);
      OwnedCall call(shape);
      SetRow(row.in_value ? call.v : call.k, 0, 0, poisoned, row.poison);
      Run(call);
      for (int64_t s = 0; s < 150; ++s) {
        const std::vector<double> out = OutRow(call, 0, 0, s);
        if (s < poisoned) {
          EXPECT_LT(Compare(out, OutRow(clean, 0, 0, s)).rel_l2, 1e-5 + 2 * roundoff().weights)
              << row.name << " row " << s;
        } else if (row.poison == kInfinity) {
          EXPECT_EQ(out, std::vector<double>(32, kInfinity)) << row.name << " row " << s;
        } else {
          EXPECT_TRUE(AllNan(out)) << row.name << " row " << s;
        }
        EXPECT_EQ(std::isnan(call.lse.At(0, 0, s, 0)), !row.in_value && s >= poisoned);
        EXPECT_EQ(OutRow(call, 0, 1, s), OutRow(clean, 0, 1, s)) << "the other head";
      }
    }
  }
}

TEST_P(Numbers, VisibleNanPoisonsADecodedRow) {
  for (const int64_t poisoned : {0, 1000, 2999}) {
    for (const bool in_value : {false, true}) {
      OwnedCall call(Shape({.heads = 4, .kv_heads = 2, .query_len = 1, .key_len = 3000}));
      SetRow(in_value ? call.v : call.k, 0, 0, poisoned, kNan);
      Run(call);
      for (int64_t h = 0; h < 4; ++h) {
        EXPECT_EQ(AllNan(OutRow(call, 0, h, 0)), h < 2) << "head " << h << " key " << poisoned;
        EXPECT_EQ(std::isnan(call.lse.At(0, h, 0, 0)), h < 2 && !in_value);
      }
    }
  }
}

TEST_P(Numbers, NanQueryPoisonsItsOwnRow) {
  const CallShape shape = Shape({.query_len = 70, .key_len = 90});
  OwnedCall clean(shape);
  OwnedCall call(shape);
  SetRow(call.q, 0, 0, 13, kNan);
  Run(clean);
  Run(call);
  for (int64_t s = 0; s < 70; ++s) {
    if (s == 13) {
      EXPECT_TRUE(AllNan(OutRow(call, 0, 0, s)));
    } else {
      EXPECT_EQ(OutRow(call, 0, 0, s), OutRow(clean, 0, 0, s)) << "row " << s;
    }
  }
}

// The first visible keys score NaN or -infinity: neither may be mistaken for "nothing seen yet".
TEST_P(Numbers, LeadingNanAndMinusInfinityScores) {
  for (const int64_t leading : {150, 600}) {
    OwnedCall call(Shape(
        {.heads = 1, .kv_heads = 1, .query_len = 4, .key_len = leading + 150, .head_dim = 8}));
    OwnedCall rest(
        Shape({.heads = 1, .kv_heads = 1, .query_len = 4, .key_len = 150, .head_dim = 8}));
    for (int64_t s = 0; s < 4; ++s) SetRow(call.q, 0, 0, s, 1);
    for (int64_t s = 0; s < 4; ++s) SetRow(rest.q, 0, 0, s, 1);
    CopyTokens(call.k, leading, 150, rest.k);
    CopyTokens(call.v, leading, 150, rest.v);
    for (int64_t key = 0; key < leading; ++key) SetRow(call.k, 0, 0, key, -kInfinity);
    Run(call);
    Run(rest);
    EXPECT_LT(Compare(call.out.Values(), rest.out.Values()).rel_l2, rel_l2());
    EXPECT_LT(Compare(call.lse.Values(), rest.lse.Values()).max_abs, lse_abs());
    for (int64_t key = 0; key < leading; ++key) SetRow(call.k, 0, 0, key, kNan);
    Run(call);
    EXPECT_TRUE(AllNan(call.out.Values()));
    EXPECT_TRUE(AllNan(call.lse.Values()));
  }
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
