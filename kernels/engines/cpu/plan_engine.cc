#include "kernels/engines/cpu/plan_engine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/tile_visibility.h"

namespace attn {
namespace {

// Work of a tile: about 20 microseconds at 100 GFLOP/s, well above the cost of handing it out.
constexpr double kTileFlops = 2e6;

}  // namespace

// What one unit works on, in a worker's scratch.
struct PlanEngine::Workspace {
  float* queries;               // [rows, D]
  float* scores;                // [rows, PaddedCount(keys)] of the panel at hand
  float* out;                   // [rows, PaddedCount(Dv)]
  float* carry;                 // [rows]
  SoftmaxState<float>* states;  // [rows]
  uint64_t* words;              // Visibility of a panel.

  // One panel; `visibility` is null where every element counts.
  void RunPanel(const TileKernels& kernels, const AttentionProblem& problem, int64_t rows,
                const Panel& panel, int level, const TileVisibility* visibility) const {
    kernels.compute_scores({.queries = queries,
                            .keys = panel.keys,
                            .scores = scores,
                            .rows = rows,
                            .dim = problem.head_dim,
                            .columns = PaddedCount(panel.tokens),
                            .scale = static_cast<float>(problem.scale),
                            .bias = std::log(static_cast<float>(level))});
    if (visibility != nullptr) HideScores(*visibility, rows, scores);
    kernels.update_softmax(
        {.scores = scores, .states = states, .carry = carry, .rows = rows, .keys = panel.tokens});
    const ValueTile tile = {.weights = scores,
                            .values = panel.values,
                            .carry = carry,
                            .out = out,
                            .rows = rows,
                            .keys = panel.tokens,
                            .columns = PaddedCount(problem.value_dim)};
    if (visibility != nullptr && !panel.finite) {
      AccumulateVisibleValues(*visibility, tile);
    } else {
      kernels.accumulate_values(tile);
    }
  }
};

int64_t PlanEngine::DenseBytes(const AttentionProblem& problem, int64_t block_q, int64_t block_k) {
  const int64_t chunks = CeilDivide(problem.query_len, block_q) * CeilDivide(block_q, kMaxTileRows);
  const int64_t tiles = problem.batch * problem.heads * chunks;
  return PackedBlocks::DenseBytes(problem, block_k) + chunks * static_cast<int64_t>(sizeof(Chunk)) +
         tiles * static_cast<int64_t>(sizeof(double));
}

absl::StatusOr<std::unique_ptr<PlanEngine>> PlanEngine::Create(const AttentionCall& call,
                                                               const Plan& plan) {
  const AttentionProblem& problem = call.problem;
  if (const auto* listed = std::get_if<BlockPlan>(&plan)) {
    ATTN_RETURN_IF_ERROR(
        listed->Validate(problem.batch, problem.heads, problem.query_len, problem.key_len));
  }
  ATTN_ASSIGN_OR_RETURN(PackedBlocks packed, PackedBlocks::Create(call, plan));
  return std::unique_ptr<PlanEngine>(new PlanEngine(call, plan, std::move(packed)));
}

PlanEngine::PlanEngine(const AttentionCall& call, const Plan& plan, PackedBlocks packed)
    : call_(call),
      plan_(plan),
      kernels_(AvailableTileKernels().front()),
      packed_(std::move(packed)) {
  const AttentionProblem& problem = call.problem;
  CutChunks();
  const int64_t head_groups = problem.heads / heads_per_unit_;
  unit_count_ = problem.batch * head_groups * static_cast<int64_t>(chunks_.size());
  dense_elements_ = problem.VisibleElements();
  const double unit_flops = problem.Flops(ListedElements()) / static_cast<double>(unit_count_);
  units_per_tile_ = static_cast<int64_t>(
      std::clamp(kTileFlops / std::max(unit_flops, 1.0), 1.0, static_cast<double>(unit_count_)));
  tile_elements_.resize(static_cast<size_t>(CeilDivide(unit_count_, units_per_tile_)));
}

void PlanEngine::CutChunks() {
  int64_t longest = 1;
  for (int64_t block = 0; block < QueryBlockCount(plan_); ++block) {
    const TokenRange queries = QueryBlock(plan_, block);
    for (int64_t first = 0; first < queries.size(); first += kMaxTileRows) {
      const int64_t count = std::min(kMaxTileRows, queries.size() - first);
      chunks_.push_back({block, queries.Slice(first, count)});
      longest = std::max(longest, count);
    }
  }
  // Heads that share keys and rows of the plan are stacked while they fit: decoding one query a
  // head then reads its keys once a group.
  const auto* listed = std::get_if<BlockPlan>(&plan_);
  if (listed != nullptr && listed->heads != 1) return;
  const int64_t group = call_.problem.heads / call_.problem.kv_heads;
  heads_per_unit_ = std::min(group, kMaxTileRows / longest);
  while (group % heads_per_unit_ != 0) --heads_per_unit_;
}

// Score elements that the plan lists, before masks: the measure of work.
double PlanEngine::ListedElements() const {
  const auto* listed = std::get_if<BlockPlan>(&plan_);
  if (listed == nullptr) return dense_elements_;
  double elements = 0;
  for (size_t row = 0; row + 1 < listed->row_begin.size(); ++row) {
    const int64_t queries =
        QueryBlock(plan_, static_cast<int64_t>(row) % listed->query_blocks()).size();
    for (int64_t i = listed->row_begin[row]; i < listed->row_begin[row + 1]; ++i) {
      const PlanEntry& entry = listed->entries[static_cast<size_t>(i)];
      elements +=
          static_cast<double>(queries * KeyBlock(plan_, entry.key_block).size()) / entry.level;
    }
  }
  const AttentionProblem& problem = call_.problem;
  const int64_t uses_of_a_row = problem.batch * problem.heads / (listed->batch * listed->heads);
  return elements * static_cast<double>(uses_of_a_row);
}

Phase PlanEngine::phase(int index) const {
  if (index == 0) return {.stage = Stage::kKernel, .tiles = packed_.part_count()};
  return {.stage = Stage::kKernel, .tiles = static_cast<int64_t>(tile_elements_.size())};
}

absl::Status PlanEngine::RunTile(int phase, int64_t tile, Scratch& scratch) {
  if (phase == 0) return packed_.Pack(tile, scratch);
  ATTN_ASSIGN_OR_RETURN(const Workspace work, TakeWorkspace(scratch));
  const int64_t begin = tile * units_per_tile_;
  const int64_t end = std::min(begin + units_per_tile_, unit_count_);
  double elements = 0;
  for (int64_t unit = begin; unit < end; ++unit) elements += RunUnit(UnitAt(unit), work);
  tile_elements_[static_cast<size_t>(tile)] = elements;
  return absl::OkStatus();
}

RunStats PlanEngine::stats() const {
  return {.computed_elements = std::accumulate(tile_elements_.begin(), tile_elements_.end(), 0.0),
          .dense_elements = dense_elements_};
}

// Chunks of a head follow each other, so that its packed keys stay cached, the last first: under a
// causal mask it is the longest, and a short one ends the call.
PlanEngine::Unit PlanEngine::UnitAt(int64_t index) const {
  const AttentionProblem& problem = call_.problem;
  const auto chunk_count = static_cast<int64_t>(chunks_.size());
  const int64_t head_groups = problem.heads / heads_per_unit_;
  Unit unit;
  unit.chunk = chunks_[static_cast<size_t>(chunk_count - 1 - index % chunk_count)];
  unit.head = index / chunk_count % head_groups * heads_per_unit_;
  unit.b = index / chunk_count / head_groups;
  unit.kv_head = problem.kv_head(unit.head);
  unit.rows = heads_per_unit_ * unit.chunk.queries.size();
  return unit;
}

double PlanEngine::RunUnit(const Unit& unit, const Workspace& work) const {
  LoadQueries(unit, work);
  std::fill(work.out, work.out + unit.rows * PaddedCount(call_.problem.value_dim), 0.0F);
  std::fill(work.states, work.states + unit.rows, SoftmaxState<float>());
  const bool dense = std::holds_alternative<ImplicitPlan>(plan_);
  const double elements = dense ? RunDenseRow(unit, work) : RunListedRow(unit, work);
  StoreRows(unit, work);
  return elements;
}

// The blocks of ImplicitPlan::AppendRow, of these rows alone and without a list. A block between
// two packed sequences that nobody sees is met as well; RunEntry then computes nothing.
double PlanEngine::RunDenseRow(const Unit& unit, const Workspace& work) const {
  const TokenRange& queries = unit.chunk.queries;
  const int64_t block_k = std::get<ImplicitPlan>(plan_).block_k;
  const IntervalMask::Bounds seen =
      call_.problem.mask.VisibleKeys(unit.b, queries.begin, queries.end);
  if (seen.any.empty()) return 0;
  double elements = 0;
  for (int64_t block = seen.any.begin / block_k; block * block_k < seen.any.end; ++block) {
    const TokenRange keys = KeyBlock(plan_, block);
    const bool full = seen.all.begin <= keys.begin && keys.end <= seen.all.end;
    const PlanEntry entry = {.key_block = static_cast<int32_t>(block),
                             .mask = full ? BlockMask::kFull : BlockMask::kInterval};
    elements += RunEntry(unit, entry, work);
  }
  return elements;
}

double PlanEngine::RunListedRow(const Unit& unit, const Workspace& work) const {
  const auto& plan = std::get<BlockPlan>(plan_);
  const int64_t b = plan.batch == 1 ? 0 : unit.b;
  const int64_t head = plan.heads == 1 ? 0 : unit.head;
  const auto row =
      static_cast<size_t>((b * plan.heads + head) * plan.query_blocks() + unit.chunk.query_block);
  double elements = 0;
  for (int64_t i = plan.row_begin[row]; i < plan.row_begin[row + 1]; ++i) {
    elements += RunEntry(unit, plan.entries[static_cast<size_t>(i)], work);
  }
  return elements;
}

double PlanEngine::RunEntry(const Unit& unit, const PlanEntry& entry, const Workspace& work) const {
  const AttentionProblem& problem = call_.problem;
  const TokenRange block = KeyBlock(plan_, entry.key_block);
  const TokenRange& queries = unit.chunk.queries;
  const int64_t slot = packed_.SlotOf(unit.b, unit.kv_head, entry.key_block, entry.level);
  int64_t masked_elements = 0;
  for (int64_t i = 0; i < packed_.PanelCount(slot); ++i) {
    const Panel panel = packed_.PanelAt(slot, i);
    if (entry.mask == BlockMask::kFull) {
      work.RunPanel(kernels_, problem, unit.rows, panel, entry.level, nullptr);
      continue;
    }
    TileVisibility visibility;
    if (entry.mask == BlockMask::kInterval) {
      visibility = EvaluateMask(problem.mask, unit.b, queries,
                                block.Slice(panel.first_token, panel.tokens), work.words);
    } else {
      const int64_t words = VisibilityWords(block.size());
      const int64_t first_query = queries.begin - QueryBlock(plan_, unit.chunk.query_block).begin;
      const uint64_t* tile = std::get<BlockPlan>(plan_).bit_tiles.data() + entry.bits;
      visibility = {tile + first_query * words + VisibilityWords(panel.first_token), words,
                    queries.size(), panel.tokens};
    }
    const int64_t visible = visibility.Count();
    if (visible == 0) continue;
    masked_elements += visible;
    const bool full = visible == queries.size() * panel.tokens;
    work.RunPanel(kernels_, problem, unit.rows, panel, entry.level, full ? nullptr : &visibility);
  }
  if (entry.mask == BlockMask::kFull) {
    return static_cast<double>(unit.rows * block.size()) / entry.level;
  }
  return static_cast<double>(masked_elements * heads_per_unit_);
}

absl::StatusOr<PlanEngine::Workspace> PlanEngine::TakeWorkspace(Scratch& scratch) const {
  const AttentionProblem& problem = call_.problem;
  const int64_t out_stride = PaddedCount(problem.value_dim);
  const int64_t rows = kMaxTileRows;
  const int64_t words = rows * VisibilityWords(kPanelTokens);
  const int64_t floats = rows * (problem.head_dim + kPanelTokens + out_stride + 1);
  // Six takes, each rounded up to a cache line.
  ATTN_RETURN_IF_ERROR(scratch.Reserve(floats * static_cast<int64_t>(sizeof(float)) +
                                       rows * static_cast<int64_t>(sizeof(SoftmaxState<float>)) +
                                       words * static_cast<int64_t>(sizeof(uint64_t)) +
                                       6 * kBufferAlignment));
  scratch.Reset();
  Workspace work{};
  work.queries = scratch.Take<float>(rows * problem.head_dim);
  work.scores = scratch.Take<float>(rows * kPanelTokens);
  work.out = scratch.Take<float>(rows * out_stride);
  work.carry = scratch.Take<float>(rows);
  work.states = scratch.Take<SoftmaxState<float>>(rows);
  work.words = scratch.Take<uint64_t>(words);
  return work;
}

void PlanEngine::LoadQueries(const Unit& unit, const Workspace& work) const {
  const TokenRange& queries = unit.chunk.queries;
  for (int64_t r = 0; r < unit.rows; ++r) {
    const int64_t query = queries.original(queries.begin + r % queries.size());
    LoadRow(call_.q, unit.b, unit.head + r / queries.size(), query,
            work.queries + r * call_.problem.head_dim);
  }
}

void PlanEngine::StoreRows(const Unit& unit, const Workspace& work) const {
  const TokenRange& queries = unit.chunk.queries;
  const MutableTensorView& lse = call_.lse;
  for (int64_t r = 0; r < unit.rows; ++r) {
    const int64_t query = queries.original(queries.begin + r % queries.size());
    const int64_t head = unit.head + r / queries.size();
    StoreRow(work.out + r * PaddedCount(call_.problem.value_dim), unit.b, head, query, call_.out);
    if (!lse.empty()) *lse.row<float>(unit.b, head, query) = work.states[r].Lse();
  }
}

}  // namespace attn
