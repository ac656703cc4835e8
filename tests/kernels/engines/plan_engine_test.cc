#include "kernels/engines/cpu/plan_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/conformance_cases.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/kernels/engines/random_plan.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

struct PlanCase {
  std::string name;
  CallShape call;
  RandomPlanShape plan;
};

const CallShape kPlain = {.query_len = 150, .key_len = 430, .head_dim = 24};
const CallShape kCausal = {
    .query_len = 150, .key_len = 430, .head_dim = 24, .mask = {.causal = true}};
// For blocks so small that each key costs a tile of its own.
const CallShape kShort = {.query_len = 50, .key_len = 70, .head_dim = 24, .mask = {.causal = true}};
const CallShape kGrouped = {.batch = 2,
                            .heads = 6,
                            .kv_heads = 2,
                            .query_len = 70,
                            .key_len = 90,
                            .head_dim = 16,
                            .value_dim = 40,
                            .mask = {.causal = true}};
const CallShape kLengths = {.batch = 2,
                            .query_len = 60,
                            .key_len = 130,
                            .head_dim = 72,
                            .mask = {.window = Window{40, 20}, .k_lengths = {130, 77}},
                            .pattern = "b s h d",
                            .out_pattern = "b h d s",
                            .padding = 3};
const CallShape kDecode = {.batch = 2,
                           .heads = 8,
                           .kv_heads = 2,
                           .query_len = 3,
                           .key_len = 200,
                           .head_dim = 16,
                           .mask = {.causal = true}};
const CallShape kLongDecode = {
    .heads = 4, .kv_heads = 1, .query_len = 2, .key_len = 4000, .mask = {.causal = true}};

std::vector<PlanCase> PlanCases() {
  return {
      {"full_blocks", kPlain, {.levels = false, .interval_masks = false, .bit_tiles = false}},
      {"interval_masks", kCausal, {.levels = false, .bit_tiles = false}},
      {"interval_masks_permuted", kCausal, {.permuted = true, .levels = false, .bit_tiles = false}},
      {"bit_tiles", kPlain, {.levels = false, .interval_masks = false}},
      {"bit_tiles_small_blocks",
       kPlain,
       {.largest_block = 64, .largest_query_block = 64, .levels = false, .interval_masks = false}},
      {"levels", kPlain, {.interval_masks = false, .bit_tiles = false}},
      {"levels_permuted", kPlain, {.permuted = true, .interval_masks = false, .bit_tiles = false}},
      {"everything", kCausal, {.permuted = true}},
      {"blocks_of_one_token",
       kShort,
       {.permuted = true, .largest_block = 1, .largest_query_block = 1}},
      {"query_blocks_of_one_row", kShort, {.permuted = true, .largest_query_block = 1}},
      {"key_blocks_of_one_key", kShort, {.permuted = true, .largest_block = 1}},
      {"tiny_blocks", kShort, {.permuted = true, .largest_block = 9, .largest_query_block = 9}},
      {"gqa_per_head", kGrouped, {.permuted = true}},
      {"gqa_shared_heads",
       kGrouped,
       {.permuted = true, .shared_heads = true, .largest_block = 20, .largest_query_block = 20}},
      {"gqa_shared_batch", kGrouped, {.permuted = true, .shared_batch = true}},
      {"shared_by_all", kGrouped, {.shared_batch = true, .shared_heads = true}},
      {"layouts_lengths", kLengths, {.permuted = true}},
      {"decode_stacked_heads", kDecode, {.shared_heads = true}},
      {"decode_per_head", kDecode, {.permuted = true, .largest_block = 40}},
      {"decode_long", kLongDecode, {.permuted = true, .shared_heads = true}},
  };
}

class RandomPlans : public testing::TestWithParam<PlanCase> {};

