#include "server/executor/executor.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/core/status_macros.h"
#include "server/executor/cpu_list.h"
#include "server/executor/executor_impl.h"

namespace attn {
namespace {

absl::Status CheckRange(const char* name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("executor: ", name, " is ", value, ", allowed: ", min, " to ", max));
}

absl::Status CheckLimits(const ExecutorLimits& limits) {
  ATTN_RETURN_IF_ERROR(CheckRange("max_waiting", limits.max_waiting, 0, kMaxWaiting));
  ATTN_RETURN_IF_ERROR(CheckRange("max_waiting_batch", limits.max_waiting_batch, 0, kMaxWaiting));
  ATTN_RETURN_IF_ERROR(CheckRange("max_running", limits.max_running, 1, kMaxRunning));
  ATTN_RETURN_IF_ERROR(
      CheckRange("max_admitted_bytes", limits.max_admitted_bytes, 1, kMaxAdmittedBytes));
  ATTN_RETURN_IF_ERROR(CheckRange("max_admitted_batch_bytes", limits.max_admitted_batch_bytes, 0,
                                  kMaxAdmittedBytes));
  ATTN_RETURN_IF_ERROR(CheckRange("max_batch_calls", limits.max_batch_calls, 1, kMaxBatchCalls));
  if (limits.batch_delay < absl::ZeroDuration() || limits.batch_delay > kMaxBatchDelay) {
    return absl::InvalidArgumentError(
        absl::StrCat("executor: batch_delay is ", absl::FormatDuration(limits.batch_delay),
                     ", allowed: 0 to ", absl::FormatDuration(kMaxBatchDelay)));
  }
  return absl::OkStatus();
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

absl::Status Executor::Impl::StartThreads(const WorkerPlacement& placement) {
  watch_thread_ = std::thread([this] { Watch(); });
  const std::span<const int> cpus = placement.cpus;
  for (size_t i = 0; i < static_cast<size_t>(worker_count_); ++i) {
    Worker& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker] { Work(worker); });
    if (cpus.empty()) continue;
    ATTN_RETURN_IF_ERROR(KeepOn(worker.thread, placement.pinned ? cpus.subspan(i, 1) : cpus));
  }
  return absl::OkStatus();
}

Executor::Impl::~Impl() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (const auto& [id, job] : scheduler_.jobs()) {
      Stop(*job, absl::CancelledError("the server is shutting down"), CallEnd::kCancelled);
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
  const Job& work = scheduled->job();

  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return WithRefusal(absl::UnavailableError("the server is draining: it takes no new calls"),
                       kRefusedDraining);
  }
  const absl::Time now = absl::Now();
  if (work.deadline <= now) {
    return WithRefusal(
        absl::DeadlineExceededError("the deadline had passed before the call was admitted"),
        kRefusedDeadline);
  }
  scheduled->expected_service = estimate_.Expect(work, now).service;
  ATTN_RETURN_IF_ERROR(CheckAdmissible(*scheduled, now));
  ATTN_ASSIGN_OR_RETURN(const std::vector<JobId> displaced, admission_.MakeRoom(work, now));
  for (const JobId id : displaced) {
    ScheduledJob& victim = *scheduler_.Find(id);
    absl::Status why = admission_.DisplacedStatus(victim, now);
    admission_.Displace(victim);
    Stop(victim, std::move(why), CallEnd::kRefused);
  }
  const JobId id = scheduled->id = ++last_id_;
  admission_.Admit(*scheduled, now);
  ++unended_;
  if (work.deadline < absl::InfiniteFuture()) {
    deadlines_.emplace(work.deadline, id);
    WatchBy(work.deadline);
  }
  scheduler_.Admit(std::move(scheduled), RunningJob::kFirstTiles);
  ReportQueue();
  WakeWorker();
  return id;
}

