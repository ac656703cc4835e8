// Which tile runs next.
//
// Classes take turns (ClassTurns), and within a class callers, one tile a turn, so that a small
// call does not wait behind every tile of another caller's huge one. A tile that took longer than
// a turn is meant to take is paid for: its caller lets others go first for as many turns, and it
// counts as so many of its class. Within a caller the earliest call goes first; a later one is
// launched as soon as the earlier ones have no tile left to hand out, and as long as a slot is
// free: at most `max_running` calls are launched.
//
// Slots. A slot that falls free goes to the caller that has waited longest for a turn, so a caller
// holds no more of them than its turns can use, and none for longer than one of its calls. Batch
// calls leave a quarter of the slots to interactive ones (where there are two or more); interactive
// calls may take them all, but when it is a batch call's turn and it finds none free, the next one
// is kept for it.
//
// Batches. A launch takes along the waiting calls of the same backend whose callers' turns come
// next, one a caller: those whose tiles interleave with it.
//
// Calls of backends that launch batches pass through here for their copies alone: they need no
// slot for that and are never launched here.
#ifndef ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_
#define ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/executor/class_turns.h"
#include "server/executor/executor.h"
#include "server/executor/scheduled_job.h"

namespace attn {

struct TileClaim {
  ScheduledJob* job = nullptr;
  int64_t tile = 0;
  absl::InlinedVector<ScheduledJob*, 1> launched;  // By this claim: the job and its batch, or none.
};

// Owns the admitted jobs. Knows no threads: the executor's lock guards it. A job is at any time in
// one of three hands:
//   offered   tiles left to hand out
//   running   none left to hand out, or stopped, but some in flight
//   held      by whom Return or Stop told so, or the LaunchQueue: who must Offer or Remove it
class TileScheduler {
 public:
  explicit TileScheduler(const ExecutorLimits& limits) : limits_(limits) {}

  void SetLimits(const ExecutorLimits& limits);

  // Takes the job in, under its id, and offers its first stretch.
  ScheduledJob& Admit(std::unique_ptr<ScheduledJob> job, int64_t tiles);

  bool has_claimable() const { return !line(0).ready.empty() || !line(1).ready.empty(); }
  std::optional<TileClaim> Claim();

  // Gives a claimed tile back, which took `service`; a bad status stops the job. True: the caller
  // now holds the job.
  bool Return(ScheduledJob& job, absl::Status status,
              absl::Duration service = absl::ZeroDuration());

  // Of a held job: its next stretch, tiles > 0.
  void Offer(ScheduledJob& job, int64_t tiles);

  // The first reason stays. True: the caller now holds the job; false: whoever has it ends it.
  bool Stop(ScheduledJob& job, absl::Status why, CallEnd end);

  // Of a held job: it has ended.
  std::unique_ptr<ScheduledJob> Remove(ScheduledJob& job);

  // Null if unknown.
  ScheduledJob* Find(JobId id);
  const std::map<JobId, std::unique_ptr<ScheduledJob>>& jobs() const { return jobs_; }

 private:
  struct Caller {
    std::string id;
    std::map<JobId, ScheduledJob*> offered;  // Never empty; launched ones come first.
    bool full = false;                       // In Line::full, else in Line::ready.
    int64_t owed_turns = 0;                  // For tiles that took long.
  };
  using Callers = std::unordered_map<std::string, std::list<Caller>::iterator>;
  // The callers of one class.
  struct Line {
    std::list<Caller> ready;  // The front's turn is next, and it can take it.
    std::list<Caller> full;   // Would need to launch a call and found no slot.
    // Of both lists. Calls that need no slot are a caller of their own: they wait for none.
    std::array<Callers, 2> callers;
    int64_t slots = 0;  // Held.
  };

  Line& line(Priority priority) { return lines_[static_cast<size_t>(priority)]; }
  const Line& line(size_t index) const { return lines_[index]; }

  Callers& CallersOf(const ScheduledJob& job) {
    return line(job.job().priority).callers[job.job().backend->launches_batches() ? 1 : 0];
  }
  void Charge(const ScheduledJob& job, absl::Duration service);
  // Passes over callers at the front that owe turns, as long as the next can take its.
  static void PassOver(Line& its, bool slot_free);
  void Launch(ScheduledJob& job, TileClaim& claim);
  int64_t FreeSlots(Priority priority) const;
  void Withdraw(ScheduledJob& job);  // Opposite of Offer.
  void Halt(ScheduledJob& job, absl::Status why);
  // Restores the invariant of Line::ready after a change.
  void Settle();
  void Settle(Priority priority);

  ExecutorLimits limits_;
  ClassTurns turns_;
  std::array<Line, kPriorities> lines_;
  std::map<JobId, std::unique_ptr<ScheduledJob>> jobs_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_TILE_SCHEDULER_H_
