// The shape of one attention call: everything that selection, planning and admission need, and no
// tensor data.
#ifndef ATTN_KERNELS_CORE_ATTENTION_PROBLEM_H_
#define ATTN_KERNELS_CORE_ATTENTION_PROBLEM_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "kernels/core/call_stages.h"
#include "kernels/core/dtype.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/options.h"
#include "kernels/core/score_modifiers.h"

namespace attn {

// What the caller knows about its tokens. Token order is raster: frame, row, column.
struct TokenMetadata {
  std::optional<int64_t> timestep;             // 0-based denoising step; absent = past any warm-up.
  std::optional<int64_t> layer;                // 0-based.
  std::optional<std::array<int64_t, 3>> grid;  // Frames, rows, columns of tokens.
  int64_t text_length = 0;
};

// Outputs wanted beside `out`.
struct OutputsWanted {
  bool lse = false;
  bool weights = false;
  bool plan = false;
  // Block sizes of the reported plan of a backend without blocks of its own; 0 = the default.
  int64_t plan_block_q = 0;
  int64_t plan_block_k = 0;
};

// A plain value; immutable once validated, then safe to share among threads. Packed sequences
// have batch 1 and query_len, key_len = all tokens. Lengths are those that attention is computed
// over: without the padding behind stages.original_seq_len, with the replicated tokens.
struct AttentionProblem {
  int64_t batch = 0;                  // B
  int64_t heads = 0;                  // H
  int64_t kv_heads = 0;               // G; H % G == 0, query head h reads key head h / (H/G)
  int64_t query_len = 0;              // Sq
  int64_t key_len = 0;                // Sk
  int64_t head_dim = 0;               // D
  int64_t value_dim = 0;              // Dv
  DType dtype = DType::kFloat32;      // Of q, k and v.
  DType out_dtype = DType::kFloat32;  // Of out.
  double scale = 0;                   // Factor on q.k; never defaulted below this point.
  IntervalMask mask;
  std::shared_ptr<const MaskExpression> expression;  // ANDed with the mask; null = none.
  ScoreModifiers modifiers;
  CallStages stages;
  TokenMetadata metadata;
  OutputsWanted wanted;

  bool gqa() const { return heads != kv_heads; }
  MaskSizes sizes() const { return {batch, heads, query_len, key_len}; }
  int64_t kv_head(int64_t head) const { return head / (heads / kv_heads); }

  // Multiply-adds times two, Q K^T and P V, of `elements` score elements: 2 * (D + Dv) each.
  double Flops(double elements) const {
    return 2.0 * static_cast<double>(head_dim + value_dim) * elements;
  }
  // Score elements of dense attention under the mask, all heads. An expression is data: what it
  // hides is not known here, and counts.
  double VisibleElements() const {
    return static_cast<double>(mask.VisibleElements()) * static_cast<double>(heads);
  }
};

// Of an output whose scores may be skipped nothing tells of one softmax: INVALID_ARGUMENT names
// what of lse, weights and plan is wanted with it.
absl::Status CheckSkippedOutputs(const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ATTENTION_PROBLEM_H_
