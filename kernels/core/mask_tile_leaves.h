// The leaves of a mask program over one tile; private to mask_tile.cc.
#ifndef ATTN_KERNELS_CORE_MASK_TILE_LEAVES_H_
#define ATTN_KERNELS_CORE_MASK_TILE_LEAVES_H_

#include <cstdint>

#include "kernels/core/mask_program.h"
#include "kernels/core/mask_tile.h"

namespace attn {

// Sets bits [begin, end) of a row.
inline void SetRange(uint64_t* words, int64_t begin, int64_t end) {
  if (begin >= end) return;
  const int64_t first = begin / 64;
  const int64_t last = (end - 1) / 64;
  const uint64_t low = ~uint64_t{0} << (begin % 64);
  const uint64_t high = ~uint64_t{0} >> (63 - (end - 1) % 64);
  if (first == last) {
    words[first] |= low & high;
    return;
  }
  words[first] |= low;
  for (int64_t word = first + 1; word < last; ++word) words[word] = ~uint64_t{0};
  words[last] |= high;
}

void EvaluateLeaf(const program_op::Band& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::QueryAtLeastZero& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::SameChunk& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::SameId& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::KeyFlag& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::KeyBelow& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::Dense& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::Blocks& op, const MaskTile& tile, MaskTileBits& bits);
void EvaluateLeaf(const program_op::Function& op, const MaskTile& tile, MaskTileBits& bits);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_TILE_LEAVES_H_
