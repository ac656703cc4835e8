#include "kernels/stages/rotary_tables.h"

#include <cassert>
#include <string>

namespace attn {
namespace {

// [L, columns] or [B or 1, L, columns] as [B, 1, L, columns].
TensorView Table(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  assert(found != tensors.end());
  TensorView view = found->second;
  const int rank = view.layout.rank;
  assert(rank == 2 || rank == 3);
  const bool shared = rank == 2 || view.dim(0) == 1;
  const int64_t samples = shared ? 1 : view.dim(0);
  const int64_t sample_stride = shared ? 0 : view.stride(0);
  view.layout = {.rank = 4,
                 .dims = {samples, 1, view.dim(rank - 2), view.dim(rank - 1)},
                 .strides = {sample_stride, 0, view.stride(rank - 2), view.stride(rank - 1)}};
  return view;
}

void RotateInterleaved(const float* cos, const float* sin, int64_t pairs, float* row) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float x0 = row[2 * i];
    const float x1 = row[2 * i + 1];
    row[2 * i] = x0 * cos[i] - x1 * sin[i];
    row[2 * i + 1] = x1 * cos[i] + x0 * sin[i];
  }
}

void RotateHalves(const float* cos, const float* sin, int64_t pairs, float* row) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float x0 = row[i];
    const float x1 = row[i + pairs];
    row[i] = x0 * cos[i] - x1 * sin[i];
    row[i + pairs] = x1 * cos[i] + x0 * sin[i];
  }
}

void RotateFull(const float* cos, const float* sin, int64_t pairs, float* row) {
  for (int64_t i = 0; i < 2 * pairs; i += 2) {
    const float x0 = row[i];
    const float x1 = row[i + 1];
    row[i] = x0 * cos[i] - x1 * sin[i];
    row[i + 1] = x1 * cos[i + 1] + x0 * sin[i + 1];
  }
}

}  // namespace

RotaryTables::RotaryTables(const Rotary& rotary, const TensorMap& tensors)
    : form_(rotary.form), cos_(Table(tensors, rotary.cos)), sin_(Table(tensors, rotary.sin)) {
  assert(cos_.dim(3) == sin_.dim(3));
}

void RotaryTables::Apply(int64_t b, int64_t position, int64_t dim, float* row,
                         float* angles) const {
  assert(columns() == (form_ == RotaryForm::kFull ? dim : dim / 2));
  assert(0 <= position && position < cos_.dim(2) && position < sin_.dim(2));
  float* const cos = angles;
  float* const sin = angles + columns();
  LoadRow(cos_, b, 0, position, cos);
  LoadRow(sin_, b, 0, position, sin);
  switch (form_) {
    case RotaryForm::kNone:
      return;
    case RotaryForm::kInterleaved:
      return RotateInterleaved(cos, sin, dim / 2, row);
    case RotaryForm::kNeox:
      return RotateHalves(cos, sin, dim / 2, row);
    case RotaryForm::kFull:
      return RotateFull(cos, sin, dim / 2, row);
  }
}

}  // namespace attn
