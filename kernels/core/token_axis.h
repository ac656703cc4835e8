// Where the tokens of one axis of a call stand in the coordinates of a mask node: what offset and
// remap have made of their positions.
#ifndef ATTN_KERNELS_CORE_TOKEN_AXIS_H_
#define ATTN_KERNELS_CORE_TOKEN_AXIS_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/core/mask_program.h"

namespace attn {

// Index of the chunk that holds a position, the first chunk beginning at `start`.
inline int64_t ChunkOf(int64_t position, int64_t start, int64_t chunk) {
  const int64_t from_start = position - start;
  return from_start / chunk - (from_start % chunk < 0 ? 1 : 0);
}

// A dense mask of keys alone, one row for all heads and queries, as the flags that it is, of
// positions counted from its first key; nullopt for any other.
std::optional<IndexTable> KeyFlagsOf(const program_op::Dense& dense);

// Tokens [0, count) of one sample. Immutable; copies share the table.
class TokenAxis {
 public:
  // Token i stands at i + shift.
  TokenAxis(int64_t count, int64_t shift) : count_(count), shift_(shift) {}

  // The axis of a node below an offset.
  TokenAxis Shifted(int64_t by) const;

  // The axis of a node below a remap: token i stands at positions[b, its position here], nowhere
  // where the table ends before it.
  TokenAxis Remapped(const IndexTable& positions, int64_t b) const;

  int64_t count() const { return count_; }
  bool affine() const { return table_ == nullptr; }
  int64_t shift() const { return shift_; }

  // False: the token stands nowhere, and nothing below the remap is true of it.
  bool stands(int64_t token) const {
    return affine() || table_->positions[static_cast<size_t>(token)] != kNowhere;
  }
  // Of tokens that stand somewhere.
  int64_t position(int64_t token) const {
    return shift_ + (affine() ? token : table_->positions[static_cast<size_t>(token)]);
  }

  // Where the positions have a table: the end of the run of tokens from `token` on whose positions
  // do not fall.
  int64_t RisingEnd(int64_t token) const { return table_->rising_end[static_cast<size_t>(token)]; }

 private:
  static constexpr int64_t kNowhere = std::numeric_limits<int64_t>::min();

  struct Table {
    std::vector<int64_t> positions;  // [count], before the shift
    std::vector<int32_t> rising_end;
  };

  int64_t count_ = 0;
  int64_t shift_ = 0;
  std::shared_ptr<const Table> table_;  // Null = affine.
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TOKEN_AXIS_H_
