#include "kernels/core/mask_planning.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_bounds.h"
#include "kernels/core/mask_intervals.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// So many that a tile is worth its start, few enough that the rows of one call spread over threads.
constexpr int64_t kQueriesPerTile = 1024;

// Rows of a block that are evaluated at a time: mostly the first ones tell what a block is.
constexpr int64_t kEvaluatedQueries = 16;

constexpr int64_t kWordBits = 64;

// What the intervals leave of a rectangle of some queries.
MaskVerdict OverInterval(const IntervalMask::Bounds& rows, int64_t key_begin, int64_t key_end) {
  if (rows.any.begin >= key_end || rows.any.end <= key_begin) return MaskVerdict::None();
  if (rows.all.begin <= key_begin && key_end <= rows.all.end) return MaskVerdict::All();
  return {.shows = rows.all.begin < key_end && key_begin < rows.all.end, .hides = true};
}

// Bits [0, begin) and [end, count) of a row become 0.
void ClearOutside(KeyInterval kept, int64_t count, uint64_t* words) {
  for (int64_t word = 0; word * kWordBits < count; ++word) {
    const int64_t first = std::clamp<int64_t>(kept.begin - word * kWordBits, 0, kWordBits);
    const int64_t last = std::clamp<int64_t>(kept.end - word * kWordBits, 0, kWordBits);
    const uint64_t from = first == kWordBits ? 0 : ~uint64_t{0} << first;
    const uint64_t below = last == 0 ? 0 : ~uint64_t{0} >> (kWordBits - last);
    words[word] &= from & below;
  }
}

// Whether bits [0, count) hold a 1, and a 0.
void LookAtRow(const uint64_t* words, int64_t count, MaskVerdict* verdict) {
  for (int64_t first = 0; first < count; first += kWordBits) {
    const int64_t bits = std::min(kWordBits, count - first);
    const uint64_t all = ~uint64_t{0} >> (kWordBits - bits);
    const uint64_t set = words[first / kWordBits] & all;
    verdict->shows = verdict->shows || set != 0;
    verdict->hides = verdict->hides || set != all;
  }
}

// Rows of a plan under a program, one after the other.
class RowPlanner {
 public:
  // `words` holds kEvaluatedQueries rows of a block's keys.
  RowPlanner(const MaskProgram& program, const MaskBounds& bounds, const IntervalMask& intervals,
             const MaskPlanOptions& options, uint64_t* words)
      : program_(program),
        bounds_(bounds),
        intervals_(intervals),
        options_(options),
        words_(words) {}

  // The entries of row (b, head, query_block), ascending.
  void Append(int64_t b, int64_t head, int64_t query_block, std::vector<PlanEntry>* entries) {
    b_ = b;
    head_ = head;
    query_block_ = query_block;
    query_begin_ = query_block * options_.block_q;
    query_end_ = std::min(query_begin_ + options_.block_q, intervals_.query_len());
    rows_ = intervals_.VisibleKeys(b, query_begin_, query_end_);
    Descend({bounds_.levels() - 1, 0}, entries);
  }

 private:
  void Descend(KeyBlocks keys, std::vector<PlanEntry>* entries) {
    const int64_t first = keys.index << keys.level;
    const int64_t last = std::min((keys.index + 1) << keys.level, bounds_.size(0));
    MaskVerdict verdict = OverInterval(rows_, KeyOf(first), KeyOf(last));
    if (!verdict.none()) verdict = verdict.And(bounds_.Over(b_, head_, query_block_, keys));
    if (verdict.none()) return;
    if (verdict.all()) {
      for (int64_t block = first; block < last; ++block) {
        entries->push_back({.key_block = static_cast<int32_t>(block)});
      }
      return;
    }
    if (keys.level == 0) {
      Look(first, &verdict);
      if (verdict.shows) {
        entries->push_back({.key_block = static_cast<int32_t>(first),
                            .mask = verdict.hides ? BlockMask::kPredicate : BlockMask::kFull});
      }
      return;
    }
    for (const int64_t half : {2 * keys.index, 2 * keys.index + 1}) {
      if (half < bounds_.size(keys.level - 1)) Descend({keys.level - 1, half}, entries);
    }
  }

