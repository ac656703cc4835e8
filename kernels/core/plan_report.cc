#include "kernels/core/plan_report.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status CheckReportedBlock(const char* name, int64_t block) {
  if (block >= kMinBlock && block <= kMaxBlock) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("outputs.", name, " is ", block, ", allowed: ", kMinBlock, " to ", kMaxBlock));
}

// Blocks of all samples: below 2^31 * 2^31 for a batch of 1, hence in floating point.
double EntryCount(const AttentionProblem& problem, int64_t block_q, int64_t block_k) {
  const int64_t query_blocks = CeilDivide(problem.query_len, block_q);
  const int64_t key_blocks = CeilDivide(problem.key_len, block_k);
  return static_cast<double>(problem.batch) * static_cast<double>(query_blocks) *
         static_cast<double>(key_blocks);
}

}  // namespace

ImplicitPlan ReportedDensePlan(const AttentionProblem& problem, int64_t default_block_q,
                               int64_t default_block_k) {
  const OutputsWanted& wanted = problem.wanted;
  return {.block_q = wanted.plan_block_q != 0 ? wanted.plan_block_q : default_block_q,
          .block_k = wanted.plan_block_k != 0 ? wanted.plan_block_k : default_block_k,
          .mask = &problem.mask};
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
  const double entries =
      std::min(EntryCount(problem, wanted.plan_block_q > 0 ? wanted.plan_block_q : smallest_block,
                          wanted.plan_block_k > 0 ? wanted.plan_block_k : smallest_block),
               static_cast<double>(kMaxReportedPlanEntries));
  // A vector that grows by doubling holds up to three times its elements while it moves them.
  return static_cast<int64_t>(entries) * 3 * static_cast<int64_t>(sizeof(PlanEntry));
}

}  // namespace attn
