#include "server/executor/admission.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/scheduled_jobs.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Priority kInteractive = Priority::kInteractive;
constexpr Priority kBatch = Priority::kBatch;

class AdmissionTest : public testing::Test {
 protected:
  static Job MakeJob(const std::string& caller, int64_t bytes, Priority priority = kInteractive) {
    Job job;
    job.caller_id = caller;
    job.reserved_bytes = bytes;
    job.priority = priority;
    return job;
  }

  // What becomes of a call, displaced ones left to the test.
  absl::StatusOr<std::vector<JobId>> Submit(const std::string& caller, int64_t bytes,
                                            Priority priority = kInteractive) {
    Job job = MakeJob(caller, bytes, priority);
    auto displaced = admission_.MakeRoom(job, now_);
    if (!displaced.ok()) return displaced;
    for (const JobId id : *displaced) admission_.Displace(jobs_[id]);
    ScheduledJob& admitted = jobs_.Make(std::move(job));
    admission_.Admit(admitted, now_);
    return displaced;
  }
  void ExpectAdmitted(const std::string& caller, int64_t bytes, Priority priority = kInteractive) {
    const auto displaced = Submit(caller, bytes, priority);
    ASSERT_TRUE(displaced.ok()) << displaced.status();
    EXPECT_TRUE(displaced->empty());
  }
  void ExpectRefused(const absl::Status& status, absl::string_view reason, const char* text) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(RefusalReason(status), reason);
    EXPECT_THAT(status.message(), HasSubstr(text));
    EXPECT_EQ(RetryAfter(status).has_value(), reason != kRefusedTooLarge);
  }
  void Launch(JobId id) {
    jobs_[id].launched = true;
    admission_.Launch(jobs_[id]);
  }
  void End(JobId id) { admission_.Release(jobs_[id], now_); }

  Admission admission_{{.max_waiting = 4,
                        .max_waiting_batch = 2,
                        .max_running = 1,
                        .max_admitted_bytes = 1000,
                        .max_admitted_batch_bytes = 400}};
  ScheduledJobs jobs_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(AdmissionTest, ByteBudgetIsFullToTheByteAndComesBack) {
  ExpectAdmitted("a", 600);
  ExpectAdmitted("a", 400);
  const absl::Status refused = Submit("a", 1).status();
  ExpectRefused(refused, kRefusedBytesFull, "needs 1 bytes");
  EXPECT_THAT(refused.message(), HasSubstr("1000 of 1000 bytes for interactive calls"));
  End(2);
  ExpectAdmitted("a", 400);
  EXPECT_EQ(admission_.load().admitted_bytes[0], 1000);
}

TEST_F(AdmissionTest, CallLargerThanItsBudgetIsToldThatItNeverFits) {
  ExpectRefused(Submit("a", 1001).status(), kRefusedTooLarge, "budget of 1000 bytes");
  ExpectRefused(Submit("a", 401, kBatch).status(), kRefusedTooLarge,
                "budget of 400 bytes for batch calls: it can never fit");
}

TEST_F(AdmissionTest, BatchCallsTakeOnlyTheirPartOfTheBytes) {
  ExpectAdmitted("a", 400, kBatch);
  ExpectRefused(Submit("a", 1, kBatch).status(), kRefusedBytesFull, "400 of 400");
  ExpectAdmitted("b", 600);
  ExpectRefused(Submit("b", 1).status(), kRefusedBytesFull, "byte budget full");
  End(1);
  ExpectAdmitted("b", 400);
  // Interactive calls may take everything: then there is nothing for batch calls.
  ExpectRefused(Submit("a", 1, kBatch).status(), kRefusedBytesFull, "byte budget full");
}

TEST_F(AdmissionTest, CallsAreBoundedByWaitingAndRunningTogetherAClassApart) {
  for (int i = 0; i < 5; ++i) ExpectAdmitted("a", 1);
  Launch(1);
  ExpectRefused(Submit("a", 1).status(), kRefusedQueueFull,
                "interactive queue full: 4 calls waiting and 1 running, 5 allowed");
  for (int i = 0; i < 3; ++i) ExpectAdmitted("a", 1, kBatch);
  ExpectRefused(Submit("a", 1, kBatch).status(), kRefusedQueueFull, "batch queue full: 3 calls");
  EXPECT_THAT(admission_.load().waiting_calls, ElementsAre(4, 3));
  EXPECT_THAT(admission_.load().running_calls, ElementsAre(1, 0));
  Launch(2);  // Two run, but a place in the queue is free.
  ExpectRefused(Submit("a", 1001).status(), kRefusedTooLarge, "never");
  ExpectAdmitted("a", 1);
}

