// Who is told how calls begin and end and how full the queue is. server/telemetry implements it.
#ifndef ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_
#define ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/executor/priority.h"
#include "server/executor/stage_times.h"

namespace attn {

// How far a call had come when it ended.
enum class CallStage : uint8_t {
  kReading,  // Not admitted.
  kQueued,
  kRunning,
  kReplying,  // Computed.
};
inline constexpr const char* kCallStageNames[] = {"reading", "queued", "running", "replying"};

// Every ended call is exactly one of these.
enum class CallEnd : uint8_t {
  kFinished,   // Ran to its end, well or with an error of its own.
  kRefused,    // Never ran: invalid, unsupported, over a budget, too late, or draining.
  kCancelled,  // Its caller went away, or its deadline passed after it was admitted.
};
inline constexpr const char* kCallEndNames[] = {"finished", "refused", "cancelled"};

// One ended call, refused ones included. Borrowed for the time of the notification.
struct CallRecord {
  absl::string_view request_id;
  absl::string_view caller_id;  // As the caller gave it; empty = anonymous.
  absl::string_view model;      // As the caller gave it.
  absl::string_view transport;  // `tcp` or `unix`.
  Priority priority = Priority::kInteractive;

  absl::string_view backend;  // Canonical; `none` if none was chosen.
  absl::string_view device;   // `none` if none was chosen.
  absl::string_view rule;     // Empty if none was chosen.

  CallEnd end = CallEnd::kFinished;
  CallStage stage = CallStage::kReplying;
  absl::string_view refusal;  // Of a refused call: one of the reasons of server/executor/refusal.h.
  absl::Status status;

  StageTimes times;
  int64_t batch_calls = 0;  // Calls launched together; 0 = never launched.
  int64_t request_bytes = 0;
  int64_t response_bytes = 0;
  // Meaningful only if the status is OK.
  double sparsity = 0;
  double computed_flops = 0;
  double effective_flops = 0;
};

// Calls and bytes that are admitted and not yet ended, by Priority.
struct QueueLoad {
  std::array<int64_t, kPriorities> waiting_calls{};
  std::array<int64_t, kPriorities> running_calls{};
  std::array<int64_t, kPriorities> admitted_bytes{};
};

// Called from any thread; must not block and must not fail.
class CallObserver {
 public:
  virtual ~CallObserver() = default;

  // Exactly once a call, whatever becomes of it, before OnCallEnded.
  virtual void OnCallStarted() = 0;
  // Exactly once a call, whatever its end.
  virtual void OnCallEnded(const CallRecord& record) = 0;

  virtual void OnQueueChanged(const QueueLoad& load) = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CALL_OBSERVER_H_
