#include "server/executor/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace attn {
namespace {

const char* Name(Priority priority) { return kPriorityNames[static_cast<size_t>(priority)]; }

absl::Status Refused(absl::string_view message, absl::string_view reason, absl::Duration retry) {
  return WithRetryAfter(WithRefusal(absl::ResourceExhaustedError(message), reason), retry);
}

}  // namespace

absl::StatusOr<std::vector<JobId>> Admission::MakeRoom(const Job& job, absl::Time now) const {
  const Class& its = Of(job.priority);
  const int64_t max_bytes = MaxBytes(job.priority);
  if (job.reserved_bytes > max_bytes) {
    return WithRefusal(
        absl::ResourceExhaustedError(absl::StrCat(
            "the call needs ", job.reserved_bytes, " bytes (payload, outputs and workspace), more ",
            "than the whole byte budget of ", max_bytes, " bytes for ", Name(job.priority),
            " calls: it can never fit this server")),
        kRefusedTooLarge);
  }
  const int64_t missing_bytes = job.reserved_bytes - FreeBytes(job.priority);
  if (missing_bytes > 0) {
    std::vector<JobId> displaced =
        its.shares.GivingWayToBytes(job.caller_id, job.reserved_bytes, missing_bytes);
    if (!displaced.empty()) return displaced;  // Their places are free as well.
    return Refused(
        absl::StrCat("byte budget full: the call needs ", job.reserved_bytes,
                     " bytes (payload, outputs and workspace), ",
                     max_bytes - FreeBytes(job.priority), " of ", max_bytes, " bytes for ",
                     Name(job.priority), " calls are in use by admitted calls"),
        kRefusedBytesFull, its.drain.Until(1, missing_bytes, now));
  }
  const int64_t max_waiting =
      job.priority == Priority::kBatch ? limits_.max_waiting_batch : limits_.max_waiting;
  // A call that could be launched at once passes through the queue as well.
  const int64_t max_calls = max_waiting + limits_.max_running;
  const int64_t waiting = its.shares.waiting();
  if (waiting < max_waiting + std::max<int64_t>(0, limits_.max_running - its.running)) {
    return std::vector<JobId>();
  }
  std::vector<JobId> displaced = its.shares.GivingWayToCall(job.caller_id);
  if (!displaced.empty()) return displaced;
  return Refused(absl::StrCat(Name(job.priority), " queue full: ", waiting, " calls waiting and ",
                              its.running, " running, ", max_calls, " allowed (", max_waiting,
                              " waiting, ", limits_.max_running, " running)"),
                 kRefusedQueueFull, its.drain.Until(1, 0, now));
}

void Admission::Admit(ScheduledJob& job, absl::Time now) {
  Class& its = Of(job.job().priority);
  if (its.shares.waiting() + its.running == 0) its.drain.Begin(now);
  its.shares.Admit(job);
  job.admitted = true;
}

void Admission::Launch(const ScheduledJob& job) {
  Class& its = Of(job.job().priority);
  its.shares.Launch(job);
  ++its.running;
}

void Admission::Release(ScheduledJob& job, absl::Time now) {
  if (!job.admitted) return;
  Remove(job);
  Of(job.job().priority).drain.Ended(job.job().reserved_bytes, now);
}

void Admission::Displace(ScheduledJob& job) { Remove(job); }

absl::Status Admission::DisplacedStatus(const ScheduledJob& job, absl::Time now) const {
  const Priority priority = job.job().priority;
  return Refused(absl::StrCat("displaced from the full ", Name(priority),
                              " queue by a call of a caller that holds less of it; the newest ",
                              "waiting call of the caller that holds most gives way"),
                 kRefusedDisplaced, Of(priority).drain.Until(1, job.job().reserved_bytes, now));
}

QueueLoad Admission::load() const {
  QueueLoad load;
  for (size_t i = 0; i < classes_.size(); ++i) {
    load.waiting_calls[i] = classes_[i].shares.waiting();
    load.running_calls[i] = classes_[i].running;
    load.admitted_bytes[i] = classes_[i].shares.bytes();
  }
  return load;
}

int64_t Admission::MaxBytes(Priority priority) const {
  return priority == Priority::kBatch
             ? std::min(limits_.max_admitted_bytes, limits_.max_admitted_batch_bytes)
             : limits_.max_admitted_bytes;
}

// Negative where the limits were lowered below what is admitted.
int64_t Admission::FreeBytes(Priority priority) const {
  const int64_t batch = Of(Priority::kBatch).shares.bytes();
  const int64_t free =
      limits_.max_admitted_bytes - batch - Of(Priority::kInteractive).shares.bytes();
  if (priority == Priority::kInteractive) return free;
  return std::min(free, MaxBytes(Priority::kBatch) - batch);
}

void Admission::Remove(ScheduledJob& job) {
  Class& its = Of(job.job().priority);
  its.shares.Remove(job);
  if (job.launched) --its.running;
  job.admitted = false;
}

}  // namespace attn
