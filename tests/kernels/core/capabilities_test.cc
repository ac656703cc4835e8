#include "kernels/core/capabilities.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

namespace attn {
namespace {

Capabilities Everything() {
  return {.max_head_dim = 256,
          .dtypes = {DType::kFloat32, DType::kFloat16, DType::kBFloat16},
          .features = {std::begin(kAllFeatures), std::end(kAllFeatures)}};
}

// Takes plain attention of head size 64 or 128 and nothing else.
Capabilities Narrow() { return {.head_dims = {64, 128}, .dtypes = {DType::kFloat32}}; }

void SetMask(AttentionProblem& problem, const MaskSpec& spec) {
  problem.mask = *IntervalMask::Create(spec, problem.batch, problem.query_len, problem.key_len);
}

AttentionProblem Plain() {
  AttentionProblem problem = {.batch = 1,
                              .heads = 8,
                              .kv_heads = 8,
                              .query_len = 16,
                              .key_len = 16,
                              .head_dim = 64,
                              .value_dim = 64,
                              .scale = 0.125};
  SetMask(problem, {});
  return problem;
}

struct RefusalCase {
  std::string name;
  std::function<void(AttentionProblem&)> change;
  std::string text;
};

const RefusalCase kCases[] = {
    {"dtype", [](AttentionProblem& problem) { problem.dtype = DType::kFloat16; },
     "dtype fp16 not supported, supported: fp32"},
    {"out dtype", [](AttentionProblem& problem) { problem.out_dtype = DType::kBFloat16; },
     "output dtype bf16 not supported, supported: fp32"},
    {"head_dim", [](AttentionProblem& problem) { problem.head_dim = 96; },
     "head_dim 96 not supported, supported: 64, 128"},
    {"value head_dim", [](AttentionProblem& problem) { problem.value_dim = 80; },
     "value head_dim 80 not supported, supported: 64, 128"},
    {"causal", [](AttentionProblem& problem) { SetMask(problem, {.causal = true}); },
     "mask causal not supported, supported masks: none"},
    {"window",
     [](AttentionProblem& problem) {
       SetMask(problem, {.window = Window{4, -1}});
     },
     "mask window not supported, supported masks: none"},
    {"q_lengths", [](AttentionProblem& problem) { SetMask(problem, {.q_lengths = {9}}); },
     "mask lengths not supported, supported masks: none"},
    {"k_lengths", [](AttentionProblem& problem) { SetMask(problem, {.k_lengths = {9}}); },
     "mask lengths not supported, supported masks: none"},
    {"packed",
     [](AttentionProblem& problem) {
       SetMask(problem, {.cu_seqlens_q = {0, 16}, .cu_seqlens_k = {0, 16}});
     },
     "mask packed not supported, supported masks: none"},
    {"gqa", [](AttentionProblem& problem) { problem.kv_heads = 2; },
     "2 key heads for 8 query heads (gqa) not supported, supported: as many as query heads"},
    {"lse", [](AttentionProblem& problem) { problem.wanted.lse = true; },
     "output lse not supported, supported beside out: none"},
    {"weights", [](AttentionProblem& problem) { problem.wanted.weights = true; },
     "output weights not supported, supported beside out: none"},
    {"plan", [](AttentionProblem& problem) { problem.wanted.plan = true; },
     "output plan not supported, supported beside out: none"},
    {"scale", [](AttentionProblem& problem) { problem.scale = 0.5; },
     "scale 0.5 not supported, supported: head_dim^-0.5 = 0.125"},
    {"scale of NaN",
     [](AttentionProblem& problem) { problem.scale = std::numeric_limits<double>::quiet_NaN(); },
     "scale nan not supported, supported: head_dim^-0.5 = 0.125"},
    {"first of two", [](AttentionProblem& problem) { problem.head_dim = problem.value_dim = 32; },
     "head_dim 32 not supported, supported: 64, 128"},
};

TEST(Capabilities, ARefusalNamesTheFeatureAndWhatIsSupported) {
  EXPECT_TRUE(Narrow().Check("psa", Plain()).ok());
  for (const RefusalCase& refusal : kCases) {
    SCOPED_TRACE(refusal.name);
    AttentionProblem problem = Plain();
    refusal.change(problem);
    EXPECT_EQ(Narrow().Check("psa", problem), absl::UnimplementedError("psa: " + refusal.text));
    EXPECT_TRUE(Everything().Check("eager", problem).ok());
  }
}

TEST(Capabilities, TheListOfWhatIsSupportedIsTheBackendsOwn) {
  Capabilities capabilities = Everything();
  capabilities.features = {Feature::kCausal, Feature::kPacked, Feature::kLse, Feature::kPlan};
  AttentionProblem problem = Plain();
  problem.wanted.weights = true;
  EXPECT_EQ(capabilities.Check("flash", problem),
            absl::UnimplementedError(
                "flash: output weights not supported, supported beside out: lse, plan"));
  problem = Plain();
  SetMask(problem, {.window = Window{1, 1}});
  EXPECT_EQ(capabilities.Check("flash", problem),
            absl::UnimplementedError(
                "flash: mask window not supported, supported masks: causal, packed"));
  problem = Plain();
  problem.dtype = DType::kInt8;
  EXPECT_EQ(
      capabilities.Check("flash", problem),
      absl::UnimplementedError("flash: dtype int8 not supported, supported: fp32, fp16, bf16"));
}

TEST(Capabilities, ARangeOfHeadSizesIncludesItsEnds) {
  Capabilities capabilities = Everything();
  capabilities.min_head_dim = 8;
  AttentionProblem problem = Plain();
  for (const auto& [dim, taken] :
       {std::pair{7, false}, {8, true}, {96, true}, {256, true}, {257, false}}) {
    problem.head_dim = dim;
    EXPECT_EQ(capabilities.Check("flash", problem).ok(), taken) << dim;
  }
  EXPECT_EQ(capabilities.Check("flash", problem),
            absl::UnimplementedError("flash: head_dim 257 not supported, supported: 8 to 256"));
}

TEST(Capabilities, TheUsualScaleMayBeComputedInFloat) {
  AttentionProblem problem = Plain();
  problem.head_dim = 128;
  problem.scale = static_cast<double>(1.0F / std::sqrt(128.0F));
  EXPECT_TRUE(Narrow().Check("vsa", problem).ok());
  problem.scale *= 1 + 2e-6;
  EXPECT_FALSE(Narrow().Check("vsa", problem).ok());
}

TEST(Capabilities, AWindowWithoutEndsIsNoWindow) {
  AttentionProblem problem = Plain();
  SetMask(problem, {.window = Window{-1, -1}});
  EXPECT_TRUE(Narrow().Check("sta", problem).ok());
}

TEST(Feature, NamesAreThoseOfListBackends) {
  std::string names;
  for (const Feature feature : kAllFeatures) names += std::string(Name(feature)) + " ";
  EXPECT_EQ(names,
            "causal window lengths packed expression gqa scale softcap bias alibi sinks rotary "
            "replicated original_seq_len skip_scores gate lse weights plan ");
}

TEST(FeatureNames, ReadBackAreTheSame) {
  for (const Feature feature : kAllFeatures) {
    EXPECT_EQ(FeatureFromName(Name(feature)), feature) << std::string(Name(feature));
  }
  EXPECT_EQ(FeatureFromName("Causal"), std::nullopt);
  EXPECT_EQ(FeatureFromName(""), std::nullopt);
}

}  // namespace
}  // namespace attn
