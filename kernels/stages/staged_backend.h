// Rotary embedding, trimming, replicated tokens, skipped scores and gates around any backend: each
// of them means the same whatever computes the attention between.
#ifndef ATTN_KERNELS_STAGES_STAGED_BACKEND_H_
#define ATTN_KERNELS_STAGES_STAGED_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"
#include "kernels/core/buffer_pool.h"

namespace attn {

// `inner` with the features rotary, original_seq_len, skip_scores and gate beside its own;
// replicated only where it has that itself: a method may not place text behind its tokens. A call
// without stages goes to `inner` untouched. Copies of tensors come from `buffers`: none is made for
// trimming, q and k's for rotary embedding, and with replicated tokens one of each tensor.
//
// A gate, and a weight between 0 and 1, work on the fp32 output of `inner` and round once; on what
// it rounds itself where it has no such output. The gate's tokens are those sent as q, then the
// replicated ones. `inner` may not read q, k and v while it prepares a call: they are copied in a
// phase.
std::unique_ptr<Backend> WithStages(std::unique_ptr<Backend> inner, BufferPool buffers);

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_STAGED_BACKEND_H_
