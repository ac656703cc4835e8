// Who is told how calls end and how full the queue is. server/telemetry implements it.
#ifndef ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_
#define ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/executor/stage_times.h"

namespace attn {

// One ended call, refused ones included.
struct CallRecord {
  absl::string_view backend;  // Canonical; `none` if none was chosen.
  absl::string_view device;   // `none` if none was chosen.
  absl::string_view rule;     // Empty if none was chosen.
  absl::StatusCode code = absl::StatusCode::kOk;
  StageTimes times;
  double sparsity = 0;  // Meaningful only for kOk.
};

// Called from any thread; must not block and must not fail.
class CallObserver {
 public:
  virtual ~CallObserver() = default;

  // Exactly once a call, whatever its end.
  virtual void OnCallEnded(const CallRecord& record) = 0;

  // Calls and bytes that are admitted and not yet ended.
  virtual void OnQueueChanged(int64_t waiting_calls, int64_t running_calls,
                              int64_t admitted_bytes) = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_
