// Calls that are planned before they are computed.
#include "kernels/engines/cpu/planned_execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/cpu/planned_backend.h"
#include "tests/kernels/engines/engine_test.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

using testing::HasSubstr;

// Gives a plan after two phases, of two tiles and of one, which it counts.
class FixedPlanning final : public Planning {
 public:
  FixedPlanning(absl::StatusOr<Plan> plan, int* tiles_run)
      : plan_(std::move(plan)), tiles_run_(tiles_run) {}

  int phase_count() const override { return 2; }
  int64_t tiles(int phase) override { return 2 - phase; }
  absl::Status RunTile(int /*phase*/, int64_t /*tile*/, Scratch& /*scratch*/) override {
    ++*tiles_run_;
    return absl::OkStatus();
  }
  absl::StatusOr<Plan> Take() override { return std::move(plan_); }

 private:
  absl::StatusOr<Plan> plan_;
  int* tiles_run_;
};

// Queries 0 to 9 attend keys 0 to 19 of 40, the others nothing.
BlockPlan QuarterPlan() {
  return {.q_offsets = {0, 10, 20},
          .k_offsets = {0, 20, 40},
          .row_begin = {0, 1, 1},
          .entries = {{.key_block = 0}}};
}

absl::StatusOr<RunResult> RunToEnd(Execution& execution) {
  Scratch scratch;
  for (int phase = 0; phase < execution.phase_count(); ++phase) {
    const int64_t tiles = execution.phase(phase).tiles;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(execution.RunTile(phase, tile, scratch));
    }
  }
  return execution.Finish();
}

absl::StatusOr<RunResult> RunPlanned(const OwnedCall& call, absl::StatusOr<Plan> plan,
                                     PlannedReport report, int* tiles_run) {
  PlannedExecution execution(call.call, std::make_unique<FixedPlanning>(std::move(plan), tiles_run),
                             std::move(report), std::make_shared<CpuDevice>());
  return RunToEnd(execution);
}

TEST(PlannedExecution, RunsThePlanOfItsPlanning) {
  OwnedCall call({.query_len = 20, .key_len = 40});
  int tiles_run = 0;
  const absl::StatusOr<RunResult> result =
      RunPlanned(call, QuarterPlan(), {.exact = false}, &tiles_run);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(tiles_run, 3);
  EXPECT_EQ(Disagreement(call, PlanOracle(call.call, QuarterPlan()), UnitRoundoff("fp32")), "");
  EXPECT_EQ(result->stats.sparsity(), 0.75);
  EXPECT_FALSE(result->stats.block_density.has_value());
  EXPECT_FALSE(result->plan.has_value());
}

TEST(PlannedExecution, ReportsWhatItIsAskedFor) {
  OwnedCall call({.query_len = 20, .key_len = 40});
  int tiles_run = 0;
  PlannedReport report = {.exact = true, .returns_plan = true, .counts_blocks = true};
  const IntervalMask other_mask = call.call.problem.mask;
  BlockPlan plan = QuarterPlan();
  plan.mask = &other_mask;
  absl::StatusOr<RunResult> result = RunPlanned(call, plan, std::move(report), &tiles_run);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stats.sparsity(), 0);
  EXPECT_EQ(result->stats.computed_elements, 2 * 10 * 20);
  EXPECT_EQ(result->stats.block_density, 0.25);
  ASSERT_TRUE(result->plan.has_value());
  EXPECT_EQ(result->plan->entries, QuarterPlan().entries);
  EXPECT_EQ(result->plan->mask, nullptr) << "outlives what it borrowed";

  // An implicit one lists no blocks.
  PlannedReport counts = {.counts_blocks = true};
  const ImplicitPlan implicit = {.block_q = 10, .block_k = 10, .mask = &call.call.problem.mask};
  result = RunPlanned(call, implicit, std::move(counts), &tiles_run);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->stats.block_density.has_value());
}

