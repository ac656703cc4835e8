// A caller's wish to stop, on its way to the executor.
#ifndef ATTN_SERVER_SERVICES_CANCELLATION_H_
#define ATTN_SERVER_SERVICES_CANCELLATION_H_

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/executor/executor.h"

namespace attn {

// Joins a job's id, known after Submit, with a cancellation that may come before. Outlives both
// the reactor and the job. Thread-safe.
class Cancellation {
 public:
  explicit Cancellation(Executor* executor) : executor_(executor) {}

  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (id_) executor_->Cancel(*id_);
  }

  void SetJob(JobId id) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    id_ = id;
    if (cancelled_) executor_->Cancel(id);
  }

  bool cancelled() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

 private:
  Executor* const executor_;
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<JobId> id_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_CANCELLATION_H_
