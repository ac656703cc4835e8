#include "kernels/core/mask_planning.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_bounds.h"
#include "kernels/core/mask_intervals.h"
#include "kernels/core/row_planner.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Phases: binding the program; what is found in it; its bounds, where that is not enough; rows.
class MaskPlanning final : public Planning {
 public:
  MaskPlanning(const AttentionCall& call, const MaskPlanOptions& options)
      : call_(call), options_(options), mask_(&call.problem.mask) {}

  int phase_count() const override { return kRows + 1; }

  int64_t tiles(int phase) override {
    if (phase == kBind) return call_.problem.expression == nullptr ? 0 : 1;
    if (phase < kBounds) return search_.has_value() ? search_->tiles(phase - kSearch) : 0;
    if (phase == kBounds) return UseSearch();
    if (bounds_.has_value()) bounds_->Finish();
    if (implicit()) return 0;
    CutTiles();
    return static_cast<int64_t>(tiles_.size());
  }

  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override {
    if (phase == kBind) return Bind();
    if (phase == kRows) return PlanRows(tile, scratch);
    if (phase == kBounds) {
      bounds_->RunTile(tile);
    } else {
      search_->RunTile(phase - kSearch, tile);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Plan> Take() override {
    if (program_.has_value()) ATTN_RETURN_IF_ERROR(program_->status());
    if (implicit()) {
      const auto [q, k] = std::pair(options_.implicit_block_q, options_.implicit_block_k);
      return ImplicitPlan{.block_q = q != 0 ? q : options_.block_q,
                          .block_k = k != 0 ? k : options_.block_k,
                          .mask = mask_};
    }
    BlockPlan plan;
    plan.batch = batch();
    plan.heads = heads();
    plan.q_offsets = FixedOffsets(call_.problem.query_len, options_.block_q);
    plan.k_offsets = FixedOffsets(call_.problem.key_len, options_.block_k);
    plan.mask = mask_;
    plan.program = program() ? &*program_ : nullptr;
    size_t entries = 0;
    for (const Tile& tile : tiles_) entries += tile.entries.size();
    plan.entries.reserve(entries);
    plan.row_begin.reserve(static_cast<size_t>(rows()) + 1);
    plan.row_begin.push_back(0);
    for (auto tile = tiles_.begin(); tile != tiles_.end(); tile += cut_.stretches) {
      AppendRows({tile, tile + cut_.stretches}, &plan);
    }
    return plan;
  }

 private:
  static constexpr int kBind = 0;
  static constexpr int kSearch = 1;
  static constexpr int kBounds = kSearch + IntervalSearch::kPhases;
  static constexpr int kRows = kBounds + 1;

  // Some rows, over all keys or a stretch of them.
  struct Tile {
    std::vector<PlanEntry> entries;
    std::vector<int64_t> row_sizes;
  };

  // Whether elements are the program's to decide, and not those of intervals alone.
  bool program() const { return bounds_.has_value(); }
  bool implicit() const { return !program() && options_.implicit_intervals; }
  int64_t batch() const {
    const bool per_sample = mask_->per_sample() || (program() && program_->per_sample());
    return per_sample ? call_.problem.batch : 1;
  }
  int64_t heads() const { return program() && program_->per_head() ? call_.problem.heads : 1; }
  int64_t query_blocks() const { return CeilDivide(call_.problem.query_len, options_.block_q); }
  int64_t rows() const { return batch() * heads() * query_blocks(); }

  absl::Status Bind() {
    const AttentionProblem& problem = call_.problem;
    ATTN_ASSIGN_OR_RETURN(program_, MaskProgram::Bind(*problem.expression, call_.extra));
    search_.emplace(*program_, problem.mask);
    return absl::OkStatus();
  }

  // After the search. Returns the tiles of the bounds.
  int64_t UseSearch() {
    if (!search_.has_value()) return 0;
    intervals_ = search_->Take();
    search_.reset();
    if (intervals_.has_value()) {
      mask_ = &*intervals_;
      return 0;
    }
    bounds_.emplace(*program_, options_.block_q, options_.block_k);
    return bounds_->tiles();
  }

  void CutTiles() {
    cut_ = CutRows(program() ? call_.problem.expression.get() : nullptr, options_.block_q,
                   options_.block_k, call_.problem.key_len);
    tiles_.resize(static_cast<size_t>(CeilDivide(rows(), cut_.rows) * cut_.stretches));
  }

  // Moves rows out of the tiles of all their stretches.
  static void AppendRows(std::span<Tile> stretches, BlockPlan* plan) {
    std::vector<int64_t> taken(stretches.size());
    for (size_t row = 0; row < stretches.front().row_sizes.size(); ++row) {
      for (size_t i = 0; i < stretches.size(); ++i) {
        const int64_t size = stretches[i].row_sizes[row];
        const auto begin = stretches[i].entries.begin() + taken[i];
        plan->entries.insert(plan->entries.end(), begin, begin + size);
        taken[i] += size;
      }
      plan->row_begin.push_back(static_cast<int64_t>(plan->entries.size()));
    }
    for (Tile& tile : stretches) tile = {};
  }

  absl::Status PlanRows(int64_t index, Scratch& scratch) {
    Tile& tile = tiles_[static_cast<size_t>(index)];
    const int64_t first = index / cut_.stretches * cut_.rows;
    const int64_t last = std::min(first + cut_.rows, rows());
    const KeyBlocks keys = {cut_.key_level, index % cut_.stretches};
    std::optional<RowPlanner> planner;
    if (program()) {
      const int64_t words = RowPlanner::WordsOf(options_.block_k);
      ATTN_RETURN_IF_ERROR(
          scratch.Reserve(RoundUp(words * static_cast<int64_t>(sizeof(uint64_t)), 64)));
      planner.emplace(*program_, *bounds_, *mask_, options_.block_q, options_.block_k,
                      scratch.Take<uint64_t>(words));
    }
    const ImplicitPlan intervals = {options_.block_q, options_.block_k, mask_};
    for (int64_t row = first; row < last; ++row) {
      const int64_t query_block = row % query_blocks();
      const int64_t b = row / query_blocks() / heads();
      const size_t before = tile.entries.size();
      if (planner.has_value()) {
        planner->Append(b, row / query_blocks() % heads(), query_block, keys, &tile.entries);
      } else {
        intervals.AppendRow(b, query_block, &tile.entries);
      }
      tile.row_sizes.push_back(static_cast<int64_t>(tile.entries.size() - before));
    }
    tile.entries.shrink_to_fit();
    return absl::OkStatus();
  }

  const AttentionCall& call_;
  const MaskPlanOptions options_;
  const IntervalMask* mask_;               // The problem's, or `intervals_`.
  std::optional<MaskProgram> program_;     // Where there is an expression.
  std::optional<IntervalSearch> search_;   // Until it has been used.
  std::optional<IntervalMask> intervals_;  // Where the expression comes to that,
  std::optional<MaskBounds> bounds_;       // else these.
  RowTiles cut_;
  std::vector<Tile> tiles_;  // [groups of rows][stretches of keys]
};

}  // namespace

std::unique_ptr<Planning> PlanMask(const AttentionCall& call, const MaskPlanOptions& options) {
  return std::make_unique<MaskPlanning>(call, options);
}

}  // namespace attn
