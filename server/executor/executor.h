// Runs admitted calls on a fixed set of worker threads.
//
//   Submit   admits a job against the depth and byte budgets of its class, or refuses it at once. A
//            caller alone may use a whole budget; once it is full, the newest waiting call of the
//            caller that holds most gives way to one of a caller that holds less
//   queue    classes, then callers take turns, within a caller the earliest call goes first; at
//            most `max_running` calls whose tiles interleave are launched
//   workers  take one tile a turn, so that a small call does not wait behind every tile of another
//            caller's huge one
//   batches  calls of one backend and class that wait together are launched together. A backend
//            that launches batches runs one as one launch, one launch a device at a time; of any
//            other the tiles interleave and no call waits for its batch
//   watch    one more thread ends the calls that are stopped while no worker has them
//   job      place -> copies -> Backend::Prepare -> phases of tiles, or a launch -> Finish -> done
//
// Deadlines and cancellation are honoured in the queue, before launch and between tiles; a call
// that is surely late by the times measured so far is refused before it runs.
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
#include "server/executor/worker_placement.h"

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
  int max_batch_calls = 16;  // 1 to kMaxBatchCalls calls launched together; 1 = each alone.
  // 0 to kMaxBatchDelay: how long a call may wait for company, where company saves a launch. Calls
  // of backends that launch no batches never wait for any.
  absl::Duration batch_delay;
};

struct ExecutorOptions {
  int workers = 0;  // 0 = one for each CPU that they may run on.
  ExecutorLimits limits;
  WorkerPlacement placement;
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
  // If set: takes the memory of the call, sets the views of `call` and adds to `copies`. Called
  // once, on a worker, when the call's turn has come: what is refused or displaced takes none. May
  // move payload; must not wait. An error refuses the call with it.
  absl::AnyInvocable<absl::Status(AttentionCall& call, std::vector<PayloadCopy>& copies)> place;
  int64_t reserved_bytes = 0;  // Against max_admitted_bytes.
  Priority priority = Priority::kInteractive;
  // Of dense attention without a mask: what run times are estimated by. 0 = unknown: the call is
  // never refused for its deadline before that has passed.
  double dense_flops = 0;
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
  // `observer` outlives the executor and may be null. INVALID_ARGUMENT names what is out of range:
  // more pinned workers than CPUs is.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(const ExecutorOptions& options,
                                                          CallObserver* observer);
  // Cancels what is left and joins the workers.
  ~Executor();

  // RESOURCE_EXHAUSTED (queue or bytes full, with a retry hint), DEADLINE_EXCEEDED (past, or not to
  // be met by the rate measured so far) or UNAVAILABLE (draining), each with its refusal reason:
  // then `done` is never called and is destroyed. An admitted job may still be displaced.
  absl::StatusOr<JobId> Submit(Job job);

  // The job ends with CANCELLED (or DEADLINE_EXCEEDED, if its deadline has passed) as soon as the
  // tiles in flight are done. No effect on an ended or unknown id.
  void Cancel(JobId id);

  // From the next admission and launch on; whatever is admitted stays. INVALID_ARGUMENT names what
  // is out of range: then nothing has changed.
  absl::Status SetLimits(const ExecutorLimits& limits);
  ExecutorLimits limits() const;

  // From now on Submit answers UNAVAILABLE, and no admitted job waits for company.
  void StopAdmitting();
  // That too; returns when every admitted job has ended or the time is over (false).
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
