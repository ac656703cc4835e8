// Attention as it is written down, in fp64: inputs are widened exactly, all scores of a row are
// held at once, every output is rounded once.
#ifndef ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_
#define ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_

#include <cstdint>
#include <optional>

#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"

namespace attn {

// Borrows the call. A tile is a group of query rows of one sample and head.
class ReferenceExecution final : public Execution {
 public:
  // Scratch of a tile whose rows see `keys` keys.
  static int64_t TileBytes(const AttentionProblem& problem, int64_t keys);

  // `report` is the plan to return, if one is wanted.
  ReferenceExecution(const AttentionCall& call, std::optional<ImplicitPlan> report);

  int phase_count() const override { return 1; }
  Phase phase(int index) override;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override;
  absl::StatusOr<RunResult> Finish() override;

 private:
  struct Tile;

  void LoadQueries(const Tile& tile) const;
  void ComputeScores(const Tile& tile) const;
  static void Normalise(Tile& tile);
  void ComputeOutput(const Tile& tile) const;
  void StoreResults(const Tile& tile) const;

  const AttentionCall& call_;
  std::optional<ImplicitPlan> report_;
  int64_t tiles_per_head_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_EXECUTION_H_