TEST_F(AdmissionTest, NewestWaitingCallOfTheHeaviestCallerGivesWayToACallerWithLess) {
  for (int i = 0; i < 5; ++i) ExpectAdmitted("heavy", 1);
  const auto displaced = Submit("light", 1);
  ASSERT_TRUE(displaced.ok());
  EXPECT_THAT(*displaced, ElementsAre(5));
  EXPECT_THAT(*Submit("light", 1), ElementsAre(4));
  // Now 3 and 2: one more would leave 2 to the one that gives way, against 3.
  ExpectRefused(Submit("light", 1).status(), kRefusedQueueFull, "queue full");
  ExpectRefused(Submit("heavy", 1).status(), kRefusedQueueFull, "queue full");
  EXPECT_THAT(*Submit("third", 1), ElementsAre(3));
  EXPECT_EQ(admission_.load().waiting_calls[0], 5);
}

TEST_F(AdmissionTest, RunningCallsNeverGiveWay) {
  ExpectAdmitted("heavy", 900);
  Launch(1);
  ExpectAdmitted("heavy", 50);
  ExpectRefused(Submit("light", 200).status(), kRefusedBytesFull, "byte budget full");
  EXPECT_THAT(*Submit("light", 100), ElementsAre(2));
}

TEST_F(AdmissionTest, SeveralCallsGiveWayToOneThatNeedsTheirBytes) {
  for (int i = 0; i < 4; ++i) ExpectAdmitted("heavy", 200);
  ExpectAdmitted("other", 200);
  EXPECT_THAT(*Submit("light", 400), ElementsAre(4, 3));
  // Each holds 400, 200, 400: nobody gives way any more to someone who would hold more.
  ExpectRefused(Submit("light", 200).status(), kRefusedBytesFull, "byte budget full");
  ExpectRefused(Submit("other", 300).status(), kRefusedBytesFull, "byte budget full");
}

TEST_F(AdmissionTest, TwoHeavyCallersGiveWayByTurns) {
  for (int i = 0; i < 2; ++i) {
    ExpectAdmitted("a", 250);
    ExpectAdmitted("b", 250);
  }
  EXPECT_THAT(*Submit("c", 250), ElementsAre(4));
  EXPECT_THAT(admission_.load().admitted_bytes, ElementsAre(1000, 0));
}

TEST_F(AdmissionTest, NobodyGivesWayForNothing) {
  ExpectAdmitted("a", 0);
  ExpectAdmitted("a", 1000);
  Launch(2);
  ExpectRefused(Submit("b", 1).status(), kRefusedBytesFull, "byte budget full");
  EXPECT_EQ(admission_.load().waiting_calls[0], 1);
}

TEST_F(AdmissionTest, ClassesDisplaceOnlyTheirOwn) {
  for (int i = 0; i < 4; ++i) ExpectAdmitted("heavy", 100, i == 3 ? kInteractive : kBatch);
  EXPECT_THAT(*Submit("light", 100, kBatch), ElementsAre(3));
  ExpectRefused(Submit("light", 900).status(), kRefusedBytesFull, "byte budget full");
}

TEST_F(AdmissionTest, DisplacedCallIsToldWhyAndWhenButNotByWhom) {
  for (int i = 0; i < 5; ++i) ExpectAdmitted("heavy", 1);
  const absl::Status status = admission_.DisplacedStatus(jobs_[5], now_);
  ExpectRefused(status, kRefusedDisplaced, "displaced from the full interactive queue");
}

TEST_F(AdmissionTest, RoomOfADisplacedCallIsGivenBackOnce) {
  for (int i = 0; i < 5; ++i) ExpectAdmitted("heavy", 10);
  ASSERT_THAT(*Submit("light", 10), ElementsAre(5));
  End(5);
  EXPECT_EQ(admission_.load().admitted_bytes[0], 50);
  for (const JobId id : {1, 2, 3, 4, 6}) End(id);
  EXPECT_EQ(admission_.load().admitted_bytes[0], 0);
  EXPECT_EQ(admission_.load().waiting_calls[0], 0);
}

