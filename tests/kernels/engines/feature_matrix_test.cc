// Every backend of this build against every feature: it honours the feature or refuses it by name;
// none is ignored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "kernels/builtin_backends.h"
#include "tests/kernels/engines/feature_calls.h"
#include "tests/support/oracle.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using testing::HasSubstr;

// Of fp32 inputs: what is demanded of attention and of what is computed around it in fp32.
constexpr double kRelL2 = 5e-6;
constexpr double kLseAbs = 1e-5;

std::vector<std::string> BackendNames() {
  std::vector<std::string> names;
  const Registry registry = *CreateBuiltinRegistry();
  for (const Backend* backend : registry.backends()) names.push_back(backend->info().name);
  return names;
}

class FeatureMatrix : public testing::TestWithParam<std::tuple<std::string, Feature>> {
 protected:
  const Backend& backend() const { return *registry_.Find(std::get<0>(GetParam())); }
  static Feature feature() { return std::get<1>(GetParam()); }

  static void ExpectAgreement(const FeatureCall& call) {
    EXPECT_LT(Compare(call.on->out.Values(), call.out).rel_l2, kRelL2);
    if (!call.lse.empty()) {
      EXPECT_LT(Compare(call.on->lse.Values(), call.lse).max_abs, kLseAbs);
    }
    if (!call.weights.empty()) {
      EXPECT_LT(Compare(call.on->weights.Values(), call.weights).max_abs, kRelL2);
    }
    if (!call.replicated.empty()) {
      EXPECT_LT(Compare(call.replicated_out.Values(), call.replicated).rel_l2, kRelL2);
      EXPECT_LT(Compare(call.replicated_lse.Values(), call.replicated_lses).max_abs, kLseAbs);
    }
  }

  // Outputs beside `out` are there or not; every other feature changes `out`.
  static void ExpectDifference(const FeatureCall& call, const RunResult& on, const RunResult& off) {
    switch (feature()) {
      case Feature::kLse:
        EXPECT_TRUE(call.off->call.lse.empty());
        EXPECT_FALSE(call.lse.empty());
        break;
      case Feature::kWeights:
        EXPECT_TRUE(call.off->call.weights.empty());
        EXPECT_FALSE(call.weights.empty());
        break;
      case Feature::kPlan:
        EXPECT_FALSE(off.plan.has_value());
        ASSERT_TRUE(on.plan.has_value());
        EXPECT_GT(on.plan->query_blocks(), 1);
        EXPECT_LT(Compare(PlanOracle(call.on->call, *on.plan).out, call.out).rel_l2, 1e-12);
        break;
      default:
        EXPECT_GT(Compare(call.off->out.Values(), call.out).rel_l2, 1e-3);
    }
  }

 private:
  const Registry registry_ = *CreateBuiltinRegistry();
};

INSTANTIATE_TEST_SUITE_P(All, FeatureMatrix,
                         testing::Combine(testing::ValuesIn(BackendNames()),
                                          testing::ValuesIn(kAllFeatures)),
                         [](const auto& tested) {
                           return std::get<0>(tested.param) + "_" +
                                  std::string(Name(std::get<1>(tested.param)));
                         });

TEST_P(FeatureMatrix, IsHonouredOrRefusedByName) {
  const std::vector<std::unique_ptr<FeatureCall>> calls = FeatureCalls(feature());
  ASSERT_FALSE(calls.empty());
  const BackendInfo& info = backend().info();
  for (const std::unique_ptr<FeatureCall>& call : calls) {
    SCOPED_TRACE(call->name);
    const absl::Status supported = backend().Supports(call->on->call.problem);
    ASSERT_EQ(supported.ok(), info.capabilities.Has(feature())) << supported;
    if (!supported.ok()) {
      EXPECT_EQ(supported.code(), absl::StatusCode::kUnimplemented);
      EXPECT_THAT(std::string(supported.message()), HasSubstr(info.name));
      EXPECT_THAT(std::string(supported.message()), HasSubstr(std::string(Name(feature()))));
      continue;
    }
    if (const absl::Status available = backend().Available(); !available.ok()) {
      GTEST_SKIP() << available;
    }
    const absl::StatusOr<RunResult> on = RunInline(backend(), call->on->call);
    ASSERT_TRUE(on.ok()) << on.status();
    const absl::StatusOr<RunResult> off = RunInline(backend(), call->off->call);
    ASSERT_TRUE(off.ok()) << off.status();
    if (info.exact) ExpectAgreement(*call);
    ExpectDifference(*call, *on, *off);
  }
}

