#include "kernels/engines/reference/reference_tile.h"

#include <bit>

#include "kernels/core/status_macros.h"
#include "kernels/core/token_range.h"

namespace attn {
int64_t ReferenceTile::Bytes(const AttentionProblem& problem, int64_t keys) {
  const int64_t doubles = kRows * (problem.head_dim + keys + problem.value_dim);
  const int64_t words = kRows * ((keys + 63) / 64);
  // Five takes, rounded up.
  return (doubles + words) * static_cast<int64_t>(sizeof(double)) +
         keys * static_cast<int64_t>(sizeof(float)) + 5 * kBufferAlignment;
}

absl::Status ReferenceTile::Allocate(const AttentionProblem& problem, Scratch& scratch) {
  ATTN_RETURN_IF_ERROR(scratch.Reserve(Bytes(problem, keys.size())));
  queries = scratch.Take<double>(kRows * problem.head_dim);
  scores = scratch.Take<double>(kRows * keys.size());
  out = scratch.Take<double>(kRows * problem.value_dim);
  bias = scratch.Take<float>(keys.size());
  visible = scratch.Take<uint64_t>(kRows * words());
  return absl::OkStatus();
}

int64_t ReferenceTile::FindVisible(const MaskPredicate& mask) {
  if (keys.empty()) return 0;
  mask.Evaluate(b, head, TokenRange{begin, end}, TokenRange{keys.begin, keys.end}, visible,
                words());
  int64_t count = 0;
  for (int64_t i = 0; i < rows() * words(); ++i) count += std::popcount(visible[i]);
  return count;
}

}  // namespace attn
