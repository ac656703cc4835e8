#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "server/executor/batch_launch.h"
#include "server/executor/executor_impl.h"

namespace attn {
namespace {

// Pays where calls follow one another: flash 1x8x512x64 on two workers of AMD Zen 5 takes 1.06 to
// 1.13 ms a call in bf16 with it, 1.24 without; in fp32, at 1.8, it makes no difference.
constexpr std::chrono::microseconds kWatchTime(50);

}  // namespace

void Executor::Impl::Work(Worker& self) {
  absl::MutexLock lock(&mutex_);
  while (true) {
    if (const auto batch = TakeBatch()) {
      WakeWorker();
      RunBatch(*batch);
    } else if (const auto claim = scheduler_.Claim()) {
      WakeWorker();
      RunTile(*claim, self.scratch);
    } else if (stopping_) {
      return;
    } else {
      Idle(self);
    }
  }
}

// While others work, the next stretch of a call is likely near: to sleep and be woken would cost
// more than a short look. Whoever else wants the core gets it.
void Executor::Impl::Idle(Worker& self) {
  self.awake = false;
  idle_.push_back(&self);
  if (idle_.size() < static_cast<size_t>(worker_count_)) {
    self.watching = true;
    mutex_.Unlock();
    const auto until = std::chrono::steady_clock::now() + kWatchTime;
    while (!self.awake && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    mutex_.Lock();
    self.watching = false;
  }
  while (!self.awake) self.wake.Wait(&mutex_);
}

void Executor::Impl::RunTile(const TileClaim& claim, Scratch& scratch) {
  ScheduledJob& job = *claim.job;
  if (!claim.launched.empty()) {
    for (const ScheduledJob* launched : claim.launched) admission_.Launch(*launched);
    ReportQueue();
  }
  if (!job.work.begun()) {
    if (absl::Status late = CheckLaunchable(job); !late.ok()) {
      scheduler_.Stop(job, std::move(late), CallEnd::kRefused);
      if (scheduler_.Return(job, absl::OkStatus())) EndStopped(job);
      return;
    }
  }
  if (claim.tile == 0) job.work.BeginStretch();
  mutex_.Unlock();
  const auto began = std::chrono::steady_clock::now();
  absl::Status status = job.work.RunTile(claim.tile, scratch);
  const auto service = std::chrono::steady_clock::now() - began;
  scratch.Trim();
  mutex_.Lock();
  job.service += absl::FromChrono(service);
  if (scheduler_.Return(job, std::move(status), absl::FromChrono(service))) Continue(job);
}

void Executor::Impl::Continue(ScheduledJob& job) {
  if (!job.stop.ok()) return EndStopped(job);
  mutex_.Unlock();
  const absl::StatusOr<RunningJob::Next> next = job.work.Advance();
  mutex_.Lock();
  if (!next.ok()) return End(job, next.status(), CallEnd::kFinished);
  if (next->step == RunningJob::Next::Step::kDone) {
    Measure(job);
    return End(job, absl::OkStatus(), CallEnd::kFinished);
  }
  if (!job.stop.ok()) return EndStopped(job);
  if (next->step == RunningJob::Next::Step::kTiles) return scheduler_.Offer(job, next->tiles);
  const absl::Time now = absl::Now();
  const absl::Time due = CompanyDue(job.job(), now);
  job.in_flight = 0;
  launches_.Add(job, due);
  if (due > now) WatchBy(due);
}

std::optional<LaunchBatch> Executor::Impl::TakeBatch() {
  if (launches_.empty()) return std::nullopt;
  while (auto batch =
             launches_.Take(LaunchTime(absl::Now()), admission_.limits().max_batch_calls)) {
    const std::vector<ScheduledJob*> taken = std::exchange(batch->calls, {});
    for (ScheduledJob* job : taken) {
      job->in_flight = 1;  // Held by this worker.
      if (absl::Status late = CheckLaunchable(*job); late.ok()) {
        batch->calls.push_back(job);
      } else {
        scheduler_.Stop(*job, std::move(late), CallEnd::kRefused);
        stopped_.push_back(job);
        watch_.Signal();
      }
    }
    if (!batch->calls.empty()) return batch;
    launches_.Free(*batch->backend);
  }
  return std::nullopt;
}

void Executor::Impl::RunBatch(const LaunchBatch& batch) {
  std::vector<RunningJob*> calls;
  for (ScheduledJob* job : batch.calls) {
    job->launched = true;
    admission_.Launch(*job);
    calls.push_back(&job->work);
  }
  ReportQueue();
  mutex_.Unlock();
  std::vector<LaunchEnd> ends = LaunchTogether(*batch.backend, calls);
  mutex_.Lock();
  // Before the next launch, which may depend on it.
  for (size_t i = 0; i < ends.size(); ++i) {
    if (ends[i].status.ok()) Measure(*batch.calls[i]);
  }
  launches_.Free(*batch.backend);
  WakeWorker();  // For the next launch: the ends are this worker's.
  for (size_t i = 0; i < ends.size(); ++i) {
    ScheduledJob& job = *batch.calls[i];
    job.batch_calls = ends[i].batch_calls;
    if (job.stop.ok()) {
      End(job, std::move(ends[i].status), CallEnd::kFinished);
    } else {
      EndStopped(job);
    }
  }
}

void Executor::Impl::Measure(const ScheduledJob& job) {
  estimate_.Record(job.job(), {job.work.run_time(), job.service}, absl::Now());
}

void Executor::Impl::End(ScheduledJob& job, absl::Status status, CallEnd end) {
  mutex_.Unlock();
  job.work.Close();  // Its workspace is free before its place is.
  const absl::Time now = absl::Now();
  mutex_.Lock();
  std::unique_ptr<ScheduledJob> ended = scheduler_.Remove(job);
  RunningJob& work = ended->work;
  // Given back before `done`: a caller may come again the moment it has its answer.
  admission_.Release(*ended, now);
  deadlines_.erase({work.job().deadline, ended->id});
  ReportQueue();
  WakeWorker();
  mutex_.Unlock();
  // Without its memory a call never ran, whatever became of it.
  if (end == CallEnd::kFinished && !work.ran()) end = CallEnd::kRefused;
  work.Report(std::move(status), end, ended->batch_calls);
  ended.reset();  // `done` may own much memory.
  mutex_.Lock();
  if (--unended_ == 0) all_ended_.SignalAll();
}

void Executor::Impl::Watch() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    // One for all: a call that falls due between two would be nobody's.
    const absl::Time now = absl::Now();
    StopExpired(now);
    WakeWorker(now);  // Calls may have waited for company long enough.
    if (!stopped_.empty()) {
      ScheduledJob& job = *stopped_.front();
      stopped_.pop_front();
      EndStopped(job);
      continue;
    }
    watch_wakes_at_ = launches_.NextDue(now);
    if (!deadlines_.empty()) {
      watch_wakes_at_ = std::min(watch_wakes_at_, deadlines_.begin()->first);
    }
    watch_.WaitWithDeadline(&mutex_, watch_wakes_at_);
    watch_wakes_at_ = absl::InfinitePast();
  }
}

