#include "tests/kernels/engines/feature_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "tests/kernels/engines/feature_calls.h"
#include "tests/support/oracle.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using testing::HasSubstr;

// Of fp32 inputs: what is demanded of attention and of what is computed around it in fp32.
constexpr double kRelL2 = 5e-6;
constexpr double kLseAbs = 1e-5;

void ExpectAgreement(const FeatureCall& call) {
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
void ExpectDifference(Feature feature, const FeatureCall& call, const RunResult& on,
                      const RunResult& off) {
  switch (feature) {
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

void ExpectRefusedByName(const Backend& backend, Feature feature, const absl::Status& refusal) {
  EXPECT_EQ(refusal.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refusal.message()), HasSubstr(backend.info().name));
  EXPECT_THAT(std::string(refusal.message()), HasSubstr(std::string(Name(feature))));
}

}  // namespace

void ExpectHonouredOrRefused(const Backend& backend, Feature feature) {
  const std::vector<std::unique_ptr<FeatureCall>> calls = FeatureCalls(feature);
  ASSERT_FALSE(calls.empty());
  const BackendInfo& info = backend.info();
  for (const std::unique_ptr<FeatureCall>& call : calls) {
    SCOPED_TRACE(call->name);
    const absl::Status supported = backend.Supports(call->on->call.problem);
    ASSERT_EQ(supported.ok(), info.capabilities.Has(feature)) << supported;
    if (!supported.ok()) {
      ExpectRefusedByName(backend, feature, supported);
      continue;
    }
    const absl::StatusOr<RunResult> on = RunInline(backend, call->on->call);
    ASSERT_TRUE(on.ok()) << on.status();
    const absl::StatusOr<RunResult> off = RunInline(backend, call->off->call);
    ASSERT_TRUE(off.ok()) << off.status();
    if (info.exact) ExpectAgreement(*call);
    ExpectDifference(feature, *call, *on, *off);
  }
}

}  // namespace attn