TEST_P(RandomPlans, AgreeWithTheOracleAndCountTheirElements) {
  std::mt19937_64 random(11);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    for (int round = 0; round < 2; ++round) {
      CallShape shape = GetParam().call;
      shape.dtype = dtype;
      OwnedCall call(shape);
      const BlockPlan plan = RandomPlan(call.call.problem, GetParam().plan, random);
      const OracleResult oracle = PlanOracle(call.call, plan);
      for (const CpuIsa isa : TestedIsas(dtype)) {
        SCOPED_TRACE(absl::StrCat(Name(isa), " ", Name(dtype), " round ", round));
        call.PoisonOutputs();
        const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan, isa);
        ASSERT_TRUE(stats.ok()) << stats.status();
        EXPECT_EQ(Disagreement(call, oracle, RoundoffOn(isa, dtype)), "");
        EXPECT_NEAR(stats->computed_elements, oracle.elements, 1e-9 * oracle.elements);
        EXPECT_EQ(stats->dense_elements, call.call.problem.VisibleElements());
        if (isa != CpuIsa::kPortable) continue;  // Tiles are the same on all.
        const std::vector<std::byte> out = call.out.Bytes();
        call.PoisonOutputs();
        ASSERT_TRUE(RunPlan(call.call, plan, isa, /*first_tile=*/3).ok());
        EXPECT_EQ(call.out.Bytes(), out) << "another order of tiles";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RandomPlans, testing::ValuesIn(PlanCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(PlanEngine, AnExplicitPlanOfAllBlocksIsDenseAttention) {
  for (const ConformanceCase& conformance : ConformanceCases()) {
    CallShape shape = conformance.shape;
    shape.weights = false;
    OwnedCall call(shape);
    const AttentionProblem& problem = call.call.problem;
    // Of masks and lengths enough remain; an expression is not in this plan.
    if (problem.VisibleElements() > 2e4 || problem.dtype == DType::kFloat16) continue;
    if (problem.expression != nullptr) continue;
    const OracleResult oracle = DenseOracle(call.call);
    const BlockPlan plan =
        ImplicitPlan{.block_q = 64, .block_k = 48, .mask = &problem.mask}.Materialise();
    for (const CpuIsa isa : TestedIsas(problem.dtype)) {
      call.PoisonOutputs();
      ASSERT_TRUE(RunPlan(call.call, plan, isa).ok());
      EXPECT_EQ(Disagreement(call, oracle, RoundoffOn(isa, problem.dtype)), "")
          << conformance.name << " on " << Name(isa);
    }
  }
}

// fp32 and fp16 inputs do not meet the bf16 kernels of the sets that have them.
TEST(PlanEngine, OtherInputsOnSetsOfBf16RunAsOnAvx512) {
  std::mt19937_64 random(12);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
    CallShape shape = kGrouped;
    shape.dtype = dtype;
    OwnedCall call(shape);
    const BlockPlan plan = RandomPlan(call.call.problem, {.permuted = true}, random);
    for (const CpuIsa isa : TestedIsas(DType::kBFloat16)) {
      if (isa <= CpuIsa::kAvx512) continue;
      call.PoisonOutputs();
      ASSERT_TRUE(RunPlan(call.call, plan, CpuIsa::kAvx512).ok());
      const std::vector<std::byte> out = call.out.Bytes();
      call.PoisonOutputs();
      ASSERT_TRUE(RunPlan(call.call, plan, isa).ok());
      EXPECT_EQ(call.out.Bytes(), out) << Name(dtype) << " on " << Name(isa);
    }
  }
}

TEST(PlanEngine, ABrokenPlanIsRefused) {
  const OwnedCall call({.query_len = 10, .key_len = 20});
  const IntervalMask other = *IntervalMask::Create({}, 1, 10, 21);
  struct Row {
    Plan plan;
    std::string text;
  };
  const Row rows[] = {
      {BlockPlan{.q_offsets = {0, 10}, .k_offsets = {0, 19}, .row_begin = {0, 1}, .entries = {{}}},
       "k_offsets[1] is 19"},
      {BlockPlan{.q_offsets = {0, 10},
                 .k_offsets = {0, 20},
                 .row_begin = {0, 1},
                 .entries = {{.key_block = 1}}},
       "entries[0].key_block is 1"},
      {ImplicitPlan{.block_q = 0, .mask = &call.call.problem.mask}, "block_q is 0"},
      {ImplicitPlan{.block_k = int64_t{1} << 40, .mask = &call.call.problem.mask}, "block_k is 1"},
      {ImplicitPlan{.mask = &other}, "mask is over 21 keys"},
      {ImplicitPlan{}, "mask is missing"},
  };
  for (const Row& row : rows) {
    const absl::Status status = RunPlan(call.call, row.plan, CpuIsa::kPortable).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(row.text));
  }
}

// Of one head: its keys are split over the cores.
TEST(PlanEngine, OneQueryOverManyKeysHasWorkForManyWorkers) {
  OwnedCall call({.heads = 1, .kv_heads = 1, .query_len = 1, .key_len = 65536});
  const Registry registry = BackendsOn(CpuIsa::kPortable);
  const auto execution = registry.Find("flash")->Prepare(call.call);
  ASSERT_TRUE(execution.ok()) << execution.status();
  int64_t most = 0;
  for (int phase = 0; phase < (*execution)->phase_count(); ++phase) {
    most = std::max(most, (*execution)->phase(phase).tiles);
  }
  EXPECT_GE(most, 4);
}

// On each instruction set, with inputs of each dtype.
class PlanNumbers : public EngineTest {};

INSTANTIATE_TEST_SUITE_P(Engines, PlanNumbers,
                         testing::ValuesIn(TestedFlash({DType::kFloat32, DType::kBFloat16})),
                         EngineName);

TEST_P(PlanNumbers, APlanThatListsNothingGivesEmptyRows) {
  OwnedCall call(Shape({.query_len = 10, .key_len = 20}));
  const BlockPlan plan = {.q_offsets = {0, 10}, .k_offsets = {0, 20}, .row_begin = {0, 0}};
  const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan, GetParam().isa);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->sparsity(), 1);
  for (const double value : call.out.Values()) EXPECT_EQ(value, 0);
  for (const double value : call.lse.Values()) EXPECT_EQ(value, -kInfinity);
}

