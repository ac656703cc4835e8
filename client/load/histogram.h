// Counts of times at a relative precision, in bounded memory: a day's run takes as much as a
// second's.
//
// Log-linear, as HdrHistogram (hdrhistogram.org): powers of two, each divided into 1024 equal
// parts, so that any two times of one bucket differ by less than 0.1% (three significant digits).
// Times are nanoseconds from 0 to an hour; longer ones count as an hour, but max() stays exact.
// 32 Ki counters, 256 KiB, from the first value on. Not thread-safe.
#ifndef ATTN_CLIENT_LOAD_HISTOGRAM_H_
#define ATTN_CLIENT_LOAD_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace attn::load {

class Histogram {
 public:
  static constexpr int64_t kMaxValue = int64_t{3'600'000'000'000};

  // Negative counts as 0: a clock that is read twice may not run backwards here.
  void Record(int64_t value);
  void Merge(const Histogram& other);

  int64_t count() const { return count_; }
  int64_t max() const { return max_; }  // Exact; 0 without values.
  double Mean() const;                  // Exact; 0 without values.
  double StandardDeviation() const;     // Of the buckets' middles.

  // The largest value that is equivalent (of one bucket) to the smallest recorded one which at
  // least `percentile` percent of the values do not exceed; never above max(). For 0 the smallest
  // value equivalent to the least one. 0 without values.
  int64_t ValueAtPercentile(double percentile) const;

  // The percentile distribution as HdrHistogram prints it and its plotters read it, in
  // milliseconds, five levels to every halving of what is left to 100%.
  std::string PercentileLog() const;

 private:
  static size_t IndexOf(int64_t value);
  static int64_t LowestOf(size_t index);
  static int64_t HighestOf(size_t index);

  std::vector<int64_t> counts_;  // Empty without values.
  int64_t count_ = 0;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_HISTOGRAM_H_
