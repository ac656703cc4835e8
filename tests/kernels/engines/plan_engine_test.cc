#include "kernels/engines/cpu/plan_engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/random_plan.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"

namespace attn {
namespace {

constexpr double kNanInput = std::numeric_limits<double>::quiet_NaN();

struct PlanCase {
  std::string name;
  CallShape call;
  RandomPlanShape plan;
};

std::vector<PlanCase> PlanCases() {
  const CallShape plain = {.query_len = 150, .key_len = 330, .head_dim = 24};
  CallShape causal = plain;
  causal.mask.causal = true;
  CallShape grouped = {.batch = 2,
                       .heads = 6,
                       .kv_heads = 2,
                       .query_len = 70,
                       .key_len = 90,
                       .head_dim = 16,
                       .value_dim = 40,
                       .mask = {.causal = true}};
  CallShape half = {.batch = 2,
                    .query_len = 60,
                    .key_len = 130,
                    .head_dim = 72,
                    .dtype = DType::kBFloat16,
                    .out_dtype = DType::kFloat16,
                    .mask = {.window = Window{40, 20}, .k_lengths = {130, 77}},
                    .pattern = "b s h d",
                    .out_pattern = "b h d s"};
  CallShape decode = {.batch = 2,
                      .heads = 8,
                      .kv_heads = 2,
                      .query_len = 3,
                      .key_len = 200,
                      .head_dim = 16,
                      .mask = {.causal = true}};
  return {
      {"full_blocks", plain, {.levels = false, .interval_masks = false, .bit_tiles = false}},
      {"interval_masks", causal, {.levels = false, .bit_tiles = false}},
      {"interval_masks_permuted", causal, {.permuted = true, .levels = false, .bit_tiles = false}},
      {"bit_tiles", plain, {.levels = false, .interval_masks = false}},
      {"levels", plain, {.interval_masks = false, .bit_tiles = false}},
      {"levels_permuted", plain, {.permuted = true, .interval_masks = false, .bit_tiles = false}},
      {"everything", causal, {.permuted = true}},
      {"blocks_of_one_token", causal, {.permuted = true, .largest_block = 1}},
      {"tiny_blocks", causal, {.permuted = true, .largest_block = 9}},
      {"one_huge_block", causal, {.largest_block = 100000}},
      {"gqa_per_head", grouped, {.permuted = true}},
      {"gqa_shared_heads", grouped, {.permuted = true, .shared_heads = true, .largest_block = 20}},
      {"shared_by_all", grouped, {.shared_batch = true, .shared_heads = true}},
      {"half_precision_layouts_lengths", half, {.permuted = true}},
      {"decode_stacked_heads", decode, {.shared_heads = true}},
  };
}

class RandomPlans : public testing::TestWithParam<PlanCase> {};

TEST_P(RandomPlans, AgreeWithTheOracleAndCountTheirElements) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 4; ++round) {
    OwnedCall call(GetParam().call);
    const BlockPlan plan = RandomPlan(call.call.problem, GetParam().plan, random);
    const OracleResult oracle = PlanOracle(call.call, plan);
    const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan);
    ASSERT_TRUE(stats.ok()) << stats.status();
    EXPECT_EQ(Disagreement(call, oracle, UnitRoundoff("fp32")), "") << "round " << round;
    EXPECT_NEAR(stats->computed_elements, oracle.elements, 1e-9 * oracle.elements);
    EXPECT_EQ(stats->dense_elements, call.call.problem.VisibleElements());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RandomPlans, testing::ValuesIn(PlanCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(PlanEngine, ExplicitAllBlocksPlanIsBitIdenticalToTheImplicitOne) {
  for (const ConformanceCase& conformance : ConformanceCases()) {
    CallShape shape = conformance.shape;
    shape.weights = false;
    OwnedCall call(shape);
    const ImplicitPlan plan = {.block_q = 64, .block_k = 64, .mask = &call.call.problem.mask};
    ASSERT_TRUE(RunPlan(call.call, plan).ok());
    const std::vector<std::byte> out = call.out.Bytes();
    const std::vector<std::byte> lse = call.lse.Bytes();
    call.PoisonOutputs();
    ASSERT_TRUE(RunPlan(call.call, plan.Materialise()).ok());
    EXPECT_EQ(call.out.Bytes(), out) << conformance.name;
    EXPECT_EQ(call.lse.Bytes(), lse) << conformance.name;
  }
}

TEST(PlanEngine, APlanThatListsNothingGivesEmptyRows) {
  OwnedCall call({.query_len = 10, .key_len = 20});
  const BlockPlan plan = {.q_offsets = {0, 10}, .k_offsets = {0, 20}, .row_begin = {0, 0}};
  const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->sparsity(), 1);
  for (const double value : call.out.Values()) EXPECT_EQ(value, 0);
  for (const double value : call.lse.Values()) {
    EXPECT_EQ(value, -std::numeric_limits<double>::infinity());
  }
}

TEST(PlanEngine, ABrokenPlanIsInternal) {
  OwnedCall call({.query_len = 10, .key_len = 20});
  const BlockPlan plan = {
      .q_offsets = {0, 10}, .k_offsets = {0, 19}, .row_begin = {0, 1}, .entries = {{}}};
  EXPECT_EQ(RunPlan(call.call, plan).status().code(), absl::StatusCode::kInternal);
}

TEST(PlanEngine, UnlistedAndHiddenNanDoesNotLeak) {
  // Keys 0..31 are unlisted, of 32..63 every second one is hidden by bits; all those are NaN.
  OwnedCall call({.query_len = 40, .key_len = 96});
  const auto hidden = [](int64_t key) { return key < 32 || (key < 64 && key % 2 == 1); };
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t key = 0; key < 96; ++key) {
      for (int64_t d = 0; d < 32 && hidden(key); ++d) {
        call.k.Set(0, head, key, d, kNanInput);
        call.v.Set(0, head, key, d, kNanInput);
      }
    }
  }
  const BlockPlan plan = {
      .q_offsets = {0, 40},
      .k_offsets = {0, 32, 64, 96},
      .row_begin = {0, 2},
      .entries = {{.key_block = 1, .mask = BlockMask::kBits, .bits = 0}, {.key_block = 2}},
      .bit_tiles = std::vector<uint64_t>(40, 0x5555555555555555U)};
  ASSERT_TRUE(RunPlan(call.call, plan).ok());
  EXPECT_EQ(Disagreement(call, PlanOracle(call.call, plan), UnitRoundoff("fp32")), "");
}

TEST(PlanEngine, PooledHugeValuesDoNotOverflow) {
  OwnedCall call({.query_len = 8, .key_len = 64, .head_dim = 8});
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t key = 0; key < 64; ++key) {
      for (int64_t d = 0; d < 8; ++d) call.v.Set(0, head, key, d, 3e38);
    }
  }
  const BlockPlan plan = {.q_offsets = {0, 8},
                          .k_offsets = {0, 64},
                          .row_begin = {0, 1},
                          .entries = {{.key_block = 0, .level = 8}}};
  ASSERT_TRUE(RunPlan(call.call, plan).ok());
  for (const double value : call.out.Values()) EXPECT_NEAR(value, 3e38, 1e32);
}

}  // namespace
}  // namespace attn
