// A unit against packed keys and values: score tile by score tile of up to kTileColumns columns.
#ifndef ATTN_KERNELS_ENGINES_CPU_PACKED_UNIT_H_
#define ATTN_KERNELS_ENGINES_CPU_PACKED_UNIT_H_

#include <array>
#include <cstdint>

#include "kernels/core/block_plan.h"
#include "kernels/engines/cpu/packed_blocks.h"
#include "kernels/engines/cpu/tile_modifiers.h"
#include "kernels/engines/cpu/tile_visibility.h"
#include "kernels/engines/cpu/unit_context.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// One unit's run. The queries are loaded, the states and the output cleared.
class PackedUnit {
 public:
  PackedUnit(const UnitContext& context, const PackedBlocks& packed, const Unit& unit,
             const UnitWorkspace& work);

  // Takes in the unit's share of its row of the plan; returns the number of score elements
  // computed.
  double Run();

 private:
  // A panel that some or all rows of the unit attend.
  struct Piece {
    Panel panel;
    PlanEntry entry;
  };
  // What one row block takes of a piece: columns [begin, begin + columns) of the panel.
  struct Placed {
    const Piece* piece = nullptr;
    int64_t begin = 0;
    int64_t tokens = 0;         // That are there.
    int64_t columns = 0;        // With the padding.
    int64_t offset = 0;         // Of the first column in the score tile.
    TileVisibility visibility;  // Without words where every element counts.
  };
  static constexpr int64_t kMaxPieces = kTileColumns / kLaneCount;

  void AddDenseRow();
  void AddListedRow();
  void AddEntry(const PlanEntry& entry);
  // `next` is the panel that comes after the pieces, or null.
  void RunPieces(const Panel* next);
  // Asks for the share `index` of `count` of a panel.
  void Fetch(const Panel& panel, int64_t index, int64_t count) const;
  void RunRowBlock(int64_t index);

  // False if the row block sees nothing of it.
  bool Place(const Piece& piece, const RowBlock& block, uint64_t** words, Placed* placed);
  bool PlacePredicate(const RowBlock& block, uint64_t** words, Placed* placed) const;
  void ComputeScores(const Placed& placed, const std::byte* queries, int64_t rows);
  void AccumulateValues(const Placed& placed, int64_t rows, const float* carry, float* out) const;

  const UnitContext& context_;
  const PackedBlocks& packed_;
  const Unit& unit_;
  const UnitWorkspace& work_;
  const bool dense_;
  const int64_t alignment_;  // Of the columns that a row block takes of a panel.
  TileModifiers modifiers_;
  std::array<Piece, kMaxPieces> pieces_;
  int64_t piece_count_ = 0;
  int64_t column_count_ = 0;
  double elements_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PACKED_UNIT_H_
