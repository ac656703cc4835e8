// What must hold of exact attention whatever its inputs are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "kernels/builtin_backends.h"
#include "kernels/core/online_softmax.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void SetRow(OwnedTensor& tensor, int64_t b, int64_t h, int64_t s, double value) {
  for (int64_t d = 0; d < tensor.view().dim(3); ++d) tensor.Set(b, h, s, d, value);
}

std::vector<double> OutRow(const OwnedCall& call, int64_t b, int64_t h, int64_t s) {
  std::vector<double> row;
  for (int64_t d = 0; d < call.out.view().dim(3); ++d) row.push_back(call.out.At(b, h, s, d));
  return row;
}

bool AllNan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
}

// The same on each exact backend.
class Properties : public testing::TestWithParam<const char*> {
 protected:
  void Run(OwnedCall& call) {
    const absl::StatusOr<RunResult> result = RunInline(backend(), call.call);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  const Backend& backend() const { return *registry_.Find(GetParam()); }
  double unit() const { return UnitRoundoff(backend().info().precision); }

 private:
  Registry registry_ = *CreateBuiltinRegistry();
};

INSTANTIATE_TEST_SUITE_P(Backends, Properties, testing::Values("eager", "flash"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(Properties, SplitKeysMergedByLseAreTheWhole) {
  OwnedCall whole({.query_len = 90, .key_len = 310, .head_dim = 40});
  Run(whole);
  const std::vector<int64_t> cuts = {0, 7, 135, 310};
  std::vector<double> out(whole.out.Values().size());
  std::vector<double> lse(whole.lse.Values().size(), -kInfinity);
  for (size_t part = 0; part + 1 < cuts.size(); ++part) {
    OwnedCall piece({.query_len = 90, .key_len = cuts[part + 1] - cuts[part], .head_dim = 40});
    piece.call.q = whole.call.q;
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = cuts[part]; s < cuts[part + 1]; ++s) {
        for (int64_t d = 0; d < 40; ++d) {
          piece.k.Set(0, h, s - cuts[part], d, whole.k.At(0, h, s, d));
          piece.v.Set(0, h, s - cuts[part], d, whole.v.At(0, h, s, d));
        }
      }
    }
    Run(piece);
    const std::vector<double> part_out = piece.out.Values();
    const std::vector<double> part_lse = piece.lse.Values();
    for (size_t row = 0; row < lse.size(); ++row) {
      const double merged = std::max(lse[row], part_lse[row]) +
                            std::log1p(std::exp(-std::abs(lse[row] - part_lse[row])));
      for (size_t i = row * 40; i < (row + 1) * 40; ++i) {
        out[i] =
            out[i] * std::exp(lse[row] - merged) + part_out[i] * std::exp(part_lse[row] - merged);
      }
      lse[row] = merged;
    }
  }
  // LSE and out of the parts are stored as fp32, of size up to 8.
  EXPECT_LT(Compare(out, whole.out.Values()).rel_l2, 1e-6);
  EXPECT_LT(Compare(lse, whole.lse.Values()).max_abs, 2e-6);
}

TEST_P(Properties, OrderOfKeysDoesNotMatter) {
  OwnedCall call({.query_len = 70, .key_len = 300});
  Run(call);
  OwnedCall shuffled({.query_len = 70, .key_len = 300});
  std::vector<int64_t> order(300);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(3));
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 300; ++s) {
      for (int64_t d = 0; d < 32; ++d) {
        shuffled.k.Set(0, h, s, d, call.k.At(0, h, order[static_cast<size_t>(s)], d));
        shuffled.v.Set(0, h, s, d, call.v.At(0, h, order[static_cast<size_t>(s)], d));
      }
    }
  }
  Run(shuffled);
  EXPECT_LT(Compare(shuffled.out.Values(), call.out.Values()).rel_l2, 1e-6);
}

