#include "client/load/load_plots.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "client/load/svg_plot.h"

namespace attn::load {
namespace {

// Points of a percentile curve: more than a plot has pixels for would show nothing else.
constexpr int kCurvePoints = 240;

// Decades of 1/(1-p) shown at most: up to 99.999%.
constexpr double kMaxDecades = 5;

double Milliseconds(int64_t ns) { return static_cast<double>(ns) / 1e6; }

Series PercentileCurve(std::string name, std::string css_class, const Histogram& histogram,
                       double decades) {
  Series series = {std::move(name), std::move(css_class), {}};
  for (int i = 0; i <= kCurvePoints; ++i) {
    const double at = decades * i / kCurvePoints;
    const double percentile = 100 * (1 - std::pow(10, -at));
    series.points.emplace_back(at, Milliseconds(histogram.ValueAtPercentile(percentile)));
  }
  return series;
}

Axis PercentileAxis(double decades) {
  Axis axis = {.title = "percentile of calls", .max = decades};
  constexpr std::pair<double, const char*> kTicks[] = {
      {0, "0%"},        {0.5, "50%"},       {0.9, "90%"},        {0.99, "99%"},
      {0.999, "99.9%"}, {0.9999, "99.99%"}, {0.99999, "99.999%"}};
  for (const auto& [share, label] : kTicks) {
    const double at = -std::log10(1 - share);
    if (at <= decades * 1.001) axis.ticks.push_back({at, label});
  }
  return axis;
}

// Over the middle of each interval, as an amount a second. What is left at the end counts with the
// interval before, unless it is at least half of one: a rate over less is chance.
Series RateSeries(std::string name, std::string css_class, const Timeline& timeline, double end_s,
                  int64_t Timeline::Interval::*count) {
  Series series = {std::move(name), std::move(css_class), {}};
  const double interval_s = absl::ToDoubleSeconds(timeline.interval());
  const size_t whole = static_cast<size_t>(std::max(1.0, std::round(end_s / interval_s)));
  std::vector<double> counts(std::min(whole, timeline.intervals().size()));
  for (size_t i = 0; i < timeline.intervals().size(); ++i) {
    counts[std::min(i, counts.size() - 1)] += static_cast<double>(timeline.intervals()[i].*count);
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    const double start_s = interval_s * static_cast<double>(i);
    const double length_s = i + 1 == counts.size() ? end_s - start_s : interval_s;
    series.points.emplace_back(start_s + length_s / 2, counts[i] / length_s);
  }
  return series;
}

double Highest(const std::vector<Series>& series) {
  double highest = 0;
  for (const Series& one : series) {
    for (const auto& [x, y] : one.points) highest = std::max(highest, y);
  }
  return highest;
}

Axis TimeAxis(const RunReport& run) {
  const double seconds = absl::ToDoubleSeconds(std::max(run.duration, run.result.elapsed));
  Axis axis = LinearAxis("seconds since the start", seconds);
  axis.max = std::max(seconds, 1e-3);
  while (axis.ticks.size() > 1 && axis.ticks.back().at > axis.max) axis.ticks.pop_back();
  return axis;
}

// Intervals of at least a fiftieth of the run: shorter ones show the chance of single calls.
Timeline Coarser(const Timeline& timeline, absl::Duration run) {
  Timeline coarse = timeline;
  while (coarse.interval() * 50 < run) coarse.Halve();
  return coarse;
}

}  // namespace

std::string LatencyPlot(const RunReport& run, bool open_loop) {
  const Measurements& measured = run.measurements();
  const double count = static_cast<double>(std::max<int64_t>(10, measured.completed));
  const double decades = std::min(std::log10(count), kMaxDecades);
  std::vector<Series> series;
  if (open_loop) {
    series = {
        PercentileCurve("corrected: since the call was due", "s0", measured.latency, decades),
        PercentileCurve("uncorrected: since it was sent", "s1", measured.uncorrected, decades)};
  } else {
    series = {PercentileCurve("latency", "s0", measured.latency, decades)};
  }
  const std::string description = absl::StrFormat(
      "p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, slowest %.3f ms",
      Milliseconds(measured.latency.ValueAtPercentile(50)),
      Milliseconds(measured.latency.ValueAtPercentile(99)),
      Milliseconds(measured.latency.ValueAtPercentile(99.9)), Milliseconds(measured.latency.max()));
  return LinePlot({"Latency by percentile", description}, PercentileAxis(decades),
                  LinearAxis("ms", Highest(series)), series);
}

std::string ThroughputPlot(const RunReport& run) {
  const Measurements& measured = run.measurements();
  const Timeline timeline = Coarser(measured.timeline, run.duration);
  const double end_s = absl::ToDoubleSeconds(std::max(run.duration, run.result.elapsed));
  using Interval = Timeline::Interval;
  const std::vector<Series> series = {
      RateSeries("answered", "s0", timeline, end_s, &Interval::completed),
      RateSeries("failed", "error", timeline, end_s, &Interval::failed),
      RateSeries("sent", "s2", timeline, end_s, &Interval::sent)};
  const std::string description = absl::StrFormat("%d calls answered and %d failed in %.1f seconds",
                                                  measured.completed, measured.failed, end_s);
  return LinePlot({"Throughput over time", description}, TimeAxis(run),
                  LinearAxis("calls/s", Highest(series)), series);
}

std::string SlowestCallPlot(const RunReport& run) {
  const Timeline timeline = Coarser(run.measurements().timeline, run.duration);
  Series series = {"slowest call that ended in the interval", "s0", {}};
  const double interval_s = absl::ToDoubleSeconds(timeline.interval());
  double highest_ms = 0;
  for (size_t i = 0; i < timeline.intervals().size(); ++i) {
    const double ms = Milliseconds(timeline.intervals()[i].max_latency_ns);
    series.points.emplace_back(interval_s * (static_cast<double>(i) + 0.5), ms);
    highest_ms = std::max(highest_ms, ms);
  }
  return LinePlot({"Slowest call over time", absl::StrFormat("at most %.3f ms", highest_ms)},
                  TimeAxis(run), LinearAxis("ms", highest_ms), {series});
}

std::string StagePlot(const Measurements& measured) {
  std::vector<Part> parts;
  std::string description = "mean of";
  for (size_t i = 0; i < kStageCount; ++i) {
    const std::string name = kStageNames[i];
    if (name == "total") continue;  // The whole, but for `outside`.
    parts.push_back({name, measured.stages[i].Mean() / 1e6});
    absl::StrAppendFormat(&description, " %s %.3f ms", name, parts.back().value);
  }
  return StackedBar({"Where the mean call spends its time", description}, parts, "ms");
}

std::string SparsityPlot(const std::string& backend, const BackendCounts& counts) {
  std::vector<double> shares;
  double highest = 0;
  for (const int64_t calls : counts.sparsity) {
    shares.push_back(100 * static_cast<double>(calls) / static_cast<double>(counts.calls));
    highest = std::max(highest, shares.back());
  }
  const double mean = counts.sparsity_sum / static_cast<double>(counts.calls);
  return ColumnPlot(
      {absl::StrFormat("Sparsity of %s", backend), absl::StrFormat("mean %.3f", mean)},
      LinearAxis("sparsity: share of score elements left out", 1),
      LinearAxis("% of calls", highest), shares);
}

std::string StepsPlot(const std::vector<RunReport>& runs) {
  Series throughput = {"calls/s", "s0", {}};
  Axis steps = {.title = "run", .min = 0.5, .max = static_cast<double>(runs.size()) + 0.5};
  for (size_t i = 0; i < runs.size(); ++i) {
    const double at = static_cast<double>(i) + 1;
    throughput.points.emplace_back(
        at, runs[i].PerSecond(static_cast<double>(runs[i].measurements().completed)));
    steps.ticks.push_back({at, runs[i].label});
  }
  return LinePlot({"Throughput by run", absl::StrFormat("%d runs", runs.size())}, steps,
                  LinearAxis("calls/s", Highest({throughput})), {throughput});
}

}  // namespace attn::load
