// A mask expression bound to the tensors of a call: the predicate program that decides inside a
// partial block. Every engine evaluates it, a tile of elements at a time; nothing of the size
// Sq x Sk is ever held.
#ifndef ATTN_KERNELS_CORE_MASK_PROGRAM_H_
#define ATTN_KERNELS_CORE_MASK_PROGRAM_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/index_table.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_function.h"
#include "kernels/core/tensor_view.h"
#include "kernels/core/token_range.h"

namespace attn {

// Stands for "no bound" in BandNode; no sum of it with a position overflows.
inline constexpr int64_t kNoBound = int64_t{1} << 61;

// The tree, lowered to few kinds of nodes. q and kv are absolute positions.
struct ProgramNode;
namespace program_op {
// A number for all samples or heads, or one of each, read where it lies.
struct Number {
  int64_t shared = 0;
  IndexTable each = {};  // Rank 1, in place of `shared`; of length 0 = none.

  int64_t of(int64_t index) const { return each.Has(0) ? each.at(index, 0) : shared; }
};
struct Band {  // first <= kv - q <= last
  int64_t from = -kNoBound;
  int64_t to = kNoBound;
  Number wider = {};  // Of the head: both ends are that much further out.

  int64_t first(int64_t head) const { return from - wider.of(head); }
  int64_t last(int64_t head) const { return to + wider.of(head); }
};
struct QueryAtLeastZero {};
struct SameChunk {
  int64_t chunk = 1;
  Number start = {};  // Of the sample.
};
struct SameId {
  IndexTable ids;
  // Of blockwise: ids below 0 belong to nothing.
  bool negative_is_none = false;
};
struct KeyFlag {  // kv stands in the table and its flag is set.
  IndexTable flags;
};
struct KeyBelow {      // 0 <= kv < length
  Number length = {};  // Of the sample.
};
struct Dense {
  TensorView mask;  // Rank 4; q and kv count from the call's first tokens after these:
  int64_t q_begin = 0;
  int64_t kv_begin = 0;
};
struct Blocks {
  int64_t block_q = 0;
  int64_t block_kv = 0;
  int64_t q_begin = 0;
  int64_t kv_begin = 0;
  int64_t query_len = 0;
  int64_t key_len = 0;
  int64_t batch = 1;  // B or 1
  int64_t heads = 1;  // H or 1
  // [batch, heads, Nq] rows of ceil(Nk / 64) words: bit j set = block j is listed.
  std::vector<uint64_t> listed = {};

  int64_t query_blocks() const { return (query_len + block_q - 1) / block_q; }
  int64_t key_blocks() const { return (key_len + block_kv - 1) / block_kv; }
  int64_t words_per_row() const { return (key_blocks() + 63) / 64; }
  // Words of one row of blocks; b and head any of the call.
  const uint64_t* row(int64_t b, int64_t head, int64_t query_block) const {
    const int64_t sample_and_head = (batch == 1 ? 0 : b) * heads + (heads == 1 ? 0 : head);
    return listed.data() + (sample_and_head * query_blocks() + query_block) * words_per_row();
  }
};
struct Function {
  std::shared_ptr<const BoundMaskFunction> function;
  bool per_sample = true;
  bool per_head = true;
};
struct All {
  std::vector<ProgramNode> args;
};
struct Any {
  std::vector<ProgramNode> args;
};
struct Not {
  std::vector<ProgramNode> arg;
};
struct Offset {
  int64_t q = 0;
  int64_t kv = 0;
  std::vector<ProgramNode> arg;
};
struct Remap {
  IndexTable positions;
  std::vector<ProgramNode> arg;
};
}  // namespace program_op

struct ProgramNode {
  std::variant<program_op::Band, program_op::QueryAtLeastZero, program_op::SameChunk,
               program_op::SameId, program_op::KeyFlag, program_op::KeyBelow, program_op::Dense,
               program_op::Blocks, program_op::Function, program_op::All, program_op::Any,
               program_op::Not, program_op::Offset, program_op::Remap>
      op;
};

// The arguments of a node; empty for a leaf.
std::span<const ProgramNode> ArgsOf(const ProgramNode& node);

// Immutable once bound, read by all threads. Borrows the call's tensors and the mask functions.
class MaskProgram {
 public:
  // Reads and checks what the tensors hold, in time proportional to their size (lists of blocks:
  // to the blocks). INVALID_ARGUMENT names the tensor, where, the value and what is allowed.
  static absl::StatusOr<MaskProgram> Bind(const MaskExpression& expression,
                                          const TensorMap& tensors);

  // Query i of the call stands at i + q_offset() of the root, key j at j + kv_offset().
  const ProgramNode& root() const { return root_; }
  int64_t q_offset() const { return q_offset_; }
  int64_t kv_offset() const { return kv_offset_; }
  const MaskSizes& sizes() const { return sizes_; }
  bool per_sample() const { return per_sample_; }
  bool per_head() const { return per_head_; }

  // Bit (i, j) of the tile = whether token queries.original(queries.begin + i) of the call may
  // attend token keys.original(keys.begin + j): least significant first, query i starting at word
  // i * words_per_query, which is at least ceil(keys.size() / 64). Bits past the last key are 0;
  // words beyond those of the keys are left alone. Any size; takes a few KiB of stack a level.
  void Evaluate(int64_t b, int64_t head, const TokenRange& queries, const TokenRange& keys,
                uint64_t* words, int64_t words_per_query) const;

  // Of its mask functions (BoundMaskFunction::status), the first that failed.
  absl::Status status() const;

 private:
  MaskProgram() = default;

  ProgramNode root_;
  int64_t q_offset_ = 0;
  int64_t kv_offset_ = 0;
  MaskSizes sizes_;
  bool per_sample_ = false;
  bool per_head_ = false;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_PROGRAM_H_
