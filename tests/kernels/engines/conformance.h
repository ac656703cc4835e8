// How near to the fp64 oracle an engine of a given arithmetic has to come.
#ifndef ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_
#define ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_

#include <string>

#include "kernels/core/attention_problem.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"

namespace attn {

// Unit roundoffs of an engine's arithmetic.
struct Roundoff {
  double sums = 0;     // Of scores, exponentials and all sums: 2^-24 for fp32, 2^-53 for fp64.
  double weights = 0;  // Of weights and pooled tokens as products read them: 2^-8 for bf16.
};

// Of BackendInfo::precision, where operands are not rounded.
Roundoff UnitRoundoff(const std::string& precision);

struct Tolerance {
  double rel_l2 = 0;
  double max_abs = 0;
  double lse_abs = 0;
  double weight_abs = 0;
};
Tolerance ToleranceOf(const AttentionProblem& problem, const OracleResult& oracle,
                      const Roundoff& roundoff);

// What the project demands of rel_l2 on normal inputs: 5e-3 where inputs or output are bf16, 1e-3
// where they are fp16, 2e-6 for fp32.
double DemandedRelL2(const AttentionProblem& problem);

// Compares what a call holds with the oracle; "" if all is within tolerance.
std::string Disagreement(const OwnedCall& actual, const OracleResult& oracle,
                         const Roundoff& roundoff);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_CONFORMANCE_H_