TEST(PlannedExecution, ReturnsTheOtherPlanInPlaceOfItsOwn) {
  OwnedCall call({.query_len = 20, .key_len = 40});
  int tiles_run = 0;
  int other_tiles_run = 0;
  PlannedReport report;
  report.returns_plan = true;
  report.other = std::make_unique<FixedPlanning>(
      ImplicitPlan{.block_q = 5, .block_k = 8, .mask = &call.call.problem.mask}, &other_tiles_run);
  const absl::StatusOr<RunResult> result =
      RunPlanned(call, QuarterPlan(), std::move(report), &tiles_run);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(other_tiles_run, 3);
  ASSERT_TRUE(result->plan.has_value());
  EXPECT_EQ(result->plan->query_blocks(), 4);
  EXPECT_EQ(result->plan->key_blocks(), 5);
}

TEST(PlannedExecution, ErrorsOfThePlanEndTheCall) {
  OwnedCall call({.query_len = 20, .key_len = 40});
  int tiles_run = 0;
  BlockPlan broken = QuarterPlan();
  broken.entries[0].key_block = 7;
  const absl::Status refused = RunPlanned(call, broken, {}, &tiles_run).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("key_block is 7"));
  const absl::Status failed =
      RunPlanned(call, absl::InvalidArgumentError("ids"), {}, &tiles_run).status();
  EXPECT_EQ(failed.message(), "ids");
}

// Lists a quarter of the blocks, whatever is asked.
class QuarterMethod final : public Method {
 public:
  QuarterMethod() {
    info_.name = "quarter";
    info_.description = "a quarter";
    info_.capabilities.max_head_dim = 64;
    info_.capabilities.features = {Feature::kScale, Feature::kLse, Feature::kWeights,
                                   Feature::kPlan};
  }
  const MethodInfo& info() const override { return info_; }
  absl::Status Supports(const AttentionProblem& problem) const override {
    return problem.query_len == 20 ? absl::OkStatus() : absl::UnimplementedError("quarter: 20");
  }
  absl::Status Check(const AttentionProblem& /*problem*/,
                     const OptionMap& /*options*/) const override {
    return absl::OkStatus();
  }
  Blocks SmallestBlocks(const AttentionProblem&, const OptionMap&) const override {
    return {16, 16};
  }
  int64_t PlanBytes(const AttentionProblem&, const OptionMap&) const override { return 1000; }
  std::unique_ptr<Planning> Plan(const AttentionCall& /*call*/) const override {
    return std::make_unique<FixedPlanning>(QuarterPlan(), &tiles_run_);
  }

 private:
  MethodInfo info_;
  mutable int tiles_run_ = 0;
};

TEST(PlannedBackend, HasWhatMethodAndEngineHave) {
  const auto device = std::make_shared<CpuDevice>();
  const std::unique_ptr<Backend> backend =
      CreatePlannedBackend(std::make_unique<QuarterMethod>(), 30, device);
  const BackendInfo& info = backend->info();
  EXPECT_EQ(info.name, "quarter");
  EXPECT_EQ(info.method, "quarter");
  EXPECT_EQ(info.engine, "cpu");
  EXPECT_EQ(info.description, "a quarter");
  EXPECT_EQ(info.cost_rank, 30);
  EXPECT_FALSE(info.exact);
  EXPECT_EQ(info.capabilities.max_head_dim, 64);
  EXPECT_EQ(info.capabilities.dtypes.size(), 3);
  EXPECT_TRUE(info.capabilities.Has(Feature::kPlan));
  EXPECT_FALSE(info.capabilities.Has(Feature::kWeights)) << "of the method alone";
  EXPECT_FALSE(info.capabilities.Has(Feature::kSoftcap)) << "of the engine alone";

  OwnedCall call({.query_len = 20, .key_len = 40});
  EXPECT_GT(backend->WorkspaceBytes(call.call.problem, call.call.options), 1000);
  call.call.problem.wanted.plan = true;
  const absl::StatusOr<RunResult> result = RunInline(*backend, call.call);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stats.sparsity(), 0.75);
  EXPECT_EQ(result->stats.block_density, 0.25);
  EXPECT_TRUE(result->plan.has_value());

  call.call.problem.scale = 1e30;
  EXPECT_THAT(std::string(backend->Supports(call.call.problem).message()),
              HasSubstr("quarter: scale 1e+30 not supported"));
  EXPECT_THAT(
      std::string(RunInline(*backend, OwnedCall({.query_len = 21}).call).status().message()),
      HasSubstr("quarter: 20"));
}

