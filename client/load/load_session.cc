#include "client/load/load_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/progress_line.h"
#include "client/load/rate_search.h"
#include "kernels/core/status_macros.h"

namespace attn::load {
namespace {

// A try of a search that answers fewer of the calls that were due is above what the server can do,
// whatever its latencies are: the rest has only piled up.
constexpr double kMinServedShare = 0.9;

}  // namespace

absl::Status LoadSession::WarmUp() const {
  ClosedLoop source(plan_.warmup);
  RunOptions options = Options(plan_.warmup_callers);
  options.verify = {};
  options.abort_slo = {};
  ATTN_ASSIGN_OR_RETURN(const RunResult result, Run(source, std::move(options), "warm-up"));
  const absl::Status& error = result.measurements.first_error;
  return result.measurements.completed == 0 && IsUnreachable(error) ? error : absl::OkStatus();
}

absl::Status LoadSession::RunAll(LoadReport* report) const {
  if (plan_.search_from > 0) return Search(report);
  if (plan_.open_loop) {
    ATTN_ASSIGN_OR_RETURN(RunReport run, RunOpen(plan_.arrivals, plan_.open_label));
    report->runs.push_back(std::move(run));
  } else {
    for (const int concurrency : plan_.concurrency) {
      ATTN_ASSIGN_OR_RETURN(RunReport run, RunClosed(concurrency));
      report->runs.push_back(std::move(run));
      if (plan_.stop.stop_requested()) break;
    }
  }
  report->headline = report->runs.size() - 1;
  return absl::OkStatus();
}

absl::StatusOr<RunReport> LoadSession::RunClosed(int concurrency) const {
  const std::string label = absl::StrCat(concurrency, concurrency == 1 ? " caller" : " callers");
  ClosedLoop source(plan_.limit);
  ATTN_ASSIGN_OR_RETURN(RunResult result, Run(source, Options(concurrency), label));
  const absl::Duration elapsed = result.elapsed;
  RunReport report = {
      .label = label, .concurrency = concurrency, .duration = elapsed, .result = std::move(result)};
  report.violations = Violations(plan_.slo, report.measurements());
  return report;
}

absl::StatusOr<RunReport> LoadSession::RunOpen(const ArrivalPlan& arrivals,
                                               const std::string& label) const {
  OpenLoop source(arrivals, plan_.seed, plan_.limit);
  ATTN_ASSIGN_OR_RETURN(RunResult result, Run(source, Options(plan_.max_in_flight), label));
  // A run that was to last a time did so, even if the last call ended before.
  const absl::Duration planned = plan_.limit.duration;
  const bool cut_short = result.aborted || planned == absl::InfiniteDuration() ||
                         result.measurements.calls() >= plan_.limit.requests;
  const absl::Duration due_in = cut_short ? result.elapsed : planned;
  const double due = static_cast<double>(result.measurements.calls());
  const absl::Duration lasted = std::max(result.elapsed, due_in);
  RunReport report = {.label = label, .duration = lasted, .result = std::move(result)};
  if (due_in > absl::ZeroDuration()) report.offered_rate = due / absl::ToDoubleSeconds(due_in);
  report.violations = Violations(plan_.slo, report.measurements());
  return report;
}

absl::Status LoadSession::Search(LoadReport* report) const {
  absl::Status failed;
  const auto passes = [&](double rate) -> std::optional<bool> {
    ArrivalPlan arrivals = plan_.arrivals;
    arrivals.segments = {{.from = rate, .to = rate}};
    absl::StatusOr<RunReport> run = RunOpen(arrivals, absl::StrFormat("%g calls/s", rate));
    failed.Update(run.status());
    if (!run.ok()) return std::nullopt;
    const double served = run->PerSecond(static_cast<double>(run->measurements().completed));
    if (served < kMinServedShare * run->offered_rate) {
      run->violations.push_back(
          absl::StrFormat("served %.1f calls/s of %.1f due", served, run->offered_rate));
    }
    const bool interrupted = plan_.stop.stop_requested();
    const bool passed = !interrupted && run->violations.empty();
    report->runs.push_back(*std::move(run));
    // The report is about the highest rate that passed, or the last try where none has.
    if (passed || !report->main_run().violations.empty()) {
      report->headline = report->runs.size() - 1;
    }
    return interrupted ? std::nullopt : std::optional(passed);
  };
  report->search = FindMaxRate(plan_.search_from, passes);
  return failed;
}

RunOptions LoadSession::Options(int callers) const {
  RunOptions options = {.callers = callers,
                        .call = plan_.call,
                        .seed = plan_.seed,
                        .verify = plan_.verify,
                        .stop = plan_.stop};
  if (plan_.abort_on_slo) options.abort_slo = plan_.slo;
  return options;
}

absl::StatusOr<RunResult> LoadSession::Run(CallSource& source, RunOptions options,
                                           const std::string& label) const {
  if (plan_.progress == Progress::kNone) return RunCalls(targets_, mix_, source, options);
  ProgressLine line(plan_.progress == Progress::kTerminal, label);
  options.progress = [&line](const LiveFigures& figures) { line.Show(figures); };
  return RunCalls(targets_, mix_, source, options);
}

}  // namespace attn::load