TEST_P(PlanNumbers, APlanOnThreadsIsThePlanOnOne) {
  std::mt19937_64 random(13);
  for (const CallShape& shape : {kGrouped, kLongDecode}) {
    OwnedCall call(Shape(shape));
    // Without pools the rows of the second are streamed.
    const BlockPlan plan =
        RandomPlan(call.call.problem, {.permuted = true, .levels = false}, random);
    ASSERT_TRUE(RunPlan(call.call, plan, GetParam().isa).ok());
    const std::vector<std::byte> out = call.out.Bytes();
    call.PoisonOutputs();
    ASSERT_TRUE(RunPlanOnThreads(call.call, plan, GetParam().isa, /*threads=*/4, /*seed=*/5).ok());
    EXPECT_EQ(call.out.Bytes(), out);
  }
}

// Keys 0..31 are unlisted, of 32..63 every second one is hidden by bits; all those are NaN.
TEST_P(PlanNumbers, UnlistedAndHiddenNanDoesNotLeak) {
  for (const int32_t queries : {4, int32_t{kStreamRows} + 8}) {  // Streamed and packed.
    OwnedCall call(Shape({.query_len = queries, .key_len = 96}));
    for (int64_t key = 0; key < 64; ++key) {
      if (key >= 32 && key % 2 == 0) continue;
      for (int64_t head = 0; head < 2; ++head) {
        SetRowBits(call.k, 0, head, key, NanBits(key / 2));
        SetRowBits(call.v, 0, head, key, NanBits(key / 2 + 1));
      }
    }
    const BlockPlan plan = {
        .q_offsets = {0, queries},
        .k_offsets = {0, 32, 64, 96},
        .row_begin = {0, 2},
        .entries = {{.key_block = 1, .mask = BlockMask::kBits, .bits = 0}, {.key_block = 2}},
        .bit_tiles = std::vector<uint64_t>(static_cast<size_t>(queries), 0x5555555555555555U)};
    ASSERT_TRUE(RunPlan(call.call, plan, GetParam().isa).ok());
    EXPECT_EQ(Disagreement(call, PlanOracle(call.call, plan), roundoff()), "") << queries;
  }
}

// Each query sees the keys of its own parity: what some rows of a tile see, the others do not.
TEST_P(PlanNumbers, NanThatHalfTheRowsSeeLeaksToNoneOfTheOthers) {
  OwnedCall call(Shape({.query_len = 40, .key_len = 64}));
  for (int64_t key = 1; key < 64; key += 2) {
    SetRow(call.k, 0, 0, key, kNan);
    SetRow(call.v, 0, 1, key, kNan);
  }
  BlockPlan plan = {.q_offsets = {0, 40},
                    .k_offsets = {0, 64},
                    .row_begin = {0, 1},
                    .entries = {{.mask = BlockMask::kBits, .bits = 0}}};
  for (int row = 0; row < 40; ++row) {
    plan.bit_tiles.push_back(row % 2 == 0 ? 0x5555555555555555U : 0xaaaaaaaaaaaaaaaaU);
  }
  ASSERT_TRUE(RunPlan(call.call, plan, GetParam().isa).ok());
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t s = 0; s < 40; ++s) {
      for (const double value : OutRow(call, 0, h, s)) {
        ASSERT_EQ(std::isnan(value), s % 2 == 1) << "head " << h << " row " << s;
      }
    }
  }
}

TEST_P(PlanNumbers, PooledHugeValuesDoNotOverflow) {
  OwnedCall call(Shape({.query_len = 8, .key_len = 64, .head_dim = 8}));
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t key = 0; key < 64; ++key) SetRow(call.v, 0, head, key, 3e38);
  }
  const BlockPlan plan = {.q_offsets = {0, 8},
                          .k_offsets = {0, 64},
                          .row_begin = {0, 1},
                          .entries = {{.key_block = 0, .level = 8}}};
  ASSERT_TRUE(RunPlan(call.call, plan, GetParam().isa).ok());
  const double held = call.v.At(0, 0, 0, 0);
  for (const double value : call.out.Values()) {
    EXPECT_NEAR(value, held, held * (1e-6 + roundoff().weights));
  }
}

}  // namespace
}  // namespace attn
