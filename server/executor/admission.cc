#include "server/executor/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace attn {
namespace {

// Each launched call moves the mean by an eighth: some ten calls forget an old load.
constexpr int kMeanWeight = 8;

// Sooner than 10 ms a retry mostly meets the same calls; later than 10 s the mean of ended calls
// says little about those running.
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(10);

}  // namespace

absl::Status Admission::Admit(int64_t bytes, int64_t waiting, int64_t running) {
  const int64_t budget = options_.max_admitted_bytes;
  if (bytes > budget) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the call needs ", bytes, " bytes (payload, outputs and workspace), more than the whole ",
        "byte budget of ", budget, " bytes: it can never fit this server"));
  }
  const int64_t max_calls = int64_t{options_.max_waiting} + options_.max_running;
  if (waiting + running >= max_calls) {
    return WithRetryAfter(
        absl::ResourceExhaustedError(absl::StrCat(
            "queue full: ", waiting, " calls waiting and ", running, " running, ", max_calls,
            " allowed (", options_.max_waiting, " waiting, ", options_.max_running, " running)")),
        RetryDelay(running));
  }
  if (bytes > budget - admitted_bytes_) {
    return WithRetryAfter(
        absl::ResourceExhaustedError(absl::StrCat(
            "byte budget full: the call needs ", bytes, " bytes (payload, outputs and workspace), ",
            admitted_bytes_, " of ", budget, " are in use by admitted calls")),
        RetryDelay(running));
  }
  admitted_bytes_ += bytes;
  return absl::OkStatus();
}

void Admission::Release(int64_t bytes, absl::Duration run_time) {
  admitted_bytes_ -= bytes;
  if (run_time > absl::ZeroDuration()) {
    mean_run_time_ += (run_time - mean_run_time_) / kMeanWeight;
  }
}

absl::Duration Admission::RetryDelay(int64_t running) const {
  return std::clamp(mean_run_time_ / std::max<int64_t>(running, 1), kMinRetryDelay, kMaxRetryDelay);
}

}  // namespace attn
