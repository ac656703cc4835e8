#include "kernels/engines/cpu/plan_engine.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/streamed_unit.h"

namespace attn {
namespace {

// Work of a tile: about 10 microseconds at 200 GFLOP/s, well above the cost of handing it out.
constexpr double kTileFlops = 2e6;

// A byte that streams by costs about as much as so many FLOP: 15 GB/s against 200 GFLOP/s.
constexpr double kFlopsPerStreamedByte = 13;

// log2 of a power of two that is at least the number of keys.
float HeadroomOf(const AttentionProblem& problem) {
  return static_cast<float>(std::bit_width(static_cast<uint64_t>(problem.key_len)));
}

// One row from the caller's tensor, in the form of the operand, zeros behind it.
void LoadQuery(const AttentionCall& call, const TileKernels& kernels, int64_t b, int64_t head,
               int64_t query, float sign, int64_t depth, std::byte* to) {
  const TensorView& q = call.q;
  const int64_t dim = call.problem.head_dim;
  std::memset(to, 0, static_cast<size_t>(depth * ElementBytes(kernels.operand)));
  if (sign == 1 && q.stride(3) == 1 && kernels.operand == Operand::kBFloat16) {
    std::memcpy(to, TokenAddress(q, b, head, query), static_cast<size_t>(2 * dim));
    return;
  }
  std::array<float, kMaxHeadDim> row;
  if (q.stride(3) == 1) {
    kernels.load_row(TokenAddress(q, b, head, query), q.dtype, dim, row.data());
  } else {
    attn::LoadRow(q, b, head, query, row.data());
  }
  for (int64_t d = 0; d < dim; ++d) row[static_cast<size_t>(d)] *= sign;
  const DType form = kernels.operand == Operand::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
  kernels.store_row(row.data(), 1, form, dim, to);
}

}  // namespace

// Rows of a unit, packed closely: [row blocks][max_rows].
struct PlanEngine::Part {
  float* out;        // [rows][out_columns]
  RowState* states;  // [rows]

  static int64_t Rows(const WorkSplit& split) { return split.max_row_blocks() * split.max_rows(); }
  static int64_t RowBytes(const AttentionProblem& problem) {
    return RoundUp(problem.value_dim, kLaneCount) * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(sizeof(RowState));
  }
  static int64_t Bytes(const AttentionProblem& problem, const WorkSplit& split) {
    return RoundUp(Rows(split) * RowBytes(problem), kBufferAlignment);
  }
};

int64_t PlanEngine::DenseBytes(const AttentionProblem& problem, const CpuDevice& device,
                               int64_t block_q, int64_t block_k) {
  const int64_t split_bytes =
      WorkSplit::DenseBytes(problem, block_q) +
      WorkSplit::MaxPartRows(problem) * (Part::RowBytes(problem) + kBufferAlignment);
  if (StreamedUnit::Suits(problem)) return split_bytes;
  const TileKernels& kernels = TileKernelsFor(device.isa, problem.dtype);
  return split_bytes + PackedBlocks::DenseBytes(problem, kernels, block_k);
}

absl::StatusOr<std::unique_ptr<PlanEngine>> PlanEngine::Create(const AttentionCall& call,
                                                               const Plan& plan,
                                                               CpuDevice& device) {
  ATTN_RETURN_IF_ERROR(ValidatePlan(plan, call.problem));
  const bool streamed = StreamedUnit::Suits(call.problem, plan);
  auto engine = std::unique_ptr<PlanEngine>(new PlanEngine(call, plan, device, streamed));
  ATTN_RETURN_IF_ERROR(engine->Allocate(device));
  return engine;
}

PlanEngine::PlanEngine(const AttentionCall& call, const Plan& plan, const CpuDevice& device,
                       bool streamed)
    : call_(call),
      plan_(plan),
      streamed_(streamed),
      kernels_(streamed ? Fp32TileKernels(device.isa)
                        : TileKernelsFor(device.isa, call.problem.dtype)),
      split_(call.problem, plan),
      context_{call.problem,
               plan,
               kernels_,
               split_,
               SoftmaxScale(call.problem.scale),
               HeadroomOf(call.problem)} {
  dense_elements_ = call.problem.VisibleElements();
  const int64_t unit_count = split_.unit_count();
  const double unit_flops = Work() / static_cast<double>(unit_count);
  units_per_tile_ = static_cast<int64_t>(
      std::clamp(kTileFlops / std::max(unit_flops, 1.0), 1.0, static_cast<double>(unit_count)));
  tile_elements_.resize(static_cast<size_t>(CeilDivide(unit_count, units_per_tile_)));
}

absl::Status PlanEngine::Allocate(CpuDevice& device) {
  if (!streamed_) {
    ATTN_ASSIGN_OR_RETURN(packed_, PackedBlocks::Create(call_, plan_, kernels_, device.workspace));
  }
  if (split_.part_count() == 1) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(
      parts_, device.workspace.Take(split_.unit_count() * Part::Bytes(call_.problem, split_)));
  return absl::OkStatus();
}

// In FLOP, before masks: the measure of work.
double PlanEngine::Work() const {
  const AttentionProblem& problem = call_.problem;
  const double elements = ListedElements();
  if (!streamed_) return problem.Flops(elements);
  const double rows_of_a_key =
      static_cast<double>(problem.heads / problem.kv_heads * problem.query_len);
  const auto token_bytes =
      static_cast<double>((problem.head_dim + problem.value_dim) * (BitWidth(problem.dtype) / 8));
  return elements / rows_of_a_key * token_bytes * kFlopsPerStreamedByte;
}

// Score elements that the plan lists.
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
  Phase phase = {.stage = Stage::kKernel};
  switch (index) {
    case 0:
      phase.tiles = packed_.has_value() ? packed_->part_count() : 0;
      break;
    case 1:
      phase.tiles = static_cast<int64_t>(tile_elements_.size());
      break;
    default:
      phase.tiles = split_.part_count() == 1 ? 0 : split_.rows_count();
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
    default: {
      const int64_t columns = RoundUp(call_.problem.value_dim, kLaneCount);
      ATTN_RETURN_IF_ERROR(scratch.Reserve(columns * static_cast<int64_t>(sizeof(float))));
      scratch.Reset();
      MergeParts(tile, scratch.Take<float>(columns));
      return absl::OkStatus();
    }
  }
}

