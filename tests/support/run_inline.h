// Runs a call to its end on the calling thread.
#ifndef ATTN_TESTS_SUPPORT_RUN_INLINE_H_
#define ATTN_TESTS_SUPPORT_RUN_INLINE_H_

#include "absl/status/statusor.h"
#include "kernels/core/backend.h"

namespace attn {

// Checks Available, Supports and the options as selection does, then runs every tile in order.
absl::StatusOr<RunResult> RunInline(const Backend& backend, const AttentionCall& call);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_RUN_INLINE_H_
