// What happened when, in bounded memory: intervals grow as a run does.
#ifndef ATTN_CLIENT_LOAD_TIMELINE_H_
#define ATTN_CLIENT_LOAD_TIMELINE_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace attn::load {

class Timeline {
 public:
  // Intervals kept: as many as a plot has room for, halved when a run outgrows them.
  static constexpr size_t kMaxIntervals = 240;
  static constexpr absl::Duration kFirstInterval = absl::Milliseconds(50);

  struct Interval {
    int64_t sent = 0;
    int64_t completed = 0;
    int64_t failed = 0;
    int64_t max_latency_ns = 0;
  };

  void AddSent(absl::Duration at) { ++At(at).sent; }
  void AddCompleted(absl::Duration at, int64_t latency_ns);
  void AddFailed(absl::Duration at) { ++At(at).failed; }

  // Joins neighbours: half as many intervals, each twice as long.
  void Halve();

  absl::Duration interval() const { return interval_; }
  const std::vector<Interval>& intervals() const { return intervals_; }

 private:
  Interval& At(absl::Duration at);

  absl::Duration interval_ = kFirstInterval;
  std::vector<Interval> intervals_;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_TIMELINE_H_
