// What `attn call` shows of each call.
#ifndef ATTN_CLIENT_CLI_CALL_REPORT_H_
#define ATTN_CLIENT_CLI_CALL_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/attention_client.h"
#include "client/cli/call_check.h"
#include "client/cli/prepared_call.h"
#include "client/cli/report.h"

namespace attn::cli {

struct CallReport {
  const PreparedCall* call = nullptr;
  AttendResult result;  // Of the last repetition, its metrics and times replaced by medians.
  int repeats = 1;
  std::optional<CheckResult> check;         // Against eager.
  std::vector<OutputDifference> agreement;  // With the answers of the file's case.
};

// Median of each field over the results of the same call; requires at least one.
attention::v1::CallMetrics MedianMetrics(const std::vector<attention::v1::CallMetrics>& metrics);
absl::Duration MedianDuration(std::vector<absl::Duration> durations);

// {"calls": [...]}
Json CallsJson(const std::vector<CallReport>& reports);

// Tables on stdout.
void PrintCalls(const std::vector<CallReport>& reports);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CALL_REPORT_H_
