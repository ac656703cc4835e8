// One call's tensors beside its problem.
#ifndef ATTN_KERNELS_CORE_ATTENTION_CALL_H_
#define ATTN_KERNELS_CORE_ATTENTION_CALL_H_

#include <functional>
#include <map>
#include <string>

#include "kernels/core/attention_problem.h"
#include "kernels/core/options.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Views only: whoever builds the call keeps the memory alive until its execution has ended.
// Output memory is uninitialised; a backend writes every element of every output that it is given.
struct AttentionCall {
  AttentionProblem problem;
  OptionMap options;  // Validated against the backend's specs; alias, preset and call merged.

  TensorView q;                                          // [B, H, Sq, D]
  TensorView k;                                          // [B, G, Sk, D]
  TensorView v;                                          // [B, G, Sk, Dv]
  std::map<std::string, TensorView, std::less<>> extra;  // Tensors that options name.

  MutableTensorView out;      // [B, H, Sq, Dv]
  MutableTensorView lse;      // fp32 [B, H, Sq]; empty if not wanted
  MutableTensorView weights;  // fp32 [B, H, Sq, Sk]; empty if not wanted
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ATTENTION_CALL_H_
