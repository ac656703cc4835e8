// The budgets that decide whether a call is taken in at all: calls and bytes, a class apart.
#ifndef ATTN_SERVER_EXECUTOR_ADMISSION_H_
#define ATTN_SERVER_EXECUTOR_ADMISSION_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/executor/caller_shares.h"
#include "server/executor/drain_rate.h"
#include "server/executor/executor.h"
#include "server/executor/scheduled_job.h"

namespace attn {

// Counts what is admitted against the limits. Not thread-safe: the executor's lock guards it.
class Admission {
 public:
  explicit Admission(const ExecutorLimits& limits) : limits_(limits) {}

  void SetLimits(const ExecutorLimits& limits) { limits_ = limits; }
  const ExecutorLimits& limits() const { return limits_; }

  // The waiting calls that have to be displaced for this one; mostly none. If there is no room
  // RESOURCE_EXHAUSTED naming the limit and its use, with a retry hint unless it can never fit.
  absl::StatusOr<std::vector<JobId>> MakeRoom(const Job& job, absl::Time now) const;

  // The job waits; is launched; has ended, or is as good as gone (its room is another's).
  void Admit(ScheduledJob& job, absl::Time now);
  void Launch(const ScheduledJob& job);
  void Release(ScheduledJob& job, absl::Time now);
  void Displace(ScheduledJob& job);

  // What a displaced call ends with.
  absl::Status DisplacedStatus(const ScheduledJob& job, absl::Time now) const;

  const CallerShares& shares(Priority priority) const { return Of(priority).shares; }
  QueueLoad load() const;

 private:
  struct Class {
    CallerShares shares;
    int64_t running = 0;
    DrainRate drain;
  };

  Class& Of(Priority priority) { return classes_[static_cast<size_t>(priority)]; }
  const Class& Of(Priority priority) const { return classes_[static_cast<size_t>(priority)]; }
  int64_t MaxBytes(Priority priority) const;
  int64_t FreeBytes(Priority priority) const;
  void Remove(ScheduledJob& job);

  ExecutorLimits limits_;
  std::array<Class, kPriorities> classes_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_ADMISSION_H_
