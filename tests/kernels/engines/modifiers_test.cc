// Score modifiers, sinks, programs and idle samples in the CPU's engine, on each instruction set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/mask_program.h"
#include "kernels/engines/cpu/plan_engine.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/kernels/engines/random_plan.h"
#include "tests/support/oracle.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

constexpr double kLowestFloat = std::numeric_limits<float>::lowest();

// Packed rows, streamed ones, and streamed ones whose keys are split.
const CallShape kPacked = {.batch = 2, .heads = 4, .kv_heads = 2, .query_len = 70, .key_len = 330};
const CallShape kStreamed = {.batch = 2, .heads = 8, .kv_heads = 2, .query_len = 3, .key_len = 300};
const CallShape kSplit = {.heads = 4, .kv_heads = 1, .query_len = 2, .key_len = 4000};

// Of dense plans in blocks, and of blocks so small that pieces of many share a tile.
class ModifiedPlans : public EngineTest {
 protected:
  std::string DisagreementOf(OwnedCall& call) const {
    Run(call);
    return Disagreement(call, DenseOracle(call.call), roundoff());
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, ModifiedPlans,
                         testing::ValuesIn(TestedFlash({DType::kFloat32, DType::kBFloat16,
                                                        DType::kFloat16})),
                         EngineName);

// Drawn expressions as the program of drawn plans, permuted and not: an explicit plan evaluates
// them wherever it says so, whatever they say.
TEST_P(ModifiedPlans, ProgramsOfExplicitPlansAgreeWithTheOracle) {
  std::mt19937_64 random(21);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CallShape shape = Shape(seed % 3 == 2 ? kStreamed : kPacked);
    if (seed % 2 == 1) shape.mask = {.causal = true};
    if (seed % 4 == 0) shape.modifiers = {.softcap = 2, .bias = {1, 4, 1, shape.key_len}};
    if (seed % 4 == 0) shape.modifiers.bias[1] = shape.heads;
    OwnedCall call(shape);
    AttentionProblem& problem = call.call.problem;
    const DrawnMask mask = DrawMask(seed, problem.sizes());
    problem.expression = mask.Create();
    call.call.extra.insert(mask.tensors.map().begin(), mask.tensors.map().end());
    const absl::StatusOr<MaskProgram> program =
        MaskProgram::Bind(*problem.expression, call.call.extra);
    ASSERT_TRUE(program.ok()) << program.status();
    BlockPlan plan = RandomPlan(problem,
                                {.permuted = seed % 2 == 0,
                                 .shared_batch = !program->per_sample(),
                                 .shared_heads = !program->per_head(),
                                 .largest_block = seed % 3 == 0 ? 300 : 20,
                                 .levels = false},
                                random);
    plan.program = &*program;
    const OracleResult oracle = PlanOracle(call.call, plan);
    const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan, GetParam().isa);
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_EQ(Disagreement(call, oracle, roundoff()), "") << mask.Describe();
    EXPECT_NEAR(stats->computed_elements, oracle.elements, 1e-9 * oracle.elements);
  }
}

TEST_P(ModifiedPlans, OfDrawnPlansAgreeWithTheOracle) {
  std::mt19937_64 random(22);
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    shape.mask = {.causal = true};
    for (const bool permuted : {false, true}) {
      shape.modifiers = {.softcap = 1.5,
                         .bias = {1, shape.heads, shape.query_len, shape.key_len},
                         .hidden = 0.1,
                         .slopes_rank = 2,
                         .sinks = true,
                         .dtype = permuted ? DType::kBFloat16 : DType::kFloat32};
      OwnedCall call(shape);
      const BlockPlan plan = RandomPlan(
          call.call.problem, {.permuted = permuted, .largest_block = 50, .levels = false}, random);
      ASSERT_TRUE(RunPlan(call.call, plan, GetParam().isa).ok());
      EXPECT_EQ(Disagreement(call, PlanOracle(call.call, plan), roundoff()), "");
      const std::vector<std::byte> out = call.out.Bytes();
      const std::vector<std::byte> lse = call.lse.Bytes();
      call.PoisonOutputs();
      ASSERT_TRUE(
          RunPlanOnThreads(call.call, plan, GetParam().isa, /*threads=*/3, /*seed=*/7).ok());
      EXPECT_EQ(call.out.Bytes(), out) << "on threads, in another order";
      EXPECT_EQ(call.lse.Bytes(), lse);
    }
  }
}

// Pools have a score, to cap, and no place.
TEST_P(ModifiedPlans, PoolsTakeASoftcapAndNothingThatAsksForAPlace) {
  std::mt19937_64 random(23);
  CallShape shape = Shape(kPacked);
  shape.modifiers = {.softcap = 1.5, .sinks = true};
  OwnedCall capped(shape);
  const BlockPlan plan = RandomPlan(capped.call.problem, {.permuted = true}, random);
  ASSERT_TRUE(RunPlan(capped.call, plan, GetParam().isa).ok());
  EXPECT_EQ(Disagreement(capped, PlanOracle(capped.call, plan), roundoff()), "");
  for (const bool bias : {false, true}) {
    shape.modifiers = {.slopes_rank = bias ? 0 : 1};
    if (bias) shape.modifiers.bias = {1, 1, 1, 1};
    OwnedCall placed(shape);
    const absl::Status status = RunPlan(placed.call, plan, GetParam().isa).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr(bias ? "bias not supported with pooled blocks: the plan"
                                        : "alibi not supported with pooled blocks: the plan"));
  }
}

