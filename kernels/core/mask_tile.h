// The evaluation of a mask program over one small tile of positions, bits at a time: what
// MaskProgram::Evaluate is made of. No heap; a level of the tree takes up to 8 KiB of stack.
#ifndef ATTN_KERNELS_CORE_MASK_TILE_H_
#define ATTN_KERNELS_CORE_MASK_TILE_H_

#include <array>
#include <cstdint>
#include <span>

#include "kernels/core/mask_program.h"

namespace attn {

// Rows are bits of one word; columns make what is gathered for them worth while.
inline constexpr int kMaskTileRows = 64;
inline constexpr int kMaskTileColumns = 256;
inline constexpr int kMaskTileWords = kMaskTileColumns / 64;

// Bit j of row i; only the rows and words of the tile are written and read.
using MaskTileBits = std::array<std::array<uint64_t, kMaskTileWords>, kMaskTileRows>;

// Where the columns of a tile stand, as runs of consecutive positions: most tiles are one run.
// Columns of no run stand nowhere; their bits are of no account.
class ColumnRuns {
 public:
  struct Run {
    int64_t position;
    int32_t column;
    int32_t count;
  };

  // Columns are appended in ascending order, each once.
  void Append(int64_t column, int64_t position, int64_t count = 1) {
    if (count_ > 0) {
      Run& last = runs_[static_cast<size_t>(count_ - 1)];
      if (last.column + last.count == column && last.position + last.count == position) {
        last.count += static_cast<int32_t>(count);
        return;
      }
    }
    runs_[static_cast<size_t>(count_++)] = {position, static_cast<int32_t>(column),
                                            static_cast<int32_t>(count)};
  }
  std::span<const Run> all() const { return {runs_.data(), static_cast<size_t>(count_)}; }

 private:
  std::array<Run, kMaskTileColumns> runs_;
  int count_ = 0;
};

// Borrows its positions.
struct MaskTile {
  int64_t b = 0;
  int64_t head = 0;
  int rows = 0;     // Up to kMaskTileRows.
  int columns = 0;  // Up to kMaskTileColumns.
  const int64_t* q = nullptr;
  const ColumnRuns* runs = nullptr;
  // Row i stands at q[i] + q_shift, a column of a run kv_shift beyond it.
  int64_t q_shift = 0;
  int64_t kv_shift = 0;

  int words() const { return (columns + 63) / 64; }
  int64_t row(int i) const { return q[i] + q_shift; }
};

// Bits at and past tile.columns are 0.
void EvaluateMaskTile(const ProgramNode& node, const MaskTile& tile, MaskTileBits& bits);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_TILE_H_
