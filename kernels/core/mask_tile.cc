#include "kernels/core/mask_tile.h"

#include <algorithm>
#include <variant>

#include "kernels/core/flag_bits.h"
#include "kernels/core/mask_tile_leaves.h"

namespace attn {
namespace {

// The word of a row in which every column is set.
uint64_t FullWord(const MaskTile& tile, int word) { return LowBits(tile.columns - 64 * word); }

template <typename Visit>
void ForEachWord(const MaskTile& tile, const Visit& visit) {
  for (int i = 0; i < tile.rows; ++i) {
    for (int word = 0; word < tile.words(); ++word) {
      visit(static_cast<size_t>(i), static_cast<size_t>(word));
    }
  }
}

bool NoneSet(const MaskTile& tile, const MaskTileBits& bits) {
  uint64_t any = 0;
  ForEachWord(tile, [&](size_t i, size_t word) { any |= bits[i][word]; });
  return any == 0;
}

bool AllSet(const MaskTile& tile, const MaskTileBits& bits) {
  uint64_t missing = 0;
  ForEachWord(tile, [&](size_t i, size_t word) {
    missing |= bits[i][word] ^ FullWord(tile, static_cast<int>(word));
  });
  return missing == 0;
}

void Evaluate(const program_op::All& op, const MaskTile& tile, MaskTileBits& bits) {
  EvaluateMaskTile(op.args[0], tile, bits);
  MaskTileBits other;
  for (size_t arg = 1; arg < op.args.size() && !NoneSet(tile, bits); ++arg) {
    EvaluateMaskTile(op.args[arg], tile, other);
    ForEachWord(tile, [&](size_t i, size_t word) { bits[i][word] &= other[i][word]; });
  }
}

void Evaluate(const program_op::Any& op, const MaskTile& tile, MaskTileBits& bits) {
  EvaluateMaskTile(op.args[0], tile, bits);
  MaskTileBits other;
  for (size_t arg = 1; arg < op.args.size() && !AllSet(tile, bits); ++arg) {
    EvaluateMaskTile(op.args[arg], tile, other);
    ForEachWord(tile, [&](size_t i, size_t word) { bits[i][word] |= other[i][word]; });
  }
}

void Evaluate(const program_op::Not& op, const MaskTile& tile, MaskTileBits& bits) {
  EvaluateMaskTile(op.arg[0], tile, bits);
  ForEachWord(tile, [&](size_t i, size_t word) {
    bits[i][word] ^= FullWord(tile, static_cast<int>(word));
  });
}

void Evaluate(const program_op::Offset& op, const MaskTile& tile, MaskTileBits& bits) {
  MaskTile moved = tile;
  moved.q_shift += op.q;
  moved.kv_shift += op.kv;
  EvaluateMaskTile(op.arg[0], moved, bits);
}

// The columns of `tile` that stand in the table, where the table says; `inside` gets their bits.
ColumnRuns Remapped(const IndexTable& positions, const MaskTile& tile,
                    std::array<uint64_t, kMaskTileWords>& inside) {
  constexpr int64_t kPiece = 64;
  std::array<int64_t, kPiece> values;
  ColumnRuns runs;
  for (const ColumnRuns::Run& run : tile.runs->all()) {
    const int64_t position = run.position + tile.kv_shift;
    const int64_t begin = std::clamp<int64_t>(-position, 0, run.count);
    const int64_t end = std::clamp<int64_t>(positions.length() - position, 0, run.count);
    SetRange(inside.data(), run.column + begin, run.column + end);
    for (int64_t done = begin; done < end; done += kPiece) {
      const int64_t count = std::min(kPiece, end - done);
      positions.Read(tile.b, position + done, count, values.data());
      for (int64_t i = 0; i < count; ++i) {
        runs.Append(run.column + done + i, values[static_cast<size_t>(i)]);
      }
    }
  }
  return runs;
}

void Evaluate(const program_op::Remap& op, const MaskTile& tile, MaskTileBits& bits) {
  std::array<int64_t, kMaskTileRows> q;
  uint64_t rows_inside = 0;
  for (int i = 0; i < tile.rows; ++i) {
    const int64_t position = tile.row(i);
    const bool has = op.positions.Has(position);
    q[static_cast<size_t>(i)] = has ? op.positions.at(tile.b, position) : 0;
    rows_inside |= static_cast<uint64_t>(has) << i;
  }
  std::array<uint64_t, kMaskTileWords> inside{};
  const ColumnRuns runs = Remapped(op.positions, tile, inside);
  MaskTile moved = tile;
  moved.q = q.data();
  moved.runs = &runs;
  moved.q_shift = 0;
  moved.kv_shift = 0;
  EvaluateMaskTile(op.arg[0], moved, bits);
  ForEachWord(tile, [&](size_t i, size_t word) {
    bits[i][word] &= (rows_inside >> i & 1) != 0 ? inside[word] : 0;
  });
}

template <typename Leaf>
void Evaluate(const Leaf& op, const MaskTile& tile, MaskTileBits& bits) {
  EvaluateLeaf(op, tile, bits);
}

}  // namespace

void EvaluateMaskTile(const ProgramNode& node, const MaskTile& tile, MaskTileBits& bits) {
  std::visit([&](const auto& op) { Evaluate(op, tile, bits); }, node.op);
}

}  // namespace attn