TEST_P(Properties, ARowDoesNotDependOnItsNeighbours) {
  OwnedCall call({.query_len = 131, .key_len = 200});
  Run(call);
  // The same queries in reverse: other tiles, other places in them.
  OwnedCall reversed({.query_len = 131, .key_len = 200});
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 131; ++s) {
      for (int64_t d = 0; d < 32; ++d) reversed.q.Set(0, h, s, d, call.q.At(0, h, 130 - s, d));
    }
  }
  Run(reversed);
  for (int64_t s = 0; s < 131; ++s) {
    EXPECT_EQ(OutRow(reversed, 0, 1, s), OutRow(call, 0, 1, 130 - s)) << "row " << s;
  }
}

TEST_P(Properties, CausalPrefixDoesNotDependOnWhatFollows) {
  for (const int64_t prefix : {1, 63, 64, 129, 200}) {
    OwnedCall whole({.query_len = 260, .key_len = 260, .mask = {.causal = true}});
    OwnedCall part({.query_len = prefix, .key_len = prefix, .mask = {.causal = true}});
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < prefix; ++s) {
        for (int64_t d = 0; d < 32; ++d) {
          part.q.Set(0, h, s, d, whole.q.At(0, h, s, d));
          part.k.Set(0, h, s, d, whole.k.At(0, h, s, d));
          part.v.Set(0, h, s, d, whole.v.At(0, h, s, d));
        }
      }
    }
    Run(whole);
    Run(part);
    for (int64_t s = 0; s < prefix; ++s) {
      EXPECT_EQ(OutRow(part, 0, 1, s), OutRow(whole, 0, 1, s)) << "row " << s << " of " << prefix;
    }
  }
}

TEST_P(Properties, ValuesOfOneGiveOne) {
  OwnedCall call({.query_len = 70, .key_len = 1000, .deviation = 3});
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 1000; ++s) SetRow(call.v, 0, h, s, 1);
  }
  Run(call);
  // Each of the 8 panels of the fp32 engine rescales once, a sum of 1000 weights rounds more.
  for (const double value : call.out.Values()) EXPECT_NEAR(value, 1, 40 * 0x1p-24);
}

TEST_P(Properties, HugeValuesDoNotOverflow) {
  OwnedCall call({.query_len = 70, .key_len = 300, .deviation = 0.01});
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 300; ++s) SetRow(call.v, 0, h, s, 3e38);
  }
  Run(call);
  for (const double value : call.out.Values()) EXPECT_NEAR(value, 3e38, 3e33);
}

TEST_P(Properties, HiddenNanLeaksNowhere) {
  struct Row {
    const char* name;
    CallShape shape;
  };
  const Row rows[] = {
      {"lengths", {.batch = 2, .query_len = 50, .key_len = 150, .mask = {.k_lengths = {150, 40}}}},
      {"q_lengths", {.batch = 2, .query_len = 50, .key_len = 150, .mask = {.q_lengths = {0, 50}}}},
      {"top_left",
       {.query_len = 60,
        .key_len = 150,
        .mask = {.causal = true, .alignment = CausalAlignment::kTopLeft}}},
      {"window", {.query_len = 20, .key_len = 150, .mask = {.window = Window{10, 3}}}},
      {"packed",
       {.query_len = 30,
        .key_len = 150,
        .mask = {.cu_seqlens_q = {0, 10, 10, 30}, .cu_seqlens_k = {0, 20, 70, 150}}}},
  };
  for (const Row& row : rows) {
    OwnedCall call(row.shape);
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
    EXPECT_EQ(Disagreement(call, oracle, unit()), "") << row.name;
  }
}

