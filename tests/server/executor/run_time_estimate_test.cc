#include "server/executor/run_time_estimate.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

class RunTimeEstimateTest : public testing::Test {
 protected:
  Job MakeJob(double flops, Priority priority = Priority::kInteractive) const {
    Job job;
    job.backend = &backend_;
    job.dense_flops = flops;
    job.priority = priority;
    return job;
  }
  void Record(double flops, double milliseconds, int times) {
    for (int i = 0; i < times; ++i) {
      const absl::Duration run = absl::Milliseconds(milliseconds);
      estimate_.Record(MakeJob(flops), {run, 2 * run}, now_);
    }
  }
  double ExpectedMs(double flops) const {
    return absl::ToDoubleMilliseconds(estimate_.Expect(MakeJob(flops), now_).run);
  }

  const FakeBackend backend_{{}};
  RunTimeEstimate estimate_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(RunTimeEstimateTest, NothingIsKnownBeforeEightCalls) {
  Record(1000, 5, 7);
  EXPECT_EQ(ExpectedMs(1000), 0);
  Record(1000, 5, 1);
  EXPECT_EQ(ExpectedMs(1000), 5);
  EXPECT_EQ(estimate_.Expect(MakeJob(1000), now_).service, absl::Milliseconds(10));
}

TEST_F(RunTimeEstimateTest, LargerCallsTakeAtLeastAsLongAsTheNearestSmallerOnes) {
  Record(100, 1, 8);
  Record(1e6, 20, 8);
  EXPECT_EQ(ExpectedMs(1e9), 20);
  EXPECT_EQ(ExpectedMs(5e5), 1);
  EXPECT_EQ(ExpectedMs(10), 0);
  EXPECT_EQ(ExpectedMs(0), 0);  // Unknown.
}

TEST_F(RunTimeEstimateTest, WithinAnOctaveASmallerCallTakesItsPart) {
  Record(1536, 30, 8);
  EXPECT_EQ(ExpectedMs(1024), 20);
  EXPECT_EQ(ExpectedMs(2047), 30) << "larger ones are not known to take longer";
}

TEST_F(RunTimeEstimateTest, BackendsAndClassesAreApart) {
  Record(1000, 5, 8);
  const FakeBackend other({});
  Job job = MakeJob(1000);
  job.backend = &other;
  EXPECT_EQ(estimate_.Expect(job, now_).run, absl::ZeroDuration());
  EXPECT_EQ(estimate_.Expect(MakeJob(1000, Priority::kBatch), now_).run, absl::ZeroDuration());
}

TEST_F(RunTimeEstimateTest, FallsAtOnceAndRisesSlowly) {
  Record(1000, 100, 20);
  Record(1000, 10, 1);
  EXPECT_EQ(ExpectedMs(1000), 10);
  Record(1000, 100, 1);
  EXPECT_LT(ExpectedMs(1000), 22);
  Record(1000, 100, 50);
  EXPECT_GT(ExpectedMs(1000), 99);
}

TEST_F(RunTimeEstimateTest, OldMeasurementsCountNoMore) {
  Record(1000, 5, 8);
  now_ += kEstimateAge;
  EXPECT_EQ(ExpectedMs(1000), 5);
  now_ += absl::Nanoseconds(1);
  EXPECT_EQ(ExpectedMs(1000), 0);
  Record(1000, 7, 7);
  EXPECT_EQ(ExpectedMs(1000), 0);
  Record(1000, 7, 1);
  EXPECT_EQ(ExpectedMs(1000), 7);
}

TEST_F(RunTimeEstimateTest, HugeAndTinyCallsHaveAnOctave) {
  for (const double flops : {1e-300, 1.0, 1e300}) {
    estimate_ = {};
    Record(flops, 3, 8);
    EXPECT_NEAR(ExpectedMs(flops), 3, 1e-6) << flops;
  }
}

TEST_F(RunTimeEstimateTest, OnlySurelyLateCallsAreRefusedAndToldTheEstimate) {
  Job job = MakeJob(1000);
  job.deadline = now_ + absl::Milliseconds(200);
  const auto check = [&](int64_t wait_ms, int64_t run_ms) {
    return CheckInTime(job, {absl::Milliseconds(wait_ms), 12, absl::Milliseconds(run_ms)}, now_);
  };
  EXPECT_TRUE(check(40, 205).ok());
  EXPECT_TRUE(check(6000, 0).ok());  // Nothing is known of the call itself.
  const absl::Status late = check(600, 240);
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(RefusalReason(late), kRefusedDeadline);
  EXPECT_EQ(late.message(),
            "expected to take 840 ms: 600 ms behind 12 calls in the queue and 240 ms to run, by "
            "the rate measured on `fake` over the last 10s; its deadline is in 200 ms");
  EXPECT_THAT(check(0, 500).message(), HasSubstr("expected to take 500 ms to run, by the rate"));
}

}  // namespace
}  // namespace attn
