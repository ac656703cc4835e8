#include "kernels/engines/cpu/packed_unit.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/ceil_divide.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {

PackedUnit::PackedUnit(const UnitContext& context, const PackedBlocks& packed, const Unit& unit,
                       const UnitWorkspace& work)
    : context_(context),
      packed_(packed),
      unit_(unit),
      work_(work),
      dense_(std::holds_alternative<ImplicitPlan>(context.plan)),
      alignment_(
          std::max({kLaneCount, context.kernels.token_multiple, context.kernels.column_multiple})),
      modifiers_(context, unit, work) {}

double PackedUnit::Run() {
  if (dense_) {
    AddDenseRow();
  } else {
    AddListedRow();
  }
  RunPieces(nullptr);
  return elements_;
}

// The blocks of ImplicitPlan::AppendRow, of these rows alone and without a list. A block between
// two packed sequences that nobody sees is met as well; no row block then takes anything of it.
void PackedUnit::AddDenseRow() {
  const IntervalMask& mask = *context_.predicate.intervals;
  const int64_t block_k = std::get<ImplicitPlan>(context_.plan).block_k;
  const KeyInterval seen = mask.VisibleKeys(unit_.b, unit_.queries.begin, unit_.queries.end).any;
  if (seen.empty()) return;
  const int64_t first = seen.begin / block_k;
  const BlockRange share = context_.split.BlocksOf(unit_, CeilDivide(seen.end, block_k) - first);
  for (int64_t block = first + share.begin; block < first + share.end; ++block) {
    AddEntry({.key_block = static_cast<int32_t>(block), .mask = BlockMask::kPredicate});
  }
}

void PackedUnit::AddListedRow() {
  const auto& plan = std::get<BlockPlan>(context_.plan);
  const PlanRow row = RowOf(plan, unit_.b, unit_.head, unit_.query_block);
  const BlockRange share = context_.split.BlocksOf(unit_, static_cast<int64_t>(row.size()));
  const int64_t rows = unit_.heads * unit_.queries.size();
  for (const PlanEntry& entry : row.subspan(static_cast<size_t>(share.begin),
                                            static_cast<size_t>(share.end - share.begin))) {
    AddEntry(entry);
    if (entry.mask != BlockMask::kFull) continue;
    elements_ +=
        static_cast<double>(rows * KeyBlock(context_.plan, entry.key_block).size()) / entry.level;
  }
}

void PackedUnit::AddEntry(const PlanEntry& entry) {
  const int64_t slot = packed_.SlotOf(unit_.b, unit_.kv_head, entry.key_block, entry.level);
  for (int64_t i = 0; i < packed_.PanelCount(slot); ++i) {
    const Panel panel = packed_.PanelAt(slot, i);
    if (column_count_ + panel.padded_tokens > kTileColumns) RunPieces(&panel);
    pieces_[static_cast<size_t>(piece_count_++)] = {panel, entry};
    column_count_ += panel.padded_tokens;
  }
}

// The next panel comes into the second-level cache while the row blocks are at work.
void PackedUnit::RunPieces(const Panel* next) {
  if (piece_count_ == 0) return;
  const int64_t row_blocks = context_.split.RowBlockCount(unit_);
  for (int64_t i = 0; i < row_blocks; ++i) {
    if (next != nullptr) Fetch(*next, i, row_blocks);
    RunRowBlock(i);
  }
  piece_count_ = 0;
  column_count_ = 0;
}

void PackedUnit::Fetch(const Panel& panel, int64_t index, int64_t count) const {
  const int64_t groups = panel.padded_tokens / kLaneCount;
  const int64_t value_groups = work_.out_columns / kLaneCount;
  const auto fetch = [&](const std::byte* bytes, int64_t size) {
    for (int64_t at = size * index / count; at < size * (index + 1) / count;
         at += kBufferAlignment) {
      __builtin_prefetch(bytes + at, /*rw=*/0, /*locality=*/2);
    }
  };
  fetch(panel.keys, groups * panel.key_group_bytes);
  fetch(panel.values, value_groups * panel.value_group_bytes);
}

void PackedUnit::RunRowBlock(int64_t index) {
  const TileKernels& kernels = context_.kernels;
  const RowBlock block = context_.split.RowBlockAt(unit_, index);
  const std::byte* queries =
      work_.queries + index * kTileRows * work_.depth * ElementBytes(kernels.operand);
  std::array<Placed, kMaxPieces> placed;
  int64_t count = 0;
  int64_t columns = 0;
  uint64_t* words = work_.words;
  if (modifiers_.any()) modifiers_.SetRows(block, 0, block.rows);
  for (int64_t i = 0; i < piece_count_; ++i) {
    Placed& at = placed[static_cast<size_t>(count)];
    if (!Place(pieces_[static_cast<size_t>(i)], block, &words, &at)) continue;
    at.offset = columns;
    ComputeScores(at, queries, block.rows);
    columns += at.columns;
    ++count;
  }
  if (count == 0) return;
  const bool carries = kernels.update_softmax({.scores = work_.scores,
                                               .stride = kTileColumns,
                                               .rows = block.rows,
                                               .columns = columns,
                                               .scale = context_.scale.factor,
                                               .headroom = context_.headroom,
                                               .states = work_.states_of(index),
                                               .carry = work_.carry});
  for (int64_t i = 0; i < count; ++i) {
    AccumulateValues(placed[static_cast<size_t>(i)], block.rows,
                     carries && i == 0 ? work_.carry : nullptr, work_.out_of(index));
  }
}

