// Makes the calls of a run and measures them.
//
// Every caller is a thread that takes its next call from a source, waits until the call is due,
// makes it and writes down how it went. In a closed loop there are as many callers as calls at
// once; in an open loop more than are ever in flight, so that no call waits for the answer of
// another. Where that bound is hit calls go out late, and their corrected latency says so.
#ifndef ATTN_CLIENT_LOAD_RUNNER_H_
#define ATTN_CLIENT_LOAD_RUNNER_H_

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/attention_client.h"
#include "client/load/call_mix.h"
#include "client/load/call_source.h"
#include "client/load/measurements.h"
#include "client/load/slo.h"

namespace attn::load {

// Asks `eager` the same question and compares. Called from several threads.
using Verify = std::function<absl::StatusOr<Verdict>(const AttendArguments&, const AttendResult&)>;

// A server under load. Borrows its client.
struct Target {
  std::string address;
  AttentionClient* client = nullptr;
  Verify verify;  // Empty = never asked for.
};

// Which calls are verified: every n-th, or a share of them at random. Zero = none. A verified call
// holds its caller until `eager` has answered; that time is in no latency.
struct VerifySampling {
  int64_t every = 0;
  double share = 0;
};

// For a progress line.
struct LiveFigures {
  absl::Duration elapsed;
  int64_t completed = 0;
  int64_t failed = 0;
  int in_flight = 0;
  double calls_per_s = 0;  // Since the last figures.
  int64_t p50_ns = 0;
  int64_t p99_ns = 0;
};

struct RunOptions {
  int callers = 1;
  CallOptions call;
  uint64_t seed = 1;
  VerifySampling verify;
  Slo abort_slo;              // The run is ended early once it cannot be met; empty = never.
  std::stop_token stop = {};  // A request ends the run early.
  // Twice a second; empty = none. One that blocks holds up no call.
  std::function<void(const LiveFigures&)> progress;
};

struct RunResult {
  Measurements measurements;
  absl::Duration elapsed;  // From the start to the last call's end.
  int max_in_flight = 0;
  bool aborted = false;  // Ended early.
};

// The calls go to the targets in turn. Blocks until every call has ended. RESOURCE_EXHAUSTED if the
// system has no thread for a caller; then no call is made.
absl::StatusOr<RunResult> RunCalls(const std::vector<Target>& targets, const CallMix& mix,
                                   CallSource& source, const RunOptions& options);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_RUNNER_H_
