#include "kernels/engines/cpu/plan_engine.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/packed_unit.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/streamed_unit.h"
#include "kernels/engines/cpu/unit_rows.h"

namespace attn {
namespace {

// Work of a tile: about 50 microseconds at 200 GFLOP/s, what it costs to wake a worker for it.
constexpr double kTileFlops = 1e7;

// A byte that streams by costs about as much as so many FLOP: 15 GB/s against 200 GFLOP/s.
constexpr double kFlopsPerStreamedByte = 13;

// log2 of a power of two that is at least the number of keys.
float HeadroomOf(const AttentionProblem& problem) {
  return static_cast<float>(std::bit_width(static_cast<uint64_t>(problem.key_len)));
}

// Pools stand at no position: a bias, or a distance, would be of none.
absl::Status CheckLevels(const Plan& plan, const ScoreModifiers& modifiers) {
  const auto* listed = std::get_if<BlockPlan>(&plan);
  if (listed == nullptr || (modifiers.bias.empty() && modifiers.alibi_slopes.empty())) {
    return absl::OkStatus();
  }
  for (const PlanEntry& entry : listed->entries) {
    if (entry.level == 1) continue;
    return absl::UnimplementedError(
        absl::StrCat(modifiers.bias.empty() ? "alibi" : "bias",
                     " not supported with pooled blocks: the plan that the method made lists key ",
                     "block ", entry.key_block, " at level ", entry.level));
  }
  return absl::OkStatus();
}

// Products of a table run between its `enter` and `leave`.
class ProductsScope {
 public:
  explicit ProductsScope(const TileKernels& kernels) : kernels_(kernels) {
    if (kernels.enter != nullptr) kernels.enter();
  }
  ~ProductsScope() {
    if (kernels_.leave != nullptr) kernels_.leave();
  }
  ProductsScope(const ProductsScope&) = delete;
  ProductsScope& operator=(const ProductsScope&) = delete;

