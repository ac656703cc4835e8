#include "server/executor/executor.h"

#include <algorithm>
#include <deque>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernels/core/scratch.h"
#include "kernels/core/status_macros.h"
#include "server/executor/admission.h"
#include "server/executor/tile_scheduler.h"

namespace attn {
namespace {

absl::Status CheckRange(const char* name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("executor: ", name, " is ", value, ", allowed: ", min, " to ", max));
}

absl::Status DeadlinePassed(const ScheduledJob& job) {
  return absl::DeadlineExceededError(job.launched
                                         ? "the deadline passed while the call was running"
                                         : "the deadline passed while the call was in the queue");
}

absl::Status Cancelled(const ScheduledJob& job) {
  return absl::CancelledError(job.launched ? "the call was cancelled while it was running"
                                           : "the call was cancelled while it was in the queue");
}

}  // namespace

class Executor::Impl {
 public:
  Impl(const ExecutorOptions& options, CallObserver* observer)
      : observer_(observer), admission_(options.limits), scheduler_(options.limits.max_running) {}
  ~Impl();

  // Throws std::system_error if the system has no more threads; those started are joined by the
  // destructor.
  void StartThreads(int workers);

  absl::StatusOr<JobId> Submit(Job job);
  void Cancel(JobId id);
  bool Drain(absl::Duration limit);
  QueueLoad load() const;
  bool draining() const;
  int workers() const { return static_cast<int>(workers_.size()); }

 private:
  struct Worker {
    Scratch scratch;
    absl::CondVar wake;
    bool awake = true;  // Guarded by mutex_.
    std::thread thread;
  };

  // Bodies of the threads.
  void Work(Worker& self);
  void Watch();

  void RunTile(const TileClaim& claim, Scratch& scratch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a held job that was not stopped: its next stretch, or its end.
  void Continue(ScheduledJob& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a held job: takes it out of every account and reports, the latter without the lock.
  void End(ScheduledJob& job, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stop(ScheduledJob& job, absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Wakes one worker if there is a tile for it. It wakes the next, so that nobody pays for all
  // and a call of one tile wakes one.
  void WakeWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  QueueLoad Load() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void ReportQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  CallObserver* const observer_;
  // A deque: emplace_back moves none, and running threads look at their own alone. What mutex_
  // guards of them is said there; workers() is called when all have started.
  std::deque<Worker> workers_;
  std::thread watch_thread_;

  mutable absl::Mutex mutex_;
  Admission admission_ ABSL_GUARDED_BY(mutex_);
  TileScheduler scheduler_ ABSL_GUARDED_BY(mutex_);
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

void Executor::Impl::StartThreads(int workers) {
  watch_thread_ = std::thread([this] { Watch(); });
  for (int i = 0; i < workers; ++i) {
    Worker& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker] { Work(worker); });
  }
}

Executor::Impl::~Impl() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (const auto& [id, job] : scheduler_.jobs()) {
      Stop(*job, absl::CancelledError("the server is shutting down"));
    }
    while (unended_ > 0) all_ended_.Wait(&mutex_);
    stopping_ = true;
    for (Worker* worker : idle_) {
      worker->awake = true;
      worker->wake.Signal();
    }
    watch_.Signal();
  }
  for (Worker& worker : workers_) {
    if (worker.thread.joinable()) worker.thread.join();
  }
  if (watch_thread_.joinable()) watch_thread_.join();
}

absl::StatusOr<JobId> Executor::Impl::Submit(Job job) {
  // Before the lock, so that a refused job is destroyed after it.
  auto scheduled = std::make_unique<ScheduledJob>(std::move(job));
  const absl::Time deadline = scheduled->work.job().deadline;

  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return absl::UnavailableError("the server is draining: it takes no new calls");
  }
  if (deadline <= absl::Now()) {
    return absl::DeadlineExceededError("the deadline had passed before the call was admitted");
  }
  ATTN_RETURN_IF_ERROR(admission_.Admit(scheduled->work.job().reserved_bytes, scheduler_.waiting(),
                                        scheduler_.running()));
  const JobId id = scheduler_.Admit(std::move(scheduled)).id;
  ++unended_;
  if (deadline < absl::InfiniteFuture()) {
    deadlines_.emplace(deadline, id);
    if (deadline < watch_wakes_at_) {
      watch_wakes_at_ = deadline;
      watch_.Signal();
    }
  }
  ReportQueue();
  WakeWorker();
  return id;
}

void Executor::Impl::Cancel(JobId id) {
  absl::MutexLock lock(&mutex_);
  ScheduledJob* job = scheduler_.Find(id);
  if (job == nullptr) return;
  const bool expired = job->work.job().deadline <= absl::Now();
  Stop(*job, expired ? DeadlinePassed(*job) : Cancelled(*job));
}

bool Executor::Impl::Drain(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  const absl::Time give_up = absl::Now() + limit;
  while (unended_ > 0) {
    if (all_ended_.WaitWithDeadline(&mutex_, give_up)) return unended_ == 0;
  }
  return true;
}

