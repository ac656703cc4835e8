// A mask as a small typed tree of predicates over absolute positions, as the caller wrote it:
// attention.proto's MaskExpression says what each node means. The vocabulary is that of
// transformers' masking_utils and of torch's flex attention.
#ifndef ATTN_KERNELS_CORE_MASK_EXPRESSION_H_
#define ATTN_KERNELS_CORE_MASK_EXPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/mask_function.h"
#include "kernels/core/tensor_view.h"

namespace attn {

struct MaskNode;

// Texts are names of tensors; empty = not given. [B] is B or 1 throughout.
namespace mask_op {
struct Causal {};
struct Bidirectional {};
struct SlidingWindow {
  int64_t window = 0;
  std::string per_head;  // [H] instead of `window`
};
struct BidirectionalWindow {
  int64_t window = 0;
  std::string per_head;  // [H] instead of `window`
};
struct Chunked {
  int64_t chunk = 1;
  std::string left_padding;  // [B]
};
struct Blockwise {
  std::string ids;  // [B, L]
};
struct Packed {
  std::string ids;  // [B, L]
};
struct Padding {        // Exactly one of them.
  std::string mask;     // [B, L]
  std::string lengths;  // [B]
};
struct Prefix {
  int64_t length = 0;
  std::string lengths;  // [B] instead of `length`
};
struct Dense {
  std::string mask;  // [B, H or 1, Sq or 1, Sk or 1]
};
struct Blocks {
  int64_t block_q = 128;
  int64_t block_kv = 128;
  std::string kv_num_blocks;       // [B, H or 1, Nq]
  std::string kv_indices;          // [B, H or 1, Nq, up to Nk]
  std::string full_kv_num_blocks;  // Both or neither.
  std::string full_kv_indices;
  std::vector<MaskNode> partial;  // Of partial blocks; none (every element) or one.

  // Tables of bits that it is bound to: where `partial` tells the two kinds of blocks apart, 2.
  int tables() const;
};
struct Function {
  std::string name;
  std::vector<double> arguments;
  std::vector<std::string> tensors;
};
struct All {
  std::vector<MaskNode> args;  // One or more.
};
struct Any {
  std::vector<MaskNode> args;  // One or more.
};
struct Not {
  std::vector<MaskNode> arg;  // Exactly one: a vector, because MaskNode is not complete here.
};
struct Offset {
  int64_t q = 0;
  int64_t kv = 0;
  std::vector<MaskNode> arg;  // Exactly one.
};
struct Remap {
  std::string positions;      // [B, L]
  std::vector<MaskNode> arg;  // Exactly one.
};
}  // namespace mask_op

struct MaskNode {
  std::variant<mask_op::Causal, mask_op::Bidirectional, mask_op::SlidingWindow,
               mask_op::BidirectionalWindow, mask_op::Chunked, mask_op::Blockwise, mask_op::Packed,
               mask_op::Padding, mask_op::Prefix, mask_op::Dense, mask_op::Blocks,
               mask_op::Function, mask_op::All, mask_op::Any, mask_op::Not, mask_op::Offset,
               mask_op::Remap>
      op;
};

// `causal`, `sliding_window`, `and`, ...: the names of the JSON form.
const char* Name(const MaskNode& node);

// The arguments of a node; empty for a leaf.
const std::vector<MaskNode>& ArgsOf(const MaskNode& node);

// Names of the tensors that a node itself refers to, its arguments left out.
std::vector<std::string> TensorsOf(const MaskNode& node);

// Where a node stands, for messages: `mask.expression.and[1].packed`.
std::string PathOfRoot(const MaskNode& root);
std::string PathOfArg(const std::string& path, const MaskNode& node, size_t index);

// What a call asks for. Plain data: MaskExpression::Create validates it.
struct MaskExpressionSpec {
  MaskNode root;
  int64_t q_offset = 0;  // Absolute position of query 0 and key 0.
  int64_t kv_offset = 0;
};

// The sizes of the call that a mask is over.
struct MaskSizes {
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t query_len = 0;
  int64_t key_len = 0;
};

// A validated expression: structure, bounds, and the dtypes and shapes of its tensors; what they
// hold is checked when it is bound (mask_program.h). Immutable, thread-safe, shared by copies of a
// problem.
class MaskExpression {
 public:
  // INVALID_ARGUMENT names the node by its path (`mask.expression.and[1].packed`), the value and
  // what is allowed; a tensor that is missing too. `functions` outlive the expression.
  static absl::StatusOr<std::shared_ptr<const MaskExpression>> Create(
      MaskExpressionSpec spec, const MaskSizes& sizes, const TensorMap& tensors,
      const std::vector<const MaskFunction*>& functions);

  const MaskExpressionSpec& spec() const { return spec_; }
  const MaskSizes& sizes() const { return sizes_; }
  // nullptr if no such function is known; then Create has failed.
  const MaskFunction* FindFunction(const std::string& name) const;
  // Whether visibility may differ between samples, and between heads.
  bool per_sample() const { return per_sample_; }
  bool per_head() const { return per_head_; }
  // Memory that a program of it takes beside the tensors: a bit for every block of its block lists.
  int64_t program_bytes() const { return program_bytes_; }

 private:
  MaskExpression() = default;

  MaskExpressionSpec spec_;
  MaskSizes sizes_;
  std::vector<const MaskFunction*> functions_;
  bool per_sample_ = false;
  bool per_head_ = false;
  int64_t program_bytes_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_EXPRESSION_H_
