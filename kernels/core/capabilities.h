// What a backend takes, as data: selection, ListBackends, Explain and error texts read the same.
#ifndef ATTN_KERNELS_CORE_CAPABILITIES_H_
#define ATTN_KERNELS_CORE_CAPABILITIES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/core/attention_problem.h"

namespace attn {

// Features beyond plain attention of equal head counts.
enum class Feature : uint8_t {
  kCausal,
  kWindow,
  kLengths,
  kPacked,
  kExpression,
  kGqa,
  kScale,
  kSoftcap,
  kBias,
  kAlibi,
  kSinks,
  kRotary,
  kReplicated,
  kOriginalSeqLen,
  kSkipScores,
  kGate,
  kLse,
  kWeights,
  kPlan,
};
inline constexpr Feature kAllFeatures[] = {
    Feature::kCausal,     Feature::kWindow,
    Feature::kLengths,    Feature::kPacked,
    Feature::kExpression, Feature::kGqa,
    Feature::kScale,      Feature::kSoftcap,
    Feature::kBias,       Feature::kAlibi,
    Feature::kSinks,      Feature::kRotary,
    Feature::kReplicated, Feature::kOriginalSeqLen,
    Feature::kSkipScores, Feature::kGate,
    Feature::kLse,        Feature::kWeights,
    Feature::kPlan,
};

// `causal`, `window`, ...: the names of ListBackends.
absl::string_view Name(Feature feature);
std::optional<Feature> FeatureFromName(absl::string_view name);

// Whether the problem is beyond plain attention in this respect.
bool Uses(const AttentionProblem& problem, Feature feature);

struct Capabilities {
  int64_t min_head_dim = 1;
  int64_t max_head_dim = 0;        // Of D and Dv alike.
  std::vector<int64_t> head_dims;  // Non-empty: only these.
  std::vector<DType> dtypes;       // Of q, k, v and out.
  std::vector<Feature> features;   // kScale: any scale, not only D^-0.5.

  bool Has(Feature feature) const;

  // OK, or UNIMPLEMENTED naming the first thing that does not fit and what would:
  // "psa: head_dim 96 not supported, supported: 64, 128".
  absl::Status Check(absl::string_view backend, const AttentionProblem& problem) const;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_CAPABILITIES_H_
