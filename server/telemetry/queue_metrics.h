// The state of the executor's queue as gauges:
//
//   attn_queue_waiting_calls, attn_queue_running_calls, attn_queue_admitted_bytes {priority}
#ifndef ATTN_SERVER_TELEMETRY_QUEUE_METRICS_H_
#define ATTN_SERVER_TELEMETRY_QUEUE_METRICS_H_

#include <array>

#include "server/executor/call_observer.h"
#include "server/executor/priority.h"

namespace prometheus {
class Gauge;
class Registry;
}  // namespace prometheus

namespace attn {

// Thread-safe. The registry owns the gauges and outlives this.
class QueueMetrics {
 public:
  explicit QueueMetrics(prometheus::Registry& registry);

  void Set(const QueueLoad& load);

 private:
  using Gauges = std::array<prometheus::Gauge*, kPriorities>;

  static Gauges AddGauges(prometheus::Registry& registry, const char* name, const char* help);

  const Gauges waiting_calls_;
  const Gauges running_calls_;
  const Gauges admitted_bytes_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_QUEUE_METRICS_H_