TEST_P(Properties, VisibleNanPoisonsTheRowsThatSeeItAndNoOther) {
  struct Row {
    const char* name;
    bool in_value;
    double poison;
  };
  for (const Row& row : {Row{"key_nan", false, kNan}, Row{"value_nan", true, kNan},
                         Row{"value_infinity", true, kInfinity}}) {
    for (const int64_t poisoned : {0, 100, 149}) {
      const CallShape shape = {.query_len = 150, .key_len = 150, .mask = {.causal = true}};
      OwnedCall clean(shape);
      Run(clean);
      OwnedCall call(shape);
      SetRow(row.in_value ? call.v : call.k, 0, 0, poisoned, row.poison);
      Run(call);
      for (int64_t s = 0; s < 150; ++s) {
        const std::vector<double> out = OutRow(call, 0, 0, s);
        if (s < poisoned) {
          EXPECT_LT(Compare(out, OutRow(clean, 0, 0, s)).rel_l2, 1e-5) << row.name << " row " << s;
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

TEST_P(Properties, NanQueryPoisonsItsOwnRow) {
  OwnedCall clean({.query_len = 70, .key_len = 90});
  OwnedCall call({.query_len = 70, .key_len = 90});
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
TEST_P(Properties, LeadingNanAndMinusInfinityScores) {
  OwnedCall call({.heads = 1, .kv_heads = 1, .query_len = 4, .key_len = 300, .head_dim = 8});
  OwnedCall rest({.heads = 1, .kv_heads = 1, .query_len = 4, .key_len = 150, .head_dim = 8});
  for (int64_t s = 0; s < 4; ++s) SetRow(call.q, 0, 0, s, 1);
  for (int64_t s = 0; s < 4; ++s) SetRow(rest.q, 0, 0, s, 1);
  for (int64_t key = 0; key < 150; ++key) {
    SetRow(call.k, 0, 0, key, -kInfinity);
    for (int64_t d = 0; d < 8; ++d) {
      rest.k.Set(0, 0, key, d, call.k.At(0, 0, key + 150, d));
      rest.v.Set(0, 0, key, d, call.v.At(0, 0, key + 150, d));
    }
  }
  Run(call);
  Run(rest);
  EXPECT_LT(Compare(call.out.Values(), rest.out.Values()).rel_l2, 1e-6);
  for (int64_t key = 0; key < 150; ++key) SetRow(call.k, 0, 0, key, kNan);
  Run(call);
  EXPECT_TRUE(AllNan(call.out.Values()));
  EXPECT_TRUE(AllNan(call.lse.Values()));
}

TEST_P(Properties, ThreadsAndTileOrderDoNotShow) {
  const CallShape shapes[] = {
      {.batch = 2,
       .heads = 6,
       .kv_heads = 2,
       .query_len = 200,
       .key_len = 500,
       .head_dim = 64,
       .dtype = DType::kBFloat16,
       .mask = {.causal = true}},
      {.heads = 8, .kv_heads = 1, .query_len = 1, .key_len = 700, .head_dim = 64},
      {.batch = 16, .query_len = 20, .key_len = 20, .head_dim = 8},
  };
  for (const CallShape& shape : shapes) {
    OwnedCall call(shape);
    Run(call);
    const std::vector<std::byte> out = call.out.Bytes();
    const std::vector<std::byte> lse = call.lse.Bytes();
    for (const int threads : {1, 3, 8}) {
      call.PoisonOutputs();
      const auto result = RunOnThreads(backend(), call.call, threads, 17);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(call.out.Bytes(), out) << threads << " threads";
      EXPECT_EQ(call.lse.Bytes(), lse) << threads << " threads";
      EXPECT_EQ(result->stats.computed_elements, call.call.problem.VisibleElements());
    }
  }
}

TEST_P(Properties, ALongCallHasWorkForManyWorkers) {
  OwnedCall call({.heads = 8, .kv_heads = 8, .query_len = 1024, .key_len = 1024, .head_dim = 64});
  const auto execution = backend().Prepare(call.call);
  ASSERT_TRUE(execution.ok());
  for (int phase = 0; phase < (*execution)->phase_count(); ++phase) {
    EXPECT_GE((*execution)->phase(phase).tiles, 32) << "phase " << phase;
  }
}

TEST_P(Properties, WorkspaceIsLinearInLength) {
  const auto bytes = [&](int64_t length) {
    const OwnedCall call({.query_len = length, .key_len = length, .head_dim = 8});
    return static_cast<double>(backend().WorkspaceBytes(call.call.problem));
  };
  EXPECT_LE(bytes(8192), 2.01 * bytes(4096));
}

}  // namespace
}  // namespace attn
