// The runs of one load: a warm-up, then one run, one for each step of a closed loop, or one for
// each try of a search.
#ifndef ATTN_CLIENT_LOAD_LOAD_SESSION_H_
#define ATTN_CLIENT_LOAD_LOAD_SESSION_H_

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/arrival.h"
#include "client/load/call_mix.h"
#include "client/load/call_source.h"
#include "client/load/load_report.h"
#include "client/load/runner.h"
#include "client/load/slo.h"

namespace attn::load {

enum class Progress : uint8_t { kNone, kLines, kTerminal };

// What is to be done, checked.
struct LoadPlan {
  bool open_loop = false;
  std::vector<int> concurrency;  // Of a closed loop: one run each.
  ArrivalPlan arrivals;          // Of an open loop.
  std::string open_label;        // Of its run, for people.
  double search_from = 0;        // Above 0: search the highest rate within the SLO, from this on.
  int max_in_flight = 0;         // Of an open loop.
  int warmup_callers = 1;
  RunLimit warmup;
  RunLimit limit;
  CallOptions call;
  uint64_t seed = 1;
  VerifySampling verify;
  Slo slo;
  bool abort_on_slo = false;
  Progress progress = Progress::kNone;
  std::stop_token stop = {};  // A request ends the load early.
};

// Borrows all that it is made of.
class LoadSession {
 public:
  LoadSession(const LoadPlan& plan, const std::vector<Target>& targets, const CallMix& mix)
      : plan_(plan), targets_(targets), mix_(mix) {}

  // The first error, if no server could be reached; of others the runs will tell.
  absl::Status WarmUp() const;

  // Fills in the report's runs, its headline and search. A load that is ended early has a run
  // nevertheless, be it one without calls.
  absl::Status RunAll(LoadReport* report) const;

 private:
  absl::StatusOr<RunReport> RunClosed(int concurrency) const;
  absl::StatusOr<RunReport> RunOpen(const ArrivalPlan& arrivals, const std::string& label) const;
  absl::Status Search(LoadReport* report) const;
  RunOptions Options(int callers) const;
  absl::StatusOr<RunResult> Run(CallSource& source, RunOptions options,
                                const std::string& label) const;

  const LoadPlan& plan_;
  const std::vector<Target>& targets_;
  const CallMix& mix_;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_LOAD_SESSION_H_
