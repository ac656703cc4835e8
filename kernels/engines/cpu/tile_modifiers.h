// A call's score modifiers, score tile by score tile.
#ifndef ATTN_KERNELS_ENGINES_CPU_TILE_MODIFIERS_H_
#define ATTN_KERNELS_ENGINES_CPU_TILE_MODIFIERS_H_

#include <array>
#include <cstdint>

#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/unit_context.h"
#include "kernels/engines/cpu/unit_rows.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// Of one unit, whose workspace holds the tiles of its bias. Where nothing changes scores it does
// nothing at all.
class TileModifiers {
 public:
  TileModifiers(const UnitContext& context, const Unit& unit, const UnitWorkspace& work);

  bool any() const { return context_.modifiers.change_scores(); }

  // Rows [first, first + count) of a row block are those of the tiles to come.
  void SetRows(const RowBlock& block, int64_t first, int64_t count);

  // Asks for the bias of these keys: while their products are taken it comes from memory.
  void Fetch(const TokenRange& keys) const;

  // scores [rows][kTileColumns] of these keys. Up to the next multiple of kLaneCount columns are
  // changed, those past the keys to anything.
  void Apply(const TokenRange& keys, float* scores);
  // Of `count` keys, in the order of the tensor.
  void Apply(const int32_t* keys, int64_t count, float* scores);

 private:
  // Rows of the bias tile to come, and how far they are apart: 0 where one serves all.
  struct BiasTile {
    const float* rows = nullptr;
    int64_t stride = 0;
  };

  // Of the first `count` keys of column_positions_; `consecutive`: they follow each other.
  void Run(int64_t count, bool consecutive, float* scores);
  BiasTile LoadBias(int64_t count, bool consecutive) const;
  bool OneBiasRow() const;
  // Whether the tile lies in the caller's tensor as it is: fp32, in order and without padding.
  bool BiasLiesInPlace(int64_t count, bool consecutive) const;
  const std::byte* BiasOf(const TensorRow& row) const;

  const UnitContext& context_;
  const Unit& unit_;
  const UnitWorkspace& work_;
  int64_t row_count_ = 0;
  std::array<TensorRow, kTileRows> rows_;
  std::array<float, kTileRows> slopes_;
  std::array<int32_t, kTileRows> row_positions_;
  // With those that pad the last group.
  std::array<int32_t, kTileColumns> column_positions_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TILE_MODIFIERS_H_
