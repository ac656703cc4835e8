// When the calls of an open loop are meant to be sent: a pure function of rates, spacing and seed.
//
// A rate profile is a sequence of straight lines. Its integral L(t) is the number of calls expected
// by t; call n is sent where L reaches n (constant spacing), or where it reaches the sum of n
// exponential variables of mean 1 (Poisson), which gives a Poisson process under any profile.
#ifndef ATTN_CLIENT_LOAD_ARRIVAL_H_
#define ATTN_CLIENT_LOAD_ARRIVAL_H_

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace attn::load {

// Calls a second; beyond it a schedule of nanoseconds is too coarse for one process to keep.
inline constexpr double kMaxRate = 1e6;

// Lines of a trace file: 80 MB in memory.
inline constexpr int64_t kMaxTraceArrivals = 10'000'000;

// The rate goes from `from` to `to` calls a second in `duration`, which may be infinite where both
// are equal.
struct RateSegment {
  double from = 0;
  double to = 0;
  absl::Duration duration = absl::InfiniteDuration();
};

enum class Spacing : uint8_t { kConstant, kPoisson };

// `100`, as of --rate: above 0 and at most kMaxRate. Errors begin with `field`.
absl::StatusOr<double> ParseRate(absl::string_view field, absl::string_view text);

// `50:400`: one segment of `duration`. Here and in steps a rate may be 0, but not all of them.
absl::StatusOr<std::vector<RateSegment>> ParseRamp(absl::string_view field, absl::string_view text,
                                                   absl::Duration duration);

// `100:5s,200:5s`
absl::StatusOr<std::vector<RateSegment>> ParseSteps(absl::string_view field,
                                                    absl::string_view text);

// One time a line, in seconds since the start, ascending (equal ones are sent together); empty
// lines and those that begin with # do not count. INVALID_ARGUMENT names file and line.
absl::StatusOr<std::vector<absl::Duration>> ReadTrace(const std::string& path);

// Either segments or a trace.
struct ArrivalPlan {
  std::vector<RateSegment> segments;
  Spacing spacing = Spacing::kConstant;
  std::vector<absl::Duration> trace;
};

// Times since the start, ascending, one a call of Next; the same for the same plan and seed.
// Movable; not thread-safe.
class Arrivals {
 public:
  // The plan is borrowed.
  Arrivals(const ArrivalPlan& plan, uint64_t seed) : plan_(&plan), random_(seed) {}

  // nullopt once the plan has ended.
  std::optional<absl::Duration> Next();

 private:
  const ArrivalPlan* plan_;
  std::mt19937_64 random_;
  size_t next_trace_ = 0;
  size_t segment_ = 0;
  absl::Duration segment_start_;
  double done_ = 0;       // Of the segment's integral.
  bool started_ = false;  // Constant spacing begins with a call at 0.
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ARRIVAL_H_
