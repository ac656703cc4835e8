// Attention as it is written down, in fp64: inputs are widened exactly, all scores of a row are
// held at once, every output is rounded once.
#ifndef ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_
#define ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/bound_modifiers.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/planning.h"
#include "kernels/engines/reference/reference_tile.h"

namespace attn {

// Phases: one tile that binds the expression where there is one, those of the plan to return,
// attention. Of attention a tile is a group of query rows of one sample and head. Borrows the call.
class ReferenceExecution final : public Execution {
 public:
  // `report` plans what to return, null where no plan is wanted.
  ReferenceExecution(const AttentionCall& call, std::unique_ptr<Planning> report);

  int phase_count() const override { return report_phases_ + 2; }
  Phase phase(int index) override;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override;
  absl::StatusOr<RunResult> Finish() override;

 private:
  absl::Status Attend(int64_t index, Scratch& scratch);
  void LoadQueries(const ReferenceTile& tile) const;
  void ComputeScores(const ReferenceTile& tile) const;
  void Normalise(ReferenceTile& tile) const;
  void ComputeOutput(const ReferenceTile& tile) const;
  void StoreResults(const ReferenceTile& tile) const;

  const AttentionCall& call_;
  const BoundModifiers modifiers_;
  const std::unique_ptr<Planning> report_;
  const int report_phases_;
  const int64_t tiles_per_head_;
  std::optional<MaskProgram> program_;  // After the first phase, where there is an expression.
  std::atomic<int64_t> elements_ = 0;   // Scores computed.
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_
