// What every exact backend must compute: one table of named calls, and how near to the fp64 oracle
// an engine of a given precision has to come.
#ifndef ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_
#define ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_

#include <string>
#include <vector>

#include "kernels/core/attention_problem.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"

namespace attn {

struct ConformanceCase {
  std::string name;  // Letters, digits and underscores.
  CallShape shape;
};

std::vector<ConformanceCase> ConformanceCases();

struct Tolerance {
  double rel_l2 = 0;
  double max_abs = 0;
  double lse_abs = 0;
  double weight_abs = 0;
};

// `unit` is the unit roundoff of the engine's arithmetic: 2^-24 for fp32, 2^-53 for fp64.
Tolerance ToleranceOf(const AttentionProblem& problem, const OracleResult& oracle, double unit);

// The unit roundoff of BackendInfo::precision.
double UnitRoundoff(const std::string& precision);

// Compares what a call holds with the oracle; "" if all is within tolerance.
std::string Disagreement(const OwnedCall& actual, const OracleResult& oracle, double unit);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_