// One value of every option of every backend, which changes the plan that is returned, and values
// that are refused. All are integers.
struct OptionRow {
  const char* backend;
  const char* option;
  int64_t value;
  std::vector<int64_t> refused;
};

std::vector<OptionRow> OptionRows() {
  return {
      {"flash", "block_q", 16, {-1, 0, 15, 100, 528, INT64_MAX}},
      {"flash", "block_k", 48, {-1, 0, 8, 100, 528, INT64_MIN}},
      {"flex", "block_q", 16, {-1, 0, 15, 4097, INT64_MAX}},
      {"flex", "block_kv", 17, {-1, 0, 15, 4097, INT64_MIN}},
  };
}

template <typename Value>
OptionMap OneOption(const char* option, Value value) {
  OptionMap options;
  options[option].value = std::move(value);
  return options;
}

BlockPlan PlanUnder(const Backend& backend, const OptionMap& options) {
  OwnedCall call({.query_len = 200, .key_len = 200, .expression = "nested"});
  call.call.problem.wanted.plan = true;
  call.call.options = options;
  absl::StatusOr<RunResult> result = RunInline(backend, call.call);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() && result->plan.has_value() ? *std::move(result->plan) : BlockPlan();
}

TEST(OptionMatrix, EveryOptionOfEveryBackendHasARow) {
  const Registry registry = *CreateBuiltinRegistry();
  const std::vector<OptionRow> rows = OptionRows();
  size_t known = 0;
  for (const Backend* backend : registry.backends()) {
    for (const OptionSpec& option : backend->info().options) {
      for (const OptionRow& row : rows) {
        known += backend->info().name == row.backend && std::string(option.name) == row.option;
      }
    }
  }
  size_t options = 0;
  for (const Backend* backend : registry.backends()) options += backend->info().options.size();
  EXPECT_EQ(known, options);
  EXPECT_EQ(rows.size(), options);
}

TEST(OptionMatrix, EveryOptionShowsAndIsRefusedWhenWrong) {
  const Registry registry = *CreateBuiltinRegistry();
  for (const OptionRow& row : OptionRows()) {
    SCOPED_TRACE(std::string(row.backend) + " " + row.option);
    const Backend* const backend = registry.Find(row.backend);
    ASSERT_NE(backend, nullptr);
    const BlockPlan plain = PlanUnder(*backend, {});
    const BlockPlan changed = PlanUnder(*backend, OneOption(row.option, row.value));
    EXPECT_TRUE(plain.q_offsets != changed.q_offsets || plain.k_offsets != changed.k_offsets);

    std::vector<OptionMap> refused = {OneOption(row.option, std::string("64")),
                                      OneOption(row.option, true), OneOption(row.option, 64.5),
                                      OneOption(row.option, TensorName{"q"}),
                                      OneOption(row.option, OptionList())};
    for (const int64_t value : row.refused) refused.push_back(OneOption(row.option, value));
    for (const OptionMap& options : refused) {
      const absl::Status status = ValidateOptions(row.backend, options, backend->info().options);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), HasSubstr(row.option));
    }
  }
}

TEST(OptionMatrix, UnknownOptionsAreRefused) {
  const Registry registry = *CreateBuiltinRegistry();
  for (const Backend* backend : registry.backends()) {
    const absl::Status status = ValidateOptions(
        backend->info().name, OneOption("blok_q", int64_t{64}), backend->info().options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << backend->info().name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("blok_q"));
  }
}

}  // namespace
}  // namespace attn
