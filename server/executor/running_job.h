// One admitted call on its way through its stretches of tiles: the copies, then each phase of the
// backend's execution.
#ifndef ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_
#define ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/core/backend.h"
#include "kernels/core/run_stats.h"
#include "kernels/core/scratch.h"
#include "server/executor/executor.h"
#include "server/executor/payload_gather.h"

namespace attn {

// Not synchronised, but the executor's lock lies between these steps:
//   BeginStretch             one thread, before the stretch's first tile
//   RunTile                  distinct tiles on any threads at once
//   Advance, Close, Report   one thread, while no tile runs
// Exceptions of a backend stop here and become the call's status.
class RunningJob {
 public:
  // The call starts to wait.
  explicit RunningJob(Job job);

  const Job& job() const { return job_; }

  // Tiles of the first stretch, the copies: at least one, so that every job is launched by a
  // worker.
  int64_t first_tiles() const { return std::max<int64_t>(gather_.tiles(), 1); }

  void BeginStretch();
  absl::Status RunTile(int64_t tile, Scratch& scratch);

  // Ends the stretch and goes on to the next that has tiles; returns their number, 0 when the call
  // is complete.
  absl::StatusOr<int64_t> Advance();

  // Launch to now; zero before.
  absl::Duration run_time() const;

  // Destroys the execution: nothing touches the call's memory any more.
  void Close();
  // Calls `done`. After Close, once.
  void Report(absl::Status status);

 private:
  using Clock = std::chrono::steady_clock;

  // Attributes the time of the stretch under way, if one is, to its stage.
  void EndStretch();
  absl::StatusOr<int64_t> NextPhase();

  Job job_;
  const PayloadGather gather_;
  const Clock::time_point admitted_;
  Clock::time_point launched_;       // Epoch before launch.
  Clock::time_point stretch_began_;  // Epoch between stretches.
  std::unique_ptr<Execution> execution_;
  int phase_ = -1;  // -1: copies.
  int64_t StageTimes::*stage_ = &StageTimes::decode_ns;
  StageTimes times_;
  RunResult result_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_
