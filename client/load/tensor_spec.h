// Tensors of a call that have no data (yet), and how a few sizes describe q, k and v.
#ifndef ATTN_CLIENT_LOAD_TENSOR_SPEC_H_
#define ATTN_CLIENT_LOAD_TENSOR_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/dtype.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

// Both ends included.
struct ValueRange {
  double min = 0;
  double max = 0;
};

struct TensorSpec {
  std::string name;
  DType dtype = DType::kBFloat16;
  std::vector<int64_t> shape;
  std::string pattern;  // Empty = the default (attention.proto).
  int64_t heads = 0;    // Where the pattern joins the head axis with another.
  // What its elements are drawn from, all alike. Absent: floats are normal, bits 0 or 1.
  std::optional<ValueRange> range = std::nullopt;
  bool ascending = false;  // Along the last axis, as the ids of packed sequences are.
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

// That there is random data for the tensor: integers have a range, one of integers that the dtype
// holds; bits have none. INVALID_ARGUMENT begins with `range` or `ascending`.
absl::Status CheckDrawable(const TensorSpec& tensor);

// That q, k, v and the mask go together, as every server would check: sizes, heads, lengths; that
// what the request names is there, and nothing else; and that all can be drawn. INVALID_ARGUMENT
// names the tensor or the part of the mask.
absl::Status CheckTogether(const std::vector<TensorSpec>& tensors,
                           const attention::v1::AttendRequest& request);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_TENSOR_SPEC_H_
