// The parts that decide: service levels, the search for a rate, the timeline, the sources of calls.
#include "client/load/call_source.h"
#include "client/load/rate_search.h"
#include "client/load/slo.h"
#include "client/load/timeline.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FindMaxRate, ComesWithinFivePercentFromEitherSide) {
  for (const double capacity : {0.3, 1.0, 3.0, 97.0, 730.0, 50'000.0}) {
    for (const double start : {1.0, 50.0, 4000.0, 1e6}) {
      const RateSearchResult result =
          FindMaxRate(start, [&](double rate) { return rate <= capacity; });
      EXPECT_LE(result.max_rate, capacity);
      EXPECT_GE(result.max_rate * kRatePrecision, capacity * 0.999) << start;
      EXPECT_LE(result.probes.size(), static_cast<size_t>(kMaxProbes));
    }
  }
}

TEST(FindMaxRate, EndsWhereNothingOrEverythingPasses) {
  EXPECT_EQ(FindMaxRate(100, [](double) { return false; }).max_rate, 0);
  EXPECT_EQ(FindMaxRate(100, [](double) { return true; }).max_rate, kMaxRate);
}

TEST(FindMaxRate, EndsWhereARunSaysNothing) {
  const RateSearchResult result =
      FindMaxRate(100, [](double rate) { return rate < 300 ? std::optional(true) : std::nullopt; });
  EXPECT_EQ(result.max_rate, 200);
  EXPECT_EQ(result.probes.size(), 2u);
}

CallOutcome Outcome(const absl::StatusOr<AttendResult>& result, int64_t latency_ms) {
  return {.ended = absl::Milliseconds(latency_ms), .result = &result};
}

TEST(Slo, NamesWhatIsNotKept) {
  Measurements measured(1);
  EXPECT_THAT(Violations({}, measured), IsEmpty());
  EXPECT_THAT(Violations({.max_p99_ms = 5}, measured), ElementsAre("no call was made"));
  const absl::StatusOr<AttendResult> answer = AttendResult();
  const absl::StatusOr<AttendResult> error = absl::ResourceExhaustedError("full");
  for (int i = 0; i < 96; ++i) measured.Add(Outcome(answer, 10));
  for (int i = 0; i < 4; ++i) measured.Add(Outcome(error, 10));
  EXPECT_THAT(Violations({.max_p99_ms = 11, .max_error_rate = 0.04}, measured), IsEmpty());
  EXPECT_THAT(Violations({.max_p99_ms = 9, .max_error_rate = 0.03}, measured),
              ElementsAre(HasSubstr("p99 10.0"), "error rate 0.0400, allowed: 0.03"));
}

TEST(Timeline, KeepsEveryCallWhenItsIntervalsGrow) {
  Timeline timeline;
  constexpr int kSeconds = 86'400;
  for (int second = 0; second < kSeconds; second += 10) {
    timeline.AddSent(absl::Seconds(second));
    timeline.AddCompleted(absl::Seconds(second), second);
  }
  EXPECT_LE(timeline.intervals().size(), Timeline::kMaxIntervals);
  EXPECT_GE(timeline.interval() * static_cast<double>(timeline.intervals().size()),
            absl::Seconds(kSeconds - 10));
  int64_t sent = 0;
  int64_t completed = 0;
  for (const Timeline::Interval& interval : timeline.intervals()) {
    sent += interval.sent;
    completed += interval.completed;
  }
  EXPECT_EQ(sent, kSeconds / 10);
  EXPECT_EQ(completed, kSeconds / 10);
  EXPECT_EQ(timeline.intervals().back().max_latency_ns, kSeconds - 10);
}

TEST(ClosedLoop, EndsWithTheTimeOrTheCount) {
  ClosedLoop loop({.duration = absl::Seconds(1), .requests = 2});
  EXPECT_EQ(loop.Take(absl::Milliseconds(5))->intended, absl::Milliseconds(5));
  EXPECT_FALSE(loop.Take(absl::Seconds(1)).has_value());
  EXPECT_EQ(loop.Take(absl::Milliseconds(900))->index, 1);
  EXPECT_FALSE(loop.Take(absl::Milliseconds(900)).has_value());
}

TEST(OpenLoop, TellsWhatCannotBeSentInTime) {
  const ArrivalPlan plan = {.segments = {{10, 10}}};
  OpenLoop loop(plan, 1, {.duration = absl::Seconds(2)});
  EXPECT_EQ(loop.Take(absl::ZeroDuration())->intended, absl::ZeroDuration());
  // Late, but within the grace: it is sent, and due when it was due.
  EXPECT_EQ(loop.Take(absl::Milliseconds(2500))->intended, absl::Milliseconds(100));
  for (int64_t index = 2; index < 20; ++index) {
    const std::optional<PlannedCall> call = loop.Take(absl::Seconds(4));
    ASSERT_TRUE(call.has_value());
    EXPECT_TRUE(call->overdue);
    EXPECT_EQ(call->index, index);
    EXPECT_EQ(call->intended, absl::Milliseconds(100) * index);
  }
  EXPECT_FALSE(loop.Take(absl::Seconds(4)).has_value());
}

}  // namespace
}  // namespace attn::load
