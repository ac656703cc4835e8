// Every backend of this build against every feature: it honours the feature or refuses it by name;
// none is ignored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/builtin_backends.h"
#include "tests/kernels/engines/feature_walk.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using testing::HasSubstr;

std::vector<std::string> BackendNames() {
  std::vector<std::string> names;
  const Registry registry = *CreateBuiltinRegistry();
  for (const Backend* backend : registry.backends()) names.push_back(backend->info().name);
  return names;
}

class FeatureMatrix : public testing::TestWithParam<std::tuple<std::string, Feature>> {};

INSTANTIATE_TEST_SUITE_P(All, FeatureMatrix,
                         testing::Combine(testing::ValuesIn(BackendNames()),
                                          testing::ValuesIn(kAllFeatures)),
                         [](const auto& tested) {
                           return std::get<0>(tested.param) + "_" +
                                  std::string(Name(std::get<1>(tested.param)));
                         });

TEST_P(FeatureMatrix, IsHonouredOrRefusedByName) {
  const auto& [name, feature] = GetParam();
  const Registry registry = *CreateBuiltinRegistry();
  const Backend& backend = *registry.Find(name);
  if (const absl::Status available = backend.Available(); !available.ok()) {
    GTEST_SKIP() << available;
  }
  ExpectHonouredOrRefused(backend, feature);
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
  std::vector<std::string> rows;
  for (const OptionRow& row : OptionRows())
    rows.push_back(absl::StrCat(row.backend, ".", row.option));
  std::vector<std::string> options;
  for (const Backend* backend : registry.backends()) {
    for (const OptionSpec& option : backend->info().options) {
      options.push_back(absl::StrCat(backend->info().name, ".", option.name));
    }
  }
  EXPECT_THAT(rows, testing::UnorderedElementsAreArray(options));
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
