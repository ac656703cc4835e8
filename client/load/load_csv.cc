#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/load/load_report.h"

namespace attn::load {
namespace {

// Columns of one run. Names and values are made together, so that neither can be one too many.
struct CsvLine {
  std::vector<std::string> names;
  std::vector<std::string> values;

  void Add(std::string name, std::string value) {
    names.push_back(std::move(name));
    values.push_back(std::move(value));
  }
  void Add(std::string name, int64_t value) { Add(std::move(name), absl::StrCat(value)); }
  void Add(std::string name, double value) { Add(std::move(name), absl::StrFormat("%.6g", value)); }
  void AddMs(const std::string& prefix, const Histogram& histogram) {
    Add(prefix + "_mean_ms", histogram.Mean() / 1e6);
    for (const ReportedPercentile& percentile : kReportedPercentiles) {
      Add(absl::StrCat(prefix, "_", percentile.key, "_ms"),
          static_cast<double>(histogram.ValueAtPercentile(percentile.percentile)) / 1e6);
    }
    Add(prefix + "_max_ms", static_cast<double>(histogram.max()) / 1e6);
  }
};

// RFC 4180.
std::string QuoteCsv(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string ErrorList(const Measurements& measured) {
  return absl::StrJoin(measured.errors, " ", [](std::string* out, const auto& error) {
    absl::StrAppend(out, error.first, "=", error.second.calls);
  });
}

CsvLine LineOf(const LoadReport& report, const RunReport& run) {
  const Measurements& measured = run.measurements();
  CsvLine line;
  line.Add("run", QuoteCsv(run.label));
  line.Add("mode", std::string(report.open_loop ? "open" : "closed"));
  line.Add("concurrency", int64_t{run.concurrency});
  line.Add("offered_calls_per_s", run.offered_rate);
  line.Add("seconds", absl::ToDoubleSeconds(run.duration));
  line.Add("aborted", std::string(run.result.aborted ? "true" : "false"));
  line.Add("completed", measured.completed);
  line.Add("failed", measured.failed);
  line.Add("errors", QuoteCsv(ErrorList(measured)));
  line.Add("calls_per_s", run.PerSecond(static_cast<double>(measured.completed)));
  line.Add("gb_per_s", run.PerSecond((measured.request_bytes + measured.response_bytes) / 1e9));
  line.Add("effective_gflop_per_s", run.PerSecond(measured.effective_flops / 1e9));
  line.Add("computed_gflop_per_s", run.PerSecond(measured.computed_flops / 1e9));
  line.AddMs("latency", measured.latency);
  line.AddMs("uncorrected_latency", measured.uncorrected);
  line.Add("late_sends", measured.late_sends);
  for (size_t i = 0; i < kStageCount; ++i) {
    line.Add(absl::StrCat("stage_", kStageNames[i], "_mean_ms"), measured.stages[i].Mean() / 1e6);
  }
  line.Add("slo_violations", QuoteCsv(absl::StrJoin(run.violations, "; ")));
  return line;
}

}  // namespace

std::string LoadCsv(const LoadReport& report) {
  std::string text;
  for (const RunReport& run : report.runs) {
    const CsvLine line = LineOf(report, run);
    if (text.empty()) absl::StrAppend(&text, absl::StrJoin(line.names, ","), "\n");
    absl::StrAppend(&text, absl::StrJoin(line.values, ","), "\n");
  }
  return text;
}

}  // namespace attn::load
