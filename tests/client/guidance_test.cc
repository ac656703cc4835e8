#include "client/guidance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/golden/safetensors.h"
#include "client/golden/tensor_compare.h"
#include "nlohmann/json.hpp"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kUnset = std::numeric_limits<float>::quiet_NaN();

// A golden case as it stands: its options are lists of objects.
struct Case {
  SafetensorsFile file;
  Json options;

  std::vector<float> Floats(const std::string& name) const {
    const std::vector<double> wide = *ToDoubles(*file.Find(name));
    return {wide.begin(), wide.end()};
  }
};

// nullopt if it is not among the golden cases that are here.
std::optional<Case> FindCase(const std::string& name) {
  for (const std::string& path : GoldenFiles(ATTN_SOURCE_DIR)) {
    if (GoldenName(path) != name) continue;
    absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return std::nullopt;
    const Json golden = Json::parse(file->metadata().find("case")->second);
    return Case{*std::move(file), golden["options"]};
  }
  return std::nullopt;
}

void ExpectNear(const std::vector<float>& actual, const std::vector<float>& expected) {
  const Difference difference = Compare(std::vector<double>(actual.begin(), actual.end()),
                                        std::vector<double>(expected.begin(), expected.end()));
  EXPECT_LE(difference.rel_l2, 1e-6);  // Of the cases' README.
  EXPECT_LE(difference.max_abs, 1e-5);
}

TEST(SkipLayerGuidance, AgreesWithDiffusers) {
  const std::optional<Case> golden = FindCase("skip/guidance_slg");
  if (!golden.has_value()) GTEST_SKIP() << "no golden case skip/guidance_slg";
  const std::vector<float> cond = golden->Floats("pred_cond");
  const std::vector<float> uncond = golden->Floats("pred_uncond");
  const std::vector<float> skip = golden->Floats("pred_cond_skip");
  ASSERT_GT(golden->options["variants"].size(), 0U);
  for (const Json& variant : golden->options["variants"]) {
    SCOPED_TRACE(variant.dump());
    const SkipLayerGuidance guidance = {
        .guidance_scale = variant["guidance_scale"],
        .skip_scale = variant["skip_layer_guidance_scale"],
        .rescale = variant["guidance_rescale"],
        .original_formulation = variant["use_original_formulation"],
        .start = variant["start"],
        .stop = variant["stop"],
        .skip_start = variant["skip_layer_guidance_start"],
        .skip_stop = variant["skip_layer_guidance_stop"],
    };
    const int64_t step = variant["step"];
    const int64_t step_count = variant["num_inference_steps"];
    EXPECT_EQ(guidance.GuidanceActive(step, step_count), variant["cfg_active"].get<bool>());
    EXPECT_EQ(guidance.SkipActive(step, step_count), variant["slg_active"].get<bool>());
    std::vector<float> out(cond.size(), kUnset);
    ASSERT_TRUE(ApplyGuidance(guidance, step, step_count, 2, cond, uncond, skip, out).ok());
    ExpectNear(out, golden->Floats(variant["out"]));
  }
}

TEST(SkipLayerGuidance, IsActiveAtTheStepsOfDiffusers) {
  const std::optional<Case> golden = FindCase("skip/guidance_slg_active_steps");
  if (!golden.has_value()) GTEST_SKIP() << "no golden case skip/guidance_slg_active_steps";
  const std::vector<double> rows = *ToDoubles(*golden->file.Find("rows"));
  const std::vector<double> active = *ToDoubles(*golden->file.Find("active"));
  ASSERT_GT(rows.size(), 0U);
  const SkipLayerGuidance guidance = {.skip_start = golden->options["skip_layer_guidance_start"],
                                      .skip_stop = golden->options["skip_layer_guidance_stop"]};
  for (size_t i = 0; i < rows.size(); i += 2) {
    const auto step_count = static_cast<int64_t>(rows[i]);
    const auto step = static_cast<int64_t>(rows[i + 1]);
    EXPECT_EQ(guidance.GuidanceActive(step, step_count), active[i] != 0) << step_count << step;
    EXPECT_EQ(guidance.SkipActive(step, step_count), active[i + 1] != 0) << step_count << step;
  }
}

TEST(SpatioTemporalGuidance, AgreesWithLtx2) {
  const std::optional<Case> golden = FindCase("skip/guidance_stg_ltx2");
  if (!golden.has_value()) GTEST_SKIP() << "no golden case skip/guidance_stg_ltx2";
  const std::vector<float> cond = golden->Floats("pred_cond");
  const std::vector<float> uncond = golden->Floats("pred_uncond");
  const std::vector<float> perturbed = golden->Floats("pred_cond_stg");
  const std::vector<float> modality = golden->Floats("pred_cond_modality");
  ASSERT_GT(golden->options["variants"].size(), 0U);
  for (const Json& variant : golden->options["variants"]) {
    SCOPED_TRACE(variant.dump());
    const SpatioTemporalGuidance guidance = {.guidance_scale = variant["guidance_scale"],
                                             .stg_scale = variant["stg_scale"],
                                             .modality_scale = variant["modality_scale"],
                                             .rescale = variant["guidance_rescale"]};
    std::vector<float> out(cond.size(), kUnset);
    ASSERT_TRUE(ApplyGuidance(guidance, 2, cond, uncond, perturbed, modality, out).ok());
    ExpectNear(out, golden->Floats(variant["out"]));
  }
}

