#include "kernels/engines/reference/reference_tile.h"

#include <algorithm>
#include <bit>

#include "kernels/core/status_macros.h"
#include "kernels/core/token_range.h"

namespace attn {
namespace {

// The lowest `count` bits, of any count.
uint64_t LowBits(int64_t count) {
  if (count <= 0) return 0;
  return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

}  // namespace

int64_t ReferenceTile::Bytes(const AttentionProblem& problem, int64_t keys) {
  const int64_t doubles = kRows * (problem.head_dim + keys + problem.value_dim);
  const int64_t words = kRows * ((keys + 63) / 64);
  // Five takes, rounded up.
  return (doubles + words) * static_cast<int64_t>(sizeof(double)) +
         keys * static_cast<int64_t>(sizeof(float)) + 5 * kBufferAlignment;
}

absl::Status ReferenceTile::Allocate(const AttentionProblem& problem, Scratch& scratch) {
  ATTN_RETURN_IF_ERROR(scratch.Reserve(Bytes(problem, keys.size())));
  scratch.Reset();
  queries = scratch.Take<double>(kRows * problem.head_dim);
  scores = scratch.Take<double>(kRows * keys.size());
  out = scratch.Take<double>(kRows * problem.value_dim);
  bias = scratch.Take<float>(keys.size());
  visible = scratch.Take<uint64_t>(kRows * words());
  return absl::OkStatus();
}

int64_t ReferenceTile::FindVisible(const IntervalMask& mask, const MaskProgram* program) {
  if (keys.empty()) return 0;
  if (program == nullptr) {
    std::fill_n(visible, rows() * words(), ~uint64_t{0});
  } else {
    program->Evaluate(b, head, TokenRange{begin, end}, TokenRange{keys.begin, keys.end}, visible,
                      words());
  }
  int64_t count = 0;
  for (int64_t row = 0; row < rows(); ++row) {
    const KeyInterval seen = mask.VisibleKeys(b, begin + row);
    for (int64_t w = 0; w < words(); ++w) {
      const int64_t first = keys.begin + 64 * w;
      uint64_t& word = visible[row * words() + w];
      word &= LowBits(seen.end - first) & ~LowBits(seen.begin - first);
      count += std::popcount(word);
    }
  }
  return count;
}

}  // namespace attn
