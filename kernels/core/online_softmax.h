// The running state of a softmax over keys that arrive in pieces.
//
// Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867; Dao,
// "FlashAttention-2", arXiv 2307.08691.
#ifndef ATTN_KERNELS_CORE_ONLINE_SOFTMAX_H_
#define ATTN_KERNELS_CORE_ONLINE_SOFTMAX_H_

#include <cmath>
#include <limits>

namespace attn {

// Maximum and sum of one row: sum = sum over seen scores of exp(score - max). Nothing seen yet is
// (-infinity, 0). A NaN score passes the maximum by and stays in the sum. Real is float or double.
template <typename Real>
struct SoftmaxState {
  Real max = -std::numeric_limits<Real>::infinity();
  Real sum = 0;

  // exp(score - max), and 0 for (-inf) - (-inf): a score of -infinity weighs nothing, also where
  // nothing else was seen. NaN for a NaN score.
  static Real ExpDifference(Real score, Real max) {
    return score == -std::numeric_limits<Real>::infinity() ? Real{0} : std::exp(score - max);
  }

  // Raises the maximum to at least `candidate`; returns the factor for what was accumulated under
  // the old one.
  Real Raise(Real candidate) {
    if (!(candidate > max)) return 1;
    const Real factor = ExpDifference(max, candidate);
    max = candidate;
    sum *= factor;
    return factor;
  }

  // Natural log of the sum of exp(score): -infinity where nothing was seen.
  Real Lse() const {
    return sum == 0 ? -std::numeric_limits<Real>::infinity() : max + std::log(sum);
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ONLINE_SOFTMAX_H_
