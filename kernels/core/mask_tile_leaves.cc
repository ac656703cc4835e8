#include "kernels/core/mask_tile_leaves.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "kernels/core/flag_bits.h"

namespace attn {
namespace {

using RowWords = std::array<uint64_t, kMaskTileWords>;

// Positions [from, to).
struct PositionRange {
  int64_t from = 0;
  int64_t to = 0;
};

// Calls visit(column, position, count) for what of each run stands in [from, to).
template <typename Visit>
void ForEachPart(const MaskTile& tile, int64_t from, int64_t to, const Visit& visit) {
  for (const ColumnRuns::Run& run : tile.runs->all()) {
    const int64_t position = run.position + tile.kv_shift;
    const int64_t begin = std::clamp<int64_t>(from - position, 0, run.count);
    const int64_t end = std::clamp<int64_t>(to - position, 0, run.count);
    if (begin < end) visit(run.column + begin, position + begin, end - begin);
  }
}

// The same in pieces that lie in one word each.
template <typename Visit>
void ForEachPiece(const MaskTile& tile, int64_t from, int64_t to, const Visit& visit) {
  ForEachPart(tile, from, to, [&](int64_t column, int64_t position, int64_t count) {
    while (count > 0) {
      const int64_t piece = std::min(count, 64 - column % 64);
      visit(column, position, piece);
      column += piece;
      position += piece;
      count -= piece;
    }
  });
}

// Positions of the columns one by one; 0 for those that stand nowhere.
std::array<int64_t, kMaskTileColumns> PositionsOf(const MaskTile& tile) {
  std::array<int64_t, kMaskTileColumns> positions{};
  for (const ColumnRuns::Run& run : tile.runs->all()) {
    std::iota(positions.begin() + run.column, positions.begin() + run.column + run.count,
              run.position + tile.kv_shift);
  }
  return positions;
}

template <typename RangeOf>
void FillRangesByColumn(const MaskTile& tile, MaskTileBits& bits, const RangeOf& range_of) {
  const std::array<int64_t, kMaskTileColumns> positions = PositionsOf(tile);
  for (int i = 0; i < tile.rows; ++i) {
    const PositionRange range = range_of(tile.row(i));
    const auto from = static_cast<uint64_t>(range.from);
    const auto size = static_cast<uint64_t>(std::max<int64_t>(range.to - range.from, 0));
    for (int word = 0; word < tile.words(); ++word) {
      std::array<uint8_t, 64> inside;
      for (size_t j = 0; j < 64; ++j) {
        const int64_t position = positions[static_cast<size_t>(word) * 64 + j];
        inside[j] = static_cast<uint64_t>(position) - from < size ? 1 : 0;
      }
      bits[static_cast<size_t>(i)][static_cast<size_t>(word)] =
          PackFlags(inside.data()) & LowBits(tile.columns - 64 * word);
    }
  }
}

// From so many runs on it is faster to compare every column than to set a range a run.
constexpr size_t kManyRuns = 48;

// Each row sees one range of positions: range_of(q) -> PositionRange.
template <typename RangeOf>
void FillRanges(const MaskTile& tile, MaskTileBits& bits, const RangeOf& range_of) {
  if (tile.runs->all().size() >= kManyRuns) return FillRangesByColumn(tile, bits, range_of);
  for (int i = 0; i < tile.rows; ++i) {
    RowWords& row = bits[static_cast<size_t>(i)];
    row = {};
    const PositionRange range = range_of(tile.row(i));
    ForEachPart(tile, range.from, range.to, [&](int64_t column, int64_t, int64_t count) {
      SetRange(row.data(), column, column + count);
    });
  }
}

// Rows of equal keys are equal: key_of(q) -> optional (none = an empty row), fill(key, row) once a
// stretch of them, into zeros.
template <typename KeyOf, typename Fill>
void FillByKey(const MaskTile& tile, MaskTileBits& bits, const KeyOf& key_of, const Fill& fill) {
  std::optional<int64_t> filled;
  const RowWords* like = nullptr;
  for (int i = 0; i < tile.rows; ++i) {
    RowWords& row = bits[static_cast<size_t>(i)];
    const std::optional<int64_t> key = key_of(tile.row(i));
    if (key.has_value() && key == filled) {
      row = *like;
      continue;
    }
    row = {};
    if (!key.has_value()) continue;
    fill(*key, row);
    filled = key;
    like = &row;
  }
}

int64_t FloorDivide(int64_t a, int64_t divisor) { return a / divisor - (a % divisor < 0 ? 1 : 0); }

}  // namespace

void EvaluateLeaf(const program_op::Band& op, const MaskTile& tile, MaskTileBits& bits) {
  const int64_t from = op.first(tile.head);
  const int64_t to = op.last(tile.head);
  FillRanges(tile, bits, [&](int64_t q) { return PositionRange{q + from, q + to + 1}; });
}

void EvaluateLeaf(const program_op::QueryAtLeastZero&, const MaskTile& tile, MaskTileBits& bits) {
  FillRanges(tile, bits, [](int64_t q) {
    return q >= 0 ? PositionRange{-kNoBound, kNoBound} : PositionRange{};
  });
}

void EvaluateLeaf(const program_op::SameChunk& op, const MaskTile& tile, MaskTileBits& bits) {
  const int64_t start = op.start.of(tile.b);
  PositionRange chunk;  // Of the row before: divisions are slow, and rows mostly share it.
  FillRanges(tile, bits, [&](int64_t q) {
    if (q < chunk.from || q >= chunk.to) {
      chunk.from = start + FloorDivide(q - start, op.chunk) * op.chunk;
      chunk.to = chunk.from + op.chunk;
    }
    return chunk;
  });
}

void EvaluateLeaf(const program_op::KeyBelow& op, const MaskTile& tile, MaskTileBits& bits) {
  const int64_t length = op.length.of(tile.b);
  FillRanges(tile, bits, [&](int64_t) { return PositionRange{0, length}; });
}

void EvaluateLeaf(const program_op::SameId& op, const MaskTile& tile, MaskTileBits& bits) {
  std::array<int64_t, kMaskTileColumns> ids{};
  RowWords inside{};
  ForEachPart(tile, 0, op.ids.length(), [&](int64_t column, int64_t position, int64_t count) {
    op.ids.Read(tile.b, position, count, ids.data() + column);
    SetRange(inside.data(), column, column + count);
  });
  const auto id_of = [&](int64_t q) -> std::optional<int64_t> {
    if (!op.ids.Has(q)) return std::nullopt;
    const int64_t id = op.ids.at(tile.b, q);
    if (op.negative_is_none && id < 0) return std::nullopt;
    return id;
  };
  FillByKey(tile, bits, id_of, [&](int64_t id, RowWords& row) {
    for (size_t word = 0; word < static_cast<size_t>(tile.words()); ++word) {
      if (inside[word] == 0) continue;
      std::array<uint8_t, 64> equal;
      for (size_t i = 0; i < 64; ++i) equal[i] = ids[word * 64 + i] == id ? 1 : 0;
      row[word] = PackFlags(equal.data()) & inside[word];
    }
  });
}

void EvaluateLeaf(const program_op::KeyFlag& op, const MaskTile& tile, MaskTileBits& bits) {
  RowWords flags{};
  ForEachPiece(tile, 0, op.flags.length(), [&](int64_t column, int64_t position, int64_t count) {
    flags[static_cast<size_t>(column / 64)] |= op.flags.ReadBits(tile.b, position, count)
                                               << (column % 64);
  });
  std::fill_n(bits.begin(), tile.rows, flags);
}

void EvaluateLeaf(const program_op::Dense& op, const MaskTile& tile, MaskTileBits& bits) {
  const TensorView& mask = op.mask;
  const auto offset = [&](int axis, int64_t index) {
    return mask.dim(axis) == 1 ? 0 : index * mask.stride(axis);
  };
  const int64_t plane = offset(0, tile.b) + offset(1, tile.head);
  const auto row_of = [&](int64_t q) -> std::optional<int64_t> {
    if (mask.dim(2) == 1) return 0;
    const int64_t i = q - op.q_begin;
    return i >= 0 && i < mask.dim(2) ? std::optional(i) : std::nullopt;
  };
  FillByKey(tile, bits, row_of, [&](int64_t i, RowWords& row) {
    const int64_t first = plane + offset(2, i);
    if (mask.dim(3) == 1) {
      if (ReadFlags(mask.data, mask.dtype, first, 1) != 0) SetRange(row.data(), 0, tile.columns);
      return;
    }
    ForEachPiece(tile, op.kv_begin, op.kv_begin + mask.dim(3),
                 [&](int64_t column, int64_t position, int64_t count) {
                   row[static_cast<size_t>(column / 64)] |=
                       ReadFlags(mask.data, mask.dtype, first + position - op.kv_begin, count)
                       << (column % 64);
                 });
  });
}

void EvaluateLeaf(const program_op::Blocks& op, const MaskTile& tile, MaskTileBits& bits) {
  const auto block_of = [&](int64_t q) -> std::optional<int64_t> {
    const int64_t i = q - op.q_begin;
    return i >= 0 && i < op.query_len ? std::optional(i / op.block_q) : std::nullopt;
  };
  FillByKey(tile, bits, block_of, [&](int64_t query_block, RowWords& row) {
    const uint64_t* listed = op.row(tile.b, tile.head, query_block);
    ForEachPart(tile, op.kv_begin, op.kv_begin + op.key_len,
                [&](int64_t column, int64_t position, int64_t count) {
                  const int64_t begin = position - op.kv_begin;
                  const int64_t end = begin + count;
                  for (int64_t j = begin; j < end;) {
                    const int64_t block = j / op.block_kv;
                    const int64_t block_end = std::min(end, (block + 1) * op.block_kv);
                    if ((listed[block / 64] >> (block % 64) & 1) != 0) {
                      SetRange(row.data(), column + j - begin, column + block_end - begin);
                    }
                    j = block_end;
                  }
                });
  });
}

void EvaluateLeaf(const program_op::Function& op, const MaskTile& tile, MaskTileBits& bits) {
  const std::array<int64_t, kMaskTileColumns> kv = PositionsOf(tile);
  std::array<uint8_t, kMaskTileColumns> visible{};  // What is past the columns stays 0.
  for (int i = 0; i < tile.rows; ++i) {
    op.function->Evaluate(tile.b, tile.head, tile.row(i),
                          std::span(kv).first(static_cast<size_t>(tile.columns)), visible.data());
    for (size_t word = 0; word < static_cast<size_t>(tile.words()); ++word) {
      bits[static_cast<size_t>(i)][word] = PackFlags(visible.data() + 64 * word);
    }
  }
}

}  // namespace attn