// transformers' eager masks: of such a row every score rounds to the lowest number.
TEST_P(ModifiedPlans, ARowOfTheLowestBiasIsTheUniformMean) {
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    shape.modifiers = {.bias = {1, 1, shape.query_len, 1}};
    OwnedCall call(shape);
    for (int64_t query = 0; query < shape.query_len; ++query) {
      call.bias.Set(0, 0, query, 0, query % 2 == 1 ? kLowestFloat : 0);
    }
    Run(call);
    for (int64_t head = 0; head < shape.heads; ++head) {
      for (int64_t d = 0; d < shape.head_dim; ++d) {
        double mean = 0;
        double size = 0;
        for (int64_t key = 0; key < shape.key_len; ++key) {
          const double value = call.v.At(0, call.call.problem.kv_head(head), key, d);
          mean += value / static_cast<double>(shape.key_len);
          size += std::abs(value) / static_cast<double>(shape.key_len);
        }
        EXPECT_NEAR(call.out.At(0, head, 1, d), mean, 1e-6 * size) << head << " " << d;
      }
      EXPECT_LE(call.lse.At(0, head, 1, 0), kLowestFloat);
      EXPECT_TRUE(std::isfinite(call.lse.At(0, head, 0, 0)));
    }
  }
}

TEST_P(ModifiedPlans, AnInfiniteBiasWeighsNothing) {
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    shape.modifiers = {.bias = {1, 1, shape.query_len, shape.key_len}, .hidden = 0.5};
    OwnedCall call(shape);
    for (int64_t key = 0; key < shape.key_len; ++key) call.bias.Set(0, 0, 1, key, -kInfinity);
    EXPECT_EQ(DisagreementOf(call), "");
    for (int64_t head = 0; head < shape.heads; ++head) {
      EXPECT_EQ(call.lse.At(0, head, 1, 0), -kInfinity);
      for (const double value : OutRow(call, 0, head, 1)) EXPECT_EQ(value, 0);
    }
  }
}

// Nothing of a row is lost where the sink is far below it, everything where it is far above.
TEST_P(ModifiedPlans, SinksOfAnySize) {
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    OwnedCall plain(shape);
    Run(plain);
    shape.modifiers = {.sinks = true};
    OwnedCall call(shape);
    const std::vector<double> sizes = {-3e38, -200, 200, 3e38, -kInfinity, -7, 0, 3};
    for (int64_t head = 0; head < shape.heads; ++head) {
      call.sinks.Set(0, 0, 0, head, sizes[static_cast<size_t>(head)]);
    }
    Run(call);
    for (int64_t head = 0; head < shape.heads; ++head) {
      const double sink = sizes[static_cast<size_t>(head)];
      for (int64_t query = 0; query < shape.query_len; ++query) {
        SCOPED_TRACE(absl::StrCat("sink ", sink, ", query ", query));
        const double lse = plain.lse.At(0, head, query, 0);
        const double total = sink > lse ? sink + std::log1p(std::exp(lse - sink))
                                        : lse + std::log1p(std::exp(sink - lse));
        EXPECT_NEAR(call.lse.At(0, head, query, 0), total, 1e-6 * std::max(1.0, std::abs(total)));
        const double share = std::exp(lse - total);
        for (int64_t d = 0; d < shape.head_dim; ++d) {
          const double alone = plain.out.At(0, head, query, d);
          EXPECT_NEAR(call.out.At(0, head, query, d), alone * share, 3e-6 * std::abs(alone));
        }
        if (sink > -100) continue;
        EXPECT_EQ(OutRow(call, 0, head, query), OutRow(plain, 0, head, query));
      }
    }
  }
}

TEST_P(ModifiedPlans, OfARowThatAttendsNothingTheLseIsTheSinkWhereTheQueryIsThere) {
  for (const int64_t key_len : {80, 4000}) {
    CallShape shape = Shape({.batch = 2, .query_len = 9, .key_len = key_len});
    shape.mask = {.q_lengths = {9, 5}, .k_lengths = {key_len, 0}};
    shape.modifiers = {.sinks = true};
    OwnedCall call(shape);
    Run(call);
    for (int64_t head = 0; head < shape.heads; ++head) {
      for (int64_t query = 0; query < 9; ++query) {
        const double sink = call.sinks.At(0, 0, 0, head);
        EXPECT_EQ(call.lse.At(1, head, query, 0), query < 5 ? sink : -kInfinity) << query;
        for (const double value : OutRow(call, 1, head, query)) EXPECT_EQ(value, 0);
      }
    }
  }
}

