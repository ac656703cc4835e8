// Feature calls whose feature lies around attention. What they give is written by hand in fp64 from
// the words of the contract, around the oracle's attention.
#ifndef ATTN_TESTS_KERNELS_ENGINES_STAGE_CALLS_H_
#define ATTN_TESTS_KERNELS_ENGINES_STAGE_CALLS_H_

#include <memory>
#include <vector>

#include "tests/kernels/engines/feature_calls.h"
#include "tests/support/random_tensors.h"

namespace attn {

// Of plain attention: 3 samples, 4 heads, 48 queries and keys.
CallShape FeatureShape();

std::vector<std::unique_ptr<FeatureCall>> RotaryCalls();
std::vector<std::unique_ptr<FeatureCall>> ReplicatedCalls();
std::vector<std::unique_ptr<FeatureCall>> TrimmedCalls();
std::vector<std::unique_ptr<FeatureCall>> SkipCalls();
std::vector<std::unique_ptr<FeatureCall>> GateCalls();

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_STAGE_CALLS_H_
