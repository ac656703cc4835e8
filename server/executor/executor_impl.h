// The executor behind its interface: what one lock guards, and the threads that share it.
//
//   executor.cc          what callers do: submit, cancel, drain, change limits
//   executor_threads.cc  what its threads do: tiles, launches, ends
#ifndef ATTN_SERVER_EXECUTOR_EXECUTOR_IMPL_H_
#define ATTN_SERVER_EXECUTOR_EXECUTOR_IMPL_H_

#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/scratch.h"
#include "server/executor/admission.h"
#include "server/executor/executor.h"
#include "server/executor/launch_queue.h"
#include "server/executor/run_time_estimate.h"
#include "server/executor/scheduled_job.h"
#include "server/executor/tile_scheduler.h"

namespace attn {

class Executor::Impl {
 public:
  Impl(int workers, const ExecutorLimits& limits, CallObserver* observer)
      : worker_count_(workers), observer_(observer), admission_(limits), scheduler_(limits) {}
  ~Impl();

  // Throws std::system_error if the system has no more threads, and is bad if it does not let them
  // run where they are placed; those started are joined by the destructor.
  absl::Status StartThreads(const WorkerPlacement& placement);

  absl::StatusOr<JobId> Submit(Job job);
  void Cancel(JobId id);
  void SetLimits(const ExecutorLimits& limits);  // Valid ones.
  void StopAdmitting();
  bool Drain(absl::Duration limit);
  ExecutorLimits limits() const;
  QueueLoad load() const;
  bool draining() const;
  int workers() const { return worker_count_; }

 private:
  struct Worker {
    Scratch scratch;
    absl::CondVar wake;
    std::atomic<bool> awake = true;  // Written under mutex_.
    bool watching = false;           // Looks at `awake` by itself. Guarded by mutex_.
    std::thread thread;
  };

  // Bodies of the threads.
  void Work(Worker& self);
  void Watch();

  // Until there is something for the worker.
  void Idle(Worker& self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunTile(const TileClaim& claim, Scratch& scratch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a held job: its next stretch, its wait for a launch, or its end.
  void Continue(ScheduledJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next batch less the calls that are surely late; nothing if none is due.
  std::optional<LaunchBatch> TakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunBatch(const LaunchBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a call that was computed to its end: what it took.
  void Measure(const ScheduledJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a held job: takes it out of every account and reports, the latter without the lock.
  void End(ScheduledJob& job, absl::Status status, CallEnd end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndStopped(ScheduledJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    End(job, job.stop, job.stop_end);
  }

  void Stop(ScheduledJob& job, absl::Status why, CallEnd end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopExpired(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Bad if the call is surely late: one that comes, and one about to be launched.
  absl::Status CheckAdmissible(const ScheduledJob& job, absl::Time now) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status CheckLaunchable(const ScheduledJob& job) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Until when a call that is ready for a launch waits for company.
  absl::Time CompanyDue(const Job& job, absl::Time now) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // By which calls that wait for company are due: all of them once no more calls come.
  absl::Time LaunchTime(absl::Time now) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // Wakes one worker if there is something for it. It wakes the next, so that nobody pays for all
  // and a call of one tile wakes one.
  void WakeWorker(absl::Time now = absl::Now()) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Has the watch look again by then.
  void WatchBy(absl::Time time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int worker_count_;  // What threads know of workers_, which grows while the first run.
  CallObserver* const observer_;
  // Of the thread that creates and destroys the executor. A deque: emplace_back moves no worker, to
  // which its own thread and idle_ point. What mutex_ guards of one is said there.
  std::deque<Worker> workers_;
  std::thread watch_thread_;

  mutable absl::Mutex mutex_;
  Admission admission_ ABSL_GUARDED_BY(mutex_);
  TileScheduler scheduler_ ABSL_GUARDED_BY(mutex_);
  LaunchQueue launches_ ABSL_GUARDED_BY(mutex_);
  RunTimeEstimate estimate_ ABSL_GUARDED_BY(mutex_);
  JobId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Worker*> idle_ ABSL_GUARDED_BY(mutex_);  // The last to fall idle wakes first: warm.
  std::set<std::pair<absl::Time, JobId>> deadlines_ ABSL_GUARDED_BY(mutex_);
  std::deque<ScheduledJob*> stopped_ ABSL_GUARDED_BY(mutex_);  // Held, for the watch to end.
  absl::CondVar watch_;
  absl::Time watch_wakes_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // Past: is awake.
  int64_t unended_ ABSL_GUARDED_BY(mutex_) = 0;  // Admitted jobs whose `done` has not returned.
  absl::CondVar all_ended_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_EXECUTOR_IMPL_H_
