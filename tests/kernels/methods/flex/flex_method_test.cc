#include "kernels/methods/flex/flex_method.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>
#include <variant>

#include "tests/support/planning_run.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A call under a causal expression. The mask outlives it.
AttentionCall CausalCall(const DrawnMask& mask) {
  AttentionCall call;
  AttentionProblem& problem = call.problem;
  problem.batch = mask.sizes.batch;
  problem.heads = problem.kv_heads = mask.sizes.heads;
  problem.query_len = mask.sizes.query_len;
  problem.key_len = mask.sizes.key_len;
  problem.head_dim = problem.value_dim = 64;
  problem.scale = 1 / std::sqrt(64.0);
  problem.mask = *IntervalMask::Create({}, problem.batch, problem.query_len, problem.key_len);
  problem.expression = mask.Create();
  call.extra = mask.tensors.map();
  return call;
}

DrawnMask CausalMask(const MaskSizes& sizes) {
  DrawnMask mask;
  mask.spec.root = {mask_op::Causal{}};
  mask.sizes = sizes;
  return mask;
}

OptionMap Blocks(int64_t block_q, int64_t block_kv) {
  return {{"block_q", {block_q}}, {"block_kv", {block_kv}}};
}

TEST(FlexMethod, PlansAreListedAtItsBlocksEvenOfIntervals) {
  const auto flex = CreateFlexMethod();
  const DrawnMask mask = CausalMask({1, 2, 300, 300});
  AttentionCall call = CausalCall(mask);
  for (const auto& [options, query_blocks, key_blocks] :
       {std::tuple{OptionMap{}, 3, 3}, {Blocks(100, 64), 3, 5}, {Blocks(16, 4096), 19, 1}}) {
    ASSERT_TRUE(ValidateOptions("flex", options, flex->info().options).ok());
    ASSERT_TRUE(flex->Check(call.problem, options).ok());
    call.options = options;
    const auto planning = flex->Plan(call);
    const auto plan = RunPlanning(*planning);
    ASSERT_TRUE(plan.ok());
    ASSERT_TRUE(std::holds_alternative<BlockPlan>(*plan));
    EXPECT_TRUE(ValidatePlan(*plan, call.problem).ok());
    EXPECT_EQ(std::get<BlockPlan>(*plan).query_blocks(), query_blocks);
    EXPECT_EQ(std::get<BlockPlan>(*plan).key_blocks(), key_blocks);
  }
}

TEST(FlexMethod, BlocksOutOfRangeAreRefused) {
  const auto flex = CreateFlexMethod();
  for (const OptionMap& options : {Blocks(15, 128), Blocks(128, 4097), Blocks(-1, 128)}) {
    const absl::Status status = ValidateOptions("flex", options, flex->info().options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("16 to 4096"));
  }
}

TEST(FlexMethod, AReportedPlanHasTheBlocksThatRan) {
  const auto flex = CreateFlexMethod();
  const DrawnMask mask = CausalMask({1, 2, 300, 300});
  AttentionProblem problem = CausalCall(mask).problem;
  problem.wanted = {.plan = true, .plan_block_q = 128, .plan_block_k = 128};
  EXPECT_TRUE(flex->Check(problem, {}).ok());
  problem.wanted.plan_block_k = 64;
  EXPECT_TRUE(flex->Check(problem, Blocks(128, 64)).ok());
  const absl::Status status = flex->Check(problem, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("outputs.plan_block_k is 64"), HasSubstr("allowed: 0 or 128"),
                    HasSubstr("option block_kv")));
}

TEST(FlexMethod, PlansOfTooManyBlocksAreRefused) {
  const auto flex = CreateFlexMethod();
  // 2^12 x 2^12 blocks of 128 x 128.
  DrawnMask mask = CausalMask({1, 2, int64_t{1} << 19, int64_t{1} << 19});
  const AttentionProblem problem = CausalCall(mask).problem;
  const absl::Status status = flex->Check(problem, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("blocks over its samples and heads, allowed: 8388608"),
                    HasSubstr("block_q and block_kv")));
  EXPECT_TRUE(flex->Check(problem, Blocks(256, 256)).ok());
}

TEST(FlexMethod, HeadsCountWhereTheExpressionTellsThemApart) {
  const auto flex = CreateFlexMethod();
  DrawnMask mask = CausalMask({1, 3, int64_t{1} << 18, int64_t{1} << 18});  // 2^22 blocks a head.
  EXPECT_TRUE(flex->Check(CausalCall(mask).problem, {}).ok());
  mask.spec.root = {mask_op::SlidingWindow{0, "windows"}};
  mask.tensors.Add("windows", DType::kInt32, {3}, {1, 2, 3});
  EXPECT_EQ(flex->Check(CausalCall(mask).problem, {}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(FlexMethod, TakesEveryMaskAndModifierAndReturnsNoWeights) {
  const auto flex = CreateFlexMethod();
  const Capabilities& capabilities = flex->info().capabilities;
  EXPECT_TRUE(flex->info().exact);
  for (const Feature feature : kAllFeatures) {
    const bool stage = feature == Feature::kRotary || feature == Feature::kOriginalSeqLen ||
                       feature == Feature::kSkipScores || feature == Feature::kGate;
    EXPECT_EQ(capabilities.Has(feature), !stage && feature != Feature::kWeights) << Name(feature);
  }
}

}  // namespace
}  // namespace attn