bool PackedUnit::Place(const Piece& piece, const RowBlock& block, uint64_t** words,
                       Placed* placed) {
  *placed = {.piece = &piece, .tokens = piece.panel.tokens, .columns = piece.panel.padded_tokens};
  TileVisibility& visibility = placed->visibility;
  switch (piece.entry.mask) {
    case BlockMask::kFull:
      return true;
    case BlockMask::kPredicate:
      if (!PlacePredicate(block, words, placed)) return false;
      break;
    case BlockMask::kBits: {
      const auto& plan = std::get<BlockPlan>(context_.plan);
      const int64_t row_words =
          VisibilityWords(KeyBlock(context_.plan, piece.entry.key_block).size());
      const int64_t first_query = unit_.queries.begin + block.first_query -
                                  QueryBlock(context_.plan, unit_.query_block).begin;
      visibility = {plan.bit_tiles.data() + piece.entry.bits + first_query * row_words +
                        piece.panel.first_token / kWordBits,
                    row_words, block.queries, piece.panel.tokens};
      break;
    }
  }
  if (dense_) return true;  // Counted by arithmetic.
  const int64_t visible =
      visibility.words == nullptr ? block.queries * placed->tokens : visibility.Count();
  const int64_t stacked_heads = block.rows / block.queries;
  elements_ += static_cast<double>(visible * stacked_heads);
  return visible > 0;
}

// Of a panel in original order only the columns that the row block sees are computed, and masked
// only if some row does not see all of them.
bool PackedUnit::PlacePredicate(const RowBlock& block, uint64_t** words, Placed* placed) const {
  const MaskPredicate& predicate = context_.predicate;
  const TokenRange queries = unit_.queries.Slice(block.first_query, block.queries);
  const Panel& panel = placed->piece->panel;
  TokenRange keys = KeyBlock(context_.plan, placed->piece->entry.key_block)
                        .Slice(panel.first_token, panel.tokens);
  if (keys.permutation == nullptr && queries.permutation == nullptr) {
    const IntervalMask::Bounds seen =
        predicate.intervals->VisibleKeys(unit_.b, queries.begin, queries.end);
    const int64_t begin = std::max<int64_t>(seen.any.begin - keys.begin, 0);
    const int64_t end = std::min(seen.any.end - keys.begin, panel.tokens);
    if (seen.any.empty() || begin >= end) return false;
    placed->begin = begin / alignment_ * alignment_;
    placed->tokens = std::min(RoundUp(end, alignment_), panel.tokens) - placed->begin;
    placed->columns = RoundUp(placed->tokens, alignment_);
    keys = keys.Slice(placed->begin, placed->tokens);
    const bool all_seen = seen.all.begin <= keys.begin && keys.end <= seen.all.end;
    if (all_seen && predicate.program == nullptr) return true;
  }
  placed->visibility =
      EvaluatePredicate(predicate, unit_.b, unit_.head + block.head, queries, keys, *words);
  *words += queries.size() * VisibilityWords(keys.size());
  return true;
}

void PackedUnit::ComputeScores(const Placed& placed, const std::byte* queries, int64_t rows) {
  const TileKernels& kernels = context_.kernels;
  const Panel& panel = placed.piece->panel;
  float* scores = work_.scores + placed.offset;
  const TokenRange keys = KeyBlock(context_.plan, placed.piece->entry.key_block)
                              .Slice(panel.first_token + placed.begin, placed.tokens);
  modifiers_.Fetch(keys);
  kernels.compute_scores({.queries = queries,
                          .keys = panel.keys + placed.begin / kLaneCount * panel.key_group_bytes,
                          .scores = scores,
                          .stride = kTileColumns,
                          .rows = rows,
                          .depth = work_.depth,
                          .columns = placed.columns});
  if (modifiers_.any()) modifiers_.Apply(keys, scores);
  const TileVisibility& visibility = placed.visibility;
  if (visibility.words != nullptr) {
    kernels.hide_scores({.words = visibility.words,
                         .words_per_query = visibility.words_per_query,
                         .queries = visibility.queries,
                         .scores = scores,
                         .stride = kTileColumns,
                         .rows = rows,
                         .columns = placed.tokens});
  }
  HideColumns(scores, rows, placed.tokens, placed.columns);
  if (placed.piece->entry.level == 1) return;
  // Pooled scores enter the softmax with + ln(level): scores are not yet scaled.
  const float bias =
      std::log2(static_cast<float>(placed.piece->entry.level)) / context_.scale.factor;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * kTileColumns;
    for (int64_t c = 0; c < placed.tokens; ++c) row[c] += bias;
  }
}

void PackedUnit::AccumulateValues(const Placed& placed, int64_t rows, const float* carry,
                                  float* out) const {
  const int64_t element_bytes = ElementBytes(context_.kernels.operand);
  const Panel& panel = placed.piece->panel;
  const ValueTile tile = {
      .weights = reinterpret_cast<const std::byte*>(work_.scores) + placed.offset * element_bytes,
      .stride = kTileColumns,
      .values = panel.values + placed.begin * kLaneCount * element_bytes,
      .group_bytes = panel.value_group_bytes,
      .carry = carry,
      .out = out,
      .rows = rows,
      .tokens = placed.columns,
      .columns = work_.out_columns};
  if (placed.visibility.words != nullptr && !panel.finite) {
    AccumulateVisibleValues(placed.visibility, context_.kernels.operand, tile);
  } else {
    context_.kernels.accumulate_values(tile);
  }
}

}  // namespace attn
