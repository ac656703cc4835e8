// Counts ended calls and the state of the queue as Prometheus metrics.
//
//   attn_calls_total{backend,device,code}        every call, refused ones included
//   attn_call_stage_seconds{backend,stage}       queue, decode, plan, kernel, encode, total
//   attn_call_sparsity{backend}                  of calls that succeeded
//   attn_selections_total{rule,backend}          calls for which a backend was chosen
//   attn_queue_waiting_calls, attn_queue_running_calls, attn_queue_admitted_bytes
//   attn_build_info{version,compiler,cuda_toolkit} 1
#ifndef ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_
#define ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/executor/call_observer.h"

namespace prometheus {
class Collectable;
class Counter;
class Gauge;
class Histogram;
class Registry;
template <typename T>
class Family;
}  // namespace prometheus

namespace attn {

struct BuildInfo {
  std::string version;
  std::string compiler;
  std::string cuda_toolkit;  // `none` without one.
};

// Thread-safe. Label values are few by construction: names of backends, devices and rules.
class PrometheusObserver : public CallObserver {
 public:
  explicit PrometheusObserver(const BuildInfo& build);
  ~PrometheusObserver() override;

  void OnCallEnded(const CallRecord& record) override;
  void OnCallStarted() override {}
  void OnQueueChanged(const QueueLoad& load) override;

  // What a MetricsEndpoint serves. May outlive the observer.
  std::shared_ptr<prometheus::Collectable> metrics() const;

 private:
  static constexpr int kStages = 6;
  static constexpr int kStatusCodes = 17;

  // The metrics of one backend, found once: their families look labels up by building maps.
  struct BackendMetrics {
    std::string name;
    std::array<prometheus::Histogram*, kStages> stage_seconds;
    prometheus::Histogram* sparsity = nullptr;
    std::map<std::string, prometheus::Counter*, std::less<>> selections;  // By rule.
    // By device; of each code from its first call on.
    std::map<std::string, std::array<prometheus::Counter*, kStatusCodes>, std::less<>> calls;
  };

  BackendMetrics& OfBackend(absl::string_view backend) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  prometheus::Counter& Calls(BackendMetrics& backend, absl::string_view device,
                             absl::StatusCode code) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  prometheus::Counter& Selections(BackendMetrics& backend, absl::string_view rule)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<prometheus::Registry> registry_;  // Owns what is pointed to below.
  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Family<prometheus::Counter>& selections_;
  prometheus::Family<prometheus::Histogram>& stage_seconds_;
  prometheus::Family<prometheus::Histogram>& sparsity_;
  prometheus::Gauge& waiting_calls_;
  prometheus::Gauge& running_calls_;
  prometheus::Gauge& admitted_bytes_;

  absl::Mutex mutex_;
  std::map<std::string, BackendMetrics, std::less<>> backends_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_PROMETHEUS_OBSERVER_H_
