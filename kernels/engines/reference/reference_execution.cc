#include "kernels/engines/reference/reference_execution.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/core/limits.h"
#include "kernels/core/mask.h"
#include "kernels/core/online_softmax.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Rows of a tile share each key and value that is loaded.
constexpr int64_t kRows = 16;

// A float whose rounding to fp16 or bf16 is that of `value` itself: an inexact one gets an odd
// last bit, so that it is never taken for a tie.
float RoundToOdd(double value) {
  const auto nearest = static_cast<float>(value);
  const bool exact = static_cast<double>(nearest) == value || !std::isfinite(nearest);
  if (exact || (std::bit_cast<uint32_t>(nearest) & 1U) != 0) return nearest;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return std::nextafter(nearest, value > static_cast<double>(nearest) ? kInfinity : -kInfinity);
}

// Stores a row of doubles, rounded once.
void StoreRounded(const double* from, int64_t b, int64_t head, int64_t query,
                  const MutableTensorView& to) {
  std::array<float, kMaxHeadDim> row;
  for (int64_t c = 0; c < to.dim(3); ++c) {
    row[static_cast<size_t>(c)] =
        to.dtype == DType::kFloat32 ? static_cast<float>(from[c]) : RoundToOdd(from[c]);
  }
  StoreRow(row.data(), b, head, query, to);
}

}  // namespace

// Rows [begin, end) of a sample and head, with their working memory.
struct ReferenceExecution::Tile {
  int64_t b = 0;
  int64_t head = 0;
  int64_t begin = 0;
  int64_t end = 0;
  KeyInterval keys;                     // Those that some row sees.
  std::array<KeyInterval, kRows> seen;  // Those that each row sees.
  std::array<SoftmaxState<double>, kRows> states;
  double* queries = nullptr;  // [D, kRows]: transposed, absent rows 0
  double* scores = nullptr;   // [rows, keys.size()], later the weights
  double* out = nullptr;      // [rows, Dv]

  int64_t rows() const { return end - begin; }
  bool Sees(int64_t row, int64_t key) const {
    const KeyInterval& interval = seen[static_cast<size_t>(row)];
    return interval.begin <= key && key < interval.end;
  }
  double* score(int64_t row, int64_t key) const {
    return scores + row * keys.size() + (key - keys.begin);
  }
};

ReferenceExecution::ReferenceExecution(const AttentionCall& call,
                                       std::optional<ImplicitPlan> report)
    : call_(call), report_(report), tiles_per_head_((call.problem.query_len + kRows - 1) / kRows) {}

int64_t ReferenceExecution::TileBytes(const AttentionProblem& problem, int64_t keys) {
  const int64_t doubles = kRows * (problem.head_dim + keys + problem.value_dim);
  // Three takes, rounded up.
  return doubles * static_cast<int64_t>(sizeof(double)) + 3 * kBufferAlignment;
}

Phase ReferenceExecution::phase(int /*index*/) {
  return {.stage = Stage::kKernel,
          .tiles = call_.problem.batch * call_.problem.heads * tiles_per_head_};
}

absl::Status ReferenceExecution::RunTile(int /*phase*/, int64_t index, Scratch& scratch) {
  const AttentionProblem& problem = call_.problem;
  Tile tile;
  tile.begin = index % tiles_per_head_ * kRows;
  tile.end = std::min(tile.begin + kRows, problem.query_len);
  tile.head = index / tiles_per_head_ % problem.heads;
  tile.b = index / tiles_per_head_ / problem.heads;
  tile.keys = problem.mask.VisibleKeys(tile.b, tile.begin, tile.end).any;
  for (int64_t r = 0; r < tile.rows(); ++r) {
    tile.seen[static_cast<size_t>(r)] = problem.mask.VisibleKeys(tile.b, tile.begin + r);
  }
  ATTN_RETURN_IF_ERROR(scratch.Reserve(TileBytes(problem, tile.keys.size())));
  scratch.Reset();
  tile.queries = scratch.Take<double>(kRows * problem.head_dim);
  tile.scores = scratch.Take<double>(kRows * tile.keys.size());
  tile.out = scratch.Take<double>(kRows * problem.value_dim);
  LoadQueries(tile);
  ComputeScores(tile);
  Normalise(tile);
  ComputeOutput(tile);
  StoreResults(tile);
  return absl::OkStatus();
}

