#include "server/telemetry/call_metrics.h"

#include <cstdint>
#include <iterator>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/executor/refusal.h"

namespace attn {
namespace {

using prometheus::Counter;
using prometheus::Family;
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

// Powers of two up to the largest batch that can be configured, kMaxBatchCalls.
Histogram::BucketBoundaries BatchSizes() { return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}; }

Family<Counter>& AddCounters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Histogram>& AddHistograms(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

}  // namespace

CallMetrics::CallMetrics(Registry& registry)
    : calls_(AddCounters(registry, "attn_calls_total",
                         "Ended calls by status code, refused ones included.")),
      refused_(AddCounters(registry, "attn_calls_refused_total",
                           "Calls that never ran, by the reason.")),
      selections_(AddCounters(registry, "attn_selections_total",
                              "Calls for which a backend was chosen, by the rule that decided.")),
      flops_(AddCounters(registry, "attn_flops_total",
                         "Floating-point operations of successful calls: computed, and effective "
                         "as of dense attention under the same mask.")),
      payload_bytes_(AddCounters(registry, "attn_payload_bytes_total",
                                 "Bytes of request messages in and of response tensors out.")),
      stage_seconds_(AddHistograms(registry, "attn_call_stage_seconds",
                                   "Wall time of the stages that a call went through.")),
      sparsity_(AddHistograms(registry, "attn_call_sparsity",
                              "Part of the score elements that a successful call did not compute, "
                              "of those of dense attention under the same mask.")),
      batch_calls_(AddHistograms(registry, "attn_batch_calls",
                                 "Size of the batch that a launched call ran in, one observation "
                                 "a call.")),
      tcp_bytes_(AddPayloadBytes("tcp")),
      unix_bytes_(AddPayloadBytes("unix")) {
  static_assert(std::size(kStageFields) == kStages);
  static_assert(std::size(kCallEndNames) == kEnds && std::size(kCallStageNames) == kCallStages);
  Family<Counter>& ended = AddCounters(registry, "attn_calls_ended_total",
                                       "Ended calls by how they ended: their sum is the number of "
                                       "calls that were started and are not in flight.");
  for (size_t i = 0; i < kEnds; ++i) ended_[i] = &ended.Add({{"end", kCallEndNames[i]}});
  Family<Counter>& cancelled =
      AddCounters(registry, "attn_calls_cancelled_total",
                  "Calls whose caller went away, or whose deadline passed after they were "
                  "admitted, by how far they had come.");
  for (size_t i = 0; i < kCallStages; ++i) {
    cancelled_[i] = &cancelled.Add({{"stage", kCallStageNames[i]}});
  }
  started_ = &AddCounters(registry, "attn_calls_started_total",
                          "Calls that were received, whatever became of them.")
                  .Add({});
  absl::MutexLock lock(&mutex_);
  // There from the start, so that the first refusal is seen as a rise. What a status code alone
  // says comes with its first call.
  for (const absl::string_view reason : kRefusalReasons) Refusals(reason);
}

void CallMetrics::CountStarted() { started_->Increment(); }

void CallMetrics::CountEnded(const CallRecord& record) {
  ended_[static_cast<size_t>(record.end)]->Increment();
  if (record.end == CallEnd::kCancelled) cancelled_[static_cast<size_t>(record.stage)]->Increment();
  const PayloadBytes& bytes = record.transport == "unix" ? unix_bytes_ : tcp_bytes_;
  bytes.in->Increment(static_cast<double>(record.request_bytes));
  bytes.out->Increment(static_cast<double>(record.response_bytes));

  absl::MutexLock lock(&mutex_);
  if (record.end == CallEnd::kRefused) Refusals(record.refusal).Increment();
  BackendMetrics& backend = OfBackend(record.backend);
  Calls(backend, record.device, record.status.code()).Increment();
  for (size_t i = 0; i < kStages; ++i) {
    const int64_t nanoseconds = record.times.*kStageFields[i].nanoseconds;
    // A stage that the call never reached would only blur the others' latency.
    if (nanoseconds > 0) backend.stage_seconds[i]->Observe(static_cast<double>(nanoseconds) * 1e-9);
  }
  if (record.rule.empty()) return;
  Selections(backend, record.rule).Increment();
  if (record.batch_calls > 0) {
    backend.batch_calls->Observe(static_cast<double>(record.batch_calls));
  }
  if (!record.status.ok()) return;
  backend.sparsity->Observe(record.sparsity);
  backend.computed_flops->Increment(record.computed_flops);
  backend.effective_flops->Increment(record.effective_flops);
}

CallMetrics::PayloadBytes CallMetrics::AddPayloadBytes(const char* transport) {
  return {&payload_bytes_.Add({{"direction", "in"}, {"transport", transport}}),
          &payload_bytes_.Add({{"direction", "out"}, {"transport", transport}})};
}

CallMetrics::BackendMetrics& CallMetrics::OfBackend(absl::string_view backend) {
  if (const auto known = backends_.find(backend); known != backends_.end()) return known->second;
  BackendMetrics metrics;
  metrics.name = std::string(backend);
  for (size_t i = 0; i < kStages; ++i) {
    metrics.stage_seconds[i] = &stage_seconds_.Add(
        {{"backend", metrics.name}, {"stage", kStageFields[i].name}}, StageSeconds());
  }
  if (backend != "none") {
    metrics.sparsity = &sparsity_.Add({{"backend", metrics.name}}, Sparsities());
    metrics.batch_calls = &batch_calls_.Add({{"backend", metrics.name}}, BatchSizes());
    metrics.computed_flops = &flops_.Add({{"backend", metrics.name}, {"kind", "computed"}});
    metrics.effective_flops = &flops_.Add({{"backend", metrics.name}, {"kind", "effective"}});
  }
  return backends_.emplace(metrics.name, metrics).first->second;
}

Counter& CallMetrics::Calls(BackendMetrics& backend, absl::string_view device,
                            absl::StatusCode code) {
  auto by_code = backend.calls.find(device);
  if (by_code == backend.calls.end()) {
    by_code = backend.calls.try_emplace(std::string(device)).first;
  }
  Counter*& counter = by_code->second[static_cast<size_t>(code)];
  if (counter == nullptr) {
    counter = &calls_.Add({{"backend", backend.name},
                           {"device", by_code->first},
                           {"code", absl::StatusCodeToString(code)}});
  }
  return *counter;
}

Counter& CallMetrics::Selections(BackendMetrics& backend, absl::string_view rule) {
  auto counter = backend.selections.find(rule);
  if (counter == backend.selections.end()) {
    const std::string name(rule);
    counter = backend.selections
                  .emplace(name, &selections_.Add({{"rule", name}, {"backend", backend.name}}))
                  .first;
  }
  return *counter->second;
}

Counter& CallMetrics::Refusals(absl::string_view reason) {
  auto counter = refusals_.find(reason);
  if (counter == refusals_.end()) {
    const std::string name(reason);
    counter = refusals_.emplace(name, &refused_.Add({{"reason", name}})).first;
  }
  return *counter->second;
}

}  // namespace attn
