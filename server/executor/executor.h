// Runs admitted calls on a fixed set of worker threads.
//
//   Submit   admits a job against the depth and byte budgets, or refuses it at once
//   queue    callers take turns, within a caller the earliest call goes first; at most
//            `max_running` calls are launched
//   workers  take one tile a turn, so that a small call does not wait behind every tile of another
//            caller's huge one
//   watch    one more thread ends the calls that are stopped while no worker has them
//   job      copies (payload into place) -> Backend::Prepare -> phases of tiles -> Finish -> done
//
// Deadlines and cancellation are honoured in the queue, before launch and between tiles.
#ifndef ATTN_SERVER_EXECUTOR_EXECUTOR_H_
#define ATTN_SERVER_EXECUTOR_EXECUTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "server/executor/call_observer.h"
#include "server/executor/priority.h"
#include "server/executor/refusal.h"
#include "server/executor/stage_times.h"

namespace attn {

// Largest values; server/config accepts the same.
// Far above the hardware threads of any machine.
inline constexpr int kMaxWorkers = 1024;
inline constexpr int kMaxWaiting = 1'000'000;
// A running call holds its payload, its outputs and a workspace: thousands fit no memory.
inline constexpr int kMaxRunning = 4096;
inline constexpr int64_t kMaxAdmittedBytes = int64_t{1} << 50;

// Calls of one batch at most.
inline constexpr int kMaxBatchCalls = 1024;
inline constexpr absl::Duration kMaxBatchDelay = absl::Seconds(1);

// What an operator may change while calls run.
struct ExecutorLimits {
  int max_waiting = 256;  // 0 to kMaxWaiting interactive calls in the queue, beside those running.
  int max_waiting_batch = 256;                    // The same of Priority::kBatch.
  int max_running = 16;                           // 1 to kMaxRunning: calls whose tiles interleave.
  int64_t max_admitted_bytes = int64_t{4} << 30;  // Payload, outputs and workspaces together.
  int64_t max_admitted_batch_bytes = int64_t{2} << 30;  // Of those, at most for Priority::kBatch.
  int max_batch_calls = 16;    // 1 to kMaxBatchCalls calls launched together; 1 = each alone.
  absl::Duration batch_delay;  // 0 to kMaxBatchDelay: how long a call may wait for company.
};

struct ExecutorOptions {
  int workers = 0;  // 0 = one a core
  ExecutorLimits limits;
};

// Bytes to gather before a call runs: `parts` one after the other, to `to`.
struct PayloadCopy {
  std::byte* to = nullptr;
  std::vector<std::span<const std::byte>> parts;
};

struct JobOutcome {
  absl::Status status;
  RunResult result;  // Meaningful if status is OK.
  StageTimes times;  // queue, decode (the copies), plan and kernel.
  CallEnd end = CallEnd::kFinished;
  CallStage stage = CallStage::kRunning;  // kQueued if it was never launched.
  int64_t batch_calls = 0;                // Launched together with it, itself included.
};

// Everything behind the views and spans is kept alive by `done` (or what it owns).
struct Job {
  const Backend* backend = nullptr;
  AttentionCall call;
  std::vector<PayloadCopy> copies;
  int64_t reserved_bytes = 0;  // Against max_admitted_bytes.
  Priority priority = Priority::kInteractive;
  double dense_flops = 0;  // Of dense attention without a mask: what run times are estimated by.
  absl::Time deadline = absl::InfiniteFuture();
  std::string caller_id;
  // Called exactly once, on a thread of the executor and perhaps before Submit has returned, after
  // nothing touches the job any more. Must not block.
  absl::AnyInvocable<void(JobOutcome)> done;
};

using JobId = uint64_t;

// Thread-safe.
class Executor {
 public:
  // `observer` outlives the executor and may be null.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const ExecutorOptions& options,
                                                          CallObserver* observer);
  // Cancels what is left and joins the workers.
  ~Executor();

  // RESOURCE_EXHAUSTED (queue or bytes full, with a retry hint), DEADLINE_EXCEEDED (past, or not to
  // be met by the rate measured so far) or UNAVAILABLE (draining), each with its refusal reason:
  // then `done` is never called and is destroyed.
  absl::StatusOr<JobId> Submit(Job job);

  // The job ends with CANCELLED (or DEADLINE_EXCEEDED, if its deadline has passed) as soon as the
  // tiles in flight are done. No effect on an ended or unknown id.
  void Cancel(JobId id);

  // From now on Submit answers UNAVAILABLE; returns when every admitted job has ended or the time
  // is over (false).
  bool Drain(absl::Duration limit);

  QueueLoad load() const;
  bool draining() const;
  int workers() const;

 private:
  class Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_EXECUTOR_H_
