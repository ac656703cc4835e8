// Ways to run a call or a plan in tests.
#ifndef ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_
#define ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/run_stats.h"

namespace attn {

// Runs the tiles of each phase in an order drawn from `seed` on `threads` threads.
absl::StatusOr<RunResult> RunOnThreads(const Backend& backend, const AttentionCall& call,
                                       int threads, uint64_t seed);

// Runs the CPU's engine on a plan, tile by tile.
absl::StatusOr<RunStats> RunPlan(const AttentionCall& call, const Plan& plan);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_
