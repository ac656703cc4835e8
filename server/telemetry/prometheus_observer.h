// Shows Prometheus how calls begin and end and how full the queue is: call_metrics.h,
// queue_metrics.h, and
//
//   attn_build_info{version,compiler,cuda_toolkit} 1
#ifndef ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_
#define ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_

#include <memory>
#include <string>

#include "server/executor/call_observer.h"
#include "server/telemetry/call_metrics.h"
#include "server/telemetry/queue_metrics.h"

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace attn {

struct BuildInfo {
  std::string version;
  std::string compiler;
  std::string cuda_toolkit;  // `none` without one.
};

// Thread-safe.
class PrometheusObserver : public CallObserver {
 public:
  explicit PrometheusObserver(const BuildInfo& build);
  ~PrometheusObserver() override;

  void OnCallStarted() override;
  void OnCallEnded(const CallRecord& record) override;
  void OnQueueChanged(const QueueLoad& load) override;

  // What a MetricsEndpoint serves. May outlive the observer.
  std::shared_ptr<prometheus::Collectable> metrics() const;

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  CallMetrics calls_;
  QueueMetrics queue_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_
