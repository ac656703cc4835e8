#include "tests/kernels/engines/feature_calls.h"

#include <cmath>
#include <limits>
#include <utility>

#include "tests/kernels/engines/stage_calls.h"
#include "tests/support/named_masks.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

using Calls = std::vector<std::unique_ptr<FeatureCall>>;

// What inner attention gives.
void ExpectOracle(FeatureCall& call) {
  OracleResult oracle = DenseOracle(call.on->call);
  call.out = std::move(oracle.out);
  if (call.on->call.problem.wanted.lse) call.lse = std::move(oracle.lse);
  if (call.on->call.problem.wanted.weights) call.weights = std::move(oracle.weights);
}

// The call with `change` made to its shape.
template <typename Change>
void Add(const std::string& name, const CallShape& off, const Change& change, Calls* calls) {
  CallShape on = off;
  change(on);
  auto call = std::make_unique<FeatureCall>();
  call->name = name;
  call->on = std::make_unique<OwnedCall>(on);
  call->off = std::make_unique<OwnedCall>(off);
  ExpectOracle(*call);
  calls->push_back(std::move(call));
}

Calls MaskCalls(Feature feature) {
  const CallShape plain = FeatureShape();
  CallShape one_sample = plain;
  one_sample.batch = 1;
  Calls calls;
  if (feature == Feature::kCausal) {
    Add(
        "causal", plain, [](CallShape& shape) { shape.mask.causal = true; }, &calls);
  } else if (feature == Feature::kWindow) {
    Add(
        "both", plain,
        [](CallShape& shape) {
          shape.mask.window = Window{5, 2};
        },
        &calls);
    Add(
        "left", plain,
        [](CallShape& shape) {
          shape.mask.window = Window{5, -1};
        },
        &calls);
  } else if (feature == Feature::kLengths) {
    Add(
        "of_keys", plain,
        [](CallShape& shape) {
          shape.mask.k_lengths = {48, 20, 0};
        },
        &calls);
    Add(
        "of_queries", plain,
        [](CallShape& shape) {
          shape.mask.q_lengths = {48, 20, 0};
        },
        &calls);
  } else {
    const auto pack = [](CallShape& shape) {
      shape.mask.cu_seqlens_q = {0, 10, 48};
      shape.mask.cu_seqlens_k = {0, 30, 48};
    };
    Add("packed", one_sample, pack, &calls);
  }
  return calls;
}

Calls ExpressionCalls() {
  Calls calls;
  for (const std::string& name : MaskNames()) {
    if (name == "bidirectional") continue;  // Hides nothing.
    Add(
        name, FeatureShape(), [&](CallShape& shape) { shape.expression = name; }, &calls);
  }
  return calls;
}

// Heads of the call without it read keys of their own, the first of which are the same.
Calls GqaCalls() {
  CallShape shape = FeatureShape();
  shape.batch = 1;
  Calls calls;
  Add(
      "of_2", shape, [](CallShape& changed) { changed.kv_heads = 2; }, &calls);
  Add(
      "of_1", shape, [](CallShape& changed) { changed.kv_heads = 1; }, &calls);
  return calls;
}

Calls ModifierCalls(Feature feature) {
  const CallShape plain = FeatureShape();
  Calls calls;
  if (feature == Feature::kScale) {
    Add(
        "scale", plain, [](CallShape& shape) { shape.scale = 0.9; }, &calls);
  } else if (feature == Feature::kSoftcap) {
    Add(
        "softcap", plain, [](CallShape& shape) { shape.modifiers.softcap = 0.7; }, &calls);
  } else if (feature == Feature::kBias) {
    for (const std::vector<int64_t>& dims :
         {std::vector<int64_t>{3, 4, 48, 48}, {1, 1, 1, 48}, {1, 4, 48, 48}, {3, 1, 1, 48}}) {
      Add(
          "bias", plain, [&](CallShape& shape) { shape.modifiers.bias = dims; }, &calls);
    }
  } else if (feature == Feature::kAlibi) {
    Add(
        "of_heads", plain, [](CallShape& shape) { shape.modifiers.slopes_rank = 1; }, &calls);
    Add(
        "of_samples", plain, [](CallShape& shape) { shape.modifiers.slopes_rank = 2; }, &calls);
  } else {
    Add(
        "sinks", plain, [](CallShape& shape) { shape.modifiers.sinks = true; }, &calls);
  }
  return calls;
}

Calls OutputCalls(Feature feature) {
  CallShape off = FeatureShape();
  if (feature == Feature::kPlan) {  // Of several blocks, whatever their size is by default.
    off.batch = 1;
    off.query_len = off.key_len = 300;
    off.mask.causal = true;
  }
  Calls calls;
  const auto change = [&](CallShape& shape) { shape.weights = feature == Feature::kWeights; };
  Add("output", off, change, &calls);
  calls[0]->on->call.problem.wanted.plan = feature == Feature::kPlan;
  if (feature == Feature::kLse) {
    calls[0]->off->call.problem.wanted.lse = false;
    calls[0]->off->call.lse = {};
  }
  return calls;
}

}  // namespace

CallShape FeatureShape() {
  return {.batch = 3, .heads = 4, .kv_heads = 4, .query_len = 48, .key_len = 48, .head_dim = 16};
}

// No default: a feature without a row does not compile.
std::vector<std::unique_ptr<FeatureCall>> FeatureCalls(Feature feature) {
  switch (feature) {
    case Feature::kCausal:
    case Feature::kWindow:
    case Feature::kLengths:
    case Feature::kPacked:
      return MaskCalls(feature);
    case Feature::kExpression:
      return ExpressionCalls();
    case Feature::kGqa:
      return GqaCalls();
    case Feature::kScale:
    case Feature::kSoftcap:
    case Feature::kBias:
    case Feature::kAlibi:
    case Feature::kSinks:
      return ModifierCalls(feature);
    case Feature::kRotary:
      return RotaryCalls();
    case Feature::kReplicated:
      return ReplicatedCalls();
    case Feature::kOriginalSeqLen:
      return TrimmedCalls();
    case Feature::kSkipScores:
      return SkipCalls();
    case Feature::kGate:
      return GateCalls();
    case Feature::kLse:
    case Feature::kWeights:
    case Feature::kPlan:
      return OutputCalls(feature);
  }
  return {};
}

}  // namespace attn
