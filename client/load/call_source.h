// What tells the callers of a run to make their next call.
#ifndef ATTN_CLIENT_LOAD_CALL_SOURCE_H_
#define ATTN_CLIENT_LOAD_CALL_SOURCE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/load/arrival.h"

namespace attn::load {

// A run ends at whichever comes first; calls begun by then are finished.
struct RunLimit {
  absl::Duration duration = absl::InfiniteDuration();
  int64_t requests = std::numeric_limits<int64_t>::max();
};

struct PlannedCall {
  int64_t index = 0;        // From 0: decides what is sent.
  absl::Duration intended;  // Since the start of the run: when it is meant to be sent.
  bool overdue = false;     // By too much: not to be sent, but to be counted.
};

// Thread-safe.
class CallSource {
 public:
  virtual ~CallSource() = default;
  // The next call for a caller that is free `now` (since the start); nullopt = no more.
  virtual std::optional<PlannedCall> Take(absl::Duration now) = 0;
};

// Closed loop: whoever is free calls at once.
class ClosedLoop final : public CallSource {
 public:
  explicit ClosedLoop(const RunLimit& limit) : limit_(limit) {}
  std::optional<PlannedCall> Take(absl::Duration now) override;

 private:
  const RunLimit limit_;
  std::atomic<int64_t> taken_ = 0;
};

// Open loop: calls are due when the plan says, whether or not earlier ones have been answered. What
// still waits for a free caller `kBacklogGrace` after the limit's duration is overdue.
class OpenLoop final : public CallSource {
 public:
  static constexpr absl::Duration kBacklogGrace = absl::Seconds(1);

  // The plan is borrowed.
  OpenLoop(const ArrivalPlan& plan, uint64_t seed, const RunLimit& limit)
      : limit_(limit), arrivals_(plan, seed) {}
  std::optional<PlannedCall> Take(absl::Duration now) override;

 private:
  const RunLimit limit_;
  absl::Mutex mutex_;
  Arrivals arrivals_ ABSL_GUARDED_BY(mutex_);
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_CALL_SOURCE_H_
