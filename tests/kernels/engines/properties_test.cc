// What must hold of exact attention whatever its inputs are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "kernels/core/scratch.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

// Element by element the same.
void Copy(const OwnedTensor& from, OwnedTensor& to) { CopyTokens(from, 0, from.view().dim(2), to); }

class Properties : public EngineTest {};

INSTANTIATE_TEST_SUITE_P(Engines, Properties,
                         testing::ValuesIn(TestedEngines({DType::kFloat32, DType::kBFloat16})),
                         EngineName);

TEST_P(Properties, SplitKeysMergedByLseAreTheWhole) {
  OwnedCall whole(Shape({.query_len = 90, .key_len = 310, .head_dim = 40}));
  Run(whole);
  const std::vector<int64_t> cuts = {0, 7, 135, 310};
  std::vector<double> out(whole.out.Values().size());
  std::vector<double> lse(whole.lse.Values().size(), -kInfinity);
  for (size_t part = 0; part + 1 < cuts.size(); ++part) {
    const int64_t keys = cuts[part + 1] - cuts[part];
    OwnedCall piece(Shape({.query_len = 90, .key_len = keys, .head_dim = 40}));
    piece.call.q = whole.call.q;
    CopyTokens(whole.k, cuts[part], keys, piece.k);
    CopyTokens(whole.v, cuts[part], keys, piece.v);
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
  EXPECT_LT(Compare(out, whole.out.Values()).rel_l2, rel_l2());
  EXPECT_LT(Compare(lse, whole.lse.Values()).max_abs, lse_abs());
}

TEST_P(Properties, OrderOfKeysDoesNotMatter) {
  for (const int64_t queries : {1, 70}) {
    const CallShape shape = Shape({.query_len = queries, .key_len = 700});
    OwnedCall call(shape);
    Run(call);
    OwnedCall shuffled(shape);
    std::vector<int64_t> order(700);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(3));
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t s = 0; s < 700; ++s) {
        for (int64_t d = 0; d < 32; ++d) {
          shuffled.k.Set(0, h, s, d, call.k.At(0, h, order[static_cast<size_t>(s)], d));
          shuffled.v.Set(0, h, s, d, call.v.At(0, h, order[static_cast<size_t>(s)], d));
        }
      }
    }
    Run(shuffled);
    EXPECT_LT(Compare(shuffled.out.Values(), call.out.Values()).rel_l2, rel_l2()) << queries;
    EXPECT_LT(Compare(shuffled.lse.Values(), call.lse.Values()).max_abs, lse_abs()) << queries;
  }
}

// Scores move by scale * q.c, which the softmax does not see.
TEST_P(Properties, AConstantAddedToAllKeysChangesNothingButTheLse) {
  const CallShape shape = Shape({.query_len = 70, .key_len = 300});
  OwnedCall call(shape);
  OwnedCall moved(shape);
  const auto constant = [](int64_t d) { return static_cast<double>(d % 5 - 2); };
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 300; ++s) {
      for (int64_t d = 0; d < 32; ++d) {
        // Quarters of at most 3, so that sums are exact in bf16 as well.
        const double key = std::clamp(std::round(call.k.At(0, h, s, d) * 4) / 4, -3.0, 3.0);
        call.k.Set(0, h, s, d, key);
        moved.k.Set(0, h, s, d, key + constant(d));
      }
    }
  }
  Run(call);
  Run(moved);
  // Scores of the moved keys are three times as large, and so are their rounding errors.
  EXPECT_LT(Compare(moved.out.Values(), call.out.Values()).rel_l2, 4 * rel_l2());
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 70; ++s) {
      double shift = 0;
      for (int64_t d = 0; d < 32; ++d) shift += call.q.At(0, h, s, d) * constant(d);
      EXPECT_NEAR(moved.lse.At(0, h, s, 0) - call.lse.At(0, h, s, 0),
                  shift * call.call.problem.scale, 10 * lse_abs());
    }
  }
}

