#include "kernels/core/plan_report.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status CheckReportedBlock(const char* name, int64_t block) {
  if (block >= kMinBlock && block <= kMaxBlock) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("outputs.", name, " is ", block, ", allowed: ", kMinBlock, " to ", kMaxBlock));
}

// Blocks of all samples, and of all heads where the expression tells them apart: below 2^31 * 2^31
// for a batch of 1, hence in floating point.
double EntryCount(const AttentionProblem& problem, int64_t block_q, int64_t block_k) {
  const bool per_head = problem.expression != nullptr && problem.expression->per_head();
  return static_cast<double>(problem.batch) *
         static_cast<double>(per_head ? problem.heads : int64_t{1}) *
         static_cast<double>(CeilDivide(problem.query_len, block_q)) *
         static_cast<double>(CeilDivide(problem.key_len, block_k));
}

}  // namespace

ImplicitPlan ReportedDensePlan(const AttentionProblem& problem, int64_t default_block_q,
                               int64_t default_block_k) {
  const OutputsWanted& wanted = problem.wanted;
  return {.block_q = wanted.plan_block_q != 0 ? wanted.plan_block_q : default_block_q,
          .block_k = wanted.plan_block_k != 0 ? wanted.plan_block_k : default_block_k,
          .mask = &problem.mask};
}

std::unique_ptr<Planning> PlanReport(const AttentionCall& call, int64_t default_block_q,
                                     int64_t default_block_k) {
  const ImplicitPlan blocks = ReportedDensePlan(call.problem, default_block_q, default_block_k);
  return PlanMask(
      call, {.block_q = blocks.block_q, .block_k = blocks.block_k, .implicit_intervals = false});
}

BlockPlan ReportedPlan(Plan plan) {
  if (const auto* implicit = std::get_if<ImplicitPlan>(&plan)) return implicit->Materialise();
  BlockPlan listed = std::get<BlockPlan>(std::move(plan));
  listed.mask = nullptr;
  listed.program = nullptr;
  return listed;
}

absl::Status CheckReportedDensePlan(const AttentionProblem& problem, int64_t default_block_q,
                                    int64_t default_block_k) {
  if (!problem.wanted.plan) return absl::OkStatus();
  const ImplicitPlan plan = ReportedDensePlan(problem, default_block_q, default_block_k);
  ATTN_RETURN_IF_ERROR(CheckReportedBlock("plan_block_q", plan.block_q));
  ATTN_RETURN_IF_ERROR(CheckReportedBlock("plan_block_k", plan.block_k));
  const double entries = EntryCount(problem, plan.block_q, plan.block_k);
  if (entries <= static_cast<double>(kMaxReportedPlanEntries)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("outputs.plan at blocks of ", plan.block_q, " x ", plan.block_k, " has ",
                   entries, " entries, allowed: ", kMaxReportedPlanEntries,
                   "; ask for larger blocks with outputs.plan_block_q and outputs.plan_block_k"));
}

int64_t ReportedDensePlanBytes(const AttentionProblem& problem, int64_t smallest_block) {
  const OutputsWanted& wanted = problem.wanted;
  if (!wanted.plan) return 0;
  const MaskPlanOptions options = {
      .block_q = wanted.plan_block_q > 0 ? wanted.plan_block_q : smallest_block,
      .block_k = wanted.plan_block_k > 0 ? wanted.plan_block_k : smallest_block,
      .implicit_intervals = false};
  return MaskPlanBytes(problem, options, kMaxReportedPlanEntries);
}

}  // namespace attn
