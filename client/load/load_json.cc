#include <algorithm>

#include "client/load/load_report.h"

namespace attn::load {
namespace {

using Ordered = nlohmann::ordered_json;

Ordered MillisecondsJson(const Histogram& histogram) {
  Ordered json = {{"mean", histogram.Mean() / 1e6}};
  for (const ReportedPercentile& percentile : kReportedPercentiles) {
    json[percentile.key] =
        static_cast<double>(histogram.ValueAtPercentile(percentile.percentile)) / 1e6;
  }
  json["max"] = static_cast<double>(histogram.max()) / 1e6;
  return json;
}

Ordered EnvironmentJson(const Environment& environment) {
  Ordered servers = Ordered::array();
  for (const ServerFacts& server : environment.servers) {
    servers.push_back({{"address", server.address},
                       {"version", server.version.empty() ? Ordered() : Ordered(server.version)},
                       {"backends", server.backends}});
  }
  return {{"machine", environment.machine},
          {"cpu", environment.cpu},
          {"cores", environment.cores},
          {"memory_bytes", environment.memory_bytes},
          {"kernel", environment.kernel},
          {"client_version", environment.client_version},
          {"started", absl::FormatTime(environment.started, absl::UTCTimeZone())},
          {"servers", std::move(servers)}};
}

Ordered SparsityJson(const Measurements& measurements) {
  Ordered json = Ordered::object();
  for (const auto& [backend, counts] : measurements.backends) {
    json[backend] = {{"mean", counts.sparsity_sum / static_cast<double>(counts.calls)},
                     {"histogram", counts.sparsity}};
  }
  return json;
}

Ordered BatchJson(const Measurements& measurements) {
  double calls = 0;
  double sum = 0;
  Ordered counts = Ordered::object();
  for (const auto& [size, count] : measurements.batch_calls) {
    counts[std::to_string(size)] = count;
    calls += static_cast<double>(count);
    sum += static_cast<double>(size * count);
  }
  return {{"mean", calls > 0 ? sum / calls : 0}, {"counts", std::move(counts)}};
}

Ordered EntriesJson(const std::vector<std::string>& names, const Measurements& measurements) {
  Ordered json = Ordered::array();
  for (size_t i = 0; i < names.size(); ++i) {
    const EntryCounts& entry = measurements.entries[i];
    json.push_back({{"name", names[i]},
                    {"completed", entry.completed},
                    {"failed", entry.failed},
                    {"latency_ms", MillisecondsJson(entry.latency)}});
  }
  return json;
}

Ordered TimelineJson(const Timeline& timeline) {
  Ordered sent = Ordered::array();
  Ordered completed = Ordered::array();
  Ordered failed = Ordered::array();
  Ordered max_latency_ms = Ordered::array();
  for (const Timeline::Interval& interval : timeline.intervals()) {
    sent.push_back(interval.sent);
    completed.push_back(interval.completed);
    failed.push_back(interval.failed);
    max_latency_ms.push_back(static_cast<double>(interval.max_latency_ns) / 1e6);
  }
  return {{"interval_s", absl::ToDoubleSeconds(timeline.interval())},
          {"sent", std::move(sent)},
          {"completed", std::move(completed)},
          {"failed", std::move(failed)},
          {"max_latency_ms", std::move(max_latency_ms)}};
}

Ordered VerificationJson(const VerificationCounts& counts) {
  Ordered json = {{"checked", counts.checked},
                  {"mismatched", counts.mismatched},
                  {"unanswered", counts.unanswered},
                  {"worst_rel_l2", counts.worst_rel_l2}};
  if (!counts.example.empty()) json["unanswered_example"] = counts.example;
  return json;
}

void PutErrors(const Measurements& measurements, Ordered* json) {
  Ordered errors = Ordered::object();
  Ordered examples = Ordered::object();
  for (const auto& [code, counts] : measurements.errors) {
    errors[code] = counts.calls;
    examples[code] = counts.example;
  }
  (*json)["errors"] = std::move(errors);
  (*json)["error_examples"] = std::move(examples);
}

// The figures of one run, added to `json`.
void PutRun(const LoadReport& report, const RunReport& run, Ordered* json) {
  const Measurements& measured = run.measurements();
  const double completed = static_cast<double>(measured.completed);
  Ordered& to = *json;
  to["label"] = run.label;
  if (report.open_loop) {
    to["offered_calls_per_s"] = run.offered_rate;
  } else {
    to["concurrency"] = run.concurrency;
  }
  to["seconds"] = absl::ToDoubleSeconds(run.duration);
  to["completed"] = measured.completed;
  to["failed"] = measured.failed;
  to["error_rate"] = static_cast<double>(measured.failed) /
                     static_cast<double>(std::max<int64_t>(1, measured.calls()));
  PutErrors(measured, json);
  to["retry_hints_not_followed"] = measured.retry_hints;
  to["calls_per_s"] = run.PerSecond(completed);
  to["gb_per_s"] = run.PerSecond((measured.request_bytes + measured.response_bytes) / 1e9);
  to["request_gb_per_s"] = run.PerSecond(measured.request_bytes / 1e9);
  to["response_gb_per_s"] = run.PerSecond(measured.response_bytes / 1e9);
  to["effective_gflop_per_s"] = run.PerSecond(measured.effective_flops / 1e9);
  to["computed_gflop_per_s"] = run.PerSecond(measured.computed_flops / 1e9);
  to["latency_ms"] = MillisecondsJson(measured.latency);
  to["uncorrected_latency_ms"] = MillisecondsJson(measured.uncorrected);
  to["send_delay_ms"] = MillisecondsJson(measured.send_delay);
  to["late_sends"] = measured.late_sends;
  to["max_in_flight"] = run.result.max_in_flight;
  to["aborted"] = run.result.aborted;
  Ordered stages = Ordered::object();
  for (size_t i = 0; i < kStageCount; ++i) {
    stages[kStageNames[i]] = MillisecondsJson(measured.stages[i]);
  }
  to["stages_ms"] = std::move(stages);
  Ordered backends = Ordered::object();
  for (const auto& [backend, counts] : measured.backends) backends[backend] = counts.calls;
  to["backends"] = std::move(backends);
  to["sparsity"] = SparsityJson(measured);
  to["batch_calls"] = BatchJson(measured);
  to["verification"] = VerificationJson(measured.verification);
  to["entries"] = EntriesJson(report.entries, measured);
  to["slo_violations"] = run.violations;
  to["timeline"] = TimelineJson(measured.timeline);
}

template <typename T>
Ordered OrNull(const std::optional<T>& value) {
  return value.has_value() ? Ordered(*value) : Ordered();
}

Ordered SearchJson(const RateSearchResult& search) {
  Ordered probes = Ordered::array();
  for (const RateProbe& probe : search.probes) {
    probes.push_back({{"rate", probe.rate}, {"passed", probe.passed}});
  }
  return {{"max_rate", search.max_rate > 0 ? Ordered(search.max_rate) : Ordered()},
          {"probes", std::move(probes)}};
}

}  // namespace

Ordered LoadJson(const LoadReport& report) {
  Ordered load = {{"mode", report.open_loop ? "open" : "closed"},
                  {"environment", EnvironmentJson(report.environment)},
                  {"config", report.config},
                  {"interrupted", report.interrupted}};
  PutRun(report, report.main_run(), &load);
  if (!report.slo.empty()) {
    load["slo"] = {{"max_p99_ms", OrNull(report.slo.max_p99_ms)},
                   {"max_error_rate", OrNull(report.slo.max_error_rate)},
                   {"met", report.main_run().violations.empty()}};
  }
  if (report.search.has_value()) load["search"] = SearchJson(*report.search);
  if (report.runs.size() > 1) {
    Ordered& steps = load["steps"] = Ordered::array();
    for (const RunReport& run : report.runs) {
      Ordered step;
      PutRun(report, run, &step);
      steps.push_back(std::move(step));
    }
  }
  return {{"load", std::move(load)}};
}

}  // namespace attn::load
