#include "server/executor/refusal.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace attn {
namespace {

constexpr char kReasonPayload[] = "attention.v1/refusal-reason";
// Decimal milliseconds, rounded up so that no delay becomes "at once".
constexpr char kRetryAfterPayload[] = "attention.v1/retry-after-ms";

constexpr char kLogDetailPayload[] = "attention.v1/log-detail";

absl::string_view ReasonOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return "invalid";
    case absl::StatusCode::kUnimplemented:
      return "unsupported";
    case absl::StatusCode::kNotFound:
      return "not_found";
    case absl::StatusCode::kFailedPrecondition:
      return "precondition";
    case absl::StatusCode::kResourceExhausted:
      return "exhausted";
    case absl::StatusCode::kUnavailable:
      return "unavailable";
    default:
      return "other";
  }
}

}  // namespace

absl::Status WithRefusal(absl::Status status, absl::string_view reason) {
  status.SetPayload(kReasonPayload, absl::Cord(reason));
  return status;
}

absl::string_view RefusalReason(const absl::Status& status) {
  if (const auto payload = status.GetPayload(kReasonPayload)) {
    for (const absl::string_view reason : kRefusalReasons) {
      if (*payload == reason) return reason;
    }
  }
  return ReasonOfCode(status.code());
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  const int64_t delay_ms = absl::ToInt64Milliseconds(absl::Ceil(delay, absl::Milliseconds(1)));
  status.SetPayload(kRetryAfterPayload, absl::Cord(absl::StrCat(delay_ms)));
  return status;
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterPayload);
  int64_t delay_ms = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &delay_ms)) return std::nullopt;
  return absl::Milliseconds(delay_ms);
}

absl::Status WithLogDetail(absl::Status status, absl::string_view detail) {
  status.SetPayload(kLogDetailPayload, absl::Cord(detail));
  return status;
}

std::string LogDetail(const absl::Status& status) {
  return std::string(status.GetPayload(kLogDetailPayload).value_or(absl::Cord()));
}

}  // namespace attn