RunStats PlanEngine::stats() const {
  RunStats stats = {.computed_elements = dense_elements_, .dense_elements = dense_elements_};
  if (std::holds_alternative<BlockPlan>(plan_)) {
    stats.computed_elements = std::accumulate(tile_elements_.begin(), tile_elements_.end(), 0.0);
  }
  return stats;
}

absl::Status PlanEngine::RunUnits(int64_t tile, Scratch& scratch) {
  ATTN_ASSIGN_OR_RETURN(
      const UnitWorkspace work,
      UnitWorkspace::Take(call_.problem, kernels_, split_.max_row_blocks(),
                          streamed_ ? StreamedUnit::CopyFloats(call_) : 0, scratch));
  const int64_t begin = tile * units_per_tile_;
  const int64_t end = std::min(begin + units_per_tile_, split_.unit_count());
  double elements = 0;
  if (kernels_.enter != nullptr) kernels_.enter();
  for (int64_t index = begin; index < end; ++index) {
    const Unit unit = split_.UnitAt(index);
    elements += RunUnit(unit, work);
    if (split_.part_count() > 1) {
      KeepPart(index, unit, work);
      continue;
    }
    for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
      const RowBlock block = split_.RowBlockAt(unit, i);
      for (int64_t r = 0; r < block.rows; ++r) {
        StoreRow(unit, block, r, work.states_of(i)[r], work.out_of(i) + r * work.out_columns);
      }
    }
  }
  if (kernels_.leave != nullptr) kernels_.leave();
  tile_elements_[static_cast<size_t>(tile)] = elements;
  return absl::OkStatus();
}

double PlanEngine::RunUnit(const Unit& unit, const UnitWorkspace& work) const {
  LoadQueries(unit, work);
  const int64_t rows = split_.RowBlockCount(unit) * kTileRows;
  std::fill(work.out, work.out + rows * work.out_columns, 0.0F);
  std::fill(work.states, work.states + rows, RowState());
  if (streamed_) return StreamedUnit(context_, call_, unit, work).Run();
  return PackedUnit(context_, *packed_, unit, work).Run();
}