TEST_P(Properties, ARowDoesNotDependOnItsNeighbours) {
  const CallShape shape = Shape({.query_len = 131, .key_len = 200});
  OwnedCall call(shape);
  Run(call);
  // The same queries in reverse: other tiles, other places in them.
  OwnedCall reversed(shape);
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
  const MaskSpec causal = {.causal = true, .alignment = CausalAlignment::kTopLeft};
  OwnedCall whole(Shape({.query_len = 600, .key_len = 600, .mask = causal}));
  Run(whole);
  for (const int64_t prefix : {1, 2, 63, 64, 129, 256, 257, 599}) {
    OwnedCall part(Shape({.query_len = prefix, .key_len = prefix, .mask = causal}));
    CopyTokens(whole.q, 0, prefix, part.q);
    CopyTokens(whole.k, 0, prefix, part.k);
    CopyTokens(whole.v, 0, prefix, part.v);
    Run(part);
    // A short call may take other kernels: equal to rounding.
    for (int64_t s = 0; s < prefix; ++s) {
      EXPECT_LT(Compare(OutRow(part, 0, 1, s), OutRow(whole, 0, 1, s)).rel_l2, 2 * rel_l2())
          << "row " << s << " of " << prefix;
      EXPECT_NEAR(part.lse.At(0, 1, s, 0), whole.lse.At(0, 1, s, 0), lse_abs());
    }
  }
}

TEST_P(Properties, HeadsThatShareKeysEqualHeadsWithKeysOfTheirOwn) {
  for (const int64_t queries : {1, 50, 300}) {
    CallShape shape = Shape({.batch = 2,
                             .heads = 6,
                             .kv_heads = 2,
                             .query_len = queries,
                             .key_len = 310,
                             .mask = {.causal = true, .k_lengths = {310, 77}}});
    OwnedCall shared(shape);
    shape.kv_heads = 6;
    OwnedCall expanded(shape);
    Copy(shared.q, expanded.q);
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 6; ++h) {
        for (int64_t s = 0; s < 310; ++s) {
          for (int64_t d = 0; d < 32; ++d) {
            expanded.k.Set(b, h, s, d, shared.k.At(b, h / 3, s, d));
            expanded.v.Set(b, h, s, d, shared.v.At(b, h / 3, s, d));
          }
        }
      }
    }
    Run(shared);
    Run(expanded);
    EXPECT_LT(Compare(shared.out.Values(), expanded.out.Values()).rel_l2, rel_l2()) << queries;
    EXPECT_LT(Compare(shared.lse.Values(), expanded.lse.Values()).max_abs, lse_abs()) << queries;
  }
}

TEST_P(Properties, SamplesAndHeadsDoNotMeet) {
  for (const int64_t queries : {1, 40, 300}) {
    const CallShape shape =
        Shape({.batch = 2, .heads = 6, .kv_heads = 3, .query_len = queries, .key_len = 300});
    OwnedCall call(shape);
    Run(call);
    // All that sample 1's heads 2 and 3 read is NaN, and the query of head 5.
    OwnedCall poisoned(shape);
    for (int64_t s = 0; s < 300; ++s) {
      SetRow(poisoned.k, 1, 1, s, kNan);
      SetRow(poisoned.v, 1, 1, s, kInfinity);
    }
    for (int64_t s = 0; s < queries; ++s) SetRow(poisoned.q, 1, 5, s, kNan);
    Run(poisoned);
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 6; ++h) {
        if (b == 1 && (h == 2 || h == 3 || h == 5)) continue;
        for (int64_t s = 0; s < queries; ++s) {
          ASSERT_EQ(OutRow(poisoned, b, h, s), OutRow(call, b, h, s)) << b << " " << h << " " << s;
          ASSERT_EQ(poisoned.lse.At(b, h, s, 0), call.lse.At(b, h, s, 0));
        }
      }
    }
  }
}

// Packed and streamed, with keys split and whole.
std::vector<CallShape> MixedShapes() {
  return {
      {.batch = 2,
       .heads = 6,
       .kv_heads = 2,
       .query_len = 200,
       .key_len = 500,
       .head_dim = 64,
       .mask = {.causal = true}},
      {.heads = 8, .kv_heads = 1, .query_len = 1, .key_len = 5000, .head_dim = 64},
      {.heads = 2, .kv_heads = 1, .query_len = kStreamRows, .key_len = 2000, .head_dim = 40},
      {.batch = 16, .query_len = 20, .key_len = 20, .head_dim = 8},
      {.heads = 1, .kv_heads = 1, .query_len = 700, .key_len = 700, .mask = {.causal = true}},
  };
}