  // Evaluates elements until both a visible and a hidden one are known, or none are left.
  void Look(int64_t key_block, MaskVerdict* verdict) {
    const TokenRange keys = {KeyOf(key_block), KeyOf(key_block + 1)};
    const int64_t words_per_query = CeilDivide(keys.size(), kWordBits);
    const bool cut = !OverInterval(rows_, keys.begin, keys.end).all();
    for (int64_t query = query_begin_; query < query_end_; query += kEvaluatedQueries) {
      if (verdict->shows && verdict->hides) return;
      const TokenRange queries = {query, std::min(query + kEvaluatedQueries, query_end_)};
      program_.Evaluate(b_, head_, queries, keys, words_, words_per_query);
      for (int64_t i = 0; i < queries.size(); ++i) {
        uint64_t* row = words_ + i * words_per_query;
        if (cut) {
          const KeyInterval seen = intervals_.VisibleKeys(b_, query + i);
          ClearOutside({seen.begin - keys.begin, seen.end - keys.begin}, keys.size(), row);
        }
        LookAtRow(row, keys.size(), verdict);
      }
    }
  }

  // First key of a block; the end of the keys for the block behind the last.
  int64_t KeyOf(int64_t block) const {
    return std::min(block * options_.block_k, intervals_.key_len());
  }

  const MaskProgram& program_;
  const MaskBounds& bounds_;
  const IntervalMask& intervals_;
  const MaskPlanOptions& options_;
  uint64_t* const words_;

  // Of the row at hand.
  int64_t b_ = 0;
  int64_t head_ = 0;
  int64_t query_block_ = 0;
  int64_t query_begin_ = 0;
  int64_t query_end_ = 0;
  IntervalMask::Bounds rows_;
};

// Phases: binding the program and what is found in it; its bounds, a tile a sample; rows.
class MaskPlanning final : public Planning {
 public:
  MaskPlanning(const AttentionCall& call, const MaskPlanOptions& options)
      : call_(call), options_(options), mask_(&call.problem.mask) {}

  int phase_count() const override { return 3; }

  int64_t tiles(int phase) override {
    if (phase == 0) return 1;
    if (phase == 1) return bounds_.has_value() ? bounds_->samples() : 0;
    if (implicit()) return 0;
    tiles_.resize(static_cast<size_t>(CeilDivide(rows(), rows_per_tile())));
    return static_cast<int64_t>(tiles_.size());
  }

  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override {
    if (phase == 0) return Recognise();
    if (phase == 2) return PlanRows(tile, scratch);
    bounds_->Build(tile);
    return absl::OkStatus();
  }

