#include "client/load/rate_search.h"

#include <algorithm>

#include "client/load/arrival.h"

namespace attn::load {

RateSearchResult FindMaxRate(double start,
                             absl::FunctionRef<std::optional<bool>(double rate)> passes) {
  RateSearchResult result;
  double failed = 0;  // The lowest rate that did; 0 = none yet.
  double rate = std::clamp(start, kLeastRate, kMaxRate);
  for (int probe = 0; probe < kMaxProbes; ++probe) {
    const std::optional<bool> passed = passes(rate);
    if (!passed.has_value()) break;
    result.probes.push_back({rate, *passed});
    (*passed ? result.max_rate : failed) = rate;
    if (failed == 0) {
      if (rate == kMaxRate) break;
      rate = std::min(rate * 2, kMaxRate);
    } else if (result.max_rate == 0) {
      if (rate == kLeastRate) break;
      rate = std::max(rate / 2, kLeastRate);
    } else {
      if (failed <= result.max_rate * kRatePrecision) break;
      rate = (result.max_rate + failed) / 2;
    }
  }
  return result;
}

}  // namespace attn::load
