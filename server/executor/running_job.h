// One admitted call on its way through its stretches of tiles: placing its memory, the copies, then
// each phase of the backend's execution, or a launch.
#ifndef ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_
#define ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

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
//   Advance, Prepare, UndoPrepare, Finish, Close, Report   one thread, while no tile runs
// Exceptions of a backend stop here and become the call's status.
class RunningJob {
 public:
  // What comes after a stretch.
  struct Next {
    enum class Step { kTiles, kLaunch, kDone };
    Step step = Step::kDone;
    int64_t tiles = 0;  // Of the next stretch: positive with kTiles.
  };

  // The first stretch is one tile, for every job: it places the memory and copies what is little.
  static constexpr int64_t kFirstTiles = 1;

  // The call starts to wait.
  explicit RunningJob(Job job);

  const Job& job() const { return job_; }

  void BeginStretch();
  absl::Status RunTile(int64_t tile, Scratch& scratch);

  // Ends the stretch and goes on to the next that has tiles, to where the call is ready for a
  // launch, or to its end.
  absl::StatusOr<Next> Advance();

  // The two sides of a launch, which is a stretch without tiles. The execution lives until Close.
  absl::StatusOr<Execution*> Prepare();
  absl::Status Finish();
  // After a launch that is to be done again: ready for Prepare. Its time counts as in the queue.
  void UndoPrepare();

  // Whether its first stretch has begun.
  bool begun() const { return begun_; }
  // Whether the call was launched with its memory in place: it ran, if only to an error.
  bool ran() const { return placed_ && launched_ != Clock::time_point(); }
  // Launch to now; zero before.
  absl::Duration run_time() const;

  // Destroys the execution: nothing touches the call's memory any more.
  void Close();
  // Calls `done`. After Close, once.
  void Report(absl::Status status, CallEnd end, int64_t batch_calls);

 private:
  using Clock = std::chrono::steady_clock;

  absl::Status Place();
  // The queue ends here.
  void Launch();
  // Attributes the time of the stretch under way, if one is, to its stage.
  void EndStretch();
  absl::StatusOr<int64_t> NextPhase();
  // Until now, less what was spent on copies meanwhile.
  int64_t QueueNanoseconds() const;

  static constexpr int kPlacing = -2;
  static constexpr int kCopying = -1;

  Job job_;
  std::optional<PayloadGather> gather_;  // Once placed.
  bool begun_ = false;
  bool placed_ = false;
  const Clock::time_point admitted_;
  Clock::time_point launched_;       // Epoch before launch.
  Clock::time_point stretch_began_;  // Epoch between stretches.
  std::unique_ptr<Execution> execution_;
  int phase_ = kPlacing;  // From 0 on the execution's.
  int64_t StageTimes::*stage_ = &StageTimes::decode_ns;
  StageTimes times_;
  RunResult result_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_RUNNING_JOB_H_
