// Paying first-call costs (code paths, page faults, device modules, scratch of the workers) before
// the first caller comes.
#ifndef ATTN_SERVER_APP_WARM_UP_H_
#define ATTN_SERVER_APP_WARM_UP_H_

#include "absl/functional/function_ref.h"
#include "kernels/core/registry.h"
#include "server/executor/executor.h"
#include "server/policy/policy_state.h"
#include "server/telemetry/server_log.h"

namespace attn {

// Runs one small call through every available backend for each of its floating-point dtypes, one
// after the other, on the workers; returns when the last has ended, or after the one at hand once
// `stopping` is true. A backend that fails with INTERNAL is quarantined, as automatic: a device
// that fails its first call would fail the next one too, and an operator can release it. What else
// goes wrong is logged; calls will show it.
void WarmUp(const Registry& registry, Executor* executor, PolicyState* policy, ServerLog* log,
            absl::FunctionRef<bool()> stopping);

}  // namespace attn

#endif  // ATTN_SERVER_APP_WARM_UP_H_