TEST_F(AdmissionTest, LowerLimitsDropNothingAndRefuseTheNext) {
  for (int i = 0; i < 5; ++i) ExpectAdmitted("a", 100);
  admission_.SetLimits({.max_waiting = 1, .max_running = 1, .max_admitted_bytes = 300});
  EXPECT_EQ(admission_.load().waiting_calls[0], 5);
  ExpectRefused(Submit("a", 1).status(), kRefusedBytesFull, "500 of 300");
}

TEST_F(AdmissionTest, RetryHintFollowsTheRateAtWhichCallsEnd) {
  admission_.SetLimits({.max_waiting = 0, .max_running = 2, .max_admitted_bytes = 1000});
  ExpectAdmitted("a", 100);
  for (int i = 1; i < 100; ++i) {
    ExpectAdmitted("a", 100);
    now_ += absl::Seconds(2);
    End(static_cast<JobId>(i));
  }
  ExpectAdmitted("a", 850);
  const auto hint = [&](int64_t bytes) { return *RetryAfter(Submit("a", bytes).status()); };
  EXPECT_EQ(hint(1), absl::Seconds(2));  // One call.
  ExpectRefused(Submit("a", 251).status(), kRefusedBytesFull, "byte budget full");
  EXPECT_EQ(hint(251), absl::Milliseconds(4020));  // 201 bytes, 100 a call.
  now_ += absl::Seconds(5);
  EXPECT_EQ(hint(1), absl::Seconds(5));  // It has become slower.
  now_ += absl::Hours(1);
  EXPECT_EQ(hint(1), absl::Seconds(10));
}

TEST(DrainRateTest, IdleTimeDoesNotCount) {
  DrainRate rate;
  absl::Time now = absl::UnixEpoch();
  EXPECT_EQ(rate.Until(1, 0, now), absl::Milliseconds(100));
  for (int i = 0; i < 100; ++i) {
    now += absl::Hours(1);
    rate.Begin(now);
    now += absl::Milliseconds(50);
    rate.Ended(10, now);
  }
  EXPECT_NEAR(absl::ToDoubleMilliseconds(rate.Until(1, 0, now)), 50, 0.001);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(rate.Until(1, 40, now)), 200, 0.001);
}

TEST(CallerSharesTest, OthersAreServedAsMuchAsTheNewcomerOrAllTheyHave) {
  CallerShares shares;
  ScheduledJobs jobs;
  const auto admit = [&](const char* caller, double seconds) -> const ScheduledJob& {
    Job job;
    job.caller_id = caller;
    ScheduledJob& made = jobs.Make(std::move(job));
    made.expected_service = absl::Seconds(seconds);
    shares.Admit(made);
    return made;
  };
  const ScheduledJob& first = admit("a", 10);
  admit("a", 10);
  admit("b", 1);
  EXPECT_EQ(shares.service(), absl::Seconds(21));
  EXPECT_EQ(shares.ServiceAhead("new", absl::Seconds(2)), absl::Seconds(2 + 1));
  EXPECT_EQ(shares.ServiceAhead("b", absl::Seconds(2)), absl::Seconds(1 + 3));
  EXPECT_EQ(shares.ServiceAhead("a", absl::Seconds(2)), absl::Seconds(20 + 1));
  shares.Launch(first);  // Runs: waits no more.
  EXPECT_EQ(shares.ServiceAhead("a", absl::Seconds(2)), absl::Seconds(10 + 1));
  EXPECT_EQ(shares.waiting(), 2);
}

TEST(RetryAfterTest, TravelsInTheStatusRoundedUpToMilliseconds) {
  const absl::Status plain = absl::ResourceExhaustedError("full");
  EXPECT_FALSE(RetryAfter(plain).has_value());
  const absl::Status hinted = WithRetryAfter(plain, absl::Microseconds(1));
  EXPECT_EQ(RetryAfter(hinted), absl::Milliseconds(1));
  EXPECT_EQ(hinted.message(), "full");
  EXPECT_FALSE(RetryAfter(absl::OkStatus()).has_value());
}

TEST(RefusalReasonTest, IsWhatWasSetOrWhatTheCodeSays) {
  const absl::Status plain = absl::ResourceExhaustedError("full");
  EXPECT_EQ(RefusalReason(plain), "exhausted");
  EXPECT_EQ(RefusalReason(WithRefusal(plain, kRefusedUnread)), kRefusedUnread);
  EXPECT_EQ(RefusalReason(absl::InvalidArgumentError("bad")), "invalid");
  EXPECT_EQ(RefusalReason(absl::InternalError("bug")), "other");
}

}  // namespace
}  // namespace attn
