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
  if (taken_ >= limit_.requests) return std::nullopt;
  const std::optional<absl::Duration> intended = arrivals_.Next();
  if (!intended.has_value() || *intended >= limit_.duration) {
    taken_ = limit_.requests;
    return std::nullopt;
  }
  return PlannedCall{taken_++, *intended, now > limit_.duration + kBacklogGrace};
}

}  // namespace attn::load
