// How long calls take, by what was measured lately: what is surely late need not run.
//
// A false refusal is worse than a late call, so everything here errs to the short side. Times are
// kept a backend, a class and an octave of the call's dense FLOPs, and within it in proportion; a
// call takes at least as long as one no larger that was measured, in an octave without measurements
// as one of the nearest smaller octave. Of the calls of an octave (masks and options differ, others
// interleave) the estimate follows the fastest: it falls at once to a smaller time and rises by an
// eighth of the difference to a larger one.
#ifndef ATTN_SERVER_EXECUTOR_RUN_TIME_ESTIMATE_H_
#define ATTN_SERVER_EXECUTOR_RUN_TIME_ESTIMATE_H_

#include <array>
#include <cstdint>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/core/backend.h"
#include "server/executor/executor.h"

namespace attn {

// Older measurements count no more: a server that was slow for a while and then refused everything
// would learn of nothing better.
inline constexpr absl::Duration kEstimateAge = absl::Seconds(10);
// Calls of an octave that make an estimate.
inline constexpr int kMinEstimateCalls = 8;
// A call is late for sure if it is expected to take this many times what is left: calls alike
// differ by some ten percent from one run to the next.
inline constexpr double kSurelyLate = 1.25;

// Not thread-safe: the executor's lock guards it.
class RunTimeEstimate {
 public:
  struct Times {
    absl::Duration run;      // Launch to end.
    absl::Duration service;  // Of workers, all together.
  };

  // Of a call that ended well. dense_flops 0 = unknown, tells nothing.
  void Record(const Job& job, Times times, absl::Time now);
  // Zero if nothing is known.
  Times Expect(const Job& job, absl::Time now) const;

 private:
  struct Octave {
    int calls = 0;
    absl::Time last;
    Times times;            // In proportion, of the smallest call that the octave can have.
    double least_size = 1;  // Of a call measured, 1 to 2 times that smallest one.

    bool Fresh(absl::Time now) const { return now - last <= kEstimateAge; }
  };
  static constexpr int kOctaves = 128;  // Up to 2^128 FLOPs: more than kMaxTensorElements allow.

  // By Priority: batch calls get by with few turns, which says nothing about interactive ones.
  std::array<std::unordered_map<const Backend*, std::array<Octave, kOctaves>>, kPriorities>
      octaves_;
};

// What a call has before it.
struct Expectation {
  absl::Duration wait;
  int64_t calls_ahead = 0;
  absl::Duration run;
};

// DEADLINE_EXCEEDED with the estimate and where it comes from if the call is surely late.
absl::Status CheckInTime(const Job& job, const Expectation& expected, absl::Time now);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_RUN_TIME_ESTIMATE_H_
