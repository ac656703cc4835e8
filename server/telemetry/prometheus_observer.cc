#include "server/telemetry/prometheus_observer.h"

#include <utility>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace attn {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

// In the order of BackendMetrics::stage_seconds.
struct StageField {
  const char* name;
  int64_t StageTimes::*nanoseconds;
};
constexpr StageField kStageFields[] = {
    {"queue", &StageTimes::queue_ns},   {"decode", &StageTimes::decode_ns},
    {"plan", &StageTimes::plan_ns},     {"kernel", &StageTimes::kernel_ns},
    {"encode", &StageTimes::encode_ns}, {"total", &StageTimes::total_ns},
};

// From 10 us, the shortest stage worth telling from none, to 100 s, a million tokens on a CPU.
// Three a decade: a quantile read off them is right within a factor of 2.5, and a backend costs
// 6 x 22 series.
Histogram::BucketBoundaries StageSeconds() {
  return {10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3,
          50e-3, 0.1,   0.25,  0.5,    1,      2.5,    5,    10,     25,   50,    100};
}

// 0 alone, where every dense call lies; tenths; finer above 0.8, where sparse methods work and a
// step of 0.05 is a quarter of what is left to compute.
Histogram::BucketBoundaries Sparsities() {
  return {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 1};
}

Family<Counter>& AddCounters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Histogram>& AddHistograms(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

Gauge& AddGauge(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

PrometheusObserver::PrometheusObserver(const BuildInfo& build)
    : registry_(std::make_shared<Registry>()),
      calls_(AddCounters(*registry_, "attn_calls_total",
                         "Ended calls by status code, refused ones included.")),
      selections_(AddCounters(*registry_, "attn_selections_total",
                              "Calls for which a backend was chosen, by the rule that decided.")),
      stage_seconds_(AddHistograms(*registry_, "attn_call_stage_seconds",
                                   "Wall time of the stages that a call went through.")),
      sparsity_(AddHistograms(*registry_, "attn_call_sparsity",
                              "Part of the score elements that a successful call did not compute, "
                              "of those of dense attention under the same mask.")),
      waiting_calls_(AddGauge(*registry_, "attn_queue_waiting_calls",
                              "Calls that are admitted and not launched.")),
      running_calls_(AddGauge(*registry_, "attn_queue_running_calls",
                              "Calls that are launched and not ended.")),
      admitted_bytes_(AddGauge(*registry_, "attn_queue_admitted_bytes",
                               "Payload, outputs and workspaces of admitted calls.")) {
  static_assert(std::size(kStageFields) == kStages);
  prometheus::BuildGauge()
      .Name("attn_build_info")
      .Help("What this server was built from; always 1.")
      .Register(*registry_)
      .Add({{"version", build.version},
            {"compiler", build.compiler},
            {"cuda_toolkit", build.cuda_toolkit}})
      .Set(1);
}

PrometheusObserver::~PrometheusObserver() = default;

void PrometheusObserver::OnCallEnded(const CallRecord& record) {
  absl::MutexLock lock(&mutex_);
  BackendMetrics& backend = OfBackend(record.backend);
  Calls(backend, record.device, record.status.code()).Increment();
  if (!record.rule.empty()) Selections(backend, record.rule).Increment();
  for (int i = 0; i < kStages; ++i) {
    const int64_t nanoseconds = record.times.*kStageFields[i].nanoseconds;
    // A stage that the call never reached would only blur the others' latency.
    if (nanoseconds > 0) backend.stage_seconds[i]->Observe(static_cast<double>(nanoseconds) * 1e-9);
  }
  if (record.status.code() == absl::StatusCode::kOk) backend.sparsity->Observe(record.sparsity);
}

void PrometheusObserver::OnQueueChanged(const QueueLoad& load) {
  waiting_calls_.Set(static_cast<double>(load.waiting_calls[0]));
  running_calls_.Set(static_cast<double>(load.running_calls[0]));
  admitted_bytes_.Set(static_cast<double>(load.admitted_bytes[0]));
}

std::shared_ptr<prometheus::Collectable> PrometheusObserver::metrics() const { return registry_; }

PrometheusObserver::BackendMetrics& PrometheusObserver::OfBackend(absl::string_view backend) {
  if (const auto known = backends_.find(backend); known != backends_.end()) return known->second;
  BackendMetrics metrics;
  metrics.name = std::string(backend);
  for (int i = 0; i < kStages; ++i) {
    metrics.stage_seconds[i] = &stage_seconds_.Add(
        {{"backend", metrics.name}, {"stage", kStageFields[i].name}}, StageSeconds());
  }
  metrics.sparsity = &sparsity_.Add({{"backend", metrics.name}}, Sparsities());
  return backends_.emplace(metrics.name, metrics).first->second;
}

Counter& PrometheusObserver::Calls(BackendMetrics& backend, absl::string_view device,
                                   absl::StatusCode code) {
  auto by_code = backend.calls.find(device);
  if (by_code == backend.calls.end())
    by_code = backend.calls.try_emplace(std::string(device)).first;
  Counter*& counter = by_code->second[static_cast<size_t>(code)];
  if (counter == nullptr) {
    counter = &calls_.Add({{"backend", backend.name},
                           {"device", by_code->first},
                           {"code", absl::StatusCodeToString(code)}});
  }
  return *counter;
}

Counter& PrometheusObserver::Selections(BackendMetrics& backend, absl::string_view rule) {
  auto counter = backend.selections.find(rule);
  if (counter == backend.selections.end()) {
    const std::string name(rule);
    counter = backend.selections
                  .emplace(name, &selections_.Add({{"rule", name}, {"backend", backend.name}}))
                  .first;
  }
  return *counter->second;
}

}  // namespace attn
