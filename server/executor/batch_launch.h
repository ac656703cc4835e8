// One launch of several calls, on one thread.
#ifndef ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_
#define ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/backend.h"
#include "server/executor/running_job.h"

namespace attn {

// Prepares each of the calls, which are ready for a launch of `backend`, launches those that could
// be and finishes each of those. Result i is call i's own.
std::vector<absl::Status> LaunchTogether(const Backend& backend,
                                         std::span<RunningJob* const> calls);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_
