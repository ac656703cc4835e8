// One call's tensors beside its problem.
#ifndef ATTN_KERNELS_CORE_ATTENTION_CALL_H_
#define ATTN_KERNELS_CORE_ATTENTION_CALL_H_

#include <cstdint>
#include <vector>

#include "kernels/core/attention_problem.h"
#include "kernels/core/options.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Views only: whoever builds the call keeps the memory alive until its execution has ended.
// Output memory is uninitialised; a backend writes every element of every output that it is given.
struct AttentionCall {
  AttentionProblem problem;
  OptionMap options;  // Validated against the backend's specs; alias, preset and call merged.

  // Where the problem has stages, q, k, v, out and lse are over the tokens as they were sent, and
  // only kernels/stages sees such a call; every other backend finds the problem's lengths.
  TensorView q;     // [B, H, Sq, D]
  TensorView k;     // [B, G, Sk, D]
  TensorView v;     // [B, G, Sk, Dv]
  TensorMap extra;  // Tensors that options and the problem name.

  MutableTensorView out;             // [B, H, Sq, Dv]
  MutableTensorView lse;             // fp32 [B, H, Sq]; empty if not wanted
  MutableTensorView weights;         // fp32 [B, H, Sq, Sk]; empty if not wanted
  MutableTensorView replicated_out;  // [B, H, Rq, Dv]; empty without replicated tokens
  MutableTensorView replicated_lse;  // fp32 [B, H, Rq]; empty if not wanted

  // [B], or empty: samples whose attention nobody reads. A backend may leave their outputs
  // uncomputed; it does not count their elements where it does.
  std::vector<bool> idle_samples;

  bool idle(int64_t b) const {
    return !idle_samples.empty() && idle_samples[static_cast<size_t>(b)];
  }

  // Score elements of dense attention under `mask`, the problem's or a plan's, all heads of the
  // samples that are not idle. As everywhere, what an expression hides counts.
  double VisibleElements(const IntervalMask& mask) const;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ATTENTION_CALL_H_
