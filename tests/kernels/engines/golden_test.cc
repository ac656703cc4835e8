// Exact backends against what the original implementations answered.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "client/golden/golden_case.h"
#include "client/golden/tensor_compare.h"
#include "kernels/builtin_backends.h"
#include "tests/kernels/engines/golden_call.h"
#include "tests/support/golden_files.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

// What the case allows, or what 16-bit inputs and outputs add to it: the arithmetic of an engine
// that rounds weights to 16 bits, and half an ulp of the output.
Expectation Allowed(const Expectation& expectation, const std::vector<double>& expected,
                    DType dtype) {
  Expectation allowed = expectation;
  if (dtype == DType::kFloat32) return allowed;
  if (expectation.output == "lse") {
    double size = 0;
    for (const double value : expected) {
      if (std::isfinite(value)) size = std::max(size, std::abs(value));
    }
    allowed.max_abs = 1e-3 + 1e-5 * size;
  } else if (expectation.output == "out") {
    const bool bf16 = dtype == DType::kBFloat16;
    allowed.rel_l2 = expectation.rel_l2.value_or(0) + (bf16 ? 5e-3 + 0x1p-9 : 1e-3 + 0x1p-12);
    allowed.max_abs.reset();
  }
  return allowed;
}

void RunAndCompare(const Backend& backend, const GoldenCase& golden, const std::string& prefix,
                   DType dtype) {
  const BackendInfo& info = backend.info();
  SCOPED_TRACE(info.name + " " + prefix + " " + std::string(Name(dtype)));
  const bool weights =
      info.capabilities.Has(Feature::kWeights) &&
      std::any_of(golden.expected.begin(), golden.expected.end(),
                  [](const Expectation& expected) { return expected.output == "weights"; });
  const auto call = GoldenCall::Create(golden, prefix, dtype, weights);
  ASSERT_TRUE(call.ok()) << call.status();
  const absl::StatusOr<RunResult> result = RunInline(backend, (*call)->call());
  ASSERT_TRUE(result.ok()) << result.status();
  for (const Expectation& expectation : golden.expected) {
    if (expectation.output == "weights" && !weights) continue;
    const FileTensor* tensor = golden.Find(prefix, expectation.tensor);
    ASSERT_NE(tensor, nullptr) << expectation.tensor;
    const std::vector<double> expected = *ToDoubles(*tensor);
    const std::vector<double> actual = (*call)->Output(expectation.output);
    ASSERT_EQ(actual.size(), expected.size()) << expectation.output;
    const Expectation allowed = Allowed(expectation, expected, dtype);
    const Difference difference = Compare(actual, expected);
    ASSERT_TRUE(allowed.rel_l2.has_value() || allowed.max_abs.has_value());
    if (allowed.rel_l2.has_value()) {
      EXPECT_LE(difference.rel_l2, *allowed.rel_l2) << expectation.output;
    }
    if (allowed.max_abs.has_value()) {
      EXPECT_LE(difference.max_abs, *allowed.max_abs) << expectation.output;
    }
  }
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, EveryExactBackendAgrees) {
  const absl::StatusOr<GoldenCase> golden = ReadGoldenCase(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  if (golden->kind != "call") GTEST_SKIP() << "its kind is " << golden->kind;
  if (golden->backend != "dense") GTEST_SKIP() << "its backend is " << golden->backend;
  const std::string unknown = GoldenCall::UnknownPart(*golden);
  if (!unknown.empty()) GTEST_SKIP() << "no backend here knows " << unknown;

  const absl::StatusOr<Registry> registry = CreateBuiltinRegistry();
  ASSERT_TRUE(registry.ok()) << registry.status();
  for (const std::string& prefix : golden->prefixes) {
    const FileTensor* q = golden->Find(prefix, "q");
    ASSERT_NE(q, nullptr);
    std::vector<DType> dtypes = {DType::kFloat32};
    if (q->dtype != DType::kFloat32) dtypes.push_back(q->dtype);
    if (!golden->run_dtype.empty()) dtypes = {DTypeFromName(golden->run_dtype).value()};
    for (const Backend* backend : registry->backends()) {
      if (!backend->info().exact || !backend->Available().ok()) continue;
      for (const DType dtype : dtypes) RunAndCompare(*backend, *golden, prefix, dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(GoldenFiles(ATTN_SOURCE_DIR)),
                         [](const auto& tested) {
                           std::string name = GoldenName(tested.param);
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace attn
