#include "client/load/measurements.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace attn::load {
namespace {

// Distinct sizes of batches that are kept apart; larger ones count as the largest. A server's limit
// lies far below.
constexpr int64_t kMaxBatchCalls = 4096;

// Backends are the server's to name: a hostile one cannot grow the report.
constexpr size_t kMaxBackends = 256;

void AddError(const std::string& code, absl::string_view message, Measurements* to) {
  ErrorCounts& counts = to->errors[code];
  if (counts.calls++ == 0) counts.example = std::string(message);
  ++to->failed;
}

void AddSelection(const AttendResult& answer, Measurements* to) {
  const std::string& backend = answer.selection.backend();
  if (to->backends.size() == kMaxBackends && !to->backends.contains(backend)) return;
  BackendCounts& counts = to->backends[backend];
  const double sparsity = std::clamp(answer.metrics.sparsity(), 0.0, 1.0);
  const double bins = static_cast<double>(counts.sparsity.size());
  ++counts.calls;
  counts.sparsity_sum += sparsity;
  ++counts.sparsity[static_cast<size_t>(std::min(sparsity * bins, bins - 1))];
}

void AddMetrics(const attention::v1::CallMetrics& metrics, int64_t client_ns, Measurements* to) {
  const int64_t stages_ns[] = {metrics.queue_ns(),
                               metrics.decode_ns(),
                               metrics.plan_ns(),
                               metrics.kernel_ns(),
                               metrics.encode_ns(),
                               metrics.total_ns(),
                               client_ns - metrics.total_ns()};
  static_assert(std::size(stages_ns) == kStageCount);
  for (size_t i = 0; i < kStageCount; ++i) to->stages[i].Record(stages_ns[i]);
  to->effective_flops += metrics.effective_flops();
  to->computed_flops += metrics.computed_flops();
  // A server of an earlier version says nothing: 0.
  ++to->batch_calls[std::clamp<int64_t>(metrics.batch_calls(), 0, kMaxBatchCalls)];
}

// True if the answer proved wrong.
bool AddVerdict(const absl::StatusOr<Verdict>& verdict, VerificationCounts* to) {
  if (!verdict.ok()) {
    if (to->unanswered++ == 0) to->example = verdict.status().ToString();
    return false;
  }
  ++to->checked;
  to->worst_rel_l2 = std::max(to->worst_rel_l2, verdict->rel_l2);
  if (!verdict->passed) ++to->mismatched;
  return !verdict->passed;
}

}  // namespace

void Measurements::Add(const CallOutcome& outcome) {
  const absl::StatusOr<AttendResult>& result = *outcome.result;
  const absl::Duration delay = std::max(outcome.sent - outcome.intended, absl::ZeroDuration());
  send_delay.Record(absl::ToInt64Nanoseconds(delay));
  if (delay > kLateSend) ++late_sends;
  timeline.AddSent(outcome.sent);
  if (!result.ok()) {
    AddError(absl::StatusCodeToString(result.status().code()), result.status().message(), this);
    if (RetryHint(result.status()).has_value()) ++retry_hints;
    first_error.Update(result.status());
  } else if (outcome.verdict.has_value() && AddVerdict(*outcome.verdict, &verification)) {
    AddError(kMismatchCode,
             absl::StrCat("backend ", result->selection.backend(), " is off by rel-L2 ",
                          (*outcome.verdict)->rel_l2),
             this);
  } else {
    const int64_t latency_ns = absl::ToInt64Nanoseconds(outcome.ended - outcome.intended);
    const int64_t uncorrected_ns = absl::ToInt64Nanoseconds(outcome.ended - outcome.sent);
    ++completed;
    ++entries[outcome.entry].completed;
    latency.Record(latency_ns);
    uncorrected.Record(uncorrected_ns);
    entries[outcome.entry].latency.Record(latency_ns);
    timeline.AddCompleted(outcome.ended, latency_ns);
    AddSelection(*result, this);
    AddMetrics(result->metrics, uncorrected_ns, this);
    request_bytes += static_cast<double>(outcome.request_bytes);
    for (const ReceivedTensor& output : result->outputs) {
      response_bytes += static_cast<double>(output.data.size());
    }
    return;
  }
  ++entries[outcome.entry].failed;
  timeline.AddFailed(outcome.ended);
}

void Measurements::AddNotSent(size_t entry, absl::Duration intended) {
  AddError(kNotSentCode, "no caller was free before the run ended; --max_in_flight allows more",
           this);
  ++entries[entry].failed;
  timeline.AddFailed(intended);
}

}  // namespace attn::load
