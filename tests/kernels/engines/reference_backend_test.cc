#include "kernels/engines/reference/reference_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "kernels/core/limits.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

// The mean of two values lies just above a tie of the 16-bit type and, in fp32, on it: rounding
// twice would give the even neighbour below.
TEST(ReferenceBackend, RoundsItsOutputOnce) {
  struct Row {
    DType dtype;
    double half_ulp;
  };
  for (const Row& row : {Row{DType::kBFloat16, 0x1p-8}, Row{DType::kFloat16, 0x1p-11}}) {
    for (const double sign : {1.0, -1.0}) {
      OwnedCall call({.heads = 1,
                      .kv_heads = 1,
                      .query_len = 1,
                      .key_len = 2,
                      .head_dim = 1,
                      .out_dtype = row.dtype});
      call.q.Set(0, 0, 0, 0, 0);
      call.v.Set(0, 0, 0, 0, sign * (1 + row.half_ulp));
      call.v.Set(0, 0, 1, 0, sign * (1 + row.half_ulp + 0x1p-23));
      ASSERT_TRUE(RunInline(*CreateReferenceBackend(), call.call).ok());
      EXPECT_EQ(call.out.At(0, 0, 0, 0), sign * (1 + 2 * row.half_ulp)) << Name(row.dtype);
    }
  }
}

TEST(ReferenceBackend, WeightsOfARowSumToOneOrToNothing) {
  OwnedCall call({.query_len = 60, .key_len = 40, .mask = {.causal = true}, .weights = true});
  ASSERT_TRUE(RunInline(*CreateReferenceBackend(), call.call).ok());
  for (int64_t i = 0; i < 60; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 40; ++j) {
      const double weight = call.weights.At(0, 1, i, j);
      EXPECT_EQ(weight > 0, j <= i - 20) << i << " " << j;
      sum += weight;
    }
    EXPECT_NEAR(sum, i < 20 ? 0 : 1, 1e-6) << i;
  }
}

TEST(ReferenceBackend, ReportsThePlanOfTheMask) {
  OwnedCall call({.query_len = 200, .key_len = 300, .mask = {.causal = true}});
  call.call.problem.wanted.plan = true;
  call.call.problem.wanted.plan_block_k = 32;
  const absl::StatusOr<RunResult> result = RunInline(*CreateReferenceBackend(), call.call);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(result->plan.has_value());
  EXPECT_EQ(result->plan->query_blocks(), 4);
  EXPECT_EQ(result->plan->key_blocks(), 10);
  EXPECT_EQ(PlanOracle(call.call, *result->plan).elements, result->stats.computed_elements);
}

TEST(ReferenceBackend, ReportsThePlanOfMaskAndExpression) {
  for (const char* name : {"packed_causal", "dense_of_heads", "near_of_heads", "nothing"}) {
    OwnedCall call({.batch = 2,
                    .query_len = 100,
                    .key_len = 200,
                    .mask = {.causal = true, .k_lengths = {200, 77}},
                    .expression = name});
    call.call.problem.wanted.plan = true;
    call.call.problem.wanted.plan_block_q = 16;
    call.call.problem.wanted.plan_block_k = 32;
    const absl::StatusOr<RunResult> result = RunInline(*CreateReferenceBackend(), call.call);
    ASSERT_TRUE(result.ok()) << name << ": " << result.status();
    ASSERT_TRUE(result->plan.has_value());
    EXPECT_EQ(result->plan->query_blocks(), 7) << name;
    EXPECT_EQ(result->plan->key_blocks(), 7) << name;
    const OracleResult oracle = DenseOracle(call.call);
    EXPECT_EQ(result->stats.computed_elements, oracle.elements) << name;
    const BlockPlan& plan = *result->plan;
    int64_t partial = 0;
    for (const PlanEntry& entry : plan.entries) partial += entry.mask == BlockMask::kPredicate;
    EXPECT_EQ(plan.mask, nullptr) << name;
    EXPECT_EQ(plan.program, nullptr) << name;
    EXPECT_EQ(plan.entries.empty(), oracle.elements == 0) << name;
    EXPECT_EQ(partial > 0, oracle.elements > 0) << name;
  }
}

