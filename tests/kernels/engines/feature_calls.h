// Calls that use one feature, beside the same calls without it, and what the feature makes of them:
// by the oracle, what happens around attention by hand.
#ifndef ATTN_TESTS_KERNELS_ENGINES_FEATURE_CALLS_H_
#define ATTN_TESTS_KERNELS_ENGINES_FEATURE_CALLS_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/core/capabilities.h"
#include "tests/support/random_tensors.h"

namespace attn {

// Pinned, as its calls point into it.
struct FeatureCall {
  std::string name;  // Of this use of the feature.
  std::unique_ptr<OwnedCall> on;
  std::unique_ptr<OwnedCall> off;
  std::vector<std::unique_ptr<OwnedTensor>> more;  // That `on` names beside its own.
  OwnedTensor replicated_out;
  OwnedTensor replicated_lse;
  // What `on` gives; empty where it gives none.
  std::vector<double> out;
  std::vector<double> lse;
  std::vector<double> weights;
  std::vector<double> replicated;
  std::vector<double> replicated_lses;
};

// Every use that makes a difference of its own.
std::vector<std::unique_ptr<FeatureCall>> FeatureCalls(Feature feature);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_FEATURE_CALLS_H_
