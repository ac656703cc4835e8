#include "server/executor/drain_rate.h"

#include <algorithm>

namespace attn {
namespace {

constexpr int64_t kMeanCalls = 32;
constexpr double kMinDelayS = 0.01;
constexpr double kMaxDelayS = 10;
// Before anything was measured: what a person does not notice and a server hardly.
constexpr double kUnknownDelayS = 0.1;

}  // namespace

void DrainRate::Ended(int64_t bytes, absl::Time now) {
  // The plain mean at first, so that the first calls do not count for long.
  const double weight = 1.0 / static_cast<double>(std::min(++ends_, kMeanCalls));
  mean_interval_s_ += (absl::ToDoubleSeconds(now - last_) - mean_interval_s_) * weight;
  mean_bytes_ += (static_cast<double>(bytes) - mean_bytes_) * weight;
  last_ = now;
}

absl::Duration DrainRate::Until(int64_t calls, int64_t bytes, absl::Time now) const {
  double delay_s = kUnknownDelayS;
  if (ends_ > 0) {
    const double ends = std::max(static_cast<double>(calls),
                                 static_cast<double>(bytes) / std::max(mean_bytes_, 1.0));
    // If nothing ends for longer than usual, it has become slower.
    delay_s = ends * std::max(mean_interval_s_, absl::ToDoubleSeconds(now - last_));
  }
  return absl::Seconds(std::clamp(delay_s, kMinDelayS, kMaxDelayS));
}

}  // namespace attn
