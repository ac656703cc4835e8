#include "client/load/call_source.h"

namespace attn::load {

std::optional<PlannedCall> ClosedLoop::Take(absl::Duration now) {
  if (now >= limit_.duration) return std::nullopt;
  const int64_t index = taken_.fetch_add(1);
  if (index >= limit_.requests) return std::nullopt;
  return PlannedCall{index, now};
}

std::optional<PlannedCall> OpenLoop::Take(absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  while (taken_ < limit_.requests) {
    const std::optional<absl::Duration> intended = arrivals_.Next();
    if (!intended.has_value() || *intended >= limit_.duration) {
      taken_ = limit_.requests;
      break;
    }
    const int64_t index = taken_++;
    if (now <= limit_.duration + kBacklogGrace) return PlannedCall{index, *intended};
    ++not_sent_;
  }
  return std::nullopt;
}

int64_t OpenLoop::not_sent() const {
  absl::MutexLock lock(&mutex_);
  return not_sent_;
}

}  // namespace attn::load
