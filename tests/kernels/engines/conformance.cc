#include "tests/kernels/engines/conformance.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "client/golden/tensor_compare.h"

namespace attn {
namespace {

constexpr double kRoundoffFp32 = 0x1p-24;

// Of normal values; the largest of a few thousand stays below 5 deviations.
constexpr double kLargestValue = 5;

// Scores of normal inputs: sum over d of |q_d k_d| / sqrt(D) is 10 on average at D = 256, at D = 1
// the product of the largest of each.
constexpr double kLargestNormalScore = 32;

double HalfUlp(DType dtype) { return Epsilon(dtype) / 2; }

double LargestFinite(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

// Elements of a tensor [B, H, Sq, D], those of idle samples as 0: they may hold anything.
std::vector<double> BusyValues(const OwnedTensor& tensor, const AttentionCall& call) {
  std::vector<double> values = tensor.Values();
  const size_t sample = values.size() / static_cast<size_t>(call.problem.batch);
  for (int64_t b = 0; b < call.problem.batch; ++b) {
    const auto begin = values.begin() + b * static_cast<int64_t>(sample);
    if (call.idle(b)) std::fill_n(begin, sample, 0.0);
  }
  return values;
}

// The norm of out over what it would be with values of random signs, where it is less: an error is
// relative to the values that came together, also where they happen to cancel.
double OutShare(const OracleResult& oracle) {
  double squares = 0;
  for (const double value : oracle.out) {
    if (std::isfinite(value)) squares += value * value;
  }
  return squares < oracle.summand_squares ? std::sqrt(squares / oracle.summand_squares) : 1;
}

}  // namespace

Roundoff UnitRoundoff(const std::string& precision) {
  const double unit = precision == "fp64" ? 0x1p-53 : kRoundoffFp32;
  return {.sums = unit, .weights = unit};
}

double DemandedRelL2(const AttentionProblem& problem) {
  double demanded = 2e-6;
  for (const DType dtype : {problem.dtype, problem.out_dtype}) {
    if (dtype == DType::kBFloat16) demanded = std::max(demanded, 5e-3);
    if (dtype == DType::kFloat16) demanded = std::max(demanded, 1e-3);
  }
  return demanded;
}

// With unit roundoff u of sums and w of weights, D dimensions, n keys, S the largest sum over d of
// |scale * q_d * k_d| and P the same of pooled keys alone:
//  score   a dot product in sequence errs by at most (D + 2) u S; rounding errors have random
//          signs, so that its root mean square is about sqrt(D) u S. Scaling, subtracting the
//          maximum and storing add u S each, the rounding of a pooled key up to w P. A softcap
//          shrinks errors and adds a few u of what it caps, at most S; bias and ALiBi of size A
//          add u (S + A) each, subtracting the maximum and storing u A more.
//  weight  exp turns an absolute error of its argument into a relative one: numerator and
//          denominator give twice that of a score, exp itself 4 u.
//  output  w for the rounded weight and w for a pooled value; sum of n weighted values, rescaled
//          once a panel: 2 n u at most, about sqrt(n) u typically, relative to sum |weight * v|,
//          which is at most max |v|.
//  LSE     absolute error of a score, the sum of n weights (of unrounded ones: w has no part in
//          it), and rounding of its own size to fp32.
// Stored outputs add half an ulp of their dtype, and half the smallest subnormal of fp16.
Tolerance ToleranceOf(const AttentionProblem& problem, const OracleResult& oracle,
                      const Roundoff& roundoff) {
  const auto dim = static_cast<double>(problem.head_dim);
  const auto keys = static_cast<double>(problem.key_len);
  const double unit = roundoff.sums;
  const double score = oracle.largest_score * unit;
  const double pooled = oracle.largest_pooled_score * roundoff.weights;
  const double addend = 4 * oracle.largest_addend * unit;
  const double cap = problem.modifiers.softcap != 0 ? 4 * score : 0;
  const double operands = roundoff.weights * (pooled > 0 ? 2 : 1);
  const double half_ulp = HalfUlp(problem.out_dtype);

  const double worst_weight = 2 * ((dim + 4) * score + pooled + addend + cap + 4 * unit);
  const double typical_weight =
      2 * ((std::sqrt(dim) + 4) * score + addend + cap + 4 * unit) + pooled;
  Tolerance tolerance;
  tolerance.max_abs =
      (worst_weight + operands + 2 * keys * unit + half_ulp) * kLargestValue + 0x1p-25;
  // The few largest scores dominate a row: 2 covers what averaging over elements leaves.
  tolerance.rel_l2 = 2 * (typical_weight + std::sqrt(keys) * unit) + operands + half_ulp;
  if (oracle.largest_score + oracle.largest_addend <= kLargestNormalScore && pooled == 0) {
    tolerance.rel_l2 = std::min(tolerance.rel_l2, DemandedRelL2(problem));
  }
  tolerance.lse_abs = (dim + 4) * score + pooled + addend + cap + keys * unit +
                      2 * std::max(1.0, LargestFinite(oracle.lse)) * kRoundoffFp32;
  tolerance.weight_abs = worst_weight + kRoundoffFp32;
  return tolerance;
}

std::string Disagreement(const OwnedCall& actual, const OracleResult& oracle,
                         const Roundoff& roundoff) {
  const Tolerance tolerance = ToleranceOf(actual.call.problem, oracle, roundoff);
  Difference out = Compare(BusyValues(actual.out, actual.call), oracle.out);
  out.rel_l2 *= OutShare(oracle);
  const Difference lse = Compare(BusyValues(actual.lse, actual.call), oracle.lse);
  if (!(out.rel_l2 <= tolerance.rel_l2) || !(out.max_abs <= tolerance.max_abs)) {
    return absl::StrCat("out: rel_l2 ", out.rel_l2, " of ", tolerance.rel_l2, ", max_abs ",
                        out.max_abs, " of ", tolerance.max_abs, ", first difference at ",
                        out.first_mismatch);
  }
  if (!(lse.max_abs <= tolerance.lse_abs)) {
    return absl::StrCat("lse: max_abs ", lse.max_abs, " of ", tolerance.lse_abs);
  }
  if (!actual.out.GapsAreUntouched()) return "out: wrote between its rows";
  if (actual.call.weights.empty()) return "";
  const Difference weights = Compare(BusyValues(actual.weights, actual.call), oracle.weights);
  if (!(weights.max_abs <= tolerance.weight_abs)) {
    return absl::StrCat("weights: max_abs ", weights.max_abs, " of ", tolerance.weight_abs);
  }
  return "";
}

}  // namespace attn
