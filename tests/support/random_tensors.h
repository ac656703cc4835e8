// Seeded tensors and whole calls that own their memory.
#ifndef ATTN_TESTS_SUPPORT_RANDOM_TENSORS_H_
#define ATTN_TESTS_SUPPORT_RANDOM_TENSORS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/aligned_buffer.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/dtype.h"
#include "kernels/core/mask.h"
#include "kernels/core/tensor_view.h"
#include "tests/support/random_masks.h"

namespace attn {

// Element (b, h, s, d) of a float view, widened exactly.
double ElementAt(const TensorView& view, int64_t b, int64_t h, int64_t s, int64_t d);

// A float tensor [B, H, S, D], contiguous in the order of its pattern. Movable; views stay valid.
class OwnedTensor {
 public:
  OwnedTensor() = default;
  // Every byte is 0xff: NaN in any dtype, so that what nobody writes shows. The memory is that of
  // `padding` more tokens and elements of a token than the view has: strides with gaps.
  OwnedTensor(DType dtype, const std::string& pattern, int64_t batch, int64_t heads, int64_t tokens,
              int64_t dim, int64_t padding = 0);

  MutableTensorView view() const { return view_; }
  TensorView const_view() const { return {view_.data, view_.dtype, view_.layout}; }

  // Rounds to the dtype.
  void Set(int64_t b, int64_t h, int64_t s, int64_t d, double value);
  double At(int64_t b, int64_t h, int64_t s, int64_t d) const {
    return ElementAt(const_view(), b, h, s, d);
  }
  // Normal data of this deviation, drawn in the order b, h, s, d whatever the pattern is.
  void FillNormal(uint64_t seed, double deviation);

  // All elements in the order b, h, s, d, widened.
  std::vector<double> Values() const;
  // The memory as it is.
  std::vector<std::byte> Bytes() const;
  // Whether all that the view does not see is as it was at first.
  bool GapsAreUntouched() const;

 private:
  AlignedBuffer buffer_;
  MutableTensorView view_;
};

// Score modifiers of a call.
struct ModifierShape {
  double softcap = 0;
  std::vector<int64_t> bias;  // Its shape; empty = none.
  double hidden = 0;          // Share of its elements that are -infinity; the others are normal.
  int slopes_rank = 0;        // 1: [H], 2: [B, H]; 0 = none.
  bool sinks = false;         // About as large as an LSE.
  DType dtype = DType::kFloat32;
};

// What a random call looks like.
struct CallShape {
  int64_t batch = 1;
  int64_t heads = 2;
  int64_t kv_heads = 2;
  int64_t query_len = 64;
  int64_t key_len = 64;
  int64_t head_dim = 32;
  int64_t value_dim = 0;  // 0 = head_dim
  DType dtype = DType::kFloat32;
  DType out_dtype = DType::kFloat32;
  MaskSpec mask;
  std::optional<double> scale;      // nullopt = head_dim ^ -0.5
  std::string pattern = "b h s d";  // Of q, k and v.
  std::string out_pattern = "b h s d";
  int64_t padding = 0;     // Of q, k, v and out.
  double deviation = 1;    // Of q and k; v has 1.
  std::string expression;  // By its name (named_masks.h); empty = none.
  ModifierShape modifiers;
  std::vector<bool> idle_samples;
  bool weights = false;  // LSE is always wanted.
  uint64_t seed = 1;
};

// A call with all its tensors. Pinned, as the call points into it.
struct OwnedCall {
  explicit OwnedCall(const CallShape& shape);
  OwnedCall(const OwnedCall&) = delete;
  OwnedCall& operator=(const OwnedCall&) = delete;

  // Fresh outputs, all NaN.
  void PoisonOutputs();
  // From here on: for backends that have none.
  void WantNoWeights();

  OwnedTensor q;
  OwnedTensor k;
  OwnedTensor v;
  OwnedTensor out;
  // Of what the shape asks for; the call's names are `bias`, `slopes` and `sinks`.
  OwnedTensor bias;
  OwnedTensor slopes;  // [1, 1, 1 or B, H]; the call sees [H] or [B, H].
  OwnedTensor sinks;   // [1, 1, 1, H]; the call sees [H].
  DrawnMask expression;
  OwnedTensor lse;  // [B, H, Sq, 1]; the call sees [B, H, Sq].
  OwnedTensor weights;
  AttentionCall call;

 private:
  void AddModifiers();

  CallShape shape_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_RANDOM_TENSORS_H_
