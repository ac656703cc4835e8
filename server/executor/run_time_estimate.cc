#include "server/executor/run_time_estimate.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/executor/refusal.h"

namespace attn {
namespace {

size_t OctaveOf(double dense_flops, int octaves) {
  return static_cast<size_t>(std::clamp(std::ilogb(dense_flops), 0, octaves - 1));
}

void Follow(absl::Duration& estimate, absl::Duration measured) {
  constexpr int kRise = 8;  // Some ten calls forget a single fast one.
  estimate = measured < estimate ? measured : estimate + (measured - estimate) / kRise;
}

// Three digits: an estimate has no more.
std::string Milliseconds(absl::Duration duration) {
  const double milliseconds = absl::ToDoubleMilliseconds(duration);
  return absl::StrCat(
      milliseconds >= 100 ? std::round(milliseconds) : std::round(milliseconds * 100) / 100, " ms");
}

}  // namespace

void RunTimeEstimate::Record(const Job& job, Times times, absl::Time now) {
  if (job.dense_flops <= 0) return;
  auto& backends = octaves_[static_cast<size_t>(job.priority)];
  Octave& octave = backends[job.backend][OctaveOf(job.dense_flops, kOctaves)];
  if (octave.calls == 0 || !octave.Fresh(now)) {
    octave = {0, now, times};
  } else {
    Follow(octave.times.run, times.run);
    Follow(octave.times.service, times.service);
  }
  octave.calls = std::min(octave.calls + 1, kMinEstimateCalls);
  octave.last = now;
}

RunTimeEstimate::Times RunTimeEstimate::Expect(const Job& job, absl::Time now) const {
  if (job.dense_flops <= 0) return {};
  const auto& backends = octaves_[static_cast<size_t>(job.priority)];
  const auto known = backends.find(job.backend);
  if (known == backends.end()) return {};
  for (size_t i = OctaveOf(job.dense_flops, kOctaves) + 1; i-- > 0;) {
    const Octave& octave = known->second[i];
    if (octave.calls >= kMinEstimateCalls && octave.Fresh(now)) return octave.times;
  }
  return {};
}

absl::Status CheckInTime(const Job& job, const Expectation& expected, absl::Time now) {
  const absl::Duration total = expected.wait + expected.run;
  if (expected.run <= absl::ZeroDuration() || total <= kSurelyLate * (job.deadline - now)) {
    return absl::OkStatus();
  }
  const std::string ahead =
      expected.wait > absl::ZeroDuration()
          ? absl::StrCat(": ", Milliseconds(expected.wait), " behind ", expected.calls_ahead,
                         " calls in the queue and ", Milliseconds(expected.run), " to run")
          : std::string(" to run");
  return WithRefusal(
      absl::DeadlineExceededError(absl::StrCat(
          "expected to take ", Milliseconds(total), ahead, ", by the rate measured on `",
          job.backend->info().name, "` over the last ", absl::FormatDuration(kEstimateAge),
          "; its deadline is in ", Milliseconds(job.deadline - now))),
      kRefusedDeadline);
}

}  // namespace attn
