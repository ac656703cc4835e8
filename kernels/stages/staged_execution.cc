#include "kernels/stages/staged_execution.h"

#include <algorithm>
#include <string>
#include <utility>

#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Score elements of dense attention, all heads of the samples that are idle. As everywhere, what an
// expression hides counts.
double IdleElements(const AttentionCall& call) {
  const AttentionProblem& problem = call.problem;
  if (call.idle_samples.empty()) return 0;
  const auto idle = std::count(call.idle_samples.begin(), call.idle_samples.end(), true);
  if (!problem.mask.per_sample()) {
    return problem.VisibleElements() / static_cast<double>(problem.batch) *
           static_cast<double>(idle);
  }
  double elements = 0;
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t query = 0; call.idle(b) && query < problem.query_len; ++query) {
      elements += static_cast<double>(problem.mask.VisibleKeys(b, query).size());
    }
  }
  return elements * static_cast<double>(problem.heads);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StagedExecution>> StagedExecution::Create(const AttentionCall& call,
                                                                         const Backend& inner,
                                                                         BufferPool& buffers) {
  const AttentionProblem& problem = call.problem;
  ATTN_ASSIGN_OR_RETURN(SkipWeights weights, SkipWeights::Create(call));
  const bool computes = !weights.all_zero() || problem.wanted.plan;
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
      output_(call, weights, {ReadOnly(tensors_.out), ReadOnly(tensors_.lse)}) {
  const Rotary& rotary = call.problem.stages.rotary;
  if (rotary.form != RotaryForm::kNone) rotary_.emplace(rotary, call.extra);
  FillInnerCall(std::move(inner_problem));
  inner_call_.idle_samples = weights.Skipped();
}

// Of the call's own tensors the tokens in front of the padding; copies where there are some.
void StagedExecution::FillInnerCall(AttentionProblem inner_problem) {
  const AttentionProblem& problem = call_.problem;
  const ReplicatedTokens& replicated = problem.stages.replicated;
  const int64_t queries = problem.query_len - replicated.query_len;
  const int64_t keys = problem.key_len - replicated.key_len;
  const auto input = [](const MutableTensorView& copy, const TensorView& own, int64_t tokens) {
    return copy.empty() ? FirstTokens(own, tokens) : ReadOnly(copy);
  };
  const auto output = [queries](const MutableTensorView& copy, const MutableTensorView& own) {
    return copy.empty() && !own.empty() ? FirstTokens(own, queries) : copy;
  };
  inner_call_.problem = std::move(inner_problem);
  inner_call_.options = call_.options;
  inner_call_.q = input(tensors_.q, call_.q, queries);
  inner_call_.k = input(tensors_.k, call_.k, keys);
  inner_call_.v = input(tensors_.v, call_.v, keys);
  inner_call_.extra = call_.extra;
  inner_call_.out = output(tensors_.out, call_.out);
  inner_call_.lse = output(tensors_.lse, call_.lse);
  inner_call_.weights = call_.weights;
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
  if (index <= inner_phase_count()) return inner_->phase(index - 1);
  return {Stage::kKernel, output_.tiles()};
}

absl::Status StagedExecution::RunTile(int phase, int64_t tile, Scratch& scratch) {
  if (phase == 0) return copies_.RunTile(tile, scratch);
  if (phase <= inner_phase_count()) return inner_->RunTile(phase - 1, tile, scratch);
  return output_.RunTile(tile, scratch);
}

absl::StatusOr<RunResult> StagedExecution::Finish() {
  if (inner_ == nullptr) {
    return RunResult{.stats = {.dense_elements = call_.problem.VisibleElements()}};
  }
  ATTN_ASSIGN_OR_RETURN(RunResult result, inner_->Finish());
  // At most: a backend that computes idle samples has counted them.
  result.stats.dense_elements = std::min(result.stats.dense_elements + IdleElements(inner_call_),
                                         call_.problem.VisibleElements());
  return result;
}

absl::Status StagedExecution::RunCopies(Scratch& scratch) const {
  for (int64_t tile = 0; tile < copies_.tiles(); ++tile) {
    scratch.Reset();
    ATTN_RETURN_IF_ERROR(copies_.RunTile(tile, scratch));
  }
  return absl::OkStatus();
}

absl::Status StagedExecution::RunOutputPass(Scratch& scratch) const {
  for (int64_t tile = 0; tile < output_.tiles(); ++tile) {
    scratch.Reset();
    ATTN_RETURN_IF_ERROR(output_.RunTile(tile, scratch));
  }
  return absl::OkStatus();
}

}  // namespace attn
