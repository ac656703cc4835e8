#include "server/executor/admission.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::HasSubstr;

ExecutorOptions SmallBudgets() {
  ExecutorOptions options;
  options.max_waiting = 3;
  options.max_running = 2;
  options.max_admitted_bytes = 1000;
  return options;
}

TEST(AdmissionTest, ByteBudgetIsFullToTheByteAndComesBack) {
  Admission admission(SmallBudgets());
  EXPECT_TRUE(admission.Admit(600, 0, 0).ok());
  EXPECT_TRUE(admission.Admit(400, 0, 1).ok());
  EXPECT_EQ(admission.admitted_bytes(), 1000);

  const absl::Status refused = admission.Admit(1, 0, 2);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("needs 1 bytes"));
  EXPECT_THAT(refused.message(), HasSubstr("1000 of 1000 are in use"));
  EXPECT_TRUE(RetryAfter(refused).has_value());

  admission.Release(400, absl::ZeroDuration());
  EXPECT_TRUE(admission.Admit(400, 0, 1).ok());
}

TEST(AdmissionTest, CallLargerThanTheBudgetIsToldThatItNeverFits) {
  Admission admission(SmallBudgets());
  const absl::Status refused = admission.Admit(1001, 0, 0);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("1001 bytes"));
  EXPECT_THAT(refused.message(), HasSubstr("budget of 1000 bytes"));
  EXPECT_THAT(refused.message(), HasSubstr("never fit"));
  EXPECT_FALSE(RetryAfter(refused).has_value());
  EXPECT_EQ(admission.admitted_bytes(), 0);
}

TEST(AdmissionTest, CallsAreBoundedByWaitingAndRunningTogether) {
  Admission admission(SmallBudgets());
  EXPECT_TRUE(admission.Admit(1, 2, 2).ok());
  const absl::Status refused = admission.Admit(1, 3, 2);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("3 calls waiting and 2 running, 5 allowed"));
  EXPECT_TRUE(RetryAfter(refused).has_value());
  EXPECT_EQ(admission.admitted_bytes(), 1);
}

TEST(AdmissionTest, RetryHintFollowsTheRunTimeOfCalls) {
  Admission admission(SmallBudgets());
  EXPECT_EQ(RetryAfter(admission.Admit(1, 3, 2)), absl::Milliseconds(10));
  for (int i = 0; i < 100; ++i) admission.Release(0, absl::Seconds(4));
  const absl::Duration hint = *RetryAfter(admission.Admit(1, 3, 2));
  EXPECT_GT(hint, absl::Milliseconds(1900));  // Two running calls of 4 s: one ends every 2 s.
  EXPECT_LE(hint, absl::Seconds(2));
  for (int i = 0; i < 100; ++i) admission.Release(0, absl::Hours(1));
  EXPECT_EQ(RetryAfter(admission.Admit(1, 3, 2)), absl::Seconds(10));
}

TEST(RetryAfterTest, TravelsInTheStatusRoundedUpToMilliseconds) {
  const absl::Status plain = absl::ResourceExhaustedError("full");
  EXPECT_FALSE(RetryAfter(plain).has_value());
  const absl::Status hinted = WithRetryAfter(plain, absl::Microseconds(1));
  EXPECT_EQ(RetryAfter(hinted), absl::Milliseconds(1));
  EXPECT_EQ(hinted.message(), "full");
  EXPECT_FALSE(RetryAfter(absl::OkStatus()).has_value());
}

}  // namespace
}  // namespace attn
