#include "server/telemetry/server_log.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "kernels/core/nearest_name.h"
#include "server/executor/refusal.h"
#include "server/telemetry/log_line.h"

namespace attn {
namespace {

// What no caller can bring about: our bug, or a device's.
bool IsFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

void AddMicroseconds(absl::string_view key, int64_t nanoseconds, LogLine* line) {
  line->Add(key, nanoseconds / 1000);
}

void AddCall(const CallRecord& record, LogLine* line) {
  line->Add("request_id", record.request_id);
  line->Add("caller", record.caller_id);
  line->Add("model", record.model);
  line->Add("priority", kPriorityNames[static_cast<size_t>(record.priority)]);
  line->Add("transport", record.transport);
  line->Add("backend", record.backend);
  line->Add("device", record.device);
  line->Add("rule", record.rule);
  line->Add("code", absl::StatusCodeToString(record.status.code()));
  line->Add("end", kCallEndNames[static_cast<size_t>(record.end)]);
  line->Add("stage", kCallStageNames[static_cast<size_t>(record.stage)]);
  if (record.end == CallEnd::kRefused) line->Add("refusal", record.refusal);
  AddMicroseconds("queue_us", record.times.queue_ns, line);
  AddMicroseconds("decode_us", record.times.decode_ns, line);
  AddMicroseconds("plan_us", record.times.plan_ns, line);
  AddMicroseconds("kernel_us", record.times.kernel_ns, line);
  AddMicroseconds("encode_us", record.times.encode_ns, line);
  AddMicroseconds("total_us", record.times.total_ns, line);
  line->Add("batch_calls", record.batch_calls);
  line->Add("request_bytes", record.request_bytes);
  line->Add("response_bytes", record.response_bytes);
  if (record.status.ok()) {
    line->Add("sparsity", record.sparsity);
    line->Add("computed_flops", record.computed_flops);
    line->Add("effective_flops", record.effective_flops);
  } else {
    line->Add("error", record.status.message());
    if (const std::string detail = LogDetail(record.status); !detail.empty()) {
      line->Add("detail", detail);
    }
  }
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  for (size_t i = 0; i < std::size(kLogLevelNames); ++i) {
    if (name == kLogLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "log level ", Quoted(name), " is unknown, known: ", absl::StrJoin(kLogLevelNames, ", ")));
}

ServerLog::ServerLog(const LogOptions& options)
    : format_(options.format),
      level_(options.level),
      slow_call_ns_(absl::ToInt64Nanoseconds(options.slow_call)),
      writer_(options.fd) {}

void ServerLog::Write(LogLevel level, absl::string_view message, Fields fields) {
  if (level < level_) return;
  LogLine line(absl::Now(), level, message);
  for (const auto& [key, value] : fields) line.Add(key, value);
  writer_.Write(line.Format(format_));
}

void ServerLog::OnCallEnded(const CallRecord& record) {
  const bool slow = record.times.total_ns >= slow_call_ns_;
  const bool fault = IsFault(record.status.code());
  const LogLevel level = slow || fault ? LogLevel::kWarning : LogLevel::kDebug;
  if (level < level_) return;
  LogLine line(absl::Now(), level, fault ? "faulty call" : slow ? "slow call" : "call");
  AddCall(record, &line);
  writer_.Write(line.Format(format_));
}

}  // namespace attn
