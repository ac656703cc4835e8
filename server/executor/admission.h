// The budgets that decide whether a call is taken in at all.
#ifndef ATTN_SERVER_EXECUTOR_ADMISSION_H_
#define ATTN_SERVER_EXECUTOR_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/executor/executor.h"

namespace attn {

// Counts what is admitted against the options. Not thread-safe: the executor's lock guards it.
class Admission {
 public:
  explicit Admission(const ExecutorLimits& options) : options_(options) {}

  // Counts the call if there is room. Else RESOURCE_EXHAUSTED naming the limit and its use, with a
  // retry hint unless the call can never fit.
  absl::Status Admit(int64_t bytes, int64_t waiting, int64_t running);

  // The call has ended. `run_time` is from its launch to its end, zero if it was never launched.
  void Release(int64_t bytes, absl::Duration run_time);

  int64_t admitted_bytes() const { return admitted_bytes_; }

 private:
  // When room can be expected: running calls end at intervals of their mean time over their count.
  absl::Duration RetryDelay(int64_t running) const;

  const ExecutorLimits options_;
  int64_t admitted_bytes_ = 0;
  absl::Duration mean_run_time_;  // Exponentially weighted.
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_ADMISSION_H_
