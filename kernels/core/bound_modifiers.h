// Score modifiers with their tensors, as engines read them.
#ifndef ATTN_KERNELS_CORE_BOUND_MODIFIERS_H_
#define ATTN_KERNELS_CORE_BOUND_MODIFIERS_H_

#include <cstdint>
#include <vector>

#include "kernels/core/attention_call.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Of a call whose modifiers CheckScoreModifiers has passed. Borrows the call's tensors; read by all
// threads.
class BoundModifiers {
 public:
  explicit BoundModifiers(const AttentionCall& call);

  // Whether scores themselves are changed.
  bool change_scores() const { return softcap_ != 0 || has_bias() || has_slopes(); }

  double softcap() const { return softcap_; }  // 0 = none

  bool has_bias() const { return !bias_.empty(); }
  // [B, H, Sq, Sk] with stride 0 along axes of size 1; of a float dtype.
  const TensorView& bias() const { return bias_; }

  bool has_slopes() const { return !slopes_.empty(); }
  float slope(int64_t b, int64_t head) const;

  bool has_sinks() const { return !sinks_.empty(); }
  float sink(int64_t head) const { return sinks_[static_cast<size_t>(head)]; }

 private:
  double softcap_ = 0;
  TensorView bias_;
  std::vector<float> slopes_;  // [B or 1, H]
  int64_t heads_ = 0;
  std::vector<float> sinks_;  // [H]
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_BOUND_MODIFIERS_H_
