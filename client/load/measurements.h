// What a run measured. Bounded, however long the run: histograms, counts and one example of each
// error.
#ifndef ATTN_CLIENT_LOAD_MEASUREMENTS_H_
#define ATTN_CLIENT_LOAD_MEASUREMENTS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/attention_client.h"
#include "client/load/histogram.h"
#include "client/load/timeline.h"

namespace attn::load {

// The server's own stages, then its total, then what the caller waited beside it: network, gRPC and
// this program.
inline constexpr const char* kStageNames[] = {"queue",  "decode", "plan",   "kernel",
                                              "encode", "total",  "outside"};
inline constexpr size_t kStageCount = std::size(kStageNames);

// A call sent later than this after its intended time counts as late: well above what a sleeping
// thread needs to wake up.
inline constexpr absl::Duration kLateSend = absl::Milliseconds(1);

// Codes, beside gRPC's, of failures that only this program sees.
inline constexpr char kMismatchCode[] = "MISMATCH";  // Verification found a wrong answer.
inline constexpr char kNotSentCode[] = "NOT_SENT";   // Due, but no caller was free in time.

// An answer held against that of `eager`.
struct Verdict {
  bool passed = true;
  double rel_l2 = 0;
};

// One call as it went. Times are since the start of the run; the result is borrowed.
struct CallOutcome {
  size_t entry = 0;
  absl::Duration intended;
  absl::Duration sent;
  absl::Duration ended;
  int64_t request_bytes = 0;
  const absl::StatusOr<AttendResult>* result = nullptr;
  // Where the call was chosen for verification.
  std::optional<absl::StatusOr<Verdict>> verdict;
};

struct ErrorCounts {
  int64_t calls = 0;
  std::string example;  // The first one's message.
};

struct BackendCounts {
  int64_t calls = 0;
  double sparsity_sum = 0;
  std::array<int64_t, 20> sparsity = {};  // Of [0, 1] in equal parts.
};

struct EntryCounts {
  int64_t completed = 0;
  int64_t failed = 0;
  Histogram latency;  // Corrected.
};

struct VerificationCounts {
  int64_t checked = 0;
  int64_t mismatched = 0;
  int64_t unanswered = 0;  // `eager` gave no answer to compare with.
  double worst_rel_l2 = 0;
  std::string example;  // Why the first unanswered one was.
};

// A plain value. Latencies are those of calls that succeeded, in nanoseconds.
struct Measurements {
  explicit Measurements(size_t entry_count) : entries(entry_count) {}

  void Add(const CallOutcome& outcome);
  // Counts as failed when it was due.
  void AddNotSent(size_t entry, absl::Duration intended);

  int64_t calls() const { return completed + failed; }

  Histogram latency;      // Corrected: from the intended send time.
  Histogram uncorrected;  // From the actual one.
  Histogram send_delay;   // Between the two, of every call.
  std::array<Histogram, kStageCount> stages;
  Timeline timeline;
  int64_t completed = 0;
  int64_t failed = 0;
  int64_t late_sends = 0;
  int64_t retry_hints = 0;
  std::map<std::string, ErrorCounts> errors;  // By code.
  absl::Status first_error;
  std::map<std::string, BackendCounts> backends;
  std::map<int64_t, int64_t> batch_calls;  // Calls by how many were launched together.
  std::vector<EntryCounts> entries;
  VerificationCounts verification;
  double request_bytes = 0;  // Payloads of calls that succeeded.
  double response_bytes = 0;
  double effective_flops = 0;
  double computed_flops = 0;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_MEASUREMENTS_H_
