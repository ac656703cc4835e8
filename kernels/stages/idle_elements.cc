#include "kernels/stages/idle_elements.h"

#include <algorithm>
#include <bit>

#include "kernels/core/aligned_buffer.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/flag_bits.h"
#include "kernels/core/mask_predicate.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Of a tile; of its keys so many are evaluated at a time: 32 KiB of bits.
constexpr int64_t kTileQueries = 64;
constexpr int64_t kTileKeys = 65536;
constexpr int64_t kKeys = 4096;

}  // namespace

IdleElements::IdleElements(const AttentionCall& call) : call_(call) {
  const AttentionProblem& problem = call.problem;
  for (int64_t b = 0; b < problem.batch; ++b) {
    if (call.idle(b)) samples_.push_back(b);
  }
  const bool differ = problem.mask.per_sample() ||
                      (problem.expression != nullptr && problem.expression->per_sample());
  if (differ || samples_.empty()) return;
  alike_ = static_cast<int64_t>(samples_.size());
  samples_.erase(samples_.begin() + 1, samples_.end());
}

int64_t IdleElements::heads() const {
  return call_.problem.expression->per_head() ? call_.problem.heads : 1;
}

int64_t IdleElements::query_stretches() const {
  return CeilDivide(call_.problem.query_len, kTileQueries);
}

int64_t IdleElements::key_stretches() const { return CeilDivide(call_.problem.key_len, kTileKeys); }

int64_t IdleElements::tiles(int phase) const {
  if (!counts()) return 0;
  if (phase == 0) return 1;
  return static_cast<int64_t>(samples_.size()) * heads() * query_stretches() * key_stretches();
}

absl::Status IdleElements::RunTile(int phase, int64_t tile, Scratch& scratch) {
  const AttentionProblem& problem = call_.problem;
  if (phase == 0) {
    ATTN_ASSIGN_OR_RETURN(program_, MaskProgram::Bind(*problem.expression, call_.extra));
    return absl::OkStatus();
  }
  constexpr int64_t kWords = kKeys / kWordBits;
  ATTN_RETURN_IF_ERROR(
      scratch.Reserve(kTileQueries * kWords * static_cast<int64_t>(sizeof(uint64_t))));
  auto* words = scratch.Take<uint64_t>(kTileQueries * kWords);
  const int64_t first_key = tile % key_stretches() * kTileKeys;
  const int64_t key_end = std::min(first_key + kTileKeys, problem.key_len);
  const int64_t row = tile / key_stretches();
  const int64_t begin = row % query_stretches() * kTileQueries;
  const TokenRange queries = {begin, std::min(begin + kTileQueries, problem.query_len)};
  const int64_t head = row / query_stretches() % heads();
  const int64_t b = samples_[static_cast<size_t>(row / query_stretches() / heads())];
  const MaskPredicate predicate = {&problem.mask, &*program_};
  int64_t count = 0;
  for (int64_t key = first_key; key < key_end; key += kKeys) {
    const TokenRange keys = {key, std::min(key + kKeys, key_end)};
    const int64_t words_per_query = CeilDivide(keys.size(), kWordBits);
    predicate.Evaluate(b, head, queries, keys, words, words_per_query);
    for (int64_t i = 0; i < queries.size() * words_per_query; ++i) count += std::popcount(words[i]);
  }
  counted_ += count;
  return absl::OkStatus();
}

absl::Status IdleElements::status() const {
  return program_.has_value() ? program_->status() : absl::OkStatus();
}

double IdleElements::total() const {
  const AttentionProblem& problem = call_.problem;
  if (counts()) {
    const int64_t of_a_count = alike_ * (problem.heads / heads());
    return static_cast<double>(counted_.load()) * static_cast<double>(of_a_count);
  }
  double elements = 0;
  for (const int64_t b : samples_) elements += static_cast<double>(problem.mask.VisibleElements(b));
  return elements * static_cast<double>(alike_) * static_cast<double>(problem.heads);
}

}  // namespace attn
