// What happens to a call's output once its attention is computed: tokens go where the call wants
// them, skipped scores give way to values, the gate comes last, padding becomes empty.
#ifndef ATTN_KERNELS_STAGES_OUTPUT_PASS_H_
#define ATTN_KERNELS_STAGES_OUTPUT_PASS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/scratch.h"
#include "kernels/core/tensor_view.h"
#include "kernels/stages/joined_tokens.h"
#include "kernels/stages/output_factors.h"
#include "kernels/stages/skip_weights.h"

namespace attn {

// Reads each row of attention at most once, computes in fp32 and rounds once. Distinct tiles,
// ranges of tokens of one sample and head, may run concurrently.
class OutputPass {
 public:
  // Where the inner backend leaves its results: copies, over the problem's tokens, or empty where
  // it writes those of the call.
  struct Copies {
    TensorView out;  // [B, H, Sq, Dv]
    TensorView lse;  // fp32 [B, H, Sq]
  };

  // Borrows the call, whose outputs it completes, and the copies' memory.
  OutputPass(const AttentionCall& call, SkipWeights weights, const Copies& copies);

  int64_t tiles() const;
  absl::Status RunTile(int64_t tile, Scratch& scratch) const;

 private:
  // A token of one of the call's outputs.
  struct Target {
    const MutableTensorView& out;
    const MutableTensorView& lse;  // Empty where it is not wanted.
    int64_t token;                 // In them.
    int64_t gate_token;            // In the gate.
    int64_t position;              // Among the problem's tokens; -1 of padding.
  };

  // A row of a tensor.
  struct Source {
    TensorView view;
    RowPlace place;
  };

  Source AttentionOf(const Target& target, int64_t head) const;
  Source ValueOf(const Target& target, int64_t head) const;
  Target TargetOf(int64_t token) const;
  void StoreAttention(const Target& target, int64_t b, int64_t head, float* rows) const;
  void StoreLse(const Target& target, int64_t b, int64_t head) const;

  const AttentionCall& call_;
  SkipWeights weights_;
  Copies copies_;
  OutputFactors factors_;
  JoinedTokens values_;
  int64_t main_tokens_;  // Of out: those in front of its padding.
  // Tokens from here on, the call's own and then the replicated ones, are passed over: the backend
  // has left those before as they are wanted.
  int64_t first_token_;
  int64_t tile_tokens_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_OUTPUT_PASS_H_