TEST(ReferenceBackend, WhatTensorsOfAnExpressionHoldIsCheckedInATile) {
  OwnedCall call({.query_len = 64, .key_len = 64, .expression = "blocks"});
  call.expression.tensors.Add("indices", DType::kInt32, {1, 2, 2, 2}, {0, 9, 0, 9, 0, 9, 0, 9});
  call.expression.tensors.Add("counts", DType::kInt32, {1, 2, 2}, {2, 2, 2, 2});
  call.call.extra = call.expression.tensors.map();
  call.call.problem.expression = call.expression.Create();
  const absl::Status status = RunInline(*CreateReferenceBackend(), call.call).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("indices"));
}

// What a row is worth beside its sink; of a row that attends nothing the sink is all.
TEST(ReferenceBackend, SinksTakeTheirShareOfWeightsAndLse) {
  OwnedCall call({.query_len = 60,
                  .key_len = 40,
                  .mask = {.causal = true, .q_lengths = {55}, .k_lengths = {40}},
                  .modifiers = {.sinks = true},
                  .weights = true});
  ASSERT_TRUE(RunInline(*CreateReferenceBackend(), call.call).ok());
  for (int64_t i = 0; i < 60; ++i) {
    const double lse = call.lse.At(0, 1, i, 0);
    double sum = 0;
    for (int64_t j = 0; j < 40; ++j) sum += call.weights.At(0, 1, i, j);
    if (i >= 55) {
      EXPECT_EQ(lse, -std::numeric_limits<double>::infinity()) << i;
      EXPECT_EQ(sum, 0) << i;
    } else if (i < 15) {
      EXPECT_EQ(lse, call.sinks.At(0, 0, 0, 1)) << i;
      EXPECT_EQ(sum, 0) << i;
    } else {
      EXPECT_NEAR(sum, 1 - std::exp(call.sinks.At(0, 0, 0, 1) - lse), 1e-6) << i;
    }
  }
}

TEST(ReferenceBackend, IdleSamplesAreLeftAlone) {
  OwnedCall call({.batch = 2, .query_len = 20, .key_len = 20, .idle_samples = {true, false}});
  const absl::StatusOr<RunResult> result = RunInline(*CreateReferenceBackend(), call.call);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(std::isnan(call.out.At(0, 0, 0, 0)));
  EXPECT_FALSE(std::isnan(call.out.At(1, 0, 0, 0)));
  EXPECT_EQ(result->stats.computed_elements, 2 * 20 * 20);
  EXPECT_EQ(result->stats.sparsity(), 0);
}

TEST(ReferenceBackend, RefusesAPlanBeyondTheBound) {
  OwnedCall call(
      {.heads = 1, .kv_heads = 1, .query_len = 1 << 20, .key_len = 1 << 20, .head_dim = 1});
  call.call.problem.wanted.plan = true;
  const absl::Status status = CreateReferenceBackend()->Check(call.call.problem, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr(std::to_string(kMaxReportedPlanEntries)));
}

TEST(ReferenceBackend, WorkspaceCoversTheScratchOfATile) {
  OwnedCall call({.query_len = 50, .key_len = 1000, .head_dim = 8});
  const std::unique_ptr<Backend> eager = CreateReferenceBackend();
  const auto execution = eager->Prepare(call.call);
  ASSERT_TRUE(execution.ok());
  Scratch scratch;
  ASSERT_TRUE((*execution)->RunTile((*execution)->phase_count() - 1, 0, scratch).ok());
  EXPECT_GE(scratch.capacity(), 16 * 1000 * 8);
  EXPECT_GE(eager->WorkspaceBytes(call.call.problem, call.call.options), scratch.capacity());
}

TEST(ReferenceBackend, HasNoOptions) {
  OwnedCall call({.query_len = 4, .key_len = 4});
  call.call.options = {{"block_q", OptionValue{int64_t{64}}}};
  EXPECT_EQ(RunInline(*CreateReferenceBackend(), call.call).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attn
