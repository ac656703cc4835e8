#include "client/load/timeline.h"

#include <algorithm>
#include <utility>

namespace attn::load {
namespace {

void Add(const Timeline::Interval& from, Timeline::Interval* to) {
  to->sent += from.sent;
  to->completed += from.completed;
  to->failed += from.failed;
  to->max_latency_ns = std::max(to->max_latency_ns, from.max_latency_ns);
}

}  // namespace

void Timeline::AddCompleted(absl::Duration at, int64_t latency_ns) {
  Interval& interval = At(at);
  ++interval.completed;
  interval.max_latency_ns = std::max(interval.max_latency_ns, latency_ns);
}

void Timeline::Halve() {
  std::vector<Interval> merged((intervals_.size() + 1) / 2);
  for (size_t i = 0; i < intervals_.size(); ++i) Add(intervals_[i], &merged[i / 2]);
  intervals_ = std::move(merged);
  interval_ *= 2;
}

Timeline::Interval& Timeline::At(absl::Duration at) {
  while (at >= interval_ * static_cast<double>(kMaxIntervals)) Halve();
  absl::Duration rest;
  const size_t index =
      static_cast<size_t>(std::max<int64_t>(0, absl::IDivDuration(at, interval_, &rest)));
  if (index >= intervals_.size()) intervals_.resize(index + 1);
  return intervals_[index];
}

}  // namespace attn::load
