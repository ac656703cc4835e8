// A call with stages on a backend that knows none:
//   phase 0             copies of q, k, v: rotated, trimmed, joined with the replicated tokens
//   phases 1 to n       the backend's own, over what phase 0 left
//   phase n + 1         the output: values, gate, padding, and each token to its place
//   phases n + 2, n + 3 what skipped samples would have computed, where it has to be counted
#ifndef ATTN_KERNELS_STAGES_STAGED_EXECUTION_H_
#define ATTN_KERNELS_STAGES_STAGED_EXECUTION_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/scratch.h"
#include "kernels/stages/idle_elements.h"
#include "kernels/stages/output_pass.h"
#include "kernels/stages/rotary_tables.h"
#include "kernels/stages/skip_weights.h"
#include "kernels/stages/staged_tensors.h"
#include "kernels/stages/token_copies.h"

namespace attn {

// Borrows the call and the backend. Pinned: what it consists of points into it.
class StagedExecution final : public Execution {
 public:
  // INVALID_ARGUMENT names a sample whose weight cannot be; RESOURCE_EXHAUSTED without memory for
  // copies; else the error of inner.Prepare, which may not read q, k and v yet.
  static absl::StatusOr<std::unique_ptr<StagedExecution>> Create(const AttentionCall& call,
                                                                 const Backend& inner,
                                                                 BufferPool& buffers);

  StagedExecution(const StagedExecution&) = delete;
  StagedExecution& operator=(const StagedExecution&) = delete;

  int phase_count() const override { return 2 + inner_phase_count() + IdleElements::kPhaseCount; }
  Phase phase(int index) override;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override;
  absl::StatusOr<RunResult> Finish() override;

  // What lies between; null where every sample skips its scores.
  Execution* inner() const { return inner_.get(); }

  // All of the first phase, and all of those behind inner()'s, around a launch of that.
  absl::Status RunCopies(Scratch& scratch) const;
  absl::Status RunOutputPass(Scratch& scratch);

 private:
  StagedExecution(const AttentionCall& call, SkipWeights weights, StagedTensors tensors,
                  AttentionProblem inner_problem);

  void PlanCopies();
  int inner_phase_count() const { return inner_ == nullptr ? 0 : inner_->phase_count(); }

  const AttentionCall& call_;
  const StagedTensors tensors_;
  std::optional<RotaryTables> rotary_;
  TokenCopies copies_;
  const OutputPass output_;
  AttentionCall inner_call_;
  IdleElements idle_;                 // Borrows inner_call_.
  std::unique_ptr<Execution> inner_;  // Borrows inner_call_.
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_STAGED_EXECUTION_H_
