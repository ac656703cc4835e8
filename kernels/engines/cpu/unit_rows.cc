#include "kernels/engines/cpu/unit_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/core/tensor_view.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {
namespace {

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

// Of 2^(factor * score) over what the row saw, which was something.
double Log2Sum(const UnitContext& context, const RowState& state) {
  return std::log2(static_cast<double>(state.sum)) + context.headroom +
         static_cast<double>(state.max) * context.scale.factor;
}

// What a row comes to: `out` * factor, and the LSE where it is wanted.
struct RowResult {
  float factor;
  float lse;
};

RowResult ResultOf(const UnitContext& context, const RowState& state) {
  if (state.sum == 0) return {0, -std::numeric_limits<float>::infinity()};
  if (context.call.lse.empty()) return {1 / state.sum, 0};
  return {1 / state.sum, static_cast<float>(Log2Sum(context, state) * std::numbers::ln2)};
}

// The sink's exponential over the sum of the others may be of any size: neither is taken alone. Of
// a row that attends nothing the sink is all there is, but for queries that are not there.
RowResult ResultWithSink(const UnitContext& context, int64_t b, const TensorRow& row,
                         const RowState& state) {
  const float sink = context.modifiers.sink(row.head);
  if (state.sum == 0) {
    const std::vector<int64_t>& lengths = context.problem().mask.spec().q_lengths;
    const bool absent = !lengths.empty() && row.query >= lengths[static_cast<size_t>(b)];
    return {0, absent ? -std::numeric_limits<float>::infinity() : sink};
  }
  const double log2_sum = Log2Sum(context, state);
  const double log2_sink = static_cast<double>(sink) * std::numbers::log2e;
  const double ratio = std::exp2(log2_sink - log2_sum);
  const double log2_total = ratio > 1 ? log2_sink + std::log1p(1 / ratio) * std::numbers::log2e
                                      : log2_sum + std::log1p(ratio) * std::numbers::log2e;
  return {static_cast<float>(1 / (static_cast<double>(state.sum) * (1 + ratio))),
          static_cast<float>(log2_total * std::numbers::ln2)};
}

}  // namespace

TensorRow RowAt(const Unit& unit, const RowBlock& block, int64_t row) {
  const int64_t position = unit.queries.begin + block.first_query + row % block.queries;
  return {unit.head + block.head + row / block.queries, unit.queries.original(position)};
}

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
  const TensorRow at = RowAt(unit, block, row);
  const auto [factor, row_lse] = context.modifiers.has_sinks()
                                     ? ResultWithSink(context, unit.b, at, state)
                                     : ResultOf(context, state);
  const MutableTensorView& to = context.call.out;
  const int64_t dim = context.problem().value_dim;
  if (to.stride(3) == 1) {
    context.kernels.store_row(out, factor, to.dtype, dim,
                              TokenAddress(to, unit.b, at.head, at.query));
  } else {
    std::array<float, kMaxHeadDim> scaled;
    for (int64_t c = 0; c < dim; ++c) scaled[static_cast<size_t>(c)] = out[c] * factor;
    StoreRow(scaled.data(), unit.b, at.head, at.query, to);
  }
  const MutableTensorView& lse = context.call.lse;
  if (!lse.empty()) *lse.row<float>(unit.b, at.head, at.query) = row_lse;
}

}  // namespace attn
