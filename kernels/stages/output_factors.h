// The gate on a call's output: one factor for each token and head.
#ifndef ATTN_KERNELS_STAGES_OUTPUT_FACTORS_H_
#define ATTN_KERNELS_STAGES_OUTPUT_FACTORS_H_

#include <cstdint>

#include "kernels/core/call_stages.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Borrows the gate, of any float dtype and validated shape. Immutable, thread-safe.
class OutputFactors {
 public:
  // `tensors` holds what `gate` names, if it has a form.
  OutputFactors(const OutputGate& gate, const TensorMap& tensors);

  bool any() const { return form_ != GateForm::kNone; }

  // In fp32; `token` counts those that were sent as q, the replicated ones behind. Requires any().
  float At(int64_t b, int64_t head, int64_t token) const;

 private:
  GateForm form_;
  TensorView gate_;  // [B, H, tokens, 1]
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_OUTPUT_FACTORS_H_
