#include "kernels/engines/cpu/flash_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kernels/core/limits.h"
#include "kernels/engines/reference/reference_backend.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using testing::HasSubstr;

OptionValue Int(int64_t value) { return {value}; }

TEST(FlashBackend, EveryBlockSizeAgreesWithTheOracle) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  OwnedCall call({.query_len = 300, .key_len = 700, .head_dim = 20, .mask = {.causal = true}});
  const OracleResult oracle = DenseOracle(call.call);
  for (const int64_t block_q : {16, 48, 64, 512}) {
    for (const int64_t block_k : {16, 80, 128, 512}) {
      call.call.options = {{"block_q", Int(block_q)}, {"block_k", Int(block_k)}};
      call.PoisonOutputs();
      const absl::StatusOr<RunResult> result = RunInline(*flash, call.call);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(Disagreement(call, oracle, UnitRoundoff("fp32")), "") << block_q << " " << block_k;
      EXPECT_EQ(result->stats.sparsity(), 0);
    }
  }
}

TEST(FlashBackend, RefusesBadOptionsByName) {
  struct Row {
    const char* name;
    OptionMap options;
    const char* text;
  };
  const Row rows[] = {
      {"too small", {{"block_q", Int(8)}}, "16 to 512, a multiple of 16"},
      {"not a multiple", {{"block_k", Int(100)}}, "option 'block_k': 100"},
      {"too large", {{"block_k", Int(1024)}}, "16 to 512"},
      {"negative", {{"block_k", Int(-64)}}, "-64"},
      {"wrong type", {{"block_q", OptionValue{true}}}, "block_q"},
      {"unknown", {{"blok_k", Int(64)}}, "did you mean 'block_k'"},
  };
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const Row& row : rows) {
    OwnedCall call({.query_len = 10, .key_len = 10});
    call.call.options = row.options;
    const absl::Status status = RunInline(*flash, call.call).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.text)) << row.name;
  }
}

TEST(FlashBackend, ReportsThePlanAtTheBlocksThatTheCallNames) {
  struct Row {
    const char* name;
    int64_t plan_block_q;
    int64_t plan_block_k;
    OptionMap options;
    int64_t query_blocks;
    int64_t key_blocks;
  };
  const Row rows[] = {
      {"default 64", 0, 0, {}, 4, 5},
      {"wanted", 100, 30, {}, 2, 10},
      {"option", 0, 0, {{"block_q", Int(32)}}, 7, 5},
      {"both agree", 32, 16, {{"block_q", Int(32)}}, 7, 19},
  };
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const Row& row : rows) {
    OwnedCall call({.query_len = 200, .key_len = 300, .mask = {.causal = true}});
    call.call.problem.wanted.plan = true;
    call.call.problem.wanted.plan_block_q = row.plan_block_q;
    call.call.problem.wanted.plan_block_k = row.plan_block_k;
    call.call.options = row.options;
    const absl::StatusOr<RunResult> result = RunInline(*flash, call.call);
    ASSERT_TRUE(result.ok()) << row.name << ": " << result.status();
    ASSERT_TRUE(result->plan.has_value()) << row.name;
    EXPECT_EQ(result->plan->query_blocks(), row.query_blocks) << row.name;
    EXPECT_EQ(result->plan->key_blocks(), row.key_blocks) << row.name;
    EXPECT_TRUE(result->plan->Validate(1, 2, 200, 300).ok()) << row.name;
    EXPECT_EQ(PlanOracle(call.call, *result->plan).elements, result->stats.computed_elements);
  }
}

TEST(FlashBackend, RefusesAPlanThatItCannotReport) {
  struct Row {
    const char* name;
    int64_t length;
    int64_t plan_block_q;
    OptionMap options;
    const char* text;
  };
  const Row rows[] = {
      {"differs from the option",
       100,
       64,
       {{"block_q", Int(32)}},
       "outputs.plan_block_q is 64 but option block_q is 32"},
      {"too large", 100, kMaxBlock + 1, {}, "allowed: 1 to 65536"},
      {"negative", 100, -1, {}, "plan_block_q is -1"},
      {"too many entries", int64_t{1} << 20, 1, {}, "allowed: 67108864"},
  };
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  for (const Row& row : rows) {
    OwnedCall call(
        {.heads = 1, .kv_heads = 1, .query_len = row.length, .key_len = row.length, .head_dim = 1});
    call.call.problem.wanted.plan = true;
    call.call.problem.wanted.plan_block_q = row.plan_block_q;
    call.call.options = row.options;
    const absl::Status status = flash->Check(call.call.problem, row.options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.text)) << row.name;
  }
}

TEST(FlashBackend, RefusesAScaleThatFp32CannotHold) {
  for (const double scale : {1e39, -1e39}) {
    OwnedCall call({.query_len = 10, .key_len = 10});
    call.call.problem.scale = scale;
    const absl::Status status =
        CreateFlashBackend(std::make_shared<CpuDevice>())->Supports(call.call.problem);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("1e+39 not supported, supported: 0 and 2^-64 to 2^64"));
    EXPECT_TRUE(CreateReferenceBackend()->Supports(call.call.problem).ok());
  }
}

TEST(FlashBackend, ReturnsNoPlanUnasked) {
  OwnedCall call({.query_len = 10, .key_len = 10});
  const absl::StatusOr<RunResult> result =
      RunInline(*CreateFlashBackend(std::make_shared<CpuDevice>()), call.call);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->plan.has_value());
}

TEST(FlashBackend, RefusesWeights) {
  OwnedCall call({.query_len = 10, .key_len = 10, .weights = true});
  const absl::Status status =
      RunInline(*CreateFlashBackend(std::make_shared<CpuDevice>()), call.call).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("weights"));
}

TEST(FlashBackend, WorkspaceCoversWhatAPlanReportTakes) {
  const std::unique_ptr<Backend> flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  OwnedCall call({.query_len = 4096, .key_len = 4096, .head_dim = 1});
  const int64_t plain = flash->WorkspaceBytes(call.call.problem, call.call.options);
  call.call.problem.wanted.plan = true;
  EXPECT_GE(flash->WorkspaceBytes(call.call.problem, call.call.options),
            plain + 64 * 64 * static_cast<int64_t>(sizeof(PlanEntry)));
}

}  // namespace
}  // namespace attn