void PlanEngine::LoadQueries(const Unit& unit, const UnitWorkspace& work) const {
  const int64_t row_bytes = work.depth * ElementBytes(kernels_.operand);
  for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
    const RowBlock block = split_.RowBlockAt(unit, i);
    for (int64_t r = 0; r < block.rows; ++r) {
      const int64_t query =
          unit.queries.original(unit.queries.begin + block.first_query + r % block.queries);
      LoadQuery(call_, kernels_, unit.b, unit.head + block.head + r / block.queries, query,
                context_.scale.query_sign, work.depth,
                work.queries + (i * kTileRows + r) * row_bytes);
    }
  }
}

PlanEngine::Part PlanEngine::PartOf(int64_t index) const {
  std::byte* bytes = parts_.data() + index * Part::Bytes(call_.problem, split_);
  auto* out = reinterpret_cast<float*>(bytes);
  const int64_t columns = RoundUp(call_.problem.value_dim, kLaneCount);
  return {out, reinterpret_cast<RowState*>(out + Part::Rows(split_) * columns)};
}

void PlanEngine::KeepPart(int64_t index, const Unit& unit, const UnitWorkspace& work) const {
  const Part part = PartOf(index);
  for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
    const int64_t rows = split_.RowBlockAt(unit, i).rows;
    const int64_t first = i * split_.max_rows();
    std::copy_n(work.out_of(i), rows * work.out_columns, part.out + first * work.out_columns);
    std::copy_n(work.states_of(i), rows, part.states + first);
  }
}

// Each part is weighed by 2^(its maximum - the highest).
void PlanEngine::MergeParts(int64_t rows_index, float* out) const {
  const int64_t first_part = rows_index * split_.part_count();
  const int64_t columns = RoundUp(call_.problem.value_dim, kLaneCount);
  const Unit unit = split_.UnitAt(first_part);
  for (int64_t i = 0; i < split_.RowBlockCount(unit); ++i) {
    const RowBlock block = split_.RowBlockAt(unit, i);
    for (int64_t r = 0; r < block.rows; ++r) {
      const int64_t row = i * split_.max_rows() + r;
      RowState merged;
      for (int64_t p = 0; p < split_.part_count(); ++p) {
        merged.max = std::max(merged.max, PartOf(first_part + p).states[row].max);
      }
      std::fill_n(out, columns, 0.0F);
      for (int64_t p = 0; p < split_.part_count(); ++p) {
        const Part part = PartOf(first_part + p);
        const RowState& state = part.states[row];
        if (state.sum == 0) continue;  // Saw nothing.
        const float weight = std::exp2((state.max - merged.max) * context_.scale.factor);
        merged.sum += state.sum * weight;
        const float* from = part.out + row * columns;
        for (int64_t c = 0; c < columns; ++c) out[c] += from[c] * weight;
      }
      StoreRow(unit, block, r, merged, out);
    }
  }
}

void PlanEngine::StoreRow(const Unit& unit, const RowBlock& block, int64_t row,
                          const RowState& state, const float* out) const {
  const int64_t query =
      unit.queries.original(unit.queries.begin + block.first_query + row % block.queries);
  const int64_t head = unit.head + block.head + row / block.queries;
  const float factor = state.sum == 0 ? 0 : 1 / state.sum;
  const MutableTensorView& to = call_.out;
  if (to.stride(3) == 1) {
    kernels_.store_row(out, factor, to.dtype, call_.problem.value_dim,
                       TokenAddress(to, unit.b, head, query));
  } else {
    std::array<float, kMaxHeadDim> scaled;
    for (int64_t c = 0; c < call_.problem.value_dim; ++c) {
      scaled[static_cast<size_t>(c)] = out[c] * factor;
    }
    attn::StoreRow(scaled.data(), unit.b, head, query, to);
  }
  if (call_.lse.empty()) return;
  const double log2_sum = std::log2(static_cast<double>(state.sum)) + context_.headroom +
                          static_cast<double>(state.max) * context_.scale.factor;
  *call_.lse.row<float>(unit.b, head, query) =
      state.sum == 0 ? -std::numeric_limits<float>::infinity()
                     : static_cast<float>(log2_sum * std::numbers::ln2);
}

}  // namespace attn
