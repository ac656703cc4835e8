#include "kernels/core/online_softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace attn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double LseAtOnce(const std::vector<double>& scores) {
  double max = -kInfinity;
  for (const double score : scores) max = std::max(max, score);
  if (max == -kInfinity) return max;
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - max);
  return max + std::log(sum);
}

TEST(SoftmaxState, PiecesOfAnySizeGiveTheSoftmaxOfTheWhole) {
  std::mt19937_64 random(5);
  std::normal_distribution<double> score(0, 50);
  for (size_t piece = 1; piece <= 17; ++piece) {
    std::vector<double> scores(33);
    for (double& value : scores) value = score(random);
    SoftmaxState<double> state;
    double weighted = 0;  // sum exp(score - max) * index
    for (size_t begin = 0; begin < scores.size(); begin += piece) {
      const size_t end = std::min(begin + piece, scores.size());
      weighted *= state.Raise(*std::max_element(scores.begin() + static_cast<int64_t>(begin),
                                                scores.begin() + static_cast<int64_t>(end)));
      for (size_t i = begin; i < end; ++i) {
        const double weight = SoftmaxState<double>::ExpDifference(scores[i], state.max);
        state.sum += weight;
        weighted += weight * static_cast<double>(i);
      }
    }
    const double lse = LseAtOnce(scores);
    double expected = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      expected += std::exp(scores[i] - lse) * static_cast<double>(i);
    }
    EXPECT_NEAR(state.Lse(), lse, 1e-12 * std::abs(lse));
    EXPECT_NEAR(weighted / state.sum, expected, 1e-12 * expected);
  }
}

TEST(SoftmaxState, NothingSeenIsEmptyAndNeverNan) {
  SoftmaxState<float> state;
  EXPECT_EQ(state.Lse(), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(state.Raise(-std::numeric_limits<float>::infinity()), 1);
  EXPECT_EQ(state.Raise(3.0F), 0);  // Nothing was accumulated under -infinity.
  EXPECT_EQ(state.sum, 0);
  EXPECT_EQ(state.max, 3.0F);
  EXPECT_EQ(state.Raise(2.0F), 1);  // Never lowers.
  EXPECT_EQ(state.max, 3.0F);
}

}  // namespace
}  // namespace attn
