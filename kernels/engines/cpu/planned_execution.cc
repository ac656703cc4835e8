#include "kernels/engines/cpu/planned_execution.h"

#include <utility>
#include <variant>

#include "kernels/core/mask_program.h"
#include "kernels/core/plan_report.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Listed blocks over all blocks, of the rows that the plan has.
double BlockDensity(const BlockPlan& plan) {
  const auto rows = static_cast<double>(plan.row_begin.size() - 1);
  return static_cast<double>(plan.entries.size()) / (rows * static_cast<double>(plan.key_blocks()));
}

}  // namespace

PlannedExecution::PlannedExecution(const AttentionCall& call, std::unique_ptr<Planning> planning,
                                   PlannedReport report, std::shared_ptr<CpuDevice> device)
    : call_(call),
      device_(std::move(device)),
      planning_(std::move(planning)),
      report_(std::move(report)) {}

int PlannedExecution::phase_count() const {
  const int other = report_.other == nullptr ? 0 : report_.other->phase_count();
  return planning_->phase_count() + other + 1 + PlanEngine::kPhaseCount;
}

PlannedExecution::Place PlannedExecution::PlaceOf(int phase) const {
  if (phase < planning_->phase_count()) return {Part::kPlanning, phase};
  phase -= planning_->phase_count();
  const int other = report_.other == nullptr ? 0 : report_.other->phase_count();
  if (phase < other) return {Part::kOther, phase};
  phase -= other;
  if (phase == 0) return {Part::kSetUp, 0};
  return {Part::kEngine, phase - 1};
}

Phase PlannedExecution::phase(int index) {
  const Place place = PlaceOf(index);
  switch (place.part) {
    case Part::kPlanning:
      return {.stage = Stage::kPlan, .tiles = planning_->tiles(place.index)};
    case Part::kOther:
      return {.stage = Stage::kPlan, .tiles = report_.other->tiles(place.index)};
    case Part::kSetUp:
      return {.stage = Stage::kPlan, .tiles = 1};
    case Part::kEngine:
      break;
  }
  return engine_->phase(place.index);
}

absl::Status PlannedExecution::RunTile(int phase, int64_t tile, Scratch& scratch) {
  const Place place = PlaceOf(phase);
  switch (place.part) {
    case Part::kPlanning:
      return planning_->RunTile(place.index, tile, scratch);
    case Part::kOther:
      return report_.other->RunTile(place.index, tile, scratch);
    case Part::kSetUp:
      return SetUp();
    case Part::kEngine:
      break;
  }
  return engine_->RunTile(place.index, tile, scratch);
}

absl::Status PlannedExecution::SetUp() {
  ATTN_ASSIGN_OR_RETURN(plan_, planning_->Take());
  ATTN_ASSIGN_OR_RETURN(engine_, PlanEngine::Create(call_, *plan_, *device_));
  return absl::OkStatus();
}

absl::StatusOr<RunResult> PlannedExecution::Finish() {
  const auto* listed = std::get_if<BlockPlan>(&*plan_);
  if (listed != nullptr && listed->program != nullptr) {
    ATTN_RETURN_IF_ERROR(listed->program->status());
  }
  RunResult result = {.stats = engine_->stats(), .plan = std::nullopt};
  if (report_.exact) result.stats.dense_elements = result.stats.computed_elements;
  if (report_.counts_blocks && listed != nullptr) {
    result.stats.block_density = BlockDensity(*listed);
  }
  if (report_.other != nullptr) {
    ATTN_ASSIGN_OR_RETURN(Plan other, report_.other->Take());
    result.plan = ReportedPlan(std::move(other));
  } else if (report_.returns_plan) {
    engine_.reset();  // It borrows what is given away.
    result.plan = ReportedPlan(*std::move(plan_));
  }
  return result;
}

}  // namespace attn
