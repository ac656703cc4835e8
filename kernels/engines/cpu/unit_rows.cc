#include "kernels/engines/cpu/unit_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numbers>

#include "kernels/core/limits.h"
#include "kernels/core/tensor_view.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {
namespace {

// Which row of the caller's tensors a row of a block is.
struct TensorRow {
  int64_t head;
  int64_t query;
};
TensorRow RowAt(const Unit& unit, const RowBlock& block, int64_t row) {
  const int64_t position = unit.queries.begin + block.first_query + row % block.queries;
  return {unit.head + block.head + row / block.queries, unit.queries.original(position)};
}

// Zeros follow the row's elements up to the depth.
void LoadQuery(const UnitContext& context, int64_t b, const TensorRow& row, int64_t depth,
               std::byte* to) {
  const TileKernels& kernels = context.kernels;
  const TensorView& q = context.call.q;
  const int64_t dim = context.problem().head_dim;
  const float sign = context.scale.query_sign;
  std::memset(to, 0, static_cast<size_t>(depth * ElementBytes(kernels.operand)));
  if (sign == 1 && q.stride(3) == 1 && kernels.operand == Operand::kBFloat16) {
    std::memcpy(to, TokenAddress(q, b, row.head, row.query), static_cast<size_t>(2 * dim));
    return;
  }
  std::array<float, kMaxHeadDim> elements;
  if (q.stride(3) == 1) {
    kernels.load_row(TokenAddress(q, b, row.head, row.query), q.dtype, dim, elements.data());
  } else {
    LoadRow(q, b, row.head, row.query, elements.data());
  }
  for (int64_t d = 0; d < dim; ++d) elements[static_cast<size_t>(d)] *= sign;
  const DType form = kernels.operand == Operand::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
  kernels.store_row(elements.data(), 1, form, dim, to);
}

float LseOf(const UnitContext& context, const RowState& state) {
  if (state.sum == 0) return -std::numeric_limits<float>::infinity();
  const double log2_sum = std::log2(static_cast<double>(state.sum)) + context.headroom +
                          static_cast<double>(state.max) * context.scale.factor;
  return static_cast<float>(log2_sum * std::numbers::ln2);
}

}  // namespace

void LoadUnit(const UnitContext& context, const Unit& unit, const UnitWorkspace& work) {
  const int64_t row_bytes = work.depth * ElementBytes(context.kernels.operand);
  const int64_t row_blocks = context.split.RowBlockCount(unit);
  for (int64_t i = 0; i < row_blocks; ++i) {
    const RowBlock block = context.split.RowBlockAt(unit, i);
    for (int64_t r = 0; r < block.rows; ++r) {
      LoadQuery(context, unit.b, RowAt(unit, block, r), work.depth,
                work.queries + (i * kTileRows + r) * row_bytes);
    }
  }
  const int64_t rows = row_blocks * kTileRows;
  std::fill(work.out, work.out + rows * work.out_columns, 0.0F);
  std::fill(work.states, work.states + rows, RowState());
}

void StoreRow(const UnitContext& context, const Unit& unit, const RowBlock& block, int64_t row,
              const RowState& state, const float* out) {
  const auto [head, query] = RowAt(unit, block, row);
  const float factor = state.sum == 0 ? 0 : 1 / state.sum;
  const MutableTensorView& to = context.call.out;
  const int64_t dim = context.problem().value_dim;
  if (to.stride(3) == 1) {
    context.kernels.store_row(out, factor, to.dtype, dim, TokenAddress(to, unit.b, head, query));
  } else {
    std::array<float, kMaxHeadDim> scaled;
    for (int64_t c = 0; c < dim; ++c) scaled[static_cast<size_t>(c)] = out[c] * factor;
    StoreRow(scaled.data(), unit.b, head, query, to);
  }
  const MutableTensorView& lse = context.call.lse;
  if (!lse.empty()) *lse.row<float>(unit.b, head, query) = LseOf(context, state);
}

}  // namespace attn
