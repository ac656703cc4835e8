// Partial attention results over parts of the keys, merged by their LSE (ring attention,
// split keys; Milakov and Gimelshein, arXiv 1805.02867).
#ifndef ATTN_CLIENT_LSE_MERGE_H_
#define ATTN_CLIENT_LSE_MERGE_H_

#include <span>

#include "absl/status/status.h"

namespace attn {

// One part's result, contiguous: out [rows, value_dim], lse [rows] (natural log; -infinity for a
// row that attends nothing in this part, whose out is then not read).
struct PartialAttention {
  std::span<const float> out;
  std::span<const float> lse;
};

// Merges any number of parts, at least one, into `out` and `lse`, in fp64; the order of the parts
// does not matter beyond rounding. A row that is empty everywhere gets 0 and -infinity. A caller
// with sinks gives them to one part only. `out` and `lse` may be those of one part, of the same
// rows; they overlap no part otherwise. INVALID_ARGUMENT if sizes do not fit one another.
absl::Status MergePartials(std::span<const PartialAttention> parts, std::span<float> out,
                           std::span<float> lse);

}  // namespace attn

#endif  // ATTN_CLIENT_LSE_MERGE_H_
