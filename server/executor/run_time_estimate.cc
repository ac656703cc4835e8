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

// 1 to 2: how many times the smallest call of its octave.
double SizeInOctave(double dense_flops) {
  return std::scalbn(dense_flops, -std::ilogb(dense_flops));
}

RunTimeEstimate::Times operator*(const RunTimeEstimate::Times& times, double factor) {
  return {times.run * factor, times.service * factor};
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
  const double size = SizeInOctave(job.dense_flops);
  const Times smallest = times * (1 / size);
  if (octave.calls == 0 || !octave.Fresh(now)) {
    octave = {0, now, smallest, size};
  } else {
    Follow(octave.times.run, smallest.run);
    Follow(octave.times.service, smallest.service);
    octave.least_size = std::min(octave.least_size, size);
  }
  octave.calls = std::min(octave.calls + 1, kMinEstimateCalls);
  octave.last = now;
}

RunTimeEstimate::Times RunTimeEstimate::Expect(const Job& job, absl::Time now) const {
  if (job.dense_flops <= 0) return {};
  const auto& backends = octaves_[static_cast<size_t>(job.priority)];
  const auto known = backends.find(job.backend);
  if (known == backends.end()) return {};
  const size_t own = OctaveOf(job.dense_flops, kOctaves);
  for (size_t i = own + 1; i-- > 0;) {
    const Octave& octave = known->second[i];
    if (octave.calls < kMinEstimateCalls || !octave.Fresh(now)) continue;
    const double size = i == own ? SizeInOctave(job.dense_flops) : octave.least_size;
    return octave.times * std::min(size, octave.least_size);
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
