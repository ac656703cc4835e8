#include "kernels/engines/cpu/streamed_unit.h"

#include <algorithm>

#include "kernels/core/ceil_divide.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {

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
  return TokenAddresses::CopyFloats(call.k) + TokenAddresses::CopyFloats(call.v);
}

StreamedUnit::StreamedUnit(const UnitContext& context, const Unit& unit, const UnitWorkspace& work)
    : context_(context),
      unit_(unit),
      work_(work),
      block_(context.split.RowBlockAt(unit, 0)),
      keys_(context.call.k, unit.b, unit.kv_head, work.copies),
      values_(context.call.v, unit.b, unit.kv_head,
              work.copies + TokenAddresses::CopyFloats(context.call.k)),
      modifiers_(context, unit, work) {}

double StreamedUnit::Run() {
  if (std::holds_alternative<ImplicitPlan>(context_.plan)) {
    RunDenseRow();
  } else {
    RunListedRow();
  }
  return elements_;
}

void StreamedUnit::RunDenseRow() {
  const MaskPredicate& predicate = context_.predicate;
  const KeyInterval seen =
      predicate.intervals->VisibleKeys(unit_.b, unit_.queries.begin, unit_.queries.end).any;
  const BlockRange windows = context_.split.BlocksOf(unit_, CeilDivide(seen.size(), kTileColumns));
  for (int64_t i = windows.begin; i < windows.end; ++i) {
    const int64_t begin = seen.begin + i * kTileColumns;
    const TokenRange keys = {begin, std::min(begin + kTileColumns, seen.end)};
    RunTokens(keys,
              EvaluatePredicate(predicate, unit_.b, unit_.head, unit_.queries, keys, work_.words));
  }
}

void StreamedUnit::RunListedRow() {
  const auto& plan = std::get<BlockPlan>(context_.plan);
  const PlanRow row = RowOf(plan, unit_.b, unit_.head, unit_.query_block);
  const BlockRange share = context_.split.BlocksOf(unit_, static_cast<int64_t>(row.size()));
  const int64_t first_query =
      unit_.queries.begin - QueryBlock(context_.plan, unit_.query_block).begin;
  for (int64_t i = share.begin; i < share.end; ++i) {
    const PlanEntry& entry = row[static_cast<size_t>(i)];
    const TokenRange block = KeyBlock(context_.plan, entry.key_block);
    const int64_t row_words = VisibilityWords(block.size());
    for (int64_t first = 0; first < block.size(); first += kTileColumns) {
      const TokenRange keys = block.Slice(first, std::min(kTileColumns, block.size() - first));
      TileVisibility visibility;
      if (entry.mask == BlockMask::kPredicate) {
        visibility = EvaluatePredicate(context_.predicate, unit_.b, unit_.head, unit_.queries, keys,
                                       work_.words);
      } else if (entry.mask == BlockMask::kBits) {
        visibility = {
            plan.bit_tiles.data() + entry.bits + first_query * row_words + first / kWordBits,
            row_words, block_.queries, keys.size()};
      }
      RunTokens(keys, visibility);
    }
  }
}

void StreamedUnit::RunTokens(const TokenRange& keys, const TileVisibility& visibility) {
  keys_.Clear();
  values_.Clear();
  const bool full =
      visibility.words == nullptr || visibility.Count() == unit_.queries.size() * keys.size();
  range_ = full ? keys : TokenRange();
  if (full) {
    keys_.Add(keys);
    values_.Add(keys);
    RunRows(0, block_.rows);
    return;
  }
  // Each query goes alone over what it sees: a hidden value is not even read.
  for (int64_t q = 0; q < block_.queries; ++q) {
    keys_.Clear();
    values_.Clear();
    for (int64_t i = 0; i < keys.size(); ++i) {
      if (!visibility.Sees(q, i)) continue;
      AddToken(keys.original(keys.begin + i));
    }
    if (keys_.count() == 0) continue;
    for (int64_t row = q; row < block_.rows; row += block_.queries) RunRows(row, 1);
  }
}

void StreamedUnit::AddToken(int64_t token) {
  gathered_[static_cast<size_t>(keys_.count())] = static_cast<int32_t>(token);
  keys_.Add(token);
  values_.Add(token);
}

void StreamedUnit::ComputeScores(int64_t first, int64_t rows) {
  context_.kernels.stream_scores(
      {.queries = reinterpret_cast<const float*>(work_.queries) + first * work_.depth,
       .tokens = keys_.data(),
       .dtype = keys_.dtype(),
       .dim = context_.problem().head_dim,
       .scores = work_.scores,
       .stride = kTileColumns,
       .rows = rows,
       .count = keys_.count()});
  if (!modifiers_.any()) return;
  modifiers_.SetRows(block_, first, rows);
  if (range_.size() > 0) {
    modifiers_.Apply(range_, work_.scores);
  } else {
    modifiers_.Apply(gathered_.data(), keys_.count(), work_.scores);
  }
  HideColumns(work_.scores, rows, keys_.count(), RoundUp(keys_.count(), kLaneCount));
}

void StreamedUnit::RunRows(int64_t first, int64_t rows) {
  const TileKernels& kernels = context_.kernels;
  ComputeScores(first, rows);
  kernels.update_softmax({.scores = work_.scores,
                          .stride = kTileColumns,
                          .rows = rows,
                          .columns = RoundUp(keys_.count(), kLaneCount),
                          .scale = context_.scale.factor,
                          .headroom = context_.headroom,
                          .states = work_.states + first,
                          .carry = work_.carry});
  kernels.stream_values({.weights = work_.scores,
                         .stride = kTileColumns,
                         .tokens = values_.data(),
                         .dtype = values_.dtype(),
                         .dim = context_.problem().value_dim,
                         .carry = work_.carry,
                         .out = work_.out + first * work_.out_columns,
                         .rows = rows,
                         .count = values_.count()});
  elements_ += static_cast<double>(rows * keys_.count());
}

}  // namespace attn
