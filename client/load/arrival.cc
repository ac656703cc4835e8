#include "client/load/arrival.h"

#include <cmath>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::load {
namespace {

absl::Status WrongArrival(absl::string_view field, absl::string_view text,
                          absl::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", Quoted(text), "; allowed: ", allowed));
}

// Expected calls of a whole segment.
double Area(const RateSegment& segment) {
  if (segment.duration == absl::InfiniteDuration()) return HUGE_VAL;
  return (segment.from + segment.to) / 2 * absl::ToDoubleSeconds(segment.duration);
}

// Seconds until the integral from the segment's start is `area`: the root of
// from t + slope t^2 / 2 = area, in the form that does not cancel.
double SecondsAt(const RateSegment& segment, double area) {
  if (area <= 0) return 0;
  const double slope = segment.duration == absl::InfiniteDuration()
                           ? 0
                           : (segment.to - segment.from) / absl::ToDoubleSeconds(segment.duration);
  const double root = std::sqrt(std::max(0.0, segment.from * segment.from + 2 * slope * area));
  return 2 * area / (segment.from + root);
}

// Mean 1. 53 random bits, so that it is the same with every standard library.
double Exponential(std::mt19937_64& random) {
  return -std::log1p(-static_cast<double>(random() >> 11) * 0x1p-53);
}

// A part of a profile may be a pause.
absl::StatusOr<double> ParseRateOrNone(absl::string_view field, absl::string_view text) {
  double rate = 0;
  if (!absl::SimpleAtod(text, &rate) || !(rate >= 0) || rate > kMaxRate) {
    return WrongArrival(field, text, "calls a second, at most 1000000");
  }
  return rate;
}

absl::Status CheckCalls(absl::string_view field, absl::string_view text,
                        const std::vector<RateSegment>& segments) {
  for (const RateSegment& segment : segments) {
    if (segment.from + segment.to > 0) return absl::OkStatus();
  }
  return WrongArrival(field, text, "at least one rate above 0");
}

}  // namespace

absl::StatusOr<double> ParseRate(absl::string_view field, absl::string_view text) {
  ATTN_ASSIGN_OR_RETURN(const double rate, ParseRateOrNone(field, text));
  if (rate == 0) return WrongArrival(field, text, "more than 0 calls a second");
  return rate;
}

absl::StatusOr<std::vector<RateSegment>> ParseRamp(absl::string_view field, absl::string_view text,
                                                   absl::Duration duration) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, ':');
  if (ends.size() != 2) return WrongArrival(field, text, "FROM:TO in calls a second, as in 50:400");
  RateSegment segment = {.duration = duration};
  ATTN_ASSIGN_OR_RETURN(segment.from, ParseRateOrNone(field, ends[0]));
  ATTN_ASSIGN_OR_RETURN(segment.to, ParseRateOrNone(field, ends[1]));
  ATTN_RETURN_IF_ERROR(CheckCalls(field, text, {segment}));
  return std::vector<RateSegment>{segment};
}

absl::StatusOr<std::vector<RateSegment>> ParseSteps(absl::string_view field,
                                                    absl::string_view text) {
  std::vector<RateSegment> segments;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> words = absl::StrSplit(part, ':');
    RateSegment segment;
    if (words.size() != 2 || !absl::ParseDuration(words[1], &segment.duration) ||
        segment.duration <= absl::ZeroDuration() || segment.duration == absl::InfiniteDuration()) {
      return WrongArrival(field, part, "RATE:TIME,..., as in 100:5s,200:5s");
    }
    ATTN_ASSIGN_OR_RETURN(segment.from, ParseRateOrNone(field, words[0]));
    segment.to = segment.from;
    segments.push_back(segment);
  }
  ATTN_RETURN_IF_ERROR(CheckCalls(field, text, segments));
  return segments;
}

absl::StatusOr<std::vector<absl::Duration>> ReadTrace(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read; is it a file?"));
  std::vector<absl::Duration> times;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    const std::string where = absl::StrCat(path, ":", number);
    double seconds = 0;
    if (!absl::SimpleAtod(text, &seconds) || !(seconds >= 0) || seconds > 1e9) {
      return WrongArrival(where, text, "seconds since the start, as in 0.125");
    }
    const absl::Duration time = absl::Seconds(seconds);
    if (!times.empty() && time < times.back()) {
      return WrongArrival(
          where, text,
          absl::StrCat("times that ascend, and the one before is ",
                       absl::ToDoubleSeconds(times.back()), "; sort the file (sort -n)"));
    }
    if (std::ssize(times) == kMaxTraceArrivals) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": more than the ", kMaxTraceArrivals, " times allowed"));
    }
    times.push_back(time);
  }
  if (times.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": holds no time; allowed: one a line, in seconds since the start"));
  }
  return times;
}

std::optional<absl::Duration> Arrivals::Next() {
  if (!plan_->trace.empty()) {
    if (next_trace_ == plan_->trace.size()) return std::nullopt;
    return plan_->trace[next_trace_++];
  }
  double area = plan_->spacing == Spacing::kPoisson ? Exponential(random_) : started_ ? 1.0 : 0.0;
  started_ = true;
  // What a segment has left is taken off, and the rest of the way is the next one's.
  for (; segment_ < plan_->segments.size(); ++segment_) {
    const RateSegment& segment = plan_->segments[segment_];
    const double left = Area(segment) - done_;
    if (area < left) {
      done_ += area;
      return segment_start_ + absl::Seconds(SecondsAt(segment, done_));
    }
    area -= left;
    done_ = 0;
    segment_start_ += segment.duration;
  }
  return std::nullopt;
}

}  // namespace attn::load
