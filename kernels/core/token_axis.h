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

// Tokens [begin, end) of one sample. Immutable; copies share the positions.
class TokenAxis {
 public:
  // Token i stands at i + shift.
  TokenAxis(int64_t begin, int64_t end, int64_t shift) : begin_(begin), end_(end), shift_(shift) {}

  // The axis of a node below an offset.
  TokenAxis Shifted(int64_t by) const;

  // The axis of a node below a remap: token i stands at positions[b, its position here], nowhere
  // where the table ends before it.
  TokenAxis Remapped(const IndexTable& positions, int64_t b) const;

  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }

  // False: the token stands nowhere, and nothing below the remap is true of it.
  bool stands(int64_t token) const { return positions_ == nullptr || remapped(token) != kNowhere; }
  // Of tokens that stand somewhere.
  int64_t position(int64_t token) const {
    return shift_ + (positions_ == nullptr ? token : remapped(token));
  }

 private:
  static constexpr int64_t kNowhere = std::numeric_limits<int64_t>::min();

  int64_t remapped(int64_t token) const {
    return (*positions_)[static_cast<size_t>(token - begin_)];
  }

  int64_t begin_ = 0;
  int64_t end_ = 0;
  int64_t shift_ = 0;
  // [end - begin], before the shift; null = as they are counted.
  std::shared_ptr<const std::vector<int64_t>> positions_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TOKEN_AXIS_H_
