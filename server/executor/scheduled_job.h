// An admitted job and where it stands in the executor's accounts.
#ifndef ATTN_SERVER_EXECUTOR_SCHEDULED_JOB_H_
#define ATTN_SERVER_EXECUTOR_SCHEDULED_JOB_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/executor/executor.h"
#include "server/executor/running_job.h"

namespace attn {

// Guarded by the executor's lock, `work` apart, which has its own rules.
struct ScheduledJob {
  explicit ScheduledJob(Job job) : work(std::move(job)) {}

  const Job& job() const { return work.job(); }

  RunningJob work;
  JobId id = 0;
  absl::Duration expected_service;  // Workers' time by what was measured; zero if unknown.
  absl::Duration service;           // Workers' time so far.

  // The current stretch of tiles.
  int64_t tiles = 0;
  int64_t next_tile = 0;  // The first that was not handed out.
  int64_t in_flight = 0;  // Handed out and not returned.

  bool admitted = false;    // Counted by Admission.
  bool launched = false;    // No longer waiting.
  bool holds_slot = false;  // One of max_running.
  bool gathering = false;   // In the LaunchQueue.
  absl::Time due;           // While gathering: waits for company no longer.
  int64_t batch_calls = 0;  // Launched together.

  absl::Status stop;  // If not OK: no tile is handed out any more, and the job ends with this.
  CallEnd stop_end = CallEnd::kFinished;  // What the call is counted as when it ends with `stop`.
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_SCHEDULED_JOB_H_
