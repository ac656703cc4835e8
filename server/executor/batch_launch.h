// One launch of several calls, on one thread.
#ifndef ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_
#define ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/backend.h"
#include "server/executor/running_job.h"

namespace attn {

struct LaunchEnd {
  absl::Status status;
  int64_t batch_calls = 0;  // Launched together with it, itself included.
};

// Prepares each of the calls, which are ready for a launch of `backend`, launches those that could
// be and finishes each of those. End i is call i's own: where a launch of several fails as a whole
// (it throws, or every one of them is INTERNAL), each is launched again, alone, so that a call that
// breaks a launch harms nobody else.
std::vector<LaunchEnd> LaunchTogether(const Backend& backend, std::span<RunningJob* const> calls);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_BATCH_LAUNCH_H_