absl::Status Executor::Impl::CheckLaunchable(const ScheduledJob& job) const {
  const Job& work = job.job();
  if (work.deadline == absl::InfiniteFuture()) return absl::OkStatus();
  const absl::Time now = absl::Now();
  const absl::Duration run = estimate_.Expect(work, now).run;
  return CheckInTime(work, {absl::ZeroDuration(), 0, run}, now);
}

absl::Time Executor::Impl::CompanyDue(const Job& job, absl::Time now) const {
  const absl::Duration delay = admission_.limits().batch_delay;
  if (delay == absl::ZeroDuration() || job.deadline == absl::InfiniteFuture()) return now + delay;
  // Company is worth no deadline: twice the time that a run is known to take is left to it, half of
  // what there is if nothing is known.
  const absl::Duration run = estimate_.Expect(job, now).run;
  const absl::Duration left = job.deadline - now;
  return now + std::min(delay, run > absl::ZeroDuration() ? left - 2 * run : left / 2);
}

absl::Time Executor::Impl::LaunchTime(absl::Time now) const {
  return draining_ ? absl::InfiniteFuture() : now;
}

void Executor::Impl::WakeWorker(absl::Time now) {
  if (idle_.empty()) return;
  if (!scheduler_.has_claimable() &&
      (launches_.empty() ||
       !launches_.CanTake(LaunchTime(now), admission_.limits().max_batch_calls))) {
    return;
  }
  Worker* worker = idle_.back();
  idle_.pop_back();
  worker->awake = true;
  if (!worker->watching) worker->wake.Signal();
}

void Executor::Impl::WatchBy(absl::Time time) {
  if (time >= watch_wakes_at_) return;
  watch_wakes_at_ = time;
  watch_.Signal();
}

void Executor::Impl::ReportQueue() {
  if (observer_ == nullptr) return;
  observer_->OnQueueChanged(admission_.load());
}

}  // namespace attn
