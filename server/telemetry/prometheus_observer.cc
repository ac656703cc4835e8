#include "server/telemetry/prometheus_observer.h"

#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"

namespace attn {

PrometheusObserver::PrometheusObserver(const BuildInfo& build)
    : registry_(std::make_shared<prometheus::Registry>()), calls_(*registry_), queue_(*registry_) {
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

void PrometheusObserver::OnCallStarted() { calls_.CountStarted(); }
void PrometheusObserver::OnCallEnded(const CallRecord& record) { calls_.CountEnded(record); }
void PrometheusObserver::OnQueueChanged(const QueueLoad& load) { queue_.Set(load); }

std::shared_ptr<prometheus::Collectable> PrometheusObserver::metrics() const { return registry_; }

}  // namespace attn