TEST_P(Properties, ACallAmongOthersIsTheCallAlone) {
  std::vector<std::unique_ptr<OwnedCall>> calls;
  std::vector<const AttentionCall*> views;
  std::vector<std::vector<std::byte>> alone;
  for (const CallShape& shape : MixedShapes()) {
    calls.push_back(std::make_unique<OwnedCall>(Shape(shape)));
    Run(*calls.back());
    alone.push_back(calls.back()->out.Bytes());
    alone.push_back(calls.back()->lse.Bytes());
    calls.back()->PoisonOutputs();
    views.push_back(&calls.back()->call);
  }
  const absl::Status status = RunInterleaved(backend(), views);
  ASSERT_TRUE(status.ok()) << status;
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i]->out.Bytes(), alone[2 * i]) << "call " << i;
    EXPECT_EQ(calls[i]->lse.Bytes(), alone[2 * i + 1]) << "call " << i;
  }
}

// Each in a thread of its own, of one backend.
TEST_P(Properties, CallsAtOnceOnThreadsAreTheCallsAlone) {
  std::vector<std::unique_ptr<OwnedCall>> calls;
  std::vector<std::vector<std::byte>> alone;
  for (const CallShape& shape : MixedShapes()) {
    calls.push_back(std::make_unique<OwnedCall>(Shape(shape)));
    Run(*calls.back());
    alone.push_back(calls.back()->out.Bytes());
    calls.back()->PoisonOutputs();
  }
  std::vector<std::thread> threads;
  for (const std::unique_ptr<OwnedCall>& call : calls) {
    threads.emplace_back([&] { Run(*call); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i]->out.Bytes(), alone[i]) << "call " << i;
  }
}

TEST_P(Properties, TileOrderOnThreadsDoesNotShow) {
  for (const CallShape& shape : MixedShapes()) {
    OwnedCall call(Shape(shape));
    Run(call);
    const std::vector<std::byte> out = call.out.Bytes();
    const std::vector<std::byte> lse = call.lse.Bytes();
    for (const int threads : {1, 4}) {
      call.PoisonOutputs();
      const auto result =
          RunOnThreads(backend(), call.call, threads, /*seed=*/17 + static_cast<uint64_t>(threads));
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(call.out.Bytes(), out) << threads << " threads";
      EXPECT_EQ(call.lse.Bytes(), lse) << threads << " threads";
      EXPECT_EQ(result->stats.computed_elements, call.call.problem.VisibleElements());
    }
  }
}

TEST_P(Properties, ALongCallHasWorkForManyWorkers) {
  OwnedCall call(
      Shape({.heads = 8, .kv_heads = 8, .query_len = 1024, .key_len = 1024, .head_dim = 64}));
  const auto execution = backend().Prepare(call.call);
  ASSERT_TRUE(execution.ok());
  int64_t most = 0;
  Scratch scratch;
  for (int index = 0; index < (*execution)->phase_count(); ++index) {
    const Phase phase = (*execution)->phase(index);
    most = std::max(most, phase.tiles);
    for (int64_t tile = 0; phase.stage == Stage::kPlan && tile < phase.tiles; ++tile) {
      scratch.Reset();
      ASSERT_TRUE((*execution)->RunTile(index, tile, scratch).ok());
    }
  }
  EXPECT_GE(most, 32);
}

TEST_P(Properties, WorkspaceIsLinearInLength) {
  const auto bytes = [&](int64_t length) {
    const OwnedCall call(Shape({.query_len = length, .key_len = length, .head_dim = 8}));
    return static_cast<double>(backend().WorkspaceBytes(call.call.problem, call.call.options));
  };
  // A listed plan has an entry a block of 128 x 128, which is little beside what is linear.
  const bool listed = backend().info().method == "flex";
  EXPECT_LE(bytes(8192), (listed ? 2.3 : 2.01) * bytes(4096));
}

}  // namespace
}  // namespace attn
