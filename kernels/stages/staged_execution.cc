#include "kernels/stages/staged_execution.h"

#include <string>
#include <utility>

#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Of the call's own tensors the tokens in front of the padding; copies where there are some.
AttentionCall InnerCall(const AttentionCall& call, const StagedTensors& tensors,
                        const SkipWeights& weights, AttentionProblem inner_problem) {
  const AttentionProblem& problem = call.problem;
  const ReplicatedTokens& replicated = problem.stages.replicated;
  const int64_t queries = problem.query_len - replicated.query_len;
  const int64_t keys = problem.key_len - replicated.key_len;
  const auto input = [](const MutableTensorView& copy, const TensorView& own, int64_t tokens) {
    return copy.empty() ? FirstTokens(own, tokens) : ReadOnly(copy);
  };
  const auto output = [queries](const MutableTensorView& copy, const MutableTensorView& own) {
    return copy.empty() && !own.empty() ? FirstTokens(own, queries) : copy;
  };
  AttentionCall inner;
  inner.problem = std::move(inner_problem);
  inner.options = call.options;
  inner.q = input(tensors.q, call.q, queries);
  inner.k = input(tensors.k, call.k, keys);
  inner.v = input(tensors.v, call.v, keys);
  inner.extra = call.extra;
  inner.out = output(tensors.out, call.out);
  inner.lse = output(tensors.lse, call.lse);
  inner.weights = call.weights;
  inner.idle_samples = weights.Skipped();
  return inner;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StagedExecution>> StagedExecution::Create(const AttentionCall& call,
                                                                         const Backend& inner,
                                                                         BufferPool& buffers) {
  const AttentionProblem& problem = call.problem;
  ATTN_ASSIGN_OR_RETURN(SkipWeights weights, SkipWeights::Create(call));
  const bool computes = !weights.all_zero();
  const bool refined = weights.any_fraction() || problem.stages.gate.form != GateForm::kNone;
  AttentionProblem inner_problem = InnerProblem(inner, problem, refined);
  StagedTensors tensors;
  if (computes) {
    ATTN_ASSIGN_OR_RETURN(tensors,
                          StagedTensors::Create(problem, inner_problem.out_dtype, buffers));
  }
  std::unique_ptr<StagedExecution> execution(
      new StagedExecution(call, std::move(weights), std::move(tensors), std::move(inner_problem)));
  if (computes) {
    execution->PlanCopies();
    ATTN_ASSIGN_OR_RETURN(execution->inner_, inner.Prepare(execution->inner_call_));
  }
  return execution;
}

StagedExecution::StagedExecution(const AttentionCall& call, SkipWeights weights,
                                 StagedTensors tensors, AttentionProblem inner_problem)
    : call_(call),
      tensors_(std::move(tensors)),
      output_(call, weights, {ReadOnly(tensors_.out), ReadOnly(tensors_.lse)}),
      inner_call_(InnerCall(call, tensors_, weights, std::move(inner_problem))),
      idle_(inner_call_) {
  const Rotary& rotary = call.problem.stages.rotary;
  if (rotary.form != RotaryForm::kNone) rotary_.emplace(rotary, call.extra);
}

void StagedExecution::PlanCopies() {
  const AttentionProblem& problem = call_.problem;
  const ReplicatedTokens& replicated = problem.stages.replicated;
  const Rotary& rotary = problem.stages.rotary;
  const RotaryTables* const tables = rotary_.has_value() ? &*rotary_ : nullptr;
  const auto add = [&](const MutableTensorView& to, const TensorView& own,
                       const std::string& behind, int64_t behind_len, const RotaryTables* rotates,
                       int64_t position) {
    if (to.empty()) return;
    JoinedTokens from = {.first = FirstTokens(own, to.dim(2) - behind_len), .second = {}};
    if (replicated.any()) from.second = call_.extra.find(behind)->second;
    copies_.Add({.from = from, .to = to, .rotary = rotates, .first_position = position});
  };
  add(tensors_.q, call_.q, replicated.q, replicated.query_len, tables, rotary.q_offset);
  add(tensors_.k, call_.k, replicated.k, replicated.key_len, tables, rotary.k_offset);
  add(tensors_.v, call_.v, replicated.v, replicated.key_len, nullptr, 0);
}

Phase StagedExecution::phase(int index) {
  if (index == 0) return {Stage::kKernel, copies_.tiles()};
  const int behind = index - 1 - inner_phase_count();
  if (behind < 0) return inner_->phase(index - 1);
  return {Stage::kKernel, behind == 0 ? output_.tiles() : idle_.tiles(behind - 1)};
}

absl::Status StagedExecution::RunTile(int phase, int64_t tile, Scratch& scratch) {
  if (phase == 0) return copies_.RunTile(tile, scratch);
  const int behind = phase - 1 - inner_phase_count();
  if (behind < 0) return inner_->RunTile(phase - 1, tile, scratch);
  return behind == 0 ? output_.RunTile(tile, scratch) : idle_.RunTile(behind - 1, tile, scratch);
}

absl::StatusOr<RunResult> StagedExecution::Finish() {
  ATTN_RETURN_IF_ERROR(idle_.status());
  if (inner_ == nullptr) return RunResult{.stats = {.dense_elements = idle_.total()}};
  ATTN_ASSIGN_OR_RETURN(RunResult result, inner_->Finish());
  result.stats.dense_elements += idle_.total();
  return result;
}

absl::Status StagedExecution::RunCopies(Scratch& scratch) const {
  for (int64_t tile = 0; tile < copies_.tiles(); ++tile) {
    scratch.Reset();
    ATTN_RETURN_IF_ERROR(copies_.RunTile(tile, scratch));
  }
  return absl::OkStatus();
}

absl::Status StagedExecution::RunOutputPass(Scratch& scratch) {
  for (int index = 1 + inner_phase_count(); index < phase_count(); ++index) {
    const int64_t tiles = phase(index).tiles;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(RunTile(index, tile, scratch));
    }
  }
  return absl::OkStatus();
}

}  // namespace attn
