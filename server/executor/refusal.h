// What an error says beside its code and message: why a call was refused, in one word, when to come
// again, and what is for the log alone. Carried as payloads of the status; set by whoever fails,
// read by server/services and server/telemetry.
#ifndef ATTN_SERVER_EXECUTOR_REFUSAL_H_
#define ATTN_SERVER_EXECUTOR_REFUSAL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace attn {

// Labels of metrics: few and fixed.
inline constexpr absl::string_view kRefusedQueueFull = "queue_full";
inline constexpr absl::string_view kRefusedBytesFull = "bytes_full";
inline constexpr absl::string_view kRefusedTooLarge = "too_large";   // Can never fit this server.
inline constexpr absl::string_view kRefusedDisplaced = "displaced";  // By a caller with less.
inline constexpr absl::string_view kRefusedUnread = "replies_unread";
inline constexpr absl::string_view kRefusedDeadline = "deadline";  // Passed, or not to be met.
inline constexpr absl::string_view kRefusedDraining = "draining";
inline constexpr absl::string_view kRefusalReasons[] = {
    kRefusedQueueFull, kRefusedBytesFull, kRefusedTooLarge, kRefusedDisplaced,
    kRefusedUnread,    kRefusedDeadline,  kRefusedDraining,
};

// One of the above.
absl::Status WithRefusal(absl::Status status, absl::string_view reason);
// Of a status that carries none, what its code says: `invalid`, `unsupported`, `not_found`,
// `precondition`, `exhausted`, `unavailable`, `other`. A string literal.
absl::string_view RefusalReason(const absl::Status& status);

// How long a refused caller should wait.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

// For the log and never for the caller: texts of libraries, which may name paths and addresses.
absl::Status WithLogDetail(absl::Status status, absl::string_view detail);
std::string LogDetail(const absl::Status& status);  // Empty if it carries none.

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_REFUSAL_H_
