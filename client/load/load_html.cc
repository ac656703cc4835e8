#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/load/load_plots.h"
#include "client/load/load_report.h"
#include "client/load/svg_plot.h"

namespace attn::load {
namespace {

// Colours are told apart in either scheme, and by those who confuse red and green: blue, orange,
// and further hues that differ in lightness (after Okabe and Ito).
constexpr char kStyle[] = R"css(
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1c2127;
  --quiet: #5b6673; --rule: #d9dee4; --s0: #0b62c4; --s1: #d06a00; --s2: #7a8694;
  --s3: #00815f; --s4: #a8478a; --s5: #4a9fd8; --error: #c62f2f; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1d2127; --text: #e6e9ed;
  --quiet: #a0abb7; --rule: #363d46; --s0: #5aa9f5; --s1: #f0a04b; --s2: #8d99a6;
  --s3: #35c79c; --s4: #dd8cc3; --s5: #9bd1f5; --error: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1240px; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0; }
h2 { font-size: 16px; margin: 0 0 8px; }
p { margin: 4px 0 12px; color: var(--quiet); }
.tiles { display: grid; gap: 12px; margin: 16px 0;
  grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); }
.cards { display: grid; gap: 16px; grid-auto-flow: dense;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }
.tile, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
.tile { padding: 10px 14px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.tile span, .note { color: var(--quiet); font-size: 13px; }
.tile.bad b { color: var(--error); }
.card { padding: 16px; min-width: 0; overflow-x: auto; }
.wide { grid-column: 1 / -1; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--rule); }
th { color: var(--quiet); font-weight: 600; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.text td:not(:last-child) { white-space: nowrap; vertical-align: top; }
td:last-child { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; margin-bottom: 8px; }
svg text { fill: var(--text); font-size: 14px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); } .line.s2 { stroke: var(--s2); }
.line.error { stroke: var(--error); }
.fill.s0 { fill: var(--s0); } .fill.s1 { fill: var(--s1); } .fill.s2 { fill: var(--s2); }
.fill.s3 { fill: var(--s3); } .fill.s4 { fill: var(--s4); } .fill.s5 { fill: var(--s5); }
.fill.error { fill: var(--error); }
)css";

using Row = std::vector<std::string>;

std::string Fixed(double value, int decimals) { return absl::StrFormat("%.*f", decimals, value); }
std::string FixedMs(double ns) { return Fixed(ns / 1e6, 3); }

// The first column reads to the left; all of them where `text`.
std::string HtmlTable(const Row& titles, const std::vector<Row>& rows, bool text = false) {
  std::string html = absl::StrCat("<table", text ? " class=\"text\"" : "", "><thead><tr>");
  for (const std::string& title : titles) {
    absl::StrAppend(&html, "<th scope=\"col\">", EscapeHtml(title), "</th>");
  }
  absl::StrAppend(&html, "</tr></thead><tbody>\n");
  for (const Row& row : rows) {
    absl::StrAppend(&html, "<tr>");
    for (const std::string& cell : row) {
      absl::StrAppend(&html, "<td>", EscapeHtml(cell), "</td>");
    }
    absl::StrAppend(&html, "</tr>\n");
  }
  return html + "</tbody></table>\n";
}

std::string Card(const std::string& title, const std::string& body, bool wide = false) {
  return absl::StrCat("<section class=\"card", wide ? " wide" : "", "\"><h2>", EscapeHtml(title),
                      "</h2>\n", body, "</section>\n");
}

std::string Tile(const std::string& value, const std::string& name, bool bad = false) {
  return absl::StrCat("<div class=\"tile", bad ? " bad" : "", "\"><b>", EscapeHtml(value),
                      "</b><span>", EscapeHtml(name), "</span></div>\n");
}

std::string Tiles(const LoadReport& report) {
  const RunReport& run = report.main_run();
  const Measurements& measured = run.measurements();
  std::string html = "<div class=\"tiles\">\n";
  html += Tile(Fixed(run.PerSecond(static_cast<double>(measured.completed)), 1), "calls/s");
  if (report.open_loop) html += Tile(Fixed(run.offered_rate, 1), "calls/s due");
  html += Tile(FixedMs(static_cast<double>(measured.latency.ValueAtPercentile(50))), "p50, ms");
  html += Tile(FixedMs(static_cast<double>(measured.latency.ValueAtPercentile(99))), "p99, ms");
  html += Tile(Fixed(run.PerSecond((measured.request_bytes + measured.response_bytes) / 1e9), 3),
               "GB/s both ways");
  html += Tile(Fixed(run.PerSecond(measured.effective_flops / 1e9), 2), "effective GFLOP/s");
  html += Tile(absl::StrCat(measured.failed), "failed calls", measured.failed > 0);
  if (!report.slo.empty()) {
    html += Tile(run.violations.empty() ? "kept" : "violated", "service level",
                 !run.violations.empty());
  }
  if (report.search.has_value()) {
    html += Tile(Fixed(report.search->max_rate, 1), "highest calls/s found",
                 report.search->max_rate == 0);
  }
  return html + "</div>\n";
}