absl::Status Executor::Impl::CheckAdmissible(const ScheduledJob& job, absl::Time now) const {
  const Job& work = job.job();
  if (work.deadline == absl::InfiniteFuture()) return absl::OkStatus();
  const CallerShares& shares = admission_.shares(work.priority);
  const auto ahead = [&](absl::Duration service) {
    return Expectation{service / worker_count_, shares.waiting(), estimate_.Expect(work, now).run};
  };
  // The wait behind everything is the longest that there can be, and is known without a look at
  // every caller. A launch does not wait for workers.
  const bool waits = !work.backend->launches_batches();
  const Expectation longest = ahead(waits ? shares.service() : absl::ZeroDuration());
  absl::Status in_time = CheckInTime(work, longest, now);
  if (in_time.ok() || !waits) return in_time;
  return CheckInTime(work, ahead(shares.ServiceAhead(work.caller_id, job.expected_service)), now);
}

void Executor::Impl::Cancel(JobId id) {
  absl::MutexLock lock(&mutex_);
  ScheduledJob* job = scheduler_.Find(id);
  if (job == nullptr) return;
  const bool expired = job->job().deadline <= absl::Now();
  Stop(*job, expired ? DeadlinePassed(*job) : Cancelled(*job), CallEnd::kCancelled);
}

void Executor::Impl::Stop(ScheduledJob& job, absl::Status why, CallEnd end) {
  if (job.gathering) launches_.Remove(job);
  if (!scheduler_.Stop(job, std::move(why), end)) return;
  stopped_.push_back(&job);
  watch_.Signal();
}

void Executor::Impl::StopExpired(absl::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    ScheduledJob& job = *scheduler_.Find(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    Stop(job, DeadlinePassed(job), CallEnd::kCancelled);
  }
}

void Executor::Impl::SetLimits(const ExecutorLimits& limits) {
  absl::MutexLock lock(&mutex_);
  admission_.SetLimits(limits);
  scheduler_.SetLimits(limits);
  WakeWorker();
}

void Executor::Impl::StopAdmitting() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  WakeWorker();  // Nothing waits for company any more.
}

bool Executor::Impl::Drain(absl::Duration limit) {
  StopAdmitting();
  absl::MutexLock lock(&mutex_);
  const absl::Time give_up = absl::Now() + limit;
  while (unended_ > 0) {
    if (all_ended_.WaitWithDeadline(&mutex_, give_up)) return unended_ == 0;
  }
  return true;
}

ExecutorLimits Executor::Impl::limits() const {
  absl::MutexLock lock(&mutex_);
  return admission_.limits();
}

QueueLoad Executor::Impl::load() const {
  absl::MutexLock lock(&mutex_);
  return admission_.load();
}

bool Executor::Impl::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const ExecutorOptions& options,
                                                           CallObserver* observer) {
  ATTN_RETURN_IF_ERROR(CheckRange("workers", options.workers, 0, kMaxWorkers));
  ATTN_RETURN_IF_ERROR(CheckLimits(options.limits));
  std::vector<int> cpus = options.placement.cpus;
  if (options.placement.pinned) {
    ATTN_RETURN_IF_ERROR(CheckRange("number of CPUs to pin to", std::ssize(cpus), 1, kMaxCpus));
    ATTN_RETURN_IF_ERROR(
        CheckRange("workers, each on a CPU of its own,", options.workers, 0, std::ssize(cpus)));
  }
  if (cpus.empty()) {
    ATTN_ASSIGN_OR_RETURN(cpus, AllowedCpus());
  }
  const int workers =
      options.workers > 0 ? options.workers : std::min(static_cast<int>(cpus.size()), kMaxWorkers);
  auto impl = std::make_unique<Impl>(workers, options.limits, observer);
  try {
    ATTN_RETURN_IF_ERROR(impl->StartThreads(options.placement));
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
void Executor::StopAdmitting() { impl_->StopAdmitting(); }
bool Executor::Drain(absl::Duration limit) { return impl_->Drain(limit); }

absl::Status Executor::SetLimits(const ExecutorLimits& limits) {
  ATTN_RETURN_IF_ERROR(CheckLimits(limits));
  impl_->SetLimits(limits);
  return absl::OkStatus();
}

ExecutorLimits Executor::limits() const { return impl_->limits(); }
QueueLoad Executor::load() const { return impl_->load(); }
bool Executor::draining() const { return impl_->draining(); }
int Executor::workers() const { return impl_->workers(); }

}  // namespace attn
