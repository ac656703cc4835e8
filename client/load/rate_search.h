// The highest rate that a server serves within an SLO.
#ifndef ATTN_CLIENT_LOAD_RATE_SEARCH_H_
#define ATTN_CLIENT_LOAD_RATE_SEARCH_H_

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"

namespace attn::load {

// The search ends when the highest rate that passed and the lowest that did not are this close.
inline constexpr double kRatePrecision = 1.05;

// The lowest rate of interest: a call in a minute and a half.
inline constexpr double kLeastRate = 0.01;

// Runs that a search may take: doublings and halvings over eight decades, and the bisection.
inline constexpr int kMaxProbes = 32;

struct RateProbe {
  double rate = 0;
  bool passed = false;
};

struct RateSearchResult {
  double max_rate = 0;            // 0 = none passed.
  std::vector<RateProbe> probes;  // In the order of the runs.
};

// From `start` the rate is doubled while it passes, or halved until it does; then bisected.
// `passes` makes one run; nullopt ends the search. Rates lie between kLeastRate and kMaxRate.
RateSearchResult FindMaxRate(double start,
                             absl::FunctionRef<std::optional<bool>(double rate)> passes);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_RATE_SEARCH_H_
