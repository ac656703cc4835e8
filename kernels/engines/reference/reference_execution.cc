#include "kernels/engines/reference/reference_execution.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask.h"
#include "kernels/core/online_softmax.h"
#include "kernels/core/plan_report.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/reference/modify_scores.h"

namespace attn {
namespace {

constexpr int64_t kRows = ReferenceTile::kRows;

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

// Queries beyond the length of their sample do not exist: not even a sink is theirs.
bool Exists(const IntervalMask& mask, int64_t b, int64_t query) {
  const std::vector<int64_t>& lengths = mask.spec().q_lengths;
  return lengths.empty() || query < lengths[static_cast<size_t>(b)];
}

}  // namespace

ReferenceExecution::ReferenceExecution(const AttentionCall& call, std::unique_ptr<Planning> report)
    : call_(call),
      modifiers_(call),
      report_(std::move(report)),
      report_phases_(report_ == nullptr ? 0 : report_->phase_count()),
      tiles_per_head_(CeilDivide(call.problem.query_len, kRows)) {}

Phase ReferenceExecution::phase(int index) {
  const AttentionProblem& problem = call_.problem;
  if (index == 0) return {.stage = Stage::kPlan, .tiles = problem.expression == nullptr ? 0 : 1};
  if (index <= report_phases_) return {.stage = Stage::kPlan, .tiles = report_->tiles(index - 1)};
  return {.stage = Stage::kKernel, .tiles = problem.batch * problem.heads * tiles_per_head_};
}

absl::Status ReferenceExecution::RunTile(int phase, int64_t tile, Scratch& scratch) {
  if (phase > report_phases_) return Attend(tile, scratch);
  if (phase > 0) return report_->RunTile(phase - 1, tile, scratch);
  ATTN_ASSIGN_OR_RETURN(program_, MaskProgram::Bind(*call_.problem.expression, call_.extra));
  return absl::OkStatus();
}

absl::Status ReferenceExecution::Attend(int64_t index, Scratch& scratch) {
  const AttentionProblem& problem = call_.problem;
  ReferenceTile tile;
  tile.begin = index % tiles_per_head_ * kRows;
  tile.end = std::min(tile.begin + kRows, problem.query_len);
  tile.head = index / tiles_per_head_ % problem.heads;
  tile.b = index / tiles_per_head_ / problem.heads;
  if (call_.idle(tile.b)) return absl::OkStatus();
  tile.keys = problem.mask.VisibleKeys(tile.b, tile.begin, tile.end).any;
  ATTN_RETURN_IF_ERROR(tile.Allocate(problem, scratch));
  elements_ += tile.FindVisible({&problem.mask, program_.has_value() ? &*program_ : nullptr});
  LoadQueries(tile);
  ComputeScores(tile);
  ModifyScores(modifiers_, problem.mask, tile);
  Normalise(tile);
  ComputeOutput(tile);
  StoreResults(tile);
  return absl::OkStatus();
}

void ReferenceExecution::LoadQueries(const ReferenceTile& tile) const {
  const int64_t dim = call_.problem.head_dim;
  std::array<float, kMaxHeadDim> row;
  std::fill(tile.queries, tile.queries + kRows * dim, 0.0);
  for (int64_t r = 0; r < tile.rows(); ++r) {
    LoadRow(call_.q, tile.b, tile.head, tile.begin + r, row.data());
    for (int64_t d = 0; d < dim; ++d) tile.queries[d * kRows + r] = row[static_cast<size_t>(d)];
  }
}

// Scores of hidden keys stay unset.
void ReferenceExecution::ComputeScores(const ReferenceTile& tile) const {
  const AttentionProblem& problem = call_.problem;
  std::array<float, kMaxHeadDim> key_row;
  for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
    if (!tile.AnySees(key)) continue;
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

void ReferenceExecution::Normalise(ReferenceTile& tile) const {
  for (int64_t r = 0; r < tile.rows(); ++r) {
    SoftmaxState<double>& state = tile.states[static_cast<size_t>(r)];
    const auto for_each_score = [&](const auto& visit) {
      for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
        if (tile.Sees(r, key)) visit(*tile.score(r, key));
      }
    };
    for_each_score([&](double score) { state.Raise(score); });
    if (modifiers_.has_sinks() && Exists(call_.problem.mask, tile.b, tile.begin + r)) {
      const double sink = modifiers_.sink(tile.head);
      state.Raise(sink);
      // Of infinity nothing but itself is left.
      const bool infinite = sink == std::numeric_limits<double>::infinity();
      state.sum = infinite ? 1 : SoftmaxState<double>::ExpDifference(sink, state.max);
    }
    for_each_score([&](double& score) {
      score = SoftmaxState<double>::ExpDifference(score, state.max);
      state.sum += score;
    });
    if (state.sum == 0) continue;  // All scores are -infinity: a row that sees nothing.
    for_each_score([&](double& score) { score /= state.sum; });
  }
}

void ReferenceExecution::ComputeOutput(const ReferenceTile& tile) const {
  const AttentionProblem& problem = call_.problem;
  const int64_t dim = problem.value_dim;
  std::array<float, kMaxHeadDim> value_row;
  std::fill(tile.out, tile.out + kRows * dim, 0.0);
  for (int64_t key = tile.keys.begin; key < tile.keys.end; ++key) {
    if (!tile.AnySees(key)) continue;
    LoadRow(call_.v, tile.b, problem.kv_head(tile.head), key, value_row.data());
    for (int64_t r = 0; r < tile.rows(); ++r) {
      if (!tile.Sees(r, key)) continue;  // Not even with weight 0: the value may be NaN.
      const double weight = *tile.score(r, key);
      double* const out = tile.out + r * dim;
      for (int64_t c = 0; c < dim; ++c) out[c] += weight * value_row[static_cast<size_t>(c)];
    }
  }
}

void ReferenceExecution::StoreResults(const ReferenceTile& tile) const {
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
  if (program_.has_value()) ATTN_RETURN_IF_ERROR(program_->status());
  const auto elements = static_cast<double>(elements_.load());
  RunResult result;
  result.stats = {.computed_elements = elements, .dense_elements = elements};
  if (report_ != nullptr) {
    ATTN_ASSIGN_OR_RETURN(Plan plan, report_->Take());
    result.plan = ReportedPlan(std::move(plan));
  }
  return result;
}

}  // namespace attn
