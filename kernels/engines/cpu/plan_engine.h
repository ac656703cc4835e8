// THE engine of the CPU: blocked online softmax over any plan, implicit or explicit.
//
// Phase 0 packs the keys and values that the plan lists (packed_blocks.h). Phase 1 runs units
// (work_split.h): rows that share keys, against a stretch of their row of the plan, score tile by
// score tile (packed_unit.h, or streamed_unit.h where rows are few). Phase 2 merges rows whose keys
// were split (split_outputs.h). What is computed, in which order, depends on the call, the plan and
// the instruction set alone: neither the number of workers nor the order of tiles shows.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_
#define ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/run_stats.h"
#include "kernels/core/scratch.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/packed_blocks.h"
#include "kernels/engines/cpu/split_outputs.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/unit_context.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// One call under one plan. Borrows both, and the device. Idle samples are not computed, nor are
// their elements counted. Phases, tiles and scratch are those of
// backend.h; a backend's execution offers them as its own, after its planning phases.
class PlanEngine {
 public:
  static constexpr int kPhaseCount = 3;

  // Memory that an engine takes for a dense call in blocks of `block_q` x `block_k` or larger.
  static int64_t DenseBytes(const AttentionProblem& problem, const CpuDevice& device,
                            int64_t block_q, int64_t block_k);

  // Likewise for an explicit plan without pools, whatever its rows share.
  static int64_t ListedBytes(const AttentionProblem& problem, const CpuDevice& device,
                             int64_t block_q, int64_t block_k);

  // ValidatePlan's error if the plan does not fit the call, UNIMPLEMENTED if it has pools and the
  // call a bias or ALiBi slopes, RESOURCE_EXHAUSTED if the system has no memory. Slopes and
  // sinks are read here.
  static absl::StatusOr<std::unique_ptr<PlanEngine>> Create(const AttentionCall& call,
                                                            const Plan& plan, CpuDevice& device);

  Phase phase(int index) const;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch);

  // After all tiles.
  RunStats stats() const;

  // Taken from the device's workspace.
  int64_t workspace_bytes() const;

 private:
  PlanEngine(const AttentionCall& call, const Plan& plan, const CpuDevice& device, bool streamed);

  absl::Status Allocate(CpuDevice& device);
  double Work() const;
  double ListedElements() const;
  absl::Status RunUnits(int64_t tile, Scratch& scratch);
  double RunUnit(const Unit& unit, const UnitWorkspace& work) const;
  absl::Status MergeGroup(int64_t group, Scratch& scratch) const;

  const bool streamed_;
  const WorkSplit split_;
  const UnitContext context_;
  std::optional<PackedBlocks> packed_;         // Unless streamed.
  std::optional<SplitOutputs> split_outputs_;  // Where keys are split.
  int64_t units_per_tile_ = 1;
  double dense_elements_ = 0;
  std::vector<double> tile_elements_;  // Written by each tile, summed in order.
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_