std::string LatencyTable(const Measurements& measured, bool open_loop) {
  Row titles = {open_loop ? "ms" : "latency, ms"};
  std::vector<Row> rows = {{open_loop ? "corrected" : "all calls"}};
  std::vector<const Histogram*> histograms = {&measured.latency};
  if (open_loop) {
    rows.push_back({"uncorrected"});
    rows.push_back({"send delay"});
    histograms = {&measured.latency, &measured.uncorrected, &measured.send_delay};
  }
  titles.push_back("mean");
  for (const ReportedPercentile& percentile : kReportedPercentiles) {
    titles.push_back(percentile.label);
  }
  titles.push_back("max");
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].push_back(FixedMs(histograms[i]->Mean()));
    for (const ReportedPercentile& percentile : kReportedPercentiles) {
      rows[i].push_back(
          FixedMs(static_cast<double>(histograms[i]->ValueAtPercentile(percentile.percentile))));
    }
    rows[i].push_back(FixedMs(static_cast<double>(histograms[i]->max())));
  }
  return HtmlTable(titles, rows);
}

std::string StageTable(const Measurements& measured) {
  std::vector<Row> rows;
  for (size_t i = 0; i < kStageCount; ++i) {
    const Histogram& stage = measured.stages[i];
    rows.push_back({kStageNames[i], FixedMs(stage.Mean()),
                    FixedMs(static_cast<double>(stage.ValueAtPercentile(50))),
                    FixedMs(static_cast<double>(stage.ValueAtPercentile(99))),
                    FixedMs(static_cast<double>(stage.max()))});
  }
  return HtmlTable({"stage, ms", "mean", "p50", "p99", "max"}, rows) +
         "<p class=\"note\">queue to total: the server's clock. outside: what the caller waited "
         "beside it.</p>\n";
}

std::string SparsityCards(const Measurements& measured) {
  std::string html;
  for (const auto& [backend, counts] : measured.backends) {
    const double mean = counts.sparsity_sum / static_cast<double>(counts.calls);
    html += Card(absl::StrCat("Sparsity of ", backend),
                 absl::StrFormat("<p>%d calls, mean %.3f</p>\n", counts.calls, mean) +
                     SparsityPlot(backend, counts));
  }
  return html;
}

std::string ErrorCard(const Measurements& measured) {
  if (measured.errors.empty()) return "";
  std::vector<Row> rows;
  for (const auto& [code, counts] : measured.errors) {
    rows.push_back({code, absl::StrCat(counts.calls), counts.example});
  }
  return Card("Errors",
              HtmlTable({"code", "calls", "the first one's message"}, rows, /*text=*/true) +
                  absl::StrFormat("<p class=\"note\">Nothing was retried; %d answers asked for a "
                                  "retry later.</p>\n",
                                  measured.retry_hints),
              /*wide=*/true);
}

std::string EntryCard(const LoadReport& report) {
  if (report.entries.size() == 1) return "";
  std::vector<Row> rows;
  for (size_t i = 0; i < report.entries.size(); ++i) {
    const EntryCounts& entry = report.main_run().measurements().entries[i];
    rows.push_back({report.entries[i], absl::StrCat(entry.completed), absl::StrCat(entry.failed),
                    FixedMs(static_cast<double>(entry.latency.ValueAtPercentile(50))),
                    FixedMs(static_cast<double>(entry.latency.ValueAtPercentile(99))),
                    FixedMs(static_cast<double>(entry.latency.max()))});
  }
  return Card("Calls by entry of the workload",
              HtmlTable({"entry", "answered", "failed", "p50 ms", "p99 ms", "max ms"}, rows));
}