TEST(FlashBackend, PlansCallsWithAnExpressionAndReportsAtTheBlocksThatTheyName) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const std::string name : {"causal", "far", "dense_of_heads"}) {
    OwnedCall call({.batch = 2, .query_len = 200, .key_len = 300, .expression = name});
    call.call.problem.wanted.plan = true;
    call.call.problem.wanted.plan_block_q = 50;
    call.call.problem.wanted.plan_block_k = 30;
    const absl::StatusOr<RunResult> result = RunInline(*flash, call.call);
    ASSERT_TRUE(result.ok()) << name << ": " << result.status();
    EXPECT_EQ(Disagreement(call, DenseOracle(call.call), UnitRoundoff("fp32")), "") << name;
    EXPECT_EQ(result->stats.sparsity(), 0) << name;
    EXPECT_EQ(result->stats.computed_elements, DenseOracle(call.call).elements) << name;
    ASSERT_TRUE(result->plan.has_value()) << name;
    EXPECT_EQ(result->plan->query_blocks(), 4) << name;
    EXPECT_EQ(result->plan->key_blocks(), 10) << name;
  }
}

// Blocks of an expression that comes to intervals are those of a plain call: so are its results.
TEST(FlashBackend, AnIntervalMaskIsTheSameWhicheverWayItIsSaid) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const int64_t query_len : {1, 40, 700}) {
    CallShape shape = {.batch = 2, .query_len = query_len, .key_len = 700};
    shape.mask = {.causal = true};
    OwnedCall field(shape);
    shape.mask = {};
    shape.expression = "causal";
    OwnedCall expression(shape);
    const absl::StatusOr<RunResult> of_field = RunInline(*flash, field.call);
    const absl::StatusOr<RunResult> of_expression = RunInline(*flash, expression.call);
    ASSERT_TRUE(of_field.ok() && of_expression.ok()) << of_expression.status();
    EXPECT_EQ(expression.out.Bytes(), field.out.Bytes()) << query_len;
    EXPECT_EQ(expression.lse.Bytes(), field.lse.Bytes()) << query_len;
    EXPECT_EQ(of_expression->stats.computed_elements, of_field->stats.computed_elements);
  }
}

TEST(FlashBackend, ReportsTheSamePlanWhateverBlocksRan) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const std::string name : {"causal", "far", "dense_of_heads", "padding_lengths"}) {
    OwnedCall call({.batch = 2, .query_len = 200, .key_len = 300, .expression = name});
    call.call.problem.wanted.plan = true;
    call.call.problem.wanted.plan_block_q = 48;
    call.call.problem.wanted.plan_block_k = 32;
    const absl::StatusOr<RunResult> other = RunInline(*flash, call.call);
    call.call.options = {{"block_q", OptionValue{int64_t{48}}},
                         {"block_k", OptionValue{int64_t{32}}}};
    const absl::StatusOr<RunResult> own = RunInline(*flash, call.call);
    ASSERT_TRUE(other.ok() && own.ok() && own->plan && other->plan) << name << own.status();
    EXPECT_EQ(own->plan->batch, other->plan->batch) << name;
    EXPECT_EQ(own->plan->heads, other->plan->heads) << name;
    EXPECT_EQ(own->plan->q_offsets, other->plan->q_offsets) << name;
    EXPECT_EQ(own->plan->k_offsets, other->plan->k_offsets) << name;
    EXPECT_EQ(own->plan->row_begin, other->plan->row_begin) << name;
    EXPECT_EQ(own->plan->entries, other->plan->entries) << name;
  }
}

TEST(FlashBackend, AnnouncesFinerPlansOfExpressionsAsTheyGrow) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  const OwnedCall call({.heads = 1,
                        .kv_heads = 1,
                        .query_len = 30000,
                        .key_len = 30000,
                        .head_dim = 1,
                        .expression = "far"});
  const AttentionProblem& problem = call.call.problem;
  const OptionMap fine = {{"block_q", OptionValue{int64_t{16}}},
                          {"block_k", OptionValue{int64_t{16}}}};
  const int64_t blocks = 1875 * 1875;
  EXPECT_GE(flash->WorkspaceBytes(problem, fine), blocks * static_cast<int64_t>(sizeof(PlanEntry)));
  EXPECT_LT(flash->WorkspaceBytes(problem, {}), int64_t{1} << 28);
}

}  // namespace
}  // namespace attn
