// What a refusal says beside its status code: why, in one word, and when to come again. Carried as
// payloads of the status; set by whoever refuses, read by server/services.
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

// One of the above.
absl::Status WithRefusal(absl::Status status, absl::string_view reason);
// Of a status that carries none, what its code says: `invalid`, `unsupported`, `not_found`,
// `precondition`, `exhausted`, `unavailable`, `other`. A string literal.
absl::string_view RefusalReason(const absl::Status& status);

// How long a refused caller should wait.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_REFUSAL_H_
