// Calls as counters and histograms:
//
//   attn_calls_started_total                        every call that was received
//   attn_calls_ended_total{end}                     ended calls: finished, refused or cancelled
//   attn_calls_total{backend,device,code}           ended calls by status code
//   attn_calls_refused_total{reason}                server/executor/refusal.h
//   attn_calls_cancelled_total{stage}               how far they had come
//   attn_selections_total{rule,backend}             calls for which a backend was chosen
//   attn_call_stage_seconds{backend,stage}          queue, decode, plan, kernel, encode, total
//   attn_call_sparsity{backend}                     of calls that succeeded
//   attn_batch_calls{backend}                       size of the batch that a call ran in
//   attn_flops_total{backend,kind}                  of calls that succeeded
//   attn_payload_bytes_total{direction,transport}   requests in, tensors of responses out
#ifndef ATTN_SERVER_TELEMETRY_CALL_METRICS_H_
#define ATTN_SERVER_TELEMETRY_CALL_METRICS_H_

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/executor/call_observer.h"

namespace prometheus {
class Counter;
class Histogram;
class Registry;
template <typename T>
class Family;
}  // namespace prometheus

namespace attn {

// Thread-safe. The registry owns the metrics and outlives this. Label values are few by
// construction: names of backends, devices, rules, reasons; nothing that a caller can choose.
class CallMetrics {
 public:
  explicit CallMetrics(prometheus::Registry& registry);

  void CountStarted();
  void CountEnded(const CallRecord& record) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Counter = prometheus::Counter;
  using Histogram = prometheus::Histogram;
  template <typename T>
  using Family = prometheus::Family<T>;
  using CounterMap = std::map<std::string, Counter*, std::less<>>;

  static constexpr size_t kStages = 6;
  static constexpr size_t kStatusCodes = 17;
  static constexpr size_t kEnds = 3;
  static constexpr size_t kCallStages = 4;

  // Of one transport.
  struct PayloadBytes {
    Counter* in = nullptr;
    Counter* out = nullptr;
  };

  // The metrics of one backend, found once: their families look labels up by building maps.
  struct BackendMetrics {
    std::string name;
    std::array<Histogram*, kStages> stage_seconds{};
    // Null for the calls that no backend was chosen for.
    Histogram* sparsity = nullptr;
    Histogram* batch_calls = nullptr;
    Counter* computed_flops = nullptr;
    Counter* effective_flops = nullptr;
    CounterMap selections;  // By rule.
    // By device; of each code from its first call on.
    std::map<std::string, std::array<Counter*, kStatusCodes>, std::less<>> calls;
  };

  PayloadBytes AddPayloadBytes(const char* transport);
  BackendMetrics& OfBackend(absl::string_view backend) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Counter& Calls(BackendMetrics& backend, absl::string_view device, absl::StatusCode code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Counter& Selections(BackendMetrics& backend, absl::string_view rule)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Counter& Refusals(absl::string_view reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Family<Counter>& calls_;
  Family<Counter>& refused_;
  Family<Counter>& selections_;
  Family<Counter>& flops_;
  Family<Counter>& payload_bytes_;
  Family<Histogram>& stage_seconds_;
  Family<Histogram>& sparsity_;
  Family<Histogram>& batch_calls_;
  std::array<Counter*, kEnds> ended_{};            // By CallEnd.
  std::array<Counter*, kCallStages> cancelled_{};  // By CallStage.
  // Registered, and so read, after what has ended: no scrape sees more ended than started.
  Counter* started_ = nullptr;
  const PayloadBytes tcp_bytes_;
  const PayloadBytes unix_bytes_;

  absl::Mutex mutex_;
  std::map<std::string, BackendMetrics, std::less<>> backends_ ABSL_GUARDED_BY(mutex_);
  CounterMap refusals_ ABSL_GUARDED_BY(mutex_);  // By reason.
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_CALL_METRICS_H_
