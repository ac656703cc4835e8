#include "kernels/stages/staged_backend.h"

#include <span>
#include <utility>
#include <vector>

#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"
#include "kernels/stages/staged_execution.h"
#include "kernels/stages/staged_tensors.h"

namespace attn {
namespace {

constexpr Feature kStageFeatures[] = {Feature::kRotary, Feature::kOriginalSeqLen,
                                      Feature::kSkipScores, Feature::kGate};

// Whether something may be done to the output before it is rounded; of weights only the values
// tell.
bool MayRefine(const CallStages& stages) {
  return stages.gate.form != GateForm::kNone || !stages.skip_scores.sample_weights.empty();
}

class StagedBackend final : public Backend {
 public:
  StagedBackend(std::unique_ptr<Backend> inner, BufferPool buffers)
      : inner_(std::move(inner)), buffers_(std::move(buffers)), info_(inner_->info()) {
    for (const Feature feature : kStageFeatures) {
      if (!info_.capabilities.Has(feature)) info_.capabilities.features.push_back(feature);
    }
  }

  const BackendInfo& info() const override { return info_; }
  absl::Status Available() const override { return inner_->Available(); }
  bool launches_batches() const override { return inner_->launches_batches(); }

  absl::Status Supports(const AttentionProblem& problem) const override {
    if (!problem.stages.any()) return inner_->Supports(problem);
    ATTN_RETURN_IF_ERROR(info_.capabilities.Check(info_.name, problem));
    return inner_->Supports(InnerProblem(*inner_, problem, /*refined=*/false));
  }

  absl::Status Check(const AttentionProblem& problem, const OptionMap& options) const override {
    if (!problem.stages.any()) return inner_->Check(problem, options);
    ATTN_RETURN_IF_ERROR(CheckSkippedOutputs(problem));
    return inner_->Check(InnerProblem(*inner_, problem, /*refined=*/false), options);
  }

  int64_t WorkspaceBytes(const AttentionProblem& problem, const OptionMap& options) const override {
    if (!problem.stages.any()) return inner_->WorkspaceBytes(problem, options);
    const AttentionProblem inner = InnerProblem(*inner_, problem, MayRefine(problem.stages));
    const bool counts_idle =
        problem.expression != nullptr && problem.stages.skip_scores.mode != SkipMode::kNone;
    const int64_t program_bytes = counts_idle ? problem.expression->program_bytes() : 0;
    return SaturatingAdd(
        inner_->WorkspaceBytes(inner, options),
        SaturatingAdd(StagedTensors::Bytes(problem, inner.out_dtype), program_bytes));
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    if (!call.problem.stages.any()) return inner_->Prepare(call);
    BufferPool buffers = buffers_;
    return StagedExecution::Create(call, *inner_, buffers);
  }

  void Launch(std::span<Execution* const> executions,
              std::span<absl::Status> statuses) const override;

 private:
  const std::unique_ptr<Backend> inner_;
  const BufferPool buffers_;
  BackendInfo info_;
};

// Those with stages are launched together with those without. The stages run on the calling
// thread: a launch is one.
void StagedBackend::Launch(std::span<Execution* const> executions,
                           std::span<absl::Status> statuses) const {
  Scratch scratch;
  std::vector<Execution*> launched;
  std::vector<size_t> places;                               // Of each launched execution among all.
  std::vector<StagedExecution*> staged(executions.size());  // Null = the inner backend's own.
  for (size_t i = 0; i < executions.size(); ++i) {
    staged[i] = dynamic_cast<StagedExecution*>(executions[i]);
    if (staged[i] != nullptr) statuses[i] = staged[i]->RunCopies(scratch);
    Execution* const inner = staged[i] == nullptr ? executions[i] : staged[i]->inner();
    if (!statuses[i].ok() || inner == nullptr) continue;
    launched.push_back(inner);
    places.push_back(i);
  }
  std::vector<absl::Status> ends(launched.size());
  if (!launched.empty()) inner_->Launch(launched, ends);
  for (size_t i = 0; i < launched.size(); ++i) statuses[places[i]] = std::move(ends[i]);
  for (size_t i = 0; i < executions.size(); ++i) {
    if (staged[i] == nullptr || !statuses[i].ok()) continue;
    statuses[i] = staged[i]->RunOutputPass(scratch);
  }
}

}  // namespace

std::unique_ptr<Backend> WithStages(std::unique_ptr<Backend> inner, BufferPool buffers) {
  return std::make_unique<StagedBackend>(std::move(inner), std::move(buffers));
}

}  // namespace attn
