#include "client/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_format.h"

namespace attn::load {
namespace {

// Values below 2 * kHalf have a bucket each; every later power of two has kHalf, each of which is
// at most 1/kHalf of its values wide.
constexpr int kHalfBits = 10;
constexpr size_t kHalf = size_t{1} << kHalfBits;

// Levels of a percentile log to every halving of the distance to 100%; what plotters expect.
constexpr int kTicksPerHalving = 5;

constexpr double kNanosecondsPerMs = 1e6;

double NextLevel(double level) {
  const double halvings = std::floor(std::log2(100.0 / (100.0 - level))) + 1;
  return level + 100.0 / (kTicksPerHalving * std::exp2(halvings));
}

std::string LogLine(int64_t value, double level, int64_t count) {
  return absl::StrFormat("%12.3f %2.12f %10d %14.2f\n",
                         static_cast<double>(value) / kNanosecondsPerMs, level / 100, count,
                         1 / (1 - level / 100));
}

}  // namespace

// The power of two above the first 2 * kHalf values, and the place in it.
size_t Histogram::IndexOf(int64_t value) {
  const int width = static_cast<int>(std::bit_width(static_cast<uint64_t>(value)));
  const int power = std::max(0, width - kHalfBits - 1);
  return static_cast<size_t>(power) * kHalf + (static_cast<size_t>(value) >> power);
}

int64_t Histogram::LowestOf(size_t index) {
  if (index < 2 * kHalf) return static_cast<int64_t>(index);
  const size_t power = index / kHalf - 1;
  return static_cast<int64_t>((index - power * kHalf) << power);
}

int64_t Histogram::HighestOf(size_t index) { return LowestOf(index + 1) - 1; }

void Histogram::Record(int64_t value) {
  value = std::max<int64_t>(value, 0);
  if (counts_.empty()) counts_.resize(IndexOf(kMaxValue) + 1);
  ++counts_[IndexOf(std::min(value, kMaxValue))];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void Histogram::Merge(const Histogram& other) {
  if (counts_.empty()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double Histogram::Mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

double Histogram::StandardDeviation() const {
  if (count_ == 0) return 0;
  const double mean = Mean();
  double squares = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    const double middle = static_cast<double>(LowestOf(i) + HighestOf(i)) / 2;
    squares += static_cast<double>(counts_[i]) * (middle - mean) * (middle - mean);
  }
  return std::sqrt(squares / static_cast<double>(count_));
}

int64_t Histogram::ValueAtPercentile(double percentile) const {
  // A little less than asked for: 99.9% of 1000 is 999 whatever the product's rounding.
  const double share = std::clamp(std::nextafter(percentile, 0.0), 0.0, 100.0) / 100;
  const int64_t rank =
      std::max<int64_t>(1, std::llround(std::ceil(share * static_cast<double>(count_))));
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return percentile <= 0 ? LowestOf(i) : std::min(HighestOf(i), max_);
  }
  return max_;
}

std::string Histogram::PercentileLog() const {
  std::string text = absl::StrFormat("%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                                     "1/(1-Percentile)");
  int64_t seen = 0;
  double level = 0;
  for (size_t i = 0; i < counts_.size() && seen < count_; ++i) {
    if (counts_[i] == 0) continue;
    seen += counts_[i];
    const double reached = 100.0 * static_cast<double>(seen) / static_cast<double>(count_);
    while (reached >= level) {
      text += LogLine(std::min(HighestOf(i), max_), level, seen);
      level = NextLevel(level);
      if (seen == count_) break;  // No later value ends the levels that are still to come.
    }
  }
  const double max_ms = static_cast<double>(max_) / kNanosecondsPerMs;
  if (count_ > 0) text += absl::StrFormat("%12.3f %2.12f %10d\n", max_ms, 1.0, count_);
  absl::StrAppendFormat(&text, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
                        Mean() / kNanosecondsPerMs, StandardDeviation() / kNanosecondsPerMs);
  absl::StrAppendFormat(&text, "#[Max     = %12.3f, Total count    = %12d]\n", max_ms, count_);
  absl::StrAppendFormat(&text, "#[Buckets = %12d, SubBuckets     = %12d]\n",
                        IndexOf(kMaxValue) / kHalf, 2 * kHalf);
  return text;
}

}  // namespace attn::load
