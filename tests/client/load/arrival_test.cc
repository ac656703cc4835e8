#include "client/load/arrival.h"

#include <cmath>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> Times(const ArrivalPlan& plan, uint64_t seed = 1, size_t limit = 1'000'000) {
  Arrivals arrivals(plan, seed);
  std::vector<double> seconds;
  while (seconds.size() < limit) {
    const std::optional<absl::Duration> time = arrivals.Next();
    if (!time.has_value()) break;
    seconds.push_back(absl::ToDoubleSeconds(*time));
  }
  return seconds;
}

ArrivalPlan Constant(double rate, absl::Duration duration) {
  return {.segments = {{rate, rate, duration}}};
}

TEST(Arrivals, OfAConstantRateStandEvenlyFromTheStart) {
  EXPECT_THAT(Times(Constant(4, absl::Seconds(1.5))), ElementsAre(0, 0.25, 0.5, 0.75, 1.0, 1.25));
  EXPECT_EQ(Times(Constant(200, absl::Seconds(5))).size(), 1000);
  EXPECT_EQ(Times({.segments = {{10, 10}}}, 1, 50).size(), 50) << "without end";
}

TEST(Arrivals, OfAPoissonProcessHaveItsMeanAndSpread) {
  ArrivalPlan plan = Constant(1000, absl::Seconds(100));
  plan.spacing = Spacing::kPoisson;
  const std::vector<double> times = Times(plan);
  // 100'000 expected; the standard deviation is 316.
  EXPECT_NEAR(static_cast<double>(times.size()), 100'000, 1500);
  double square = 0;
  double previous = 0;
  for (const double time : times) {
    ASSERT_GE(time, previous);
    square += (time - previous) * (time - previous);
    previous = time;
  }
  // An exponential gap's second moment is twice its mean squared; an even gap's would be 1e-6.
  EXPECT_NEAR(square / static_cast<double>(times.size()), 2e-6, 1e-7);
}

TEST(Arrivals, AreTheSameForTheSameSeedAlone) {
  ArrivalPlan plan = Constant(100, absl::Seconds(3));
  plan.spacing = Spacing::kPoisson;
  EXPECT_EQ(Times(plan, 5), Times(plan, 5));
  EXPECT_NE(Times(plan, 5), Times(plan, 6));
}

struct RampCase {
  double from;
  double to;
};

class RampTest : public testing::TestWithParam<RampCase> {};

// Between two times there are as many calls as the rate's integral says.
TEST_P(RampTest, FollowsTheIntegralOfItsRate) {
  const auto [from, to] = GetParam();
  const ArrivalPlan plan = {.segments = {{from, to, absl::Seconds(10)}}};
  const std::vector<double> times = Times(plan);
  EXPECT_NEAR(static_cast<double>(times.size()), (from + to) / 2 * 10, 1);
  for (size_t i = 0; i < times.size(); i += 37) {
    const double t = times[i];
    EXPECT_NEAR(from * t + (to - from) / 10 * t * t / 2, static_cast<double>(i), 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(, RampTest,
                         testing::Values(RampCase{50, 400}, RampCase{400, 50}, RampCase{0, 100},
                                         RampCase{100, 0}, RampCase{80, 80}));

TEST(Arrivals, OfStepsKeepEachRateForItsTime) {
  const ArrivalPlan plan = {.segments = ParseSteps("--steps", "10:1s,0:2s,100:500ms").value()};
  const std::vector<double> times = Times(plan);
  ASSERT_EQ(times.size(), 60);
  EXPECT_LT(times[9], 1.0);
  EXPECT_NEAR(times[10], 3.0, 1e-9) << "after the pause";
  EXPECT_LT(times.back(), 3.5);
}

std::string TraceFile(const std::string& text) {
  const std::string path = absl::StrCat(testing::TempDir(), "/arrival_test.trace");
  std::ofstream(path) << text;
  return path;
}

TEST(Arrivals, OfATraceAreItsLines) {
  ArrivalPlan plan;
  plan.trace = ReadTrace(TraceFile("# recorded\n0\n\n 0.5 \n0.5\n2.25\n")).value();
  EXPECT_THAT(Times(plan), ElementsAre(0, 0.5, 0.5, 2.25));
}

struct WrongText {
  absl::Status status;
  const char* says;
};

TEST(ArrivalText, ErrorsNameThePlaceTheValueAndTheCure) {
  const WrongText cases[] = {
      {ParseRate("--rate", "0").status(), "--rate: '0'; allowed: more than 0"},
      {ParseRate("--rate", "fast").status(), "--rate: 'fast'; allowed: calls a second"},
      {ParseRate("--rate", "nan").status(), "--rate: 'nan'"},
      {ParseRate("--rate", "2e6").status(), "at most 1000000"},
      {ParseRamp("--ramp", "50", absl::Seconds(1)).status(), "FROM:TO"},
      {ParseRamp("--ramp", "0:0", absl::Seconds(1)).status(), "at least one rate above 0"},
      {ParseRamp("--ramp", "-1:5", absl::Seconds(1)).status(), "--ramp: '-1'"},
      {ParseSteps("--steps", "100").status(), "--steps: '100'; allowed: RATE:TIME"},
      {ParseSteps("--steps", "100:5s,7:-1s").status(), "--steps: '7:-1s'"},
      {ReadTrace(TraceFile("0\n0.5\n0.25\n")).status(),
       "arrival_test.trace:3: '0.25'; allowed: times that ascend, and the one before is 0.5; sort"},
      {ReadTrace(TraceFile("soon\n")).status(), "arrival_test.trace:1: 'soon'; allowed: seconds"},
      {ReadTrace(TraceFile("# nothing\n")).status(), "holds no time"},
      {ReadTrace("/no/such/trace").status(), "/no/such/trace: cannot be read"},
  };
  for (const WrongText& wrong : cases) {
    EXPECT_THAT(std::string(wrong.status.message()), HasSubstr(wrong.says));
  }
}

}  // namespace
}  // namespace attn::load
