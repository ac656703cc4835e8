#include "client/cli/load_table.h"

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/table.h"

namespace attn::cli {
namespace {

using load::Histogram;
using load::LoadReport;
using load::Measurements;
using load::RunReport;

std::string PercentileMs(const Histogram& histogram, double percentile) {
  return FormatMs(static_cast<double>(histogram.ValueAtPercentile(percentile)));
}

std::string CallsPerSecond(const RunReport& run) {
  return FormatFixed(run.PerSecond(static_cast<double>(run.measurements().completed)), 1);
}

void PrintSummary(const LoadReport& report, const RunReport& run) {
  const Measurements& measured = run.measurements();
  Table table({"load", ">"});
  table.AddRow({"run", run.Title()});
  if (report.open_loop) table.AddRow({"calls/s due", FormatFixed(run.offered_rate, 1)});
  table.AddRow({"seconds", FormatFixed(absl::ToDoubleSeconds(run.duration), 2)});
  table.AddRow({"completed", absl::StrCat(measured.completed)});
  table.AddRow({"failed", absl::StrCat(measured.failed)});
  for (const auto& [backend, counts] : measured.backends) {
    const double mean = counts.sparsity_sum / static_cast<double>(counts.calls);
    table.AddRow({absl::StrCat("on ", backend), absl::StrCat(counts.calls)});
    if (mean > 0) table.AddRow({absl::StrCat("sparsity of ", backend), FormatFixed(mean, 3)});
  }
  table.AddRow({"calls/s", CallsPerSecond(run)});
  table.AddRow(
      {"GB/s both ways",
       FormatFixed(run.PerSecond((measured.request_bytes + measured.response_bytes) / 1e9), 3)});
  table.AddRow(
      {"effective GFLOP/s", FormatFixed(run.PerSecond(measured.effective_flops / 1e9), 2)});
  table.AddRow({"computed GFLOP/s", FormatFixed(run.PerSecond(measured.computed_flops / 1e9), 2)});
  if (report.open_loop) {
    table.AddRow({"sent over 1 ms late", absl::StrCat(measured.late_sends)});
    table.AddRow({"most in flight", absl::StrCat(run.result.max_in_flight)});
  }
  const load::VerificationCounts& verified = measured.verification;
  if (verified.checked + verified.unanswered > 0) {
    table.AddRow({"verified", absl::StrCat(verified.checked)});
    table.AddRow({"wrong", absl::StrCat(verified.mismatched)});
    table.AddRow({"verification unanswered", absl::StrCat(verified.unanswered)});
  }
  std::cout << table.Text();
}

void PrintLatencies(const LoadReport& report, const Measurements& measured) {
  Table table(report.open_loop
                  ? std::vector<std::string>{"latency", ">ms corrected", ">ms uncorrected"}
                  : std::vector<std::string>{"latency", ">ms"});
  const auto add = [&](const char* name, const std::string& corrected,
                       const std::string& uncorrected) {
    table.AddRow({name, corrected, uncorrected});
  };
  add("mean", FormatMs(measured.latency.Mean()), FormatMs(measured.uncorrected.Mean()));
  for (const load::ReportedPercentile& percentile : load::kReportedPercentiles) {
    add(percentile.label, PercentileMs(measured.latency, percentile.percentile),
        PercentileMs(measured.uncorrected, percentile.percentile));
  }
  add("max", FormatMs(static_cast<double>(measured.latency.max())),
      FormatMs(static_cast<double>(measured.uncorrected.max())));
  std::cout << "\n" << table.Text();
}

void PrintStages(const Measurements& measured) {
  Table table({"server", ">ms mean", ">p50", ">p99"});
  for (size_t i = 0; i < load::kStageCount; ++i) {
    const Histogram& stage = measured.stages[i];
    table.AddRow({load::kStageNames[i], FormatMs(stage.Mean()), PercentileMs(stage, 50),
                  PercentileMs(stage, 99)});
  }
  std::cout << "\n" << table.Text();
}

void PrintEntries(const LoadReport& report, const Measurements& measured) {
  if (report.entries.size() < 2) return;
  Table table({"entry", ">completed", ">failed", ">p50 ms", ">p99 ms"});
  for (size_t i = 0; i < report.entries.size(); ++i) {
    const load::EntryCounts& entry = measured.entries[i];
    table.AddRow({report.entries[i], absl::StrCat(entry.completed), absl::StrCat(entry.failed),
                  PercentileMs(entry.latency, 50), PercentileMs(entry.latency, 99)});
  }
  std::cout << "\n" << table.Text();
}

void PrintErrors(const Measurements& measured) {
  if (measured.errors.empty()) return;
  Table table({"error", ">count", "the first one"});
  for (const auto& [code, counts] : measured.errors) {
    table.AddRow({code, absl::StrCat(counts.calls), counts.example});
  }
  std::cout << "\n" << table.Text();
  if (measured.retry_hints == 0) return;
  std::cout << "Nothing was retried; " << measured.retry_hints
            << " answers asked for a retry later.\n";
}

void PrintRuns(const LoadReport& report) {
  if (report.runs.size() < 2) return;
  Table table({"run", ">calls/s", ">p50 ms", ">p99 ms", ">failed", "service level"});
  for (const RunReport& run : report.runs) {
    const Measurements& measured = run.measurements();
    table.AddRow({run.Title(), CallsPerSecond(run), PercentileMs(measured.latency, 50),
                  PercentileMs(measured.latency, 99), absl::StrCat(measured.failed),
                  absl::StrJoin(run.violations, "; ")});
  }
  std::cout << "\n" << table.Text();
  if (!report.search.has_value() || report.search->max_rate == 0) return;
  std::cout << "Highest rate within the service level: " << FormatFixed(report.search->max_rate, 1)
            << " calls/s\n";
}

}  // namespace

void PrintLoad(const LoadReport& report) {
  const RunReport& run = report.main_run();
  const Measurements& measured = run.measurements();
  PrintSummary(report, run);
  PrintLatencies(report, measured);
  PrintStages(measured);
  PrintEntries(report, measured);
  PrintErrors(measured);
  PrintRuns(report);
  std::cout.flush();
}

}  // namespace attn::cli
