#include "kernels/core/mask_program.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <variant>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_tile.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

void AppendColumns(const TokenRange& keys, int64_t kv_offset, ColumnRuns& runs) {
  if (keys.permutation == nullptr) {
    runs.Append(0, keys.begin + kv_offset, keys.size());
    return;
  }
  for (int64_t j = 0; j < keys.size(); ++j) {
    runs.Append(j, keys.original(keys.begin + j) + kv_offset);
  }
}

absl::Status StatusOf(const ProgramNode& node);

absl::Status StatusOf(const std::vector<ProgramNode>& nodes) {
  for (const ProgramNode& node : nodes) ATTN_RETURN_IF_ERROR(StatusOf(node));
  return absl::OkStatus();
}

absl::Status StatusOf(const ProgramNode& node) {
  return std::visit(
      [](const auto& op) {
        if constexpr (requires { op.function->status(); }) return op.function->status();
        if constexpr (requires { op.args; }) return StatusOf(op.args);
        if constexpr (requires { op.arg; }) return StatusOf(op.arg);
        return absl::OkStatus();
      },
      node.op);
}

}  // namespace

absl::Status MaskProgram::status() const { return StatusOf(root_); }

std::span<const ProgramNode> ArgsOf(const ProgramNode& node) {
  const auto args = [](const auto& op) -> std::span<const ProgramNode> {
    if constexpr (requires { op.args; }) {
      return op.args;
    } else if constexpr (requires { op.arg; }) {
      return op.arg;
    } else {
      return {};
    }
  };
  return std::visit(args, node.op);
}

void MaskProgram::Evaluate(int64_t b, int64_t head, const TokenRange& queries,
                           const TokenRange& keys, uint64_t* words, int64_t words_per_query) const {
  assert(words_per_query >= CeilDivide(keys.size(), 64));
  std::array<int64_t, kMaskTileRows> q;
  MaskTileBits bits;
  for (int64_t column = 0; column < keys.size(); column += kMaskTileColumns) {
    const int64_t columns = std::min<int64_t>(kMaskTileColumns, keys.size() - column);
    ColumnRuns runs;
    AppendColumns(keys.Slice(column, columns), kv_offset_, runs);
    for (int64_t row = 0; row < queries.size(); row += kMaskTileRows) {
      const int64_t rows = std::min<int64_t>(kMaskTileRows, queries.size() - row);
      for (int64_t i = 0; i < rows; ++i) {
        q[static_cast<size_t>(i)] = queries.original(queries.begin + row + i) + q_offset_;
      }
      const MaskTile tile = {.b = b,
                             .head = head,
                             .rows = static_cast<int>(rows),
                             .columns = static_cast<int>(columns),
                             .q = q.data(),
                             .runs = &runs};
      EvaluateMaskTile(root_, tile, bits);
      for (int64_t i = 0; i < rows; ++i) {
        std::copy_n(bits[static_cast<size_t>(i)].begin(), tile.words(),
                    words + (row + i) * words_per_query + column / 64);
      }
    }
  }
}

}  // namespace attn
