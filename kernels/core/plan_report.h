// The plan of dense attention as an output of the call: at which block sizes, within which bound.
#ifndef ATTN_KERNELS_CORE_PLAN_REPORT_H_
#define ATTN_KERNELS_CORE_PLAN_REPORT_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/planning.h"

namespace attn {

// Edge of the blocks of a reported plan where nobody names one.
inline constexpr int64_t kDefaultReportBlock = 64;

// Of problems without an expression: the plan to materialise when wanted.plan is set, at the block
// sizes that the call wants, else the defaults given here. Borrows the problem's mask.
ImplicitPlan ReportedDensePlan(const AttentionProblem& problem,
                               int64_t default_block_q = kDefaultReportBlock,
                               int64_t default_block_k = kDefaultReportBlock);

// The same of any problem, mask and expression together, planned in phases of tiles; the plan is
// listed (mask_planning.h). Asked only where wanted.plan is set and CheckReportedDensePlan passed.
// Borrows the call.
std::unique_ptr<Planning> PlanReport(const AttentionCall& call,
                                     int64_t default_block_q = kDefaultReportBlock,
                                     int64_t default_block_k = kDefaultReportBlock);

// `plan` as an output: explicit, and borrowing nothing, so that it outlives its planning.
BlockPlan ReportedPlan(Plan plan);

// INVALID_ARGUMENT if its blocks are out of range or it would exceed kMaxReportedPlanEntries (heads
// count where the expression tells them apart). OK where no plan is wanted.
absl::Status CheckReportedDensePlan(const AttentionProblem& problem,
                                    int64_t default_block_q = kDefaultReportBlock,
                                    int64_t default_block_k = kDefaultReportBlock);

// Memory that planning and materialising it takes at most, where the defaults are at least
// `smallest_block`; 0 where no plan is wanted.
int64_t ReportedDensePlanBytes(const AttentionProblem& problem, int64_t smallest_block);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_PLAN_REPORT_H_
