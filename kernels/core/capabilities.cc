#include "kernels/core/capabilities.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attn {
namespace {

// Relative distance from head_dim^-0.5 within which a scale counts as the default: callers compute
// it in fp32.
constexpr double kScaleTolerance = 1e-6;

constexpr Feature kMaskFeatures[] = {Feature::kCausal, Feature::kWindow, Feature::kLengths,
                                     Feature::kPacked, Feature::kExpression};
constexpr Feature kModifierFeatures[] = {Feature::kSoftcap, Feature::kBias, Feature::kAlibi,
                                         Feature::kSinks};
constexpr Feature kStageFeatures[] = {Feature::kRotary, Feature::kReplicated,
                                      Feature::kOriginalSeqLen, Feature::kSkipScores,
                                      Feature::kGate};
constexpr Feature kOutputFeatures[] = {Feature::kLse, Feature::kWeights, Feature::kPlan};

double DefaultScale(const AttentionProblem& problem) {
  return 1.0 / std::sqrt(static_cast<double>(problem.head_dim));
}

std::string SupportedOf(const Capabilities& capabilities, std::span<const Feature> features) {
  std::string names;
  for (const Feature feature : features) {
    if (!capabilities.Has(feature)) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", Name(feature));
  }
  return names.empty() ? "none" : names;
}

// What a refusal says of a feature that the problem uses.
std::string Refusal(const Capabilities& capabilities, const AttentionProblem& problem,
                    Feature feature) {
  std::string name(Name(feature));
  switch (feature) {
    case Feature::kCausal:
    case Feature::kWindow:
    case Feature::kLengths:
    case Feature::kPacked:
    case Feature::kExpression:
      return absl::StrCat("mask ", name, " not supported, supported masks: ",
                          SupportedOf(capabilities, kMaskFeatures));
    case Feature::kSoftcap:
    case Feature::kBias:
    case Feature::kAlibi:
    case Feature::kSinks:
      return absl::StrCat("score modifier ", name, " not supported, supported modifiers: ",
                          SupportedOf(capabilities, kModifierFeatures));
    case Feature::kRotary:
    case Feature::kReplicated:
    case Feature::kOriginalSeqLen:
    case Feature::kSkipScores:
    case Feature::kGate:
      return absl::StrCat(name, " not supported, supported around attention: ",
                          SupportedOf(capabilities, kStageFeatures));
    case Feature::kLse:
    case Feature::kWeights:
    case Feature::kPlan:
      return absl::StrCat("output ", name, " not supported, supported beside out: ",
                          SupportedOf(capabilities, kOutputFeatures));
    case Feature::kGqa:
      return absl::StrCat(problem.kv_heads, " key heads for ", problem.heads,
                          " query heads (gqa) not supported, supported: as many as query heads");
    case Feature::kScale:
      return absl::StrCat("scale ", problem.scale,
                          " not supported, supported: head_dim^-0.5 = ", DefaultScale(problem));
  }
  return name;
}

// An empty string, or what is wrong with the head size.
std::string DimRefusal(const Capabilities& capabilities, const char* what, int64_t dim) {
  const std::vector<int64_t>& listed = capabilities.head_dims;
  if (!listed.empty()) {
    if (std::find(listed.begin(), listed.end(), dim) != listed.end()) return "";
    return absl::StrCat(what, " ", dim, " not supported, supported: ", absl::StrJoin(listed, ", "));
  }
  if (dim >= capabilities.min_head_dim && dim <= capabilities.max_head_dim) return "";
  return absl::StrCat(what, " ", dim, " not supported, supported: ", capabilities.min_head_dim,
                      " to ", capabilities.max_head_dim);
}

std::string DTypeRefusal(const Capabilities& capabilities, const char* what, DType dtype) {
  const std::vector<DType>& taken = capabilities.dtypes;
  if (std::find(taken.begin(), taken.end(), dtype) != taken.end()) return "";
  const auto append_name = [](std::string* out, DType known) { absl::StrAppend(out, Name(known)); };
  return absl::StrCat(what, " ", Name(dtype),
                      " not supported, supported: ", absl::StrJoin(taken, ", ", append_name));
}

std::string FirstRefusal(const Capabilities& capabilities, const AttentionProblem& problem) {
  for (const std::string& refusal :
       {DTypeRefusal(capabilities, "dtype", problem.dtype),
        DTypeRefusal(capabilities, "output dtype", problem.out_dtype),
        DimRefusal(capabilities, "head_dim", problem.head_dim),
        DimRefusal(capabilities, "value head_dim", problem.value_dim)}) {
    if (!refusal.empty()) return refusal;
  }
  for (const Feature feature : kAllFeatures) {
    if (Uses(problem, feature) && !capabilities.Has(feature)) {
      return Refusal(capabilities, problem, feature);
    }
  }
  return "";
}

}  // namespace

