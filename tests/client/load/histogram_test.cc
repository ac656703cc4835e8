// The histogram against exact values, sorted.
#include "client/load/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::load {
namespace {

constexpr double kPrecision = 1.0 / 1024;

// The smallest value that at least `percentile` percent of the values do not exceed.
int64_t ExactPercentile(const std::vector<int64_t>& sorted, double percentile) {
  const double count = static_cast<double>(sorted.size());
  size_t rank = 1;
  while (static_cast<double>(rank) * 100 < percentile * count * (1 - 1e-12)) ++rank;
  return sorted[rank - 1];
}

struct Distribution {
  const char* name;
  int64_t (*draw)(std::mt19937_64&);
};

void PrintTo(const Distribution& distribution, std::ostream* out) { *out << distribution.name; }

class HistogramTest : public testing::TestWithParam<Distribution> {
 protected:
  std::vector<int64_t> Draw(int count) {
    std::mt19937_64 random(7);
    std::vector<int64_t> values;
    for (int i = 0; i < count; ++i) values.push_back(GetParam().draw(random));
    return values;
  }
};

TEST_P(HistogramTest, AgreesWithSortedValuesWithinItsPrecision) {
  std::vector<int64_t> values = Draw(20'000);
  Histogram histogram;
  double sum = 0;
  for (const int64_t value : values) {
    histogram.Record(value);
    sum += static_cast<double>(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percentile :
       {0.1, 1.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0}) {
    const double exact = static_cast<double>(ExactPercentile(values, percentile));
    const double reported = static_cast<double>(histogram.ValueAtPercentile(percentile));
    EXPECT_GE(reported, exact) << percentile;
    EXPECT_LE(reported, exact * (1 + kPrecision)) << percentile;
  }
  EXPECT_EQ(histogram.count(), 20'000);
  EXPECT_EQ(histogram.max(), values.back());
  EXPECT_DOUBLE_EQ(histogram.Mean(), sum / 20'000);
}

TEST_P(HistogramTest, MergedHalvesAreTheWhole) {
  const std::vector<int64_t> values = Draw(4'000);
  Histogram whole;
  Histogram halves[2];
  for (size_t i = 0; i < values.size(); ++i) {
    whole.Record(values[i]);
    halves[i % 2].Record(values[i]);
  }
  Histogram merged;
  for (const Histogram& half : halves) merged.Merge(half);
  EXPECT_EQ(merged.PercentileLog(), whole.PercentileLog());
}

INSTANTIATE_TEST_SUITE_P(
    , HistogramTest,
    testing::Values(
        Distribution{"Uniform", [](auto& random) -> int64_t { return random() % 50'000'000; }},
        Distribution{"Exponential",
                     [](auto& random) {
                       return static_cast<int64_t>(
                           std::exponential_distribution<double>(1e-6)(random));
                     }},
        Distribution{"LogNormalOverDecades",
                     [](auto& random) {
                       return static_cast<int64_t>(
                           std::lognormal_distribution<double>(14, 3)(random));
                     }},
        Distribution{"SmallNumbers", [](auto& random) -> int64_t { return random() % 3000; }},
        Distribution{"OneOutlier",
                     [](auto& random) -> int64_t {
                       return random() % 20'000 == 0 ? 1'000'000'000 : 1'000'000;
                     }}),
    [](const auto& tested) { return tested.param.name; });

TEST(Histogram, KnowsThePercentilesOfKnownDistributions) {
  Histogram histogram;
  constexpr int kCount = 200'000;
  std::mt19937_64 random(3);
  std::exponential_distribution<double> exponential(1 / 5e6);  // Mean 5 ms.
  for (int i = 0; i < kCount; ++i) histogram.Record(static_cast<int64_t>(exponential(random)));
  for (const double percentile : {50.0, 90.0, 99.0}) {
    const double expected = -5e6 * std::log(1 - percentile / 100);
    EXPECT_NEAR(static_cast<double>(histogram.ValueAtPercentile(percentile)), expected,
                expected * 0.03);
  }
  EXPECT_NEAR(histogram.StandardDeviation(), 5e6, 5e4);
}

TEST(Histogram, TakesWhatStandsAtTheEdges) {
  Histogram histogram;
  EXPECT_EQ(histogram.ValueAtPercentile(50), 0);
  EXPECT_EQ(histogram.Mean(), 0);
  histogram.Record(-5);
  EXPECT_EQ(histogram.ValueAtPercentile(100), 0);
  histogram.Record(2 * Histogram::kMaxValue);
  EXPECT_EQ(histogram.max(), 2 * Histogram::kMaxValue) << "longer than an hour, and exact";
  EXPECT_GE(histogram.ValueAtPercentile(100), Histogram::kMaxValue);
  for (const int64_t value : {1, 2047, 2048, 2049, 4095, 4096}) {
    Histogram one;
    one.Record(value);
    EXPECT_EQ(one.ValueAtPercentile(50), value);
  }
}

TEST(Histogram, OfAThousandTheNineHundredNinetyNinthIsP999) {
  Histogram histogram;
  for (int64_t value = 1; value <= 1000; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.ValueAtPercentile(99.9), 999);
  EXPECT_EQ(histogram.ValueAtPercentile(50), 500);
  EXPECT_EQ(histogram.ValueAtPercentile(0), 1);
}

// What HdrHistogram prints for 1 ms to 10 ms, one each, with five ticks: taken from its rules.
TEST(Histogram, WritesTheLogThatPlottersRead) {
  Histogram histogram;
  for (int64_t ms = 1; ms <= 10; ++ms) histogram.Record(ms * 1'000'000);
  const std::string log = histogram.PercentileLog();
  const std::vector<std::string> lines = absl::StrSplit(log, '\n');
  EXPECT_EQ(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2], "       1.000 0.000000000000          1           1.00");
  EXPECT_EQ(lines[3], "       1.000 0.100000000000          1           1.11");
  // The largest value that counts as 2 ms: a bucket there is 1024 ns wide.
  EXPECT_EQ(lines[4], "       2.001 0.200000000000          2           1.25");
  std::vector<double> last = {0, -1, 0};
  size_t data_lines = 0;
  for (size_t i = 2; i < lines.size() && lines[i][0] != '#'; ++i, ++data_lines) {
    std::istringstream words(lines[i]);
    std::vector<double> numbers(3);
    words >> numbers[0] >> numbers[1] >> numbers[2];
    EXPECT_GE(numbers[0], last[0]) << lines[i];
    EXPECT_GT(numbers[1], last[1]) << lines[i];
    EXPECT_GE(numbers[2], last[2]) << lines[i];
    EXPECT_GE(numbers[2] + 1e-9, numbers[1] * 10) << lines[i];
    last = numbers;
  }
  EXPECT_THAT(last, testing::ElementsAre(10.0, 1.0, 10.0));
  EXPECT_THAT(log, testing::HasSubstr("#[Mean    =        5.500, StdDeviation   =        2.8"));
  EXPECT_THAT(log, testing::HasSubstr("#[Max     =       10.000, Total count    =           10]"));
  EXPECT_THAT(log, testing::HasSubstr("#[Buckets ="));
}

}  // namespace
}  // namespace attn::load
