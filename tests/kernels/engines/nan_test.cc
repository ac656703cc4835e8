// NaN in inputs shows where it is seen and nowhere else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/golden/tensor_compare.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/kernels/engines/nan_bits.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

bool AllNan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
}

class Nans : public EngineTest {};

INSTANTIATE_TEST_SUITE_P(Engines, Nans,
                         testing::ValuesIn(TestedEngines({DType::kFloat32, DType::kBFloat16,
                                                          DType::kFloat16})),
                         EngineName);

TEST_P(Nans, HiddenNanLeaksNowhere) {
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
        const uint32_t bits = NanBits(key);
        SetRowBits(call.k, b, 0, key, bits);
        if (key % 2 == 0) {
          SetRowBits(call.v, b, 0, key, bits);
        } else {
          SetRow(call.v, b, 0, key, kInfinity);
        }
        SetRow(call.v, b, 1, key, kInfinity);
      }
    }
    ASSERT_GT(poisoned, 0) << row.name;
    Run(call);
    EXPECT_EQ(Disagreement(call, oracle, roundoff()), "") << row.name;
  }
}

TEST_P(Nans, VisibleNanPoisonsTheRowsThatSeeItAndNoOther) {
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

TEST_P(Nans, VisibleNanPoisonsADecodedRow) {
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

TEST_P(Nans, NanQueryPoisonsItsOwnRow) {
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
TEST_P(Nans, LeadingNanAndMinusInfinityScores) {
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

// What a NaN in element 3 of one token of q, k or v of head 0 makes NaN.
enum class Poisoned : uint8_t { kQuery, kKey, kValue };

struct PoisonedCall {
  const char* name;
  Poisoned tensor;
  int64_t query_len;
  int64_t first;  // The first query that sees the key.
};

bool ShowsIn(const PoisonedCall& poisoned, int64_t head, int64_t query, bool lse, int64_t d) {
  if (head != 0 || query < poisoned.first) return false;
  switch (poisoned.tensor) {
    case Poisoned::kQuery:
      return query == poisoned.first;
    case Poisoned::kKey:
      return true;
    default:
      return !lse && d == 3;
  }
}

// Few queries are streamed, more are packed; either way their keys are split.
TEST_P(Nans, ANanOfAnyBitsShowsWhereItIsSeenAndNowhereElse) {
  constexpr int64_t kKeys = 1100;
  constexpr int64_t kDim = 20;
  for (const PoisonedCall& poisoned : {PoisonedCall{"streamed q", Poisoned::kQuery, 3, 1},
                                       {"streamed k", Poisoned::kKey, 3, 1},
                                       {"streamed v", Poisoned::kValue, 3, 1},
                                       {"packed q", Poisoned::kQuery, kStreamRows + 5, 20},
                                       {"packed k", Poisoned::kKey, kStreamRows + 5, 20},
                                       {"packed v", Poisoned::kValue, kStreamRows + 5, 20}}) {
    CallShape shape = Shape({.query_len = poisoned.query_len,
                             .key_len = kKeys,
                             .head_dim = kDim,
                             .mask = {.causal = true}});
    shape.out_dtype = shape.dtype;
    OwnedCall clean(shape);
    Run(clean);
    OwnedCall call(shape);
    OwnedTensor& tensor = poisoned.tensor == Poisoned::kQuery ? call.q
                          : poisoned.tensor == Poisoned::kKey ? call.k
                                                              : call.v;
    const int64_t token = poisoned.tensor == Poisoned::kQuery
                              ? poisoned.first
                              : kKeys - poisoned.query_len + poisoned.first;
    for (const uint32_t bits : NansOf(GetParam().dtype)) {
      SetBits(tensor, 0, 0, token, 3, bits);
      call.PoisonOutputs();
      Run(call);
      const double tolerance = 1e-5 + 2 * roundoff().weights + Epsilon(shape.dtype);
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t s = 0; s < poisoned.query_len; ++s) {
          SCOPED_TRACE(absl::StrCat(poisoned.name, " ", absl::Hex(bits), " head ", h, " row ", s));
          const double lse = call.lse.At(0, h, s, 0);
          ASSERT_EQ(std::isnan(lse), ShowsIn(poisoned, h, s, /*lse=*/true, 0));
          for (int64_t d = 0; d < kDim; ++d) {
            const double out = call.out.At(0, h, s, d);
            if (ShowsIn(poisoned, h, s, /*lse=*/false, d)) {
              ASSERT_TRUE(std::isnan(out)) << d;
            } else {
              // At most 5 in size.
              ASSERT_NEAR(out, clean.out.At(0, h, s, d), 5 * tolerance) << d;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace attn
