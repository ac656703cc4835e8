// What a load came to, and its forms for programs and people.
#ifndef ATTN_CLIENT_LOAD_LOAD_REPORT_H_
#define ATTN_CLIENT_LOAD_LOAD_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "client/load/environment.h"
#include "client/load/rate_search.h"
#include "client/load/runner.h"
#include "client/load/slo.h"
#include "nlohmann/json.hpp"

namespace attn::load {

// The percentiles of every report; `key` is that of JSON and CSV.
struct ReportedPercentile {
  const char* key;
  const char* label;
  double percentile;
};
inline constexpr ReportedPercentile kReportedPercentiles[] = {
    {"p50", "p50", 50}, {"p75", "p75", 75},      {"p90", "p90", 90},        {"p95", "p95", 95},
    {"p99", "p99", 99}, {"p999", "p99.9", 99.9}, {"p9999", "p99.99", 99.99}};

// One run: of a load without steps the only one.
struct RunReport {
  std::string label;        // `4 callers`, `200 calls/s`
  int concurrency = 0;      // Of a closed loop; 0 = open.
  double offered_rate = 0;  // Of an open loop: calls a second that were due, on average.
  absl::Duration duration;  // As long as the run was to last, or as it lasted where that was open.
  RunResult result;
  std::vector<std::string> violations;  // Of the SLO; empty = kept.

  const Measurements& measurements() const { return result.measurements; }
  double PerSecond(double amount) const;
  std::string Title() const;  // The label, and that the run was ended early.
};

struct LoadReport {
  Environment environment;
  nlohmann::ordered_json config;  // What was asked for, by the names of the flags.
  bool open_loop = false;
  Slo slo;
  std::vector<std::string> entries;  // Names.
  std::vector<RunReport> runs;       // At least one, in the order they were made.
  size_t headline = 0;               // The run that the report is about.
  std::optional<RateSearchResult> search;
  bool interrupted = false;  // By a signal: what is missing was not measured.

  const RunReport& main_run() const { return runs[headline]; }
};

// {"load": {...}}; docs/load-testing.md lists the keys.
nlohmann::ordered_json LoadJson(const LoadReport& report);

// A line of names, then one a run.
std::string LoadCsv(const LoadReport& report);

// One page that needs nothing else: styles and plots stand in it, and no script does.
std::string LoadHtml(const LoadReport& report);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_LOAD_REPORT_H_