QueueLoad Executor::Impl::load() const {
  absl::MutexLock lock(&mutex_);
  return Load();
}

bool Executor::Impl::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

void Executor::Impl::Work(Worker& self) {
  absl::MutexLock lock(&mutex_);
  while (true) {
    if (const auto claim = scheduler_.Claim()) {
      WakeWorker();
      RunTile(*claim, self.scratch);
    } else if (stopping_) {
      return;
    } else {
      self.awake = false;
      idle_.push_back(&self);
      while (!self.awake) self.wake.Wait(&mutex_);
    }
  }
}

void Executor::Impl::RunTile(const TileClaim& claim, Scratch& scratch) {
  if (claim.tile == 0) claim.job->work.BeginStretch();
  if (claim.launch) ReportQueue();
  mutex_.Unlock();
  absl::Status status = claim.job->work.RunTile(claim.tile, scratch);
  scratch.Trim();
  mutex_.Lock();
  if (scheduler_.Return(*claim.job, std::move(status))) Continue(*claim.job);
}

void Executor::Impl::Continue(ScheduledJob& job) {
  if (!job.stop.ok()) return End(job, job.stop);
  mutex_.Unlock();
  const absl::StatusOr<int64_t> tiles = job.work.Advance();
  mutex_.Lock();
  if (!tiles.ok() || *tiles == 0) return End(job, tiles.status());
  if (!job.stop.ok()) return End(job, job.stop);
  scheduler_.Offer(job, *tiles);
}

void Executor::Impl::End(ScheduledJob& job, absl::Status status) {
  mutex_.Unlock();
  job.work.Close();  // Its workspace is free before its place is.
  mutex_.Lock();
  std::unique_ptr<ScheduledJob> ended = scheduler_.Remove(job);
  RunningJob& work = ended->work;
  // Given back before `done`: a caller may come again the moment it has its answer.
  admission_.Release(work.job().reserved_bytes, work.run_time());
  deadlines_.erase({work.job().deadline, ended->id});
  ReportQueue();
  WakeWorker();
  mutex_.Unlock();
  work.Report(std::move(status));
  ended.reset();  // `done` may own much memory.
  mutex_.Lock();
  if (--unended_ == 0) all_ended_.SignalAll();
}

void Executor::Impl::Stop(ScheduledJob& job, absl::Status why) {
  if (!scheduler_.Stop(job, std::move(why))) return;
  stopped_.push_back(&job);
  watch_.Signal();
}

void Executor::Impl::Watch() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    StopExpired();
    if (!stopped_.empty()) {
      ScheduledJob& job = *stopped_.front();
      stopped_.pop_front();
      End(job, job.stop);
      continue;
    }
    watch_wakes_at_ = deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
    watch_.WaitWithDeadline(&mutex_, watch_wakes_at_);
    watch_wakes_at_ = absl::InfinitePast();
  }
}

void Executor::Impl::StopExpired() {
  const absl::Time now = absl::Now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    ScheduledJob& job = *scheduler_.Find(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    Stop(job, DeadlinePassed(job));
  }
}

void Executor::Impl::WakeWorker() {
  if (idle_.empty() || !scheduler_.has_claimable()) return;
  Worker* worker = idle_.back();
  idle_.pop_back();
  worker->awake = true;
  worker->wake.Signal();
}

QueueLoad Executor::Impl::Load() const {
  return {{scheduler_.waiting()}, {scheduler_.running()}, {admission_.admitted_bytes()}};
}

void Executor::Impl::ReportQueue() {
  if (observer_ == nullptr) return;
  observer_->OnQueueChanged(Load());
}

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const ExecutorOptions& options,
                                                           CallObserver* observer) {
  ATTN_RETURN_IF_ERROR(CheckRange("workers", options.workers, 0, kMaxWorkers));
  ATTN_RETURN_IF_ERROR(CheckRange("max_waiting", options.limits.max_waiting, 0, kMaxWaiting));
  ATTN_RETURN_IF_ERROR(CheckRange("max_running", options.limits.max_running, 1, kMaxRunning));
  ATTN_RETURN_IF_ERROR(
      CheckRange("max_admitted_bytes", options.limits.max_admitted_bytes, 1, kMaxAdmittedBytes));
  // The standard lets hardware_concurrency be 0 where it cannot tell.
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int workers = options.workers > 0 ? options.workers : std::min(cores, kMaxWorkers);
  auto impl = std::make_unique<Impl>(options, observer);
  try {
    impl->StartThreads(workers);
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("executor: cannot start ", workers, " worker threads: ", error.what()));
  }
  return std::unique_ptr<Executor>(new Executor(std::move(impl)));
}

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executor::~Executor() = default;

absl::StatusOr<JobId> Executor::Submit(Job job) { return impl_->Submit(std::move(job)); }
void Executor::Cancel(JobId id) { impl_->Cancel(id); }
bool Executor::Drain(absl::Duration limit) { return impl_->Drain(limit); }
QueueLoad Executor::load() const { return impl_->load(); }

bool Executor::draining() const { return impl_->draining(); }
int Executor::workers() const { return impl_->workers(); }

}  // namespace attn
