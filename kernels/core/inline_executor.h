// Runs a call to its end on the calling thread: for tests, tools and examples. Servers use
// server/executor.
#ifndef ATTN_KERNELS_CORE_INLINE_EXECUTOR_H_
#define ATTN_KERNELS_CORE_INLINE_EXECUTOR_H_

#include "absl/status/statusor.h"
#include "kernels/core/backend.h"

namespace attn {

// Checks Available, Supports and the options, then runs every tile in order.
absl::StatusOr<RunResult> RunInline(const Backend& backend, const AttentionCall& call);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_INLINE_EXECUTOR_H_
