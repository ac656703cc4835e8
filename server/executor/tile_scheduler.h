// Which tile runs next.
//
// Callers take turns, one tile a turn, so that a small call does not wait behind every tile of
// another caller's huge one. Within a caller the earliest call goes first; a later one is launched
// as soon as the earlier ones have no tile left to hand out, and as long as at most `max_running`
// calls are launched. So a caller holds no more of those places than its turns can use.
#ifndef ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_
#define ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "server/executor/executor.h"
#include "server/executor/running_job.h"

namespace attn {

// A job and the state of its current stretch of tiles.
struct ScheduledJob {
  explicit ScheduledJob(Job job) : work(std::move(job)) {}

  RunningJob work;
  JobId id = 0;
  int64_t tiles = 0;
  int64_t next_tile = 0;  // The first that was not handed out.
  int64_t in_flight = 0;  // Handed out and not returned.
  bool launched = false;
  absl::Status stop;  // If not OK: no tile is handed out any more, and the job ends with this.
};

struct TileClaim {
  ScheduledJob* job = nullptr;
  int64_t tile = 0;
  bool launch = false;  // The job's first tile.
};

// Owns the admitted jobs. Knows no threads: the executor's lock guards it and the ScheduledJobs
// (their `work` apart, which has its own rules). A job is at any time in one of three hands:
//   offered   tiles left to hand out
//   running   none left to hand out, or stopped, but some in flight
//   held      by the thread that Return or Stop told so, which must Offer or Remove it
class TileScheduler {
 public:
  explicit TileScheduler(int max_running) : max_running_(max_running) {}

  // Takes the job in under a new id and offers its first stretch.
  ScheduledJob& Admit(std::unique_ptr<ScheduledJob> job);

  bool has_claimable() const { return !turns_.empty(); }
  std::optional<TileClaim> Claim();

  // Gives a claimed tile back; a bad status stops the job. True: the caller now holds the job.
  bool Return(ScheduledJob& job, absl::Status status);

  // Of a held job: its next stretch, tiles > 0.
  void Offer(ScheduledJob& job, int64_t tiles);

  // The first reason stays. True: the caller now holds the job; false: whoever has it ends it.
  bool Stop(ScheduledJob& job, absl::Status why);

  // Of a held job: it has ended.
  std::unique_ptr<ScheduledJob> Remove(ScheduledJob& job);

  // Null if unknown.
  ScheduledJob* Find(JobId id);
  const std::map<JobId, std::unique_ptr<ScheduledJob>>& jobs() const { return jobs_; }

  int64_t waiting() const { return static_cast<int64_t>(jobs_.size()) - running_; }
  int64_t running() const { return running_; }

 private:
  struct Caller {
    std::string id;
    std::map<JobId, ScheduledJob*> offered;  // Never empty; launched ones come first.
    bool full = false;                       // In full_, else in turns_.
  };

  void Withdraw(ScheduledJob& job);  // Opposite of Offer.
  void Halt(ScheduledJob& job, absl::Status why);
  // Restores the invariant after a change: the caller whose turn it is may claim.
  void Settle();

  const int64_t max_running_;
  int64_t running_ = 0;  // Launched and not ended.
  JobId last_id_ = 0;
  std::map<JobId, std::unique_ptr<ScheduledJob>> jobs_;
  std::list<Caller> turns_;  // The front's turn is next.
  std::list<Caller> full_;   // Would need to launch a call while max_running_ are.
  std::unordered_map<std::string, std::list<Caller>::iterator> callers_;  // Of both lists.
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_
