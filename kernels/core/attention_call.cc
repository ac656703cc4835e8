#include "kernels/core/attention_call.h"

namespace attn {

double AttentionCall::VisibleElements(const IntervalMask& mask) const {
  double elements = 0;
  if (idle_samples.empty()) {
    elements = static_cast<double>(mask.VisibleElements());
  } else {
    for (int64_t b = 0; b < problem.batch; ++b) {
      if (!idle(b)) elements += static_cast<double>(mask.VisibleElements(b));
    }
  }
  return elements * static_cast<double>(problem.heads);
}

}  // namespace attn
