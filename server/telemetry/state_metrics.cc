#include "server/telemetry/state_metrics.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/collectable.h"
#include "server/telemetry/scraped_family.h"

namespace attn {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Availability(const ServerState& state) {
  std::vector<ScrapedValue> values;
  for (const BackendState& backend : state.backends) {
    values.push_back(
        {backend.available ? 1.0 : 0.0, {{"backend", backend.name}, {"device", backend.device}}});
  }
  return ScrapedFamily(MetricType::Gauge, "attn_backend_available",
                       "1 if what a backend of this build needs of the machine is there.", values);
}

MetricFamily Quarantines(const ServerState& state) {
  std::map<std::pair<std::string, bool>, double> series;
  for (const BackendState& backend : state.backends) {
    series[{backend.name, false}] = 0;
    series[{backend.name, true}] = 0;
  }
  for (const QuarantineState& quarantine : state.quarantined) {
    series[{quarantine.backend, quarantine.automatic}] = 1;
  }
  std::vector<ScrapedValue> values;
  for (const auto& [key, value] : series) {
    values.push_back(
        {value, {{"automatic", key.second ? "true" : "false"}, {"backend", key.first}}});
  }
  return ScrapedFamily(MetricType::Gauge, "attn_backend_quarantined",
                       "1 while the backend is quarantined; automatic = by the server itself.",
                       values);
}

MetricFamily ForcedOverride(const ServerState& state) {
  std::map<std::string, double> series = {{"auto", 0}};
  for (const BackendState& backend : state.backends) series[backend.name] = 0;
  if (!state.forced_backend.empty()) series[state.forced_backend] = 1;
  std::vector<ScrapedValue> values;
  for (const auto& [backend, value] : series) values.push_back({value, {{"backend", backend}}});
  return ScrapedFamily(MetricType::Gauge, "attn_forced_override",
                       "1 while every call is forced onto this backend.", values);
}

MetricFamily CpuIsa(const ServerState& state) {
  return ScrapedFamily(MetricType::Gauge, "attn_cpu_isa",
                       "1 for the instruction set that the CPU engine uses.",
                       {{1.0, {{"isa", state.cpu_isa}}}});
}

class State final : public prometheus::Collectable {
 public:
  explicit State(ServerStateSource source) : source_(std::move(source)) {}

  std::vector<MetricFamily> Collect() const override {
    const ServerState state = source_();
    return {
        Availability(state),
        CpuIsa(state),
        Quarantines(state),
        ForcedOverride(state),
        ScrapedFamily(MetricType::Gauge, "attn_scopes", "Open scoped overrides.",
                      {{static_cast<double>(state.call_scopes), {{"kind", "calls"}}},
                       {static_cast<double>(state.process_scopes), {{"kind", "process"}}}}),
        ScrapedFamily(MetricType::Gauge, "attn_ready",
                      "1 while health answers that calls can be served.",
                      {{state.ready ? 1.0 : 0.0, {}}}),
        ScrapedFamily(MetricType::Gauge, "attn_draining",
                      "1 from the announcement of the drain to the end of the server.",
                      {{state.draining ? 1.0 : 0.0, {}}}),
        ScrapedFamily(MetricType::Counter, "attn_config_reloads_total",
                      "Configuration reloads; a refused one left everything as it was.",
                      {{static_cast<double>(state.accepted_reloads), {{"result", "ok"}}},
                       {static_cast<double>(state.refused_reloads), {{"result", "refused"}}}}),
        ScrapedFamily(MetricType::Counter, "attn_log_lines_dropped_total",
                      "Log lines that were not written because nobody read the log fast enough.",
                      {{static_cast<double>(state.dropped_log_lines), {}}}),
    };
  }

 private:
  const ServerStateSource source_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> StateMetrics(ServerStateSource source) {
  return std::make_shared<State>(std::move(source));
}

}  // namespace attn
