#include "tests/kernels/engines/conformance.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/builtin_backends.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

class Conformance : public testing::TestWithParam<ConformanceCase> {};

TEST_P(Conformance, EveryBackendAgreesWithTheOracle) {
  const absl::StatusOr<Registry> registry = CreateBuiltinRegistry();
  ASSERT_TRUE(registry.ok()) << registry.status();
  const OracleResult oracle = DenseOracle(OwnedCall(GetParam().shape).call);
  for (const Backend* backend : registry->backends()) {
    const BackendInfo& info = backend->info();
    if (!info.exact || !backend->Available().ok()) continue;
    CallShape shape = GetParam().shape;
    shape.weights = shape.weights && info.capabilities.Has(Feature::kWeights);
    OwnedCall call(shape);
    if (!backend->Supports(call.call.problem).ok()) continue;
    const absl::StatusOr<RunResult> result = RunInline(*backend, call.call);
    ASSERT_TRUE(result.ok()) << info.name << ": " << result.status();
    EXPECT_EQ(Disagreement(call, oracle, UnitRoundoff(info.precision)), "") << info.name;
    EXPECT_EQ(result->stats.computed_elements, oracle.elements) << info.name;
    EXPECT_EQ(result->stats.dense_elements, oracle.elements) << info.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Conformance, testing::ValuesIn(ConformanceCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(ConformanceTable, BothBackendsTakeEveryCase) {
  const absl::StatusOr<Registry> registry = CreateBuiltinRegistry();
  ASSERT_TRUE(registry.ok());
  for (const ConformanceCase& conformance : ConformanceCases()) {
    CallShape shape = conformance.shape;
    shape.weights = false;
    const OwnedCall call(shape);
    for (const char* name : {"eager", "flash"}) {
      const absl::Status status = registry->Find(name)->Supports(call.call.problem);
      EXPECT_TRUE(status.ok()) << conformance.name << ": " << status;
    }
  }
}

TEST(ConformanceTable, ADeviationBeyondToleranceIsSeen) {
  const absl::StatusOr<Registry> registry = CreateBuiltinRegistry();
  ASSERT_TRUE(registry.ok());
  OwnedCall call({.query_len = 70, .key_len = 200});
  const OracleResult oracle = DenseOracle(call.call);
  const double unit = UnitRoundoff("fp32");
  ASSERT_TRUE(RunInline(*registry->Find("flash"), call.call).ok());
  ASSERT_EQ(Disagreement(call, oracle, unit), "");
  const double right = call.out.At(0, 1, 69, 31);
  call.out.Set(0, 1, 69, 31, right + 1e-2);
  EXPECT_NE(Disagreement(call, oracle, unit), "");
  call.out.Set(0, 1, 69, 31, right);
  call.lse.Set(0, 1, 69, 0, call.lse.At(0, 1, 69, 0) + 1e-3);
  EXPECT_NE(Disagreement(call, oracle, unit), "");
}

}  // namespace
}  // namespace attn