void ReferenceExecution::LoadQueries(const Tile& tile) const {
  const int64_t dim = call_.problem.head_dim;
  std::array<float, kMaxHeadDim> row;
  std::fill(tile.queries, tile.queries + kRows * dim, 0.0);
  for (int64_t r = 0; r < tile.rows(); ++r) {
    LoadRow(call_.q, tile.b, tile.head, tile.begin + r, row.data());
    for (int64_t d = 0; d < dim; ++d) tile.queries[d * kRows + r] = row[static_cast<size_t>(d)];
  }
}

// Scores of hidden keys stay unset.
void ReferenceExecution::ComputeScores(const Tile& tile) const {
  const AttentionProblem& problem = call_.problem;
  std::array<float, kMaxHeadDim> key_row;
  for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
    LoadRow(call_.k, tile.b, problem.kv_head(tile.head), key, key_row.data());
    std::array<double, kRows> sum{};
    for (int64_t d = 0; d < problem.head_dim; ++d) {
      const double element = key_row[static_cast<size_t>(d)];
      for (int64_t r = 0; r < kRows; ++r) {
        sum[static_cast<size_t>(r)] += tile.queries[d * kRows + r] * element;
      }
    }
    for (int64_t r = 0; r < tile.rows(); ++r) {
      if (tile.Sees(r, key)) *tile.score(r, key) = problem.scale * sum[static_cast<size_t>(r)];
    }
  }
}

void ReferenceExecution::Normalise(Tile& tile) {
  for (int64_t r = 0; r < tile.rows(); ++r) {
    const KeyInterval& seen = tile.seen[static_cast<size_t>(r)];
    SoftmaxState<double>& state = tile.states[static_cast<size_t>(r)];
    if (seen.empty()) continue;
    double* const begin = tile.score(r, seen.begin);
    double* const end = begin + seen.size();
    for (const double* score = begin; score < end; ++score) state.Raise(*score);
    for (double* score = begin; score < end; ++score) {
      *score = SoftmaxState<double>::ExpDifference(*score, state.max);
      state.sum += *score;
    }
    if (state.sum == 0) continue;  // All scores are -infinity: a row that sees nothing.
    for (double* score = begin; score < end; ++score) *score /= state.sum;
  }
}

void ReferenceExecution::ComputeOutput(const Tile& tile) const {
  const AttentionProblem& problem = call_.problem;
  const int64_t dim = problem.value_dim;
  std::array<float, kMaxHeadDim> value_row;
  std::fill(tile.out, tile.out + kRows * dim, 0.0);
  for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
    LoadRow(call_.v, tile.b, problem.kv_head(tile.head), key, value_row.data());
    for (int64_t r = 0; r < tile.rows(); ++r) {
      if (!tile.Sees(r, key)) continue;  // Not even with weight 0: the value may be NaN.
      const double weight = *tile.score(r, key);
      double* const out = tile.out + r * dim;
      for (int64_t c = 0; c < dim; ++c) out[c] += weight * value_row[static_cast<size_t>(c)];
    }
  }
}

void ReferenceExecution::StoreResults(const Tile& tile) const {
  const AttentionProblem& problem = call_.problem;
  const MutableTensorView& weights = call_.weights;
  for (int64_t r = 0; r < tile.rows(); ++r) {
    const int64_t query = tile.begin + r;
    StoreRounded(tile.out + r * problem.value_dim, tile.b, tile.head, query, call_.out);
    if (!call_.lse.empty()) {
      *call_.lse.row<float>(tile.b, tile.head, query) =
          static_cast<float>(tile.states[static_cast<size_t>(r)].Lse());
    }
    if (weights.empty()) continue;
    auto* row = weights.row<float>(tile.b, tile.head, query);
    for (int64_t key = 0; key < problem.key_len; ++key) {
      row[key * weights.stride(3)] =
          tile.Sees(r, key) ? static_cast<float>(*tile.score(r, key)) : 0.0F;
    }
  }
}

absl::StatusOr<RunResult> ReferenceExecution::Finish() {
  const double elements = call_.problem.VisibleElements();
  RunResult result;
  result.stats = {.computed_elements = elements, .dense_elements = elements};
  if (report_.has_value()) result.plan = report_->Materialise();
  return result;
}

}  // namespace attn
