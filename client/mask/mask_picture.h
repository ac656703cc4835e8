// A mask as a picture: how much of it is visible where, and what its plan lists.
#ifndef ATTN_CLIENT_MASK_MASK_PICTURE_H_
#define ATTN_CLIENT_MASK_MASK_PICTURE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"

namespace attn {

struct MaskPictureOptions {
  int64_t sample = 0;
  int64_t head = 0;
  int64_t block_q = 128;  // Of the plan.
  int64_t block_k = 128;
  int64_t max_rows = 512;  // Of the picture; it has no more than there are queries and keys.
  int64_t max_columns = 512;
};

struct MaskPicture {
  int64_t query_len = 0;
  int64_t key_len = 0;

  // Of the sample and head: blocks of the plan, and elements that are visible.
  int64_t blocks = 0;
  int64_t full_blocks = 0;
  int64_t partial_blocks = 0;
  double visible_elements = 0;

  // Share of each cell that is visible. Cell (r, c) covers queries [query_begin(r),
  // query_begin(r + 1)) and keys [key_begin(c), key_begin(c + 1)).
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> shares;  // [rows, columns]

  int64_t query_begin(int64_t row) const { return row * query_len / rows; }
  int64_t key_begin(int64_t column) const { return column * key_len / columns; }
  float share(int64_t row, int64_t column) const {
    return shares[static_cast<size_t>(row * columns + column)];
  }
  double sparsity() const {
    return 1 - visible_elements / (static_cast<double>(query_len) * static_cast<double>(key_len));
  }
  double block_sparsity() const {
    return 1 - static_cast<double>(full_blocks + partial_blocks) / static_cast<double>(blocks);
  }
};

// Of the call nothing but the problem's sizes, mask and expression and the tensors that this names
// counts. INVALID_ARGUMENT for a tensor whose contents are wrong, and for options out of range.
absl::StatusOr<MaskPicture> DrawMask(const AttentionCall& call, const MaskPictureOptions& options);

}  // namespace attn

#endif  // ATTN_CLIENT_MASK_MASK_PICTURE_H_
