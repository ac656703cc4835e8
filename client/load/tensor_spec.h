// Tensors of a call that have no data (yet), and how a few sizes describe q, k and v.
#ifndef ATTN_CLIENT_LOAD_TENSOR_SPEC_H_
#define ATTN_CLIENT_LOAD_TENSOR_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/dtype.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kBFloat16;
  std::vector<int64_t> shape;
  std::string pattern;  // Empty = the default (attention.proto).
  int64_t heads = 0;    // Where the pattern joins the head axis with another.
};

// q, k and v by the sizes that they have in common. Zero = not given.
struct CommonShape {
  std::vector<int64_t> shape;  // Batch, heads, tokens, head size, whatever the patterns.
  int64_t kv_heads = 0;        // Default: heads.
  int64_t key_len = 0;         // Default: tokens.
  int64_t value_dim = 0;       // Default: head size.
  DType dtype = DType::kBFloat16;
  std::string q_pattern;  // Empty = the default.
  std::string k_pattern;
  std::string v_pattern;
};

// INVALID_ARGUMENT begins with `field`, the name of `shape`.
absl::StatusOr<std::vector<TensorSpec>> LayOut(absl::string_view field, const CommonShape& common,
                                               bool packed);

// That q, k, v and the mask go together, as every server would check: sizes, heads, lengths.
// INVALID_ARGUMENT names the tensor or the part of the mask.
absl::Status CheckTogether(const std::vector<TensorSpec>& tensors,
                           const attention::v1::AttendRequest& request);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_TENSOR_SPEC_H_