 private:
  const TileKernels& kernels_;
};

}  // namespace

int64_t PlanEngine::DenseBytes(const AttentionProblem& problem, const CpuDevice& device,
                               int64_t block_q, int64_t block_k) {
  const int64_t split_bytes =
      WorkSplit::DenseBytes(problem, block_q) + SplitOutputs::DenseBytes(problem);
  if (StreamedUnit::Suits(problem)) return split_bytes;
  const TileKernels& kernels = TileKernelsFor(device.isa, problem.dtype);
  return split_bytes + PackedBlocks::DenseBytes(problem, kernels, block_k);
}

int64_t PlanEngine::ListedBytes(const AttentionProblem& problem, const CpuDevice& device,
                                int64_t block_q, int64_t block_k) {
  const TileKernels& kernels = TileKernelsFor(device.isa, problem.dtype);
  return WorkSplit::ListedBytes(problem, block_q) + SplitOutputs::ListedBytes(problem) +
         PackedBlocks::DenseBytes(problem, kernels, block_k);
}

absl::StatusOr<std::unique_ptr<PlanEngine>> PlanEngine::Create(const AttentionCall& call,
                                                               const Plan& plan,
                                                               CpuDevice& device) {
  ATTN_RETURN_IF_ERROR(ValidatePlan(plan, call.problem));
  ATTN_RETURN_IF_ERROR(CheckLevels(plan, call.problem.modifiers));
  const bool streamed = StreamedUnit::Suits(call.problem, plan);
  auto engine = std::unique_ptr<PlanEngine>(new PlanEngine(call, plan, device, streamed));
  ATTN_RETURN_IF_ERROR(engine->Allocate(device));
  return engine;
}

PlanEngine::PlanEngine(const AttentionCall& call, const Plan& plan, const CpuDevice& device,
                       bool streamed)
    : streamed_(streamed),
      split_(call.problem, plan),
      context_{
          call,
          plan,
          streamed ? Fp32TileKernels(device.isa) : TileKernelsFor(device.isa, call.problem.dtype),
          split_,
          PredicateOf(plan, call.problem),
          BoundModifiers(call),
          SoftmaxScale(call.problem.scale, call.problem.modifiers.change_scores()),
          HeadroomOf(call.problem)},
      dense_elements_(call.VisibleElements(*context_.predicate.intervals)) {
  const int64_t unit_count = split_.unit_count();
  const double unit_flops = Work() / static_cast<double>(unit_count);
  units_per_tile_ = static_cast<int64_t>(
      std::clamp(kTileFlops / std::max(unit_flops, 1.0), 1.0, static_cast<double>(unit_count)));
  tile_elements_.resize(static_cast<size_t>(CeilDivide(unit_count, units_per_tile_)));
}

absl::Status PlanEngine::Allocate(CpuDevice& device) {
  if (!streamed_) {
    ATTN_ASSIGN_OR_RETURN(packed_, PackedBlocks::Create(context_.call, context_.plan,
                                                        context_.kernels, device.workspace));
  }
  if (split_.split_count() > 1) {
    ATTN_ASSIGN_OR_RETURN(split_outputs_,
                          SplitOutputs::Create(context_.problem(), split_, device.workspace));
  }
  return absl::OkStatus();
}

int64_t PlanEngine::workspace_bytes() const {
  return (packed_.has_value() ? packed_->bytes() : 0) +
         (split_outputs_.has_value() ? split_outputs_->bytes() : 0);
}

// In FLOP, before masks: the measure of work.
double PlanEngine::Work() const {
  const AttentionProblem& problem = context_.problem();
  const double elements = ListedElements();
  if (!streamed_) return problem.Flops(elements);
  const int64_t rows_of_a_key = problem.heads / problem.kv_heads * problem.query_len;
  const int64_t token_bytes = ByteSize(problem.dtype, problem.head_dim + problem.value_dim);
  return elements / static_cast<double>(rows_of_a_key) * static_cast<double>(token_bytes) *
         kFlopsPerStreamedByte;
}

// Score elements that the plan lists.
double PlanEngine::ListedElements() const {
  const auto* listed = std::get_if<BlockPlan>(&context_.plan);
  if (listed == nullptr) return dense_elements_;
  double elements = 0;
  for (size_t row = 0; row + 1 < listed->row_begin.size(); ++row) {
    const int64_t query_block = static_cast<int64_t>(row) % listed->query_blocks();
    const int64_t queries = QueryBlock(context_.plan, query_block).size();
    for (int64_t i = listed->row_begin[row]; i < listed->row_begin[row + 1]; ++i) {
      const PlanEntry& entry = listed->entries[static_cast<size_t>(i)];
      const int64_t keys = KeyBlock(context_.plan, entry.key_block).size();
      elements += static_cast<double>(queries * keys) / entry.level;
    }
  }
  const AttentionProblem& problem = context_.problem();
  const int64_t uses_of_a_row = problem.batch * problem.heads / (listed->batch * listed->heads);
  return elements * static_cast<double>(uses_of_a_row);
}

Phase PlanEngine::phase(int index) const {
  Phase phase = {.stage = Stage::kKernel};
  switch (index) {
    case 0:
      phase.tiles = packed_.has_value() ? packed_->tile_count() : 0;
      break;
    case 1:
      phase.tiles = static_cast<int64_t>(tile_elements_.size());
      break;
    default:
      phase.tiles = split_outputs_.has_value() ? split_.group_count() : 0;
      break;
  }
  return phase;
}

absl::Status PlanEngine::RunTile(int phase, int64_t tile, Scratch& scratch) {
  switch (phase) {
    case 0:
      return packed_->Pack(tile, scratch);
    case 1:
      return RunUnits(tile, scratch);
    default:
      return MergeGroup(tile, scratch);
  }
}

RunStats PlanEngine::stats() const {
  RunStats stats = {.computed_elements = dense_elements_, .dense_elements = dense_elements_};
  if (std::holds_alternative<BlockPlan>(context_.plan)) {
    stats.computed_elements = std::accumulate(tile_elements_.begin(), tile_elements_.end(), 0.0);
  }
  return stats;
}

absl::Status PlanEngine::RunUnits(int64_t tile, Scratch& scratch) {
  const int64_t copy_floats = streamed_ ? StreamedUnit::CopyFloats(context_.call) : 0;
  ATTN_ASSIGN_OR_RETURN(const UnitWorkspace work,
                        UnitWorkspace::Take(context_.problem(), context_.kernels,
                                            split_.max_row_blocks(), copy_floats, scratch));
  const int64_t begin = tile * units_per_tile_;
  const int64_t end = std::min(begin + units_per_tile_, split_.unit_count());
  const ProductsScope products(context_.kernels);
  double elements = 0;
  for (int64_t index = begin; index < end; ++index) {
    const Unit unit = split_.UnitAt(index);
    if (context_.call.idle(unit.b)) continue;
    elements += RunUnit(unit, work);
    if (split_outputs_.has_value()) {
      split_outputs_->Keep(index, unit, work);
      continue;
    }
    for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
      const RowBlock block = split_.RowBlockAt(unit, i);
      for (int64_t r = 0; r < block.rows; ++r) {
        StoreRow(context_, unit, block, r, work.states_of(i)[r],
                 work.out_of(i) + r * work.out_columns);
      }
    }
  }
  tile_elements_[static_cast<size_t>(tile)] = elements;
  return absl::OkStatus();
}

double PlanEngine::RunUnit(const Unit& unit, const UnitWorkspace& work) const {
  LoadUnit(context_, unit, work);
  if (streamed_) return StreamedUnit(context_, unit, work).Run();
  return PackedUnit(context_, *packed_, unit, work).Run();
}

absl::Status PlanEngine::MergeGroup(int64_t group, Scratch& scratch) const {
  const Unit unit = split_.UnitAt(group * split_.split_count());
  if (context_.call.idle(unit.b)) return absl::OkStatus();
  const int64_t columns = RoundUp(context_.problem().value_dim, kLaneCount);
  ATTN_RETURN_IF_ERROR(scratch.Reserve(columns * static_cast<int64_t>(sizeof(float))));
  auto* out = scratch.Take<float>(columns);
  for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
    const RowBlock block = split_.RowBlockAt(unit, i);
    for (int64_t r = 0; r < block.rows; ++r) {
      const RowState state = split_outputs_->Merge(group, i, r, context_.scale.factor, out);
      StoreRow(context_, unit, block, r, state, out);
    }
  }
  return absl::OkStatus();
}

}  // namespace attn