std::string CountCard(const RunReport& run) {
  const Measurements& measured = run.measurements();
  std::vector<Row> rows = {
      {"calls answered", absl::StrCat(measured.completed)},
      {"seconds", Fixed(absl::ToDoubleSeconds(run.duration), 2)},
      {"sent over 1 ms late", absl::StrCat(measured.late_sends)},
      {"most in flight", absl::StrCat(run.result.max_in_flight)},
      {"computed GFLOP/s", Fixed(run.PerSecond(measured.computed_flops / 1e9), 2)},
      {"verified against eager", absl::StrCat(measured.verification.checked)},
      {"of these wrong", absl::StrCat(measured.verification.mismatched)},
      {"verifications unanswered", absl::StrCat(measured.verification.unanswered)}};
  for (const auto& [size, count] : measured.batch_calls) {
    rows.push_back({absl::StrCat("calls in batches of ", size), absl::StrCat(count)});
  }
  return Card("Counts", HtmlTable({"what", "how many"}, rows));
}

std::string StepCards(const std::vector<RunReport>& runs) {
  if (runs.size() == 1) return "";
  std::vector<Row> rows;
  for (const RunReport& run : runs) {
    const Measurements& measured = run.measurements();
    rows.push_back({run.Title(), Fixed(run.PerSecond(static_cast<double>(measured.completed)), 1),
                    Fixed(run.PerSecond(measured.effective_flops / 1e9), 2),
                    FixedMs(static_cast<double>(measured.latency.ValueAtPercentile(50))),
                    FixedMs(static_cast<double>(measured.latency.ValueAtPercentile(99))),
                    absl::StrCat(measured.failed), absl::StrJoin(run.violations, "; ")});
  }
  return Card("Throughput by run", StepsPlot(runs)) +
         Card("All runs",
              HtmlTable({"run", "calls/s", "GFLOP/s", "p50 ms", "p99 ms", "failed", "violated"},
                        rows));
}

std::string ConfigCard(const LoadReport& report) {
  const Environment& environment = report.environment;
  std::vector<Row> rows = {
      {"started", absl::FormatTime(environment.started, absl::UTCTimeZone())},
      {"client machine", environment.machine},
      {"cpu", absl::StrCat(environment.cpu, ", ", environment.cores, " cores")},
      {"memory", Fixed(static_cast<double>(environment.memory_bytes) / (1 << 30), 1) + " GiB"},
      {"kernel", environment.kernel},
      {"attn", environment.client_version}};
  for (const ServerFacts& server : environment.servers) {
    const std::string version = server.version.empty() ? "of unknown version" : server.version;
    rows.push_back({"server", absl::StrCat(server.address, ", attnd ", version, ", ",
                                           absl::StrJoin(server.backends, ", "))});
  }
  for (const auto& [key, value] : report.config.items()) {
    rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
  }
  return Card("Environment and configuration", HtmlTable({"what", "value"}, rows, /*text=*/true),
              /*wide=*/true);
}

}  // namespace

std::string LoadHtml(const LoadReport& report) {
  const RunReport& run = report.main_run();
  const Measurements& measured = run.measurements();
  const std::string explanation =
      report.open_loop
          ? "Open loop: calls were sent when they were due, whether or not earlier ones had been "
            "answered. Corrected latency counts from then, so that a stall shows in every call it "
            "held up."
          : "Closed loop: every caller sent its next call when the last one was answered.";
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>attn load: ",
      EscapeHtml(run.Title()), "</title>\n<style>", kStyle,
      "</style>\n</head>\n<body>\n<h1>attn load: ", EscapeHtml(run.Title()), "</h1>\n<p>",
      explanation, "</p>\n", Tiles(report));
  if (report.interrupted) {
    absl::StrAppend(&html,
                    "<p role=\"status\">Interrupted: the report is of what was measured until "
                    "then.</p>\n");
  }
  for (const std::string& violation : run.violations) {
    absl::StrAppend(&html, "<p role=\"status\">Service level violated: ", EscapeHtml(violation),
                    "</p>\n");
  }
  absl::StrAppend(
      &html, "<main class=\"cards\">\n",
      Card("Latency by percentile", LatencyPlot(run, report.open_loop)),
      Card("Throughput and errors over time", ThroughputPlot(run)),
      Card("Latency", LatencyTable(measured, report.open_loop), /*wide=*/true),
      Card("Where the mean call spends its time", StagePlot(measured) + StageTable(measured)),
      Card("Slowest call over time", SlowestCallPlot(run)), StepCards(report.runs),
      ErrorCard(measured), SparsityCards(measured), EntryCard(report), CountCard(run),
      ConfigCard(report), "</main>\n</body>\n</html>\n");
  return html;
}

}  // namespace attn::load
