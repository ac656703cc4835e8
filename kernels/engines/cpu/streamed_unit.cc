#include "kernels/engines/cpu/streamed_unit.h"

#include <algorithm>

#include "kernels/core/ceil_divide.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {
namespace {

DType FormOf(const TensorView& view) {
  return view.stride(3) == 1 ? view.dtype : DType::kFloat32;
}

}  // namespace

bool StreamedUnit::Suits(const AttentionProblem& problem) {
  return problem.heads / problem.kv_heads * problem.query_len <= kStreamRows;
}

bool StreamedUnit::Suits(const AttentionProblem& problem, const Plan& plan) {
  if (!Suits(problem)) return false;
  const auto* listed = std::get_if<BlockPlan>(&plan);
  return listed == nullptr || std::all_of(listed->entries.begin(), listed->entries.end(),
                                          [](const PlanEntry& entry) { return entry.level == 1; });
}

int64_t StreamedUnit::CopyFloats(const AttentionCall& call) {
  if (call.k.stride(3) == 1 && call.v.stride(3) == 1) return 0;
  return kTileColumns * (call.problem.head_dim + call.problem.value_dim);
}

StreamedUnit::StreamedUnit(const UnitContext& context, const AttentionCall& call, const Unit& unit,
                           const UnitWorkspace& work)
    : context_(context),
      call_(call),
      unit_(unit),
      work_(work),
      block_(context.split.RowBlockAt(unit, 0)) {}

double StreamedUnit::Run() {
  if (std::holds_alternative<ImplicitPlan>(context_.plan)) {
    RunDenseRow();
  } else {
    RunListedRow();
  }
  return elements_;
}

void StreamedUnit::RunDenseRow() {
  const KeyInterval seen =
      context_.problem.mask.VisibleKeys(unit_.b, unit_.queries.begin, unit_.queries.end).any;
  const PartRange windows = context_.split.PartOf(unit_, CeilDivide(seen.size(), kTileColumns));
  for (int64_t i = windows.begin; i < windows.end; ++i) {
    const int64_t begin = seen.begin + i * kTileColumns;
    RunTokens({begin, std::min(begin + kTileColumns, seen.end)}, {.mask = BlockMask::kInterval},
              nullptr);
  }
}

void StreamedUnit::RunListedRow() {
  const auto& plan = std::get<BlockPlan>(context_.plan);
  const PlanRow row = RowOf(plan, unit_.b, unit_.head, unit_.query_block);
  const PartRange part = context_.split.PartOf(unit_, static_cast<int64_t>(row.size()));
  for (int64_t i = part.begin; i < part.end; ++i) {
    const PlanEntry& entry = row[static_cast<size_t>(i)];
    const TokenRange block = KeyBlock(context_.plan, entry.key_block);
    const int64_t row_words = VisibilityWords(block.size());
    const int64_t first_query = unit_.queries.begin - QueryBlock(context_.plan, unit_.query_block).begin;
    for (int64_t first = 0; first < block.size(); first += kTileColumns) {
      const int64_t count = std::min(kTileColumns, block.size() - first);
      TileVisibility bits;
      if (entry.mask == BlockMask::kBits) {
        bits = {plan.bit_tiles.data() + entry.bits + first_query * row_words + first / 64,
                row_words, block_.queries, count};
      }
      RunTokens(block.Slice(first, count), entry, &bits);
    }
  }
}

void StreamedUnit::RunTokens(const TokenRange& keys, const PlanEntry& entry,
                             const TileVisibility* bits) {
  TileVisibility visibility;
  if (entry.mask == BlockMask::kInterval) {
    visibility = EvaluateMask(context_.problem.mask, unit_.b, unit_.queries, keys, work_.words);
  } else if (entry.mask == BlockMask::kBits) {
    visibility = *bits;
  }
  const bool full = visibility.words == nullptr ||
                    visibility.Count() == unit_.queries.size() * keys.size();
  const int64_t stacked_heads = block_.rows / block_.queries;
  if (full) {
    count_ = 0;
    for (int64_t i = keys.begin; i < keys.end; ++i) AddToken(keys.original(i));
    RunRows(0, block_.rows);
    return;
  }
  // Each query goes alone over what it sees: a hidden value is not even read.
  for (int64_t q = 0; q < block_.queries; ++q) {
    count_ = 0;
    for (int64_t i = 0; i < keys.size(); ++i) {
      if (visibility.Sees(q, i)) AddToken(keys.original(keys.begin + i));
    }
    if (count_ == 0) continue;
    for (int64_t head = 0; head < stacked_heads; ++head) RunRows(head * block_.queries + q, 1);
  }
}

void StreamedUnit::AddToken(int64_t token) {
  float* const value_copies = work_.copies + kTileColumns * context_.problem.head_dim;
  keys_[static_cast<size_t>(count_)] =
      AddressOf(call_.k, token, work_.copies + count_ * context_.problem.head_dim);
  values_[static_cast<size_t>(count_)] =
      AddressOf(call_.v, token, value_copies + count_ * context_.problem.value_dim);
  ++count_;
}

// The token where the caller has it, or a copy if its elements are not contiguous.
const void* StreamedUnit::AddressOf(const TensorView& view, int64_t token, float* copy) const {
  if (view.stride(3) == 1) return TokenAddress(view, unit_.b, unit_.kv_head, token);
  LoadRow(view, unit_.b, unit_.kv_head, token, copy);
  return copy;
}

void StreamedUnit::RunRows(int64_t first, int64_t rows) {
  const TileKernels& kernels = context_.kernels;
  kernels.stream_scores(
      {.queries = reinterpret_cast<const float*>(work_.queries) + first * work_.depth,
       .tokens = keys_.data(),
       .dtype = FormOf(call_.k),
       .dim = context_.problem.head_dim,
       .scores = work_.scores,
       .stride = kTileColumns,
       .rows = rows,
       .count = count_});
  kernels.update_softmax({.scores = work_.scores,
                          .stride = kTileColumns,
                          .rows = rows,
                          .columns = RoundUp(count_, kLaneCount),
                          .scale = context_.scale.factor,
                          .headroom = context_.headroom,
                          .states = work_.states + first,
                          .carry = work_.carry});
  kernels.stream_values({.weights = work_.scores,
                         .stride = kTileColumns,
                         .tokens = values_.data(),
                         .dtype = FormOf(call_.v),
                         .dim = context_.problem.value_dim,
                         .carry = work_.carry,
                         .out = work_.out + first * work_.out_columns,
                         .rows = rows,
                         .count = count_});
  elements_ += static_cast<double>(rows * count_);
}

}  // namespace attn
