// Closed-loop load: each caller makes its next call when the last one has been answered.
#ifndef ATTN_CLIENT_CLI_CLOSED_LOOP_H_
#define ATTN_CLIENT_CLI_CLOSED_LOOP_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/attention_client.h"

namespace attn::cli {

// The loop ends at whichever comes first; calls begun by then are finished.
struct LoopLimit {
  absl::Duration duration = absl::InfiniteDuration();
  int64_t requests = std::numeric_limits<int64_t>::max();
};

// What the callers saw, all together.
struct LoopResult {
  std::vector<int64_t> latencies_ns;        // Of the calls that succeeded: 8 bytes each.
  std::map<std::string, int64_t> errors;    // By code name.
  std::map<std::string, int64_t> backends;  // Successful calls by the backend that served them.
  absl::Status first_error;
  absl::Duration elapsed;    // From the first call's begin to the last one's end.
  double payload_bytes = 0;  // Both ways.
  double effective_flops = 0;
  // Sums over successful calls of the server's own figures, nanoseconds.
  double queue_ns = 0;
  double decode_ns = 0;
  double plan_ns = 0;
  double kernel_ns = 0;
  double encode_ns = 0;
  double total_ns = 0;
};

// One thread a caller, each sending its own call again and again. `client` and `callers` are used
// from those threads; all have ended on return.
LoopResult RunClosedLoop(AttentionClient& client, const std::vector<AttendArguments>& callers,
                         const CallOptions& options, const LoopLimit& limit);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CLOSED_LOOP_H_
