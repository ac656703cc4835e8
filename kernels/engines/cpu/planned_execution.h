// One call that is planned before it is computed.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLANNED_EXECUTION_H_
#define ATTN_KERNELS_ENGINES_CPU_PLANNED_EXECUTION_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/planning.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/plan_engine.h"

namespace attn {

// What a planned call says of itself when it has run.
struct PlannedReport {
  bool exact = true;                // All visible elements were computed: sparsity 0.
  bool returns_plan = false;        // The plan that ran is the one to return.
  bool counts_blocks = false;       // RunStats::block_density is to be set where blocks are listed.
  std::unique_ptr<Planning> other;  // A plan to return in its place, or null.
};

// Phases: those of the planning, those of the other plan, one tile that sets the engine up, the
// engine's. What the plan turns out to be, and whether it fits, ends the call in that tile. Borrows
// the call.
class PlannedExecution final : public Execution {
 public:
  PlannedExecution(const AttentionCall& call, std::unique_ptr<Planning> planning,
                   PlannedReport report, std::shared_ptr<CpuDevice> device);

  int phase_count() const override;
  Phase phase(int index) override;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override;
  absl::StatusOr<RunResult> Finish() override;

 private:
  // Whose a phase is.
  enum class Part { kPlanning, kOther, kSetUp, kEngine };
  struct Place {
    Part part;
    int index;  // Within the part.
  };
  Place PlaceOf(int phase) const;
  absl::Status SetUp();

  const AttentionCall& call_;
  const std::shared_ptr<CpuDevice> device_;
  const std::unique_ptr<Planning> planning_;
  PlannedReport report_;
  std::optional<Plan> plan_;  // Before the engine, which borrows it.
  std::unique_ptr<PlanEngine> engine_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLANNED_EXECUTION_H_
