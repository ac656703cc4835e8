#include "kernels/engines/cpu/tile_modifiers.h"

#include <algorithm>
#include <cstddef>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/tensor_view.h"

namespace attn {
namespace {

// How many of the first keys follow each other.
int64_t RunLength(const int32_t* keys, int64_t count) {
  int64_t run = 1;
  while (run < count && keys[run] == keys[0] + run) ++run;
  return run;
}

// Elements of `keys` of a row of a float dtype, `stride` elements apart.
void LoadElements(const TileKernels& kernels, const std::byte* row, DType dtype, int64_t stride,
                  const int32_t* keys, int64_t count, bool consecutive, float* to) {
  if (stride == 0) {
    kernels.load_row(row, dtype, 1, to);
    std::fill(to + 1, to + count, to[0]);
    return;
  }
  const int64_t stride_bytes = stride * (BitWidth(dtype) / 8);
  for (int64_t c = 0, run = 1; c < count; c += run) {
    if (stride == 1) run = consecutive ? count : RunLength(keys + c, count - c);
    kernels.load_row(row + keys[c] * stride_bytes, dtype, run, to + c);
  }
}

}  // namespace

TileModifiers::TileModifiers(const UnitContext& context, const Unit& unit,
                             const UnitWorkspace& work)
    : context_(context), unit_(unit), work_(work) {}

void TileModifiers::SetRows(const RowBlock& block, int64_t first, int64_t count) {
  row_count_ = count;
  const BoundModifiers& modifiers = context_.modifiers;
  for (int64_t r = 0; r < count; ++r) {
    const auto i = static_cast<size_t>(r);
    rows_[i] = RowAt(unit_, block, first + r);
    if (!modifiers.has_slopes()) continue;
    slopes_[i] = modifiers.slope(unit_.b, rows_[i].head);
    // Within Sk - 1 and Sk - Sq of some sample: an int32.
    row_positions_[i] =
        static_cast<int32_t>(context_.problem().mask.EndAlignedKey(unit_.b, rows_[i].query));
  }
}

const std::byte* TileModifiers::BiasOf(const TensorRow& row) const {
  return TokenAddress(context_.modifiers.bias(), unit_.b, row.head, row.query);
}

void TileModifiers::Fetch(const TokenRange& keys) const {
  if (!context_.modifiers.has_bias()) return;
  const TensorView& bias = context_.modifiers.bias();
  if (bias.stride(3) != 1 || keys.permutation != nullptr) return;
  const int64_t begin = ByteSize(bias.dtype, keys.begin);
  const int64_t end = ByteSize(bias.dtype, keys.end);
  for (int64_t r = 0; r < (OneBiasRow() ? 1 : row_count_); ++r) {
    const std::byte* row = BiasOf(rows_[static_cast<size_t>(r)]);
    for (int64_t at = begin; at < end; at += kBufferAlignment) {
      __builtin_prefetch(row + at, /*rw=*/0, /*locality=*/3);
    }
  }
}

void TileModifiers::Apply(const TokenRange& keys, float* scores) {
  for (int64_t c = 0; c < keys.size(); ++c) {
    column_positions_[static_cast<size_t>(c)] = static_cast<int32_t>(keys.original(keys.begin + c));
  }
  Run(keys.size(), keys.permutation == nullptr, scores);
}

void TileModifiers::Apply(const int32_t* keys, int64_t count, float* scores) {
  std::copy_n(keys, count, column_positions_.begin());
  Run(count, RunLength(keys, count) == count, scores);
}

void TileModifiers::Run(int64_t count, bool consecutive, float* scores) {
  const int64_t columns = RoundUp(count, kLaneCount);
  std::fill(column_positions_.begin() + count, column_positions_.begin() + columns, 0);
  const BoundModifiers& modifiers = context_.modifiers;
  BiasTile bias;
  if (modifiers.has_bias()) bias = LoadBias(count, consecutive);
  context_.kernels.modify_scores({.scores = scores,
                                  .stride = kTileColumns,
                                  .rows = row_count_,
                                  .columns = columns,
                                  .scale = context_.scale.product,
                                  .softcap = static_cast<float>(modifiers.softcap()),
                                  .bias = bias.rows,
                                  .bias_stride = bias.stride,
                                  .slopes = modifiers.has_slopes() ? slopes_.data() : nullptr,
                                  .row_positions = row_positions_.data(),
                                  .column_positions = column_positions_.data()});
}

// Whether all rows at hand have the bias of the first.
bool TileModifiers::OneBiasRow() const {
  const TensorView& bias = context_.modifiers.bias();
  const bool one_head =
      bias.stride(1) == 0 || rows_[0].head == rows_[static_cast<size_t>(row_count_ - 1)].head;
  return row_count_ == 1 || (bias.stride(2) == 0 && one_head);
}

bool TileModifiers::BiasLiesInPlace(int64_t count, bool consecutive) const {
  const TensorView& bias = context_.modifiers.bias();
  const bool one_head = rows_[0].head == rows_[static_cast<size_t>(row_count_ - 1)].head;
  const bool rows_in_order = OneBiasRow() || (one_head && unit_.queries.permutation == nullptr);
  return bias.dtype == DType::kFloat32 && bias.stride(3) == 1 && consecutive &&
         count % kLaneCount == 0 && rows_in_order;
}

TileModifiers::BiasTile TileModifiers::LoadBias(int64_t count, bool consecutive) const {
  const TensorView& bias = context_.modifiers.bias();
  const int64_t columns = RoundUp(count, kLaneCount);
  const bool one_row = OneBiasRow();
  const int32_t* const keys = column_positions_.data();
  if (BiasLiesInPlace(count, consecutive)) {
    return {reinterpret_cast<const float*>(BiasOf(rows_[0])) + keys[0],
            one_row ? 0 : bias.stride(2)};
  }
  for (int64_t r = 0; r < (one_row ? 1 : row_count_); ++r) {
    const TensorRow& row = rows_[static_cast<size_t>(r)];
    float* const to = work_.bias + r * kTileColumns;
    LoadElements(context_.kernels, BiasOf(row), bias.dtype, bias.stride(3), keys, count,
                 consecutive, to);
    std::fill(to + count, to + columns, 0.0F);
  }
  return {work_.bias, one_row ? 0 : kTileColumns};
}

}  // namespace attn
