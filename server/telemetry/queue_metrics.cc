#include "server/telemetry/queue_metrics.h"

#include <cstddef>

#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"

namespace attn {

QueueMetrics::Gauges QueueMetrics::AddGauges(prometheus::Registry& registry, const char* name,
                                             const char* help) {
  prometheus::Family<prometheus::Gauge>& family =
      prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  Gauges gauges{};
  for (size_t i = 0; i < kPriorities; ++i)
    gauges[i] = &family.Add({{"priority", kPriorityNames[i]}});
  return gauges;
}

QueueMetrics::QueueMetrics(prometheus::Registry& registry)
    : waiting_calls_(AddGauges(registry, "attn_queue_waiting_calls",
                               "Calls that are admitted and not launched.")),
      running_calls_(AddGauges(registry, "attn_queue_running_calls",
                               "Calls that are launched and not ended.")),
      admitted_bytes_(AddGauges(registry, "attn_queue_admitted_bytes",
                                "Payload, outputs and workspaces of admitted calls.")) {}

void QueueMetrics::Set(const QueueLoad& load) {
  for (size_t i = 0; i < kPriorities; ++i) {
    waiting_calls_[i]->Set(static_cast<double>(load.waiting_calls[i]));
    running_calls_[i]->Set(static_cast<double>(load.running_calls[i]));
    admitted_bytes_[i]->Set(static_cast<double>(load.admitted_bytes[i]));
  }
}

}  // namespace attn