// Steps 0 to 9 of 10; the skip term at 1 to 8, guidance always.
SkipLayerGuidance Guidance() {
  return {.guidance_scale = 3, .skip_scale = 2, .skip_start = 0, .skip_stop = 0.9};
}

const std::vector<float> kCond = {4, 8};
const std::vector<float> kUncond = {1, 2};
const std::vector<float> kSkip = {3, 6};

TEST(SkipLayerGuidance, MayWriteOverAnyOfItsInputs) {
  for (int which = 0; which < 3; ++which) {
    SkipLayerGuidance guidance = Guidance();
    guidance.rescale = 0.5;
    std::vector<float> inputs[] = {kCond, kUncond, kSkip};
    std::vector<float> apart(2, kUnset);
    ASSERT_TRUE(ApplyGuidance(guidance, 2, 10, 1, kCond, kUncond, kSkip, apart).ok());
    ASSERT_TRUE(
        ApplyGuidance(guidance, 2, 10, 1, inputs[0], inputs[1], inputs[2], inputs[which]).ok());
    EXPECT_EQ(inputs[which], apart) << which;
  }
}

TEST(SkipLayerGuidance, APredictionMayBeAbsentWhereItsTermIsNotActive) {
  std::vector<float> out(2, kUnset);
  ASSERT_TRUE(ApplyGuidance(Guidance(), 9, 10, 1, kCond, kUncond, {}, out).ok());
  EXPECT_THAT(out, ElementsAre(10, 20));  // 1 + 3 * 3
  SkipLayerGuidance skip_alone = Guidance();
  skip_alone.guidance_scale = 1;
  ASSERT_TRUE(ApplyGuidance(skip_alone, 2, 10, 1, kCond, {}, kSkip, out).ok());
  EXPECT_THAT(out, ElementsAre(5, 10));  // 3 + 2 * 1
  ASSERT_TRUE(ApplyGuidance(skip_alone, 9, 10, 1, kCond, {}, {}, out).ok());
  EXPECT_EQ(out, kCond);
}

TEST(SkipLayerGuidance, RescalesEachSampleByItself) {
  // x = 1 + 3 * (cond - 1) has three times the deviation of cond: rescale 1 undoes it.
  SkipLayerGuidance guidance = Guidance();
  guidance.rescale = 1;
  const std::vector<float> cond = {1, 2, 100, 300};
  const std::vector<float> uncond = {0, 0, 0, 0};
  std::vector<float> out(4, kUnset);
  ASSERT_TRUE(ApplyGuidance(guidance, 0, 10, 2, cond, uncond, {}, out).ok());
  EXPECT_EQ(out, cond);
}

TEST(SkipLayerGuidance, AnUnusedPredictionsNanDoesNotShow) {
  const std::vector<float> nans(2, kUnset);
  std::vector<float> out(2, kUnset);
  ASSERT_TRUE(ApplyGuidance(Guidance(), 9, 10, 1, kCond, kUncond, nans, out).ok());
  EXPECT_THAT(out, ElementsAre(10, 20));
}

TEST(SpatioTemporalGuidance, APredictionMayBeAbsentWhereItsFactorIsZero) {
  std::vector<float> out(2, kUnset);
  const SpatioTemporalGuidance none = {.guidance_scale = 1, .stg_scale = 0};
  ASSERT_TRUE(ApplyGuidance(none, 1, kCond, {}, {}, {}, out).ok());
  EXPECT_EQ(out, kCond);
}

TEST(Guidance, RefusesWhatDoesNotFit) {
  std::vector<float> out(2);
  std::vector<float> short_out(1);
  const std::vector<float> three = {1, 2, 3};
  SkipLayerGuidance rescaled = Guidance();
  rescaled.rescale = 0.7;
  const SpatioTemporalGuidance stg = {.modality_scale = 2};
  const std::pair<absl::Status, const char*> cases[] = {
      {ApplyGuidance(Guidance(), -1, 10, 1, kCond, kUncond, kSkip, out), "step is -1"},
      {ApplyGuidance(Guidance(), 10, 10, 1, kCond, kUncond, kSkip, out), "step is 10"},
      {ApplyGuidance(Guidance(), 0, 10, 0, kCond, kUncond, kSkip, out), "samples is 0"},
      {ApplyGuidance(Guidance(), 0, 10, 3, kCond, kUncond, kSkip, out), "samples is 3"},
      {ApplyGuidance(Guidance(), 2, 10, 1, kCond, {}, kSkip, out), "uncond has 0 elements"},
      {ApplyGuidance(Guidance(), 2, 10, 1, kCond, kUncond, {}, out), "skip has 0 elements"},
      {ApplyGuidance(Guidance(), 9, 10, 1, kCond, kUncond, three, out),
       "skip has 3 elements, not cond's 2 or, its term not being active, none"},
      {ApplyGuidance(Guidance(), 2, 10, 1, kCond, kUncond, kSkip, short_out),
       "out has 1 elements, not cond's 2"},
      {ApplyGuidance(rescaled, 2, 10, 2, kCond, kUncond, kSkip, out),
       "samples of 1 element have no standard deviation"},
      {ApplyGuidance(stg, 1, kCond, {}, kSkip, kSkip, out), "uncond has 0 elements"},
      {ApplyGuidance(stg, 1, kCond, kUncond, {}, kSkip, out), "perturbed has 0 elements"},
      {ApplyGuidance(stg, 1, kCond, kUncond, kSkip, {}, out), "modality has 0 elements"},
  };
  for (const auto& [status, message] : cases) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace attn