// The scale's sign is not the query's any more.
TEST_P(ModifiedPlans, AgreeWithTheOracleAtAnyScale) {
  for (const double scale : {-0.7, 0.0, 1e-6, 3.0}) {
    for (CallShape shape : {kPacked, kStreamed}) {
      shape = Shape(shape);
      shape.scale = scale;
      shape.modifiers = {.softcap = 4, .bias = {1, 1, 1, shape.key_len}};
      OwnedCall call(shape);
      EXPECT_EQ(DisagreementOf(call), "") << scale;
    }
  }
}

// Where scores stay as they are, a softcap that changes nothing does not change them either: both
// ways of scaling meet.
TEST_P(ModifiedPlans, ASoftcapOutOfReachIsNone) {
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    OwnedCall plain(shape);
    Run(plain);
    for (const double softcap : {1e12, 1e300}) {
      shape.modifiers = {.softcap = softcap};
      OwnedCall capped(shape);
      Run(capped);
      const std::vector<double> out = plain.out.Values();
      const std::vector<double> other = capped.out.Values();
      double squares = 0;
      double errors = 0;
      for (size_t i = 0; i < out.size(); ++i) {
        squares += out[i] * out[i];
        errors += (out[i] - other[i]) * (out[i] - other[i]);
      }
      EXPECT_LE(std::sqrt(errors / squares), rel_l2()) << softcap;
    }
  }
}

// Few rows are streamed, many packed: the same tokens give the same rows.
TEST_P(ModifiedPlans, StreamedRowsAreThoseOfPackedOnes) {
  CallShape shape = Shape({.heads = 2, .kv_heads = 2, .query_len = 40, .key_len = 300});
  shape.modifiers = {.softcap = 2, .bias = {1, 2, 1, 300}, .slopes_rank = 1, .sinks = true};
  OwnedCall many(shape);
  Run(many);
  shape.query_len = 4;
  OwnedCall few(shape);
  CopyTokens(many.q, 36, 4, few.q);
  CopyTokens(many.k, 0, 300, few.k);
  CopyTokens(many.v, 0, 300, few.v);
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t key = 0; key < 300; ++key) {
      few.bias.Set(0, head, 0, key, many.bias.At(0, head, 0, key));
    }
    few.slopes.Set(0, 0, 0, head, many.slopes.At(0, 0, 0, head));
    few.sinks.Set(0, 0, 0, head, many.sinks.At(0, 0, 0, head));
  }
  Run(few);
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t query = 0; query < 4; ++query) {
      EXPECT_NEAR(few.lse.At(0, head, query, 0), many.lse.At(0, head, 36 + query, 0), lse_abs());
      for (int64_t d = 0; d < shape.head_dim; ++d) {
        EXPECT_NEAR(few.out.At(0, head, query, d), many.out.At(0, head, 36 + query, d),
                    1e-5 + 8 * roundoff().weights);
      }
    }
  }
}

// Whatever an idle sample holds, its outputs stay as they were and the others' bits are those of a
// call in which nobody is idle.
TEST_P(ModifiedPlans, IdleSamplesAreLeftAlone) {
  for (CallShape shape : {kPacked, kStreamed, kSplit}) {
    shape = Shape(shape);
    shape.batch = 3;
    shape.mask = {.causal = true, .k_lengths = {shape.key_len, 40, 30}};
    OwnedCall all(shape);
    Run(all);
    OwnedCall some(shape);
    some.call.idle_samples = {false, true, false};
    for (int64_t head = 0; head < shape.kv_heads; ++head) {
      for (int64_t key = 0; key < shape.key_len; ++key) {
        SetRowBits(some.k, 1, head, key, NanBits(key));
        SetRowBits(some.v, 1, head, key, NanBits(key));
      }
    }
    const absl::StatusOr<RunResult> result = RunInline(backend(), some.call);
    ASSERT_TRUE(result.ok()) << result.status();
    double elements = 0;
    for (const int64_t b : {0, 2}) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        for (int64_t query = 0; query < shape.query_len; ++query) {
          EXPECT_EQ(OutRow(some, b, head, query), OutRow(all, b, head, query));
          elements += static_cast<double>(all.call.problem.mask.VisibleKeys(b, query).size());
        }
      }
    }
    EXPECT_EQ(result->stats.computed_elements, elements);
    EXPECT_EQ(result->stats.dense_elements, elements);
    for (int64_t head = 0; head < shape.heads; ++head) {
      EXPECT_TRUE(std::isnan(some.out.At(1, head, 0, 0))) << "written";
      EXPECT_TRUE(std::isnan(some.lse.At(1, head, 0, 0))) << "written";
    }
    const BlockPlan plan =
        ImplicitPlan{.block_q = 32, .block_k = 48, .mask = &all.call.problem.mask}.Materialise();
    const absl::StatusOr<RunStats> stats = RunPlan(some.call, plan, GetParam().isa);
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_EQ(stats->computed_elements, elements);
    EXPECT_TRUE(std::isnan(some.out.At(1, 0, 0, 0))) << "written";
  }
}

}  // namespace
}  // namespace attn