  absl::StatusOr<Plan> Take() override {
    if (implicit()) {
      return ImplicitPlan{.block_q = options_.block_q, .block_k = options_.block_k, .mask = mask_};
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
    for (Tile& tile : tiles_) {
      plan.entries.insert(plan.entries.end(), tile.entries.begin(), tile.entries.end());
      for (const int64_t size : tile.row_sizes) {
        plan.row_begin.push_back(plan.row_begin.back() + size);
      }
      tile = {};
    }
    return plan;
  }

 private:
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
  int64_t rows_per_tile() const { return std::max<int64_t>(1, kQueriesPerTile / options_.block_q); }

  absl::Status Recognise() {
    const AttentionProblem& problem = call_.problem;
    if (problem.expression == nullptr) return absl::OkStatus();
    ATTN_ASSIGN_OR_RETURN(program_, MaskProgram::Bind(*problem.expression, call_.extra));
    intervals_ = FindIntervals(*program_, problem.mask);
    if (intervals_.has_value()) {
      mask_ = &*intervals_;
    } else {
      bounds_.emplace(*program_, options_.block_q, options_.block_k);
    }
    return absl::OkStatus();
  }

  absl::Status PlanRows(int64_t index, Scratch& scratch) {
    Tile& tile = tiles_[static_cast<size_t>(index)];
    const int64_t first = index * rows_per_tile();
    const int64_t last = std::min(first + rows_per_tile(), rows());
    std::optional<RowPlanner> planner;
    if (program()) {
      const int64_t words = kEvaluatedQueries * CeilDivide(options_.block_k, kWordBits);
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(
          scratch.Reserve(RoundUp(words * static_cast<int64_t>(sizeof(uint64_t)), 64)));
      planner.emplace(*program_, *bounds_, *mask_, options_, scratch.Take<uint64_t>(words));
    }
    const ImplicitPlan intervals = {options_.block_q, options_.block_k, mask_};
    for (int64_t row = first; row < last; ++row) {
      const int64_t query_block = row % query_blocks();
      const int64_t b = row / query_blocks() / heads();
      const size_t before = tile.entries.size();
      if (planner.has_value()) {
        planner->Append(b, row / query_blocks() % heads(), query_block, &tile.entries);
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
  std::optional<IntervalMask> intervals_;  // Where the expression comes to that,
  std::optional<MaskBounds> bounds_;       // else these.
  std::vector<Tile> tiles_;
};

// Of an expression.
struct Counted {
  int64_t nodes = 0;
  double listed_bytes = 0;  // Bits of its block masks.
};

void Count(const MaskNode& node, const MaskSizes& sizes, Counted* counted) {
  ++counted->nodes;
  if (const auto* blocks = std::get_if<mask_op::Blocks>(&node.op)) {
    const int64_t words = CeilDivide(CeilDivide(sizes.key_len, blocks->block_kv), kWordBits);
    counted->listed_bytes += static_cast<double>(sizes.batch) * static_cast<double>(sizes.heads) *
                             static_cast<double>(CeilDivide(sizes.query_len, blocks->block_q)) *
                             static_cast<double>(words) * sizeof(uint64_t);
  }
  for (const MaskNode& arg : ArgsOf(node)) Count(arg, sizes, counted);
}

}  // namespace

std::unique_ptr<Planning> PlanMask(const AttentionCall& call, const MaskPlanOptions& options) {
  return std::make_unique<MaskPlanning>(call, options);
}

int64_t MaskPlanBytes(const AttentionProblem& problem, const MaskPlanOptions& options,
                      int64_t most_blocks) {
  const MaskExpression* expression = problem.expression.get();
  if (expression == nullptr && options.implicit_intervals) return 0;
  const bool per_sample =
      problem.mask.per_sample() || (expression != nullptr && expression->per_sample());
  const bool per_head = expression != nullptr && expression->per_head();
  const int64_t samples = per_sample ? problem.batch : 1;
  const int64_t query_blocks = CeilDivide(problem.query_len, options.block_q);
  const int64_t key_blocks = CeilDivide(problem.key_len, options.block_k);
  const double rows = static_cast<double>(samples) * static_cast<double>(query_blocks) *
                      static_cast<double>(per_head ? problem.heads : 1);
  // Entries of tiles, in vectors that double, and once more in the plan.
  const double blocks =
      std::min(rows * static_cast<double>(key_blocks), static_cast<double>(most_blocks));
  double bytes = blocks * 3 * sizeof(PlanEntry) + rows * 2 * sizeof(int64_t);
  if (expression != nullptr) {
    Counted counted;
    Count(expression->spec().root, problem.sizes(), &counted);
    const auto queries = static_cast<double>(problem.query_len);
    const auto keys = static_cast<double>(problem.key_len);
    const auto nodes = static_cast<double>(counted.nodes);
    // Intervals of all samples; those of one, and where its tokens stand, at each node; bounds.
    bytes += static_cast<double>(samples) * queries * 2 * sizeof(IntervalMask::Row);
    bytes += nodes * (queries + keys) * (sizeof(IntervalMask::Row) + 2 * sizeof(int64_t));
    bytes += MaskBounds::Bytes(samples, counted.nodes, query_blocks, key_blocks);
    bytes += counted.listed_bytes;
  }
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  return bytes < static_cast<double>(kMax) ? static_cast<int64_t>(bytes) : kMax;
}

}  // namespace attn
