// What every exact backend must compute: one table of named calls.
#ifndef ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_CASES_H_
#define ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_CASES_H_

#include <string>
#include <vector>

#include "tests/support/random_tensors.h"

namespace attn {

struct ConformanceCase {
  std::string name;  // Letters, digits and underscores.
  CallShape shape;
};

std::vector<ConformanceCase> ConformanceCases();

// Those of them with an expression, score modifiers or idle samples.
std::vector<ConformanceCase> ExpressionAndModifierCases();

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_CASES_H_
