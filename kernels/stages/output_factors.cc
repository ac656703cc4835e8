#include "kernels/stages/output_factors.h"

#include <cassert>
#include <cmath>

namespace attn {
namespace {

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

OutputFactors::OutputFactors(const OutputGate& gate, const TensorMap& tensors) : form_(gate.form) {
  if (!any()) return;
  const auto found = tensors.find(gate.tensor);
  assert(found != tensors.end());
  gate_ = found->second;
  const int rank = gate_.layout.rank;  // [B, tokens, H], or packed [tokens, H].
  assert(rank == 2 || rank == 3);
  const bool packed = rank == 2;
  gate_.layout = {
      .rank = 4,
      .dims = {packed ? 1 : gate_.dim(0), gate_.dim(rank - 1), gate_.dim(rank - 2), 1},
      .strides = {packed ? 0 : gate_.stride(0), gate_.stride(rank - 1), gate_.stride(rank - 2), 1}};
}

float OutputFactors::At(int64_t b, int64_t head, int64_t token) const {
  assert(any() && head < gate_.dim(1) && token < gate_.dim(2));
  float x = 0;
  LoadRow(gate_, b, head, token, &x);
  switch (form_) {
    case GateForm::kNone:
    case GateForm::kLinear:
      return x;
    case GateForm::kSigmoid:
      return Sigmoid(x);
    case GateForm::kTwiceSigmoid:
      return 2 * Sigmoid(x);
  }
  return x;
}

}  // namespace attn
