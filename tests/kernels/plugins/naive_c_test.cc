// The example's backend, loaded from its library and within the stages, must compute what every
// other exact backend computes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/builtin_backends.h"
#include "kernels/plugins/plugin_library.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/conformance_cases.h"
#include "tests/kernels/engines/feature_walk.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

Registry WithExample() {
  PluginLibrary library = LoadPlugin(ATTN_PLUGIN_EXAMPLE).value();
  return CreateBuiltinRegistry({}, {std::move(library.backends), std::move(library.mask_functions)})
      .value();
}

class NaiveC : public ::testing::TestWithParam<ConformanceCase> {};

TEST_P(NaiveC, AgreesWithTheOracle) {
  OwnedCall call(GetParam().shape);
  const Registry registry = WithExample();
  const Backend& backend = *registry.Find("naive_c");
  if (call.call.problem.dtype != DType::kFloat32 ||
      call.call.problem.out_dtype != DType::kFloat32) {
    EXPECT_THAT(std::string(backend.Supports(call.call.problem).message()),
                HasSubstr("not supported, supported: fp32"));
    return;
  }
  const OracleResult oracle = DenseOracle(call.call);
  const absl::StatusOr<RunResult> result = RunOnThreads(backend, call.call, 2, 1);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Disagreement(call, oracle, UnitRoundoff("fp64")), "");
  EXPECT_EQ(result->stats.computed_elements, oracle.elements);
  EXPECT_EQ(result->stats.dense_elements, oracle.elements);
}

INSTANTIATE_TEST_SUITE_P(Cases, NaiveC, ::testing::ValuesIn(ConformanceCases()),
                         [](const auto& tested) { return tested.param.name; });

// As every backend of this build (feature_matrix_test.cc).
class NaiveCFeature : public ::testing::TestWithParam<Feature> {};

TEST_P(NaiveCFeature, IsHonouredOrRefusedByName) {
  const Registry registry = WithExample();
  ExpectHonouredOrRefused(*registry.Find("naive_c"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, NaiveCFeature, ::testing::ValuesIn(kAllFeatures),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

TEST(NaiveCInTheRegistry, HasTheStagesOfEveryBackend) {
  const Registry registry = WithExample();
  const Capabilities& capabilities = registry.Find("naive_c")->info().capabilities;
  for (const Feature feature : {Feature::kRotary, Feature::kOriginalSeqLen, Feature::kSkipScores,
                                Feature::kGate, Feature::kReplicated}) {
    EXPECT_TRUE(capabilities.Has(feature)) << std::string(Name(feature));
  }
  EXPECT_FALSE(capabilities.Has(Feature::kPlan));
  EXPECT_EQ(registry.backends().back()->info().name, "naive_c");  // The dearest.
  ASSERT_EQ(registry.mask_functions().size(), 1u);
  EXPECT_EQ(registry.mask_functions()[0]->info().name, "dilated");
}

TEST(NaiveCInTheRegistry, SkipsScoresThroughTheStages) {
  const Registry registry = WithExample();
  OwnedCall call({.query_len = 20, .key_len = 20});
  call.call.problem.stages.skip_scores.mode = SkipMode::kValue;
  call.call.problem.wanted.lse = false;
  call.call.lse = {};
  ASSERT_TRUE(RunInline(*registry.Find("naive_c"), call.call).ok());
  EXPECT_EQ(call.out.Values(), call.v.Values());
}

// What one tile computes does not depend on how many queries it has.
TEST(NaiveCInTheRegistry, OptionRowsIsReadAndChecked) {
  const Registry registry = WithExample();
  const Backend& backend = *registry.Find("naive_c");
  OwnedCall call({.heads = 1, .kv_heads = 1, .query_len = 40, .key_len = 20});
  const auto tiles = [&](int64_t rows) {
    call.call.options = {{"rows", {rows}}};
    auto execution = backend.Prepare(call.call).value();
    Scratch scratch;
    EXPECT_TRUE(execution->RunTile(0, 0, scratch).ok());
    return execution->phase(1).tiles;
  };
  EXPECT_EQ(tiles(16), 3);
  EXPECT_EQ(tiles(40), 1);
  call.call.options = {{"rows", {int64_t{0}}}};
  EXPECT_THAT(std::string(RunInline(backend, call.call).status().message()),
              HasSubstr("option 'rows': naive_c: 0 is out of range, allowed: 1 to 1024"));
}

}  // namespace
}  // namespace attn