absl::string_view Name(Feature feature) {
  switch (feature) {
    case Feature::kCausal:
      return "causal";
    case Feature::kWindow:
      return "window";
    case Feature::kLengths:
      return "lengths";
    case Feature::kPacked:
      return "packed";
    case Feature::kExpression:
      return "expression";
    case Feature::kGqa:
      return "gqa";
    case Feature::kScale:
      return "scale";
    case Feature::kSoftcap:
      return "softcap";
    case Feature::kBias:
      return "bias";
    case Feature::kAlibi:
      return "alibi";
    case Feature::kSinks:
      return "sinks";
    case Feature::kRotary:
      return "rotary";
    case Feature::kReplicated:
      return "replicated";
    case Feature::kOriginalSeqLen:
      return "original_seq_len";
    case Feature::kSkipScores:
      return "skip_scores";
    case Feature::kGate:
      return "gate";
    case Feature::kLse:
      return "lse";
    case Feature::kWeights:
      return "weights";
    case Feature::kPlan:
      return "plan";
  }
  return "";
}

std::optional<Feature> FeatureFromName(absl::string_view name) {
  for (const Feature feature : kAllFeatures) {
    if (Name(feature) == name) return feature;
  }
  return std::nullopt;
}

bool Uses(const AttentionProblem& problem, Feature feature) {
  const MaskSpec& mask = problem.mask.spec();
  switch (feature) {
    case Feature::kCausal:
      return mask.causal;
    case Feature::kWindow:  // A window without an end hides nothing.
      return mask.window && (mask.window->left >= 0 || mask.window->right >= 0);
    case Feature::kLengths:
      return !mask.q_lengths.empty() || !mask.k_lengths.empty();
    case Feature::kPacked:
      return mask.packed();
    case Feature::kExpression:
      return problem.expression != nullptr;
    case Feature::kGqa:
      return problem.gqa();
    case Feature::kSoftcap:
      return problem.modifiers.softcap != 0;
    case Feature::kBias:
      return !problem.modifiers.bias.empty();
    case Feature::kAlibi:
      return !problem.modifiers.alibi_slopes.empty();
    case Feature::kSinks:
      return !problem.modifiers.sinks.empty();
    case Feature::kRotary:
      return problem.stages.rotary.form != RotaryForm::kNone;
    case Feature::kReplicated:
      return problem.stages.replicated.any();
    case Feature::kOriginalSeqLen:
      return problem.stages.trimmed;
    case Feature::kSkipScores:
      return problem.stages.skip_scores.mode != SkipMode::kNone;
    case Feature::kGate:
      return problem.stages.gate.form != GateForm::kNone;
    case Feature::kLse:
      return problem.wanted.lse;
    case Feature::kWeights:
      return problem.wanted.weights;
    case Feature::kPlan:
      return problem.wanted.plan;
    case Feature::kScale: {
      const double usual = DefaultScale(problem);
      return !(std::abs(problem.scale - usual) <= kScaleTolerance * usual);
    }
  }
  return false;
}

bool Capabilities::Has(Feature feature) const {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

absl::Status Capabilities::Check(absl::string_view backend, const AttentionProblem& problem) const {
  const std::string refusal = FirstRefusal(*this, problem);
  if (refusal.empty()) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(backend, ": ", refusal));
}

}  // namespace attn
