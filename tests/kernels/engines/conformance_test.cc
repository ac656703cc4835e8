#include "tests/kernels/engines/conformance.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/kernels/engines/conformance_cases.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

class Conformance : public testing::TestWithParam<ConformanceCase> {};

TEST_P(Conformance, EveryEngineAgreesWithTheOracle) {
  OwnedCall call(GetParam().shape);
  const OracleResult oracle = DenseOracle(call.call);
  const DType dtype = call.call.problem.dtype;
  for (const TestedEngine& engine : TestedEngines({dtype})) {
    const IsaInUse in_use(engine.isa);
    const Registry registry = BackendsOn(engine.isa);
    const Backend& backend = *registry.Find(engine.backend);
    call.PoisonOutputs();
    if (!backend.info().capabilities.Has(Feature::kWeights)) call.WantNoWeights();
    const absl::StatusOr<RunResult> result = RunInline(backend, call.call);
    ASSERT_TRUE(result.ok()) << engine << ": " << result.status();
    EXPECT_EQ(Disagreement(call, oracle, RoundoffOf(engine)), "") << engine;
    EXPECT_EQ(result->stats.computed_elements, oracle.elements) << engine;
    EXPECT_EQ(result->stats.dense_elements, oracle.elements) << engine;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Conformance, testing::ValuesIn(ConformanceCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST(ConformanceTable, OfNormalInputsNoMoreIsAllowedThanIsDemanded) {
  struct Row {
    DType dtype;
    DType out_dtype;
    double demanded;
  };
  const Row rows[] = {
      {DType::kFloat32, DType::kFloat32, 2e-6},   {DType::kFloat16, DType::kFloat16, 1e-3},
      {DType::kBFloat16, DType::kBFloat16, 5e-3}, {DType::kBFloat16, DType::kFloat32, 5e-3},
      {DType::kFloat32, DType::kFloat16, 1e-3},
  };
  const OracleResult normal = {.lse = {8.0}, .largest_score = 10};
  const Roundoff bf16 = {.sums = 0x1p-24, .weights = 0x1p-8};
  for (const Row& row : rows) {
    const OwnedCall call({.head_dim = 256, .dtype = row.dtype, .out_dtype = row.out_dtype});
    EXPECT_LE(ToleranceOf(call.call.problem, normal, bf16).rel_l2, row.demanded);
  }
}

TEST(ConformanceTable, ADeviationBeyondToleranceIsSeen) {
  for (const TestedEngine& engine : TestedEngines({DType::kFloat32})) {
    const IsaInUse in_use(engine.isa);
    OwnedCall call({.query_len = 70, .key_len = 200, .padding = 1});
    const OracleResult oracle = DenseOracle(call.call);
    const Roundoff roundoff = RoundoffOf(engine);
    ASSERT_TRUE(RunInline(*BackendsOn(engine.isa).Find(engine.backend), call.call).ok());
    ASSERT_EQ(Disagreement(call, oracle, roundoff), "") << engine;
    const double right = call.out.At(0, 1, 69, 31);
    call.out.Set(0, 1, 69, 31, right + 1e-2);
    EXPECT_NE(Disagreement(call, oracle, roundoff), "");
    call.out.Set(0, 1, 69, 31, right);
    call.lse.Set(0, 1, 69, 0, call.lse.At(0, 1, 69, 0) + 1e-3);
    EXPECT_NE(Disagreement(call, oracle, roundoff), "");
    call.lse.Set(0, 1, 69, 0, oracle.lse.back());
    ASSERT_EQ(Disagreement(call, oracle, roundoff), "") << engine;
    call.out.Set(0, 1, 68, 32, 0);  // The gap behind a row.
    EXPECT_EQ(Disagreement(call, oracle, roundoff), "out: wrote between its rows");
  }
}

}  // namespace
}  // namespace attn
