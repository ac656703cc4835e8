#include "tests/support/score_oracle.h"

#include <cmath>
#include <cstdlib>

#include "tests/support/random_tensors.h"

namespace attn {

double ScoreOracle::Capped(double score) const {
  const double softcap = call_.problem.modifiers.softcap;
  return softcap == 0 ? score : softcap * std::tanh(score / softcap);
}

double ScoreOracle::Bias(int64_t b, int64_t head, int64_t i, int64_t j) const {
  const std::string& name = call_.problem.modifiers.bias;
  if (name.empty()) return 0;
  const TensorView& bias = Tensor(name);
  const auto at = [&](int axis, int64_t index) { return bias.dim(axis) == 1 ? 0 : index; };
  return ElementAt(bias, at(0, b), at(1, head), at(2, i), at(3, j));
}

double ScoreOracle::Alibi(int64_t b, int64_t head, int64_t i, int64_t j) const {
  const std::string& name = call_.problem.modifiers.alibi_slopes;
  if (name.empty()) return 0;
  const TensorView& slopes = Tensor(name);
  const double slope =
      slopes.layout.rank == 1 ? ElementAt(slopes, head, 0, 0, 0) : ElementAt(slopes, b, head, 0, 0);
  const MaskSpec& mask = call_.problem.mask.spec();
  int64_t queries = call_.problem.query_len;
  int64_t keys = call_.problem.key_len;
  if (!mask.q_lengths.empty()) queries = mask.q_lengths[static_cast<size_t>(b)];
  if (!mask.k_lengths.empty()) keys = mask.k_lengths[static_cast<size_t>(b)];
  for (size_t n = 0; n + 1 < mask.cu_seqlens_q.size(); ++n) {
    if (i < mask.cu_seqlens_q[n] || i >= mask.cu_seqlens_q[n + 1]) continue;
    queries = mask.cu_seqlens_q[n + 1] - mask.cu_seqlens_q[n];
    keys = mask.cu_seqlens_k[n + 1] - mask.cu_seqlens_k[n];
    i -= mask.cu_seqlens_q[n];
    j -= mask.cu_seqlens_k[n];
    break;
  }
  return -slope * static_cast<double>(std::abs(i + keys - queries - j));
}

std::optional<double> ScoreOracle::Sink(int64_t b, int64_t head, int64_t i) const {
  const std::string& name = call_.problem.modifiers.sinks;
  const std::vector<int64_t>& lengths = call_.problem.mask.spec().q_lengths;
  if (name.empty()) return std::nullopt;
  if (!lengths.empty() && i >= lengths[static_cast<size_t>(b)]) return std::nullopt;
  return ElementAt(Tensor(name), head, 0, 0, 0);
}

}  // namespace attn
