// Calls that never run: displaced ones, and those that cannot be in time.
#include <atomic>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/executor/run_time_estimate.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

constexpr double kFlops = 1e9;

TEST(ExecutorRefusalTest, HeaviestCallersNewestCallGivesWayToANewcomer) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const FakeBackend backend({});
  const auto executor = MakeExecutor(1, {.max_waiting = 3, .max_running = 1});
  TestCall running(blocked);
  ASSERT_TRUE(executor->Submit(std::move(running.job())).ok());
  gate.WaitUntilEntered();
  std::deque<TestCall> heavy;
  for (int i = 0; i < 3; ++i) {
    heavy.emplace_back(backend, "heavy");
    ASSERT_TRUE(executor->Submit(std::move(heavy.back().job())).ok());
  }
  TestCall light(backend, "light");
  ASSERT_TRUE(executor->Submit(std::move(light.job())).ok());
  const JobOutcome& displaced = heavy[2].outcome();  // At once: the worker is still blocked.
  EXPECT_EQ(displaced.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RefusalReason(displaced.status), kRefusedDisplaced);
  EXPECT_TRUE(RetryAfter(displaced.status).has_value());
  EXPECT_EQ(displaced.end, CallEnd::kRefused);
  EXPECT_EQ(displaced.stage, CallStage::kQueued);
  EXPECT_EQ(Waiting(executor->load()), 3);
  gate.Open();
  EXPECT_TRUE(light.outcome().status.ok());
  EXPECT_TRUE(heavy[0].outcome().status.ok());
  EXPECT_TRUE(heavy[1].outcome().status.ok());
}

TEST(ExecutorRefusalTest, CallThatCannotBeInTimeIsRefusedBeforeItRuns) {
  constexpr absl::Duration kRun = absl::Milliseconds(500);
  const FakeBackend backend({.launch = [&](std::span<absl::Status>) { absl::SleepFor(kRun); }});
  const auto executor = MakeExecutor(2, {.max_batch_calls = kMinEstimateCalls});
  // Eight calls are known to take half a second: one launch, at most two.
  std::deque<TestCall> measured;
  for (int i = 0; i < 2 * kMinEstimateCalls; ++i) {
    measured.emplace_back(backend, "a");
    measured.back().job().dense_flops = kFlops;
    ASSERT_TRUE(executor->Submit(std::move(measured.back().job())).ok());
  }
  for (int i = 0; i < kMinEstimateCalls + 1; ++i)
    ASSERT_TRUE(measured[static_cast<size_t>(i)].outcome().status.ok());

  TestCall late(backend);
  late.job().dense_flops = kFlops;
  late.job().deadline = absl::Now() + kRun / 4;
  const absl::Status refused = executor->Submit(std::move(late.job())).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(RefusalReason(refused), kRefusedDeadline);
  EXPECT_THAT(refused.message(), HasSubstr("to run, by the rate measured on `fake`"));
  EXPECT_FALSE(late.done_alive());

  TestCall unknown(backend);  // Without its size nothing is known of it.
  unknown.job().deadline = absl::Now() + kRun / 4;
  EXPECT_TRUE(executor->Submit(std::move(unknown.job())).ok());
  unknown.outcome();
}

TEST(ExecutorRefusalTest, CallThatHasBecomeLateInTheQueueIsNotLaunched) {
  // One launch of eight, at whose end the next call has left a quarter of what it took. Less than
  // half is refused, so that either time may be off by much.
  constexpr absl::Duration kLeft = absl::Milliseconds(400);
  const absl::Duration kRun = 4 * kLeft;
  Gate gate;
  std::atomic<bool> launched = false;
  absl::Time deadline;  // Of the next call.
  const FakeBackend backend({.launch = [&](std::span<absl::Status>) {
    if (!launched.exchange(true)) gate.Pass();
    absl::SleepFor(deadline - kLeft - absl::Now());
  }});
  const auto executor =
      MakeExecutor(2, {.max_batch_calls = kMinEstimateCalls, .batch_delay = kMaxBatchDelay});
  std::deque<TestCall> measured;
  for (int i = 0; i < kMinEstimateCalls; ++i) {
    measured.emplace_back(backend, "a");
    measured.back().job().dense_flops = kFlops;
    ASSERT_TRUE(executor->Submit(std::move(measured.back().job())).ok());
  }
  gate.WaitUntilEntered();
  deadline = absl::Now() + kRun + kLeft;
  TestCall late(backend);
  late.job().dense_flops = kFlops;
  late.job().deadline = deadline;
  ASSERT_TRUE(executor->Submit(std::move(late.job())).ok());  // Nothing is known yet.
  gate.Open();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late.outcome().end, CallEnd::kRefused);
  EXPECT_EQ(late.outcome().stage, CallStage::kQueued);
  EXPECT_EQ(RefusalReason(late.outcome().status), kRefusedDeadline);
  for (TestCall& call : measured) EXPECT_TRUE(call.outcome().status.ok());
}

TEST(ExecutorRefusalTest, QueueCountsTowardsTheEstimate) {
  constexpr absl::Duration kRun = absl::Milliseconds(40);
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const FakeBackend backend({.tile = [&](int, int64_t) {
    absl::SleepFor(kRun);
    return absl::OkStatus();
  }});
  const auto executor = MakeExecutor(1);
  const auto make_call = [&](const char* caller) {
    TestCall call(backend, caller);
    call.job().dense_flops = kFlops;
    return call;
  };
  for (int i = 0; i < kMinEstimateCalls; ++i) {
    TestCall call = make_call("a");
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
    call.outcome();
  }
  TestCall first(blocked);
  ASSERT_TRUE(executor->Submit(std::move(first.job())).ok());
  gate.WaitUntilEntered();
  std::deque<TestCall> waiting;
  std::vector<JobId> ids;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(make_call("a"));
    const auto id = executor->Submit(std::move(waiting.back().job()));
    ASSERT_TRUE(id.ok());
    ids.push_back(*id);
  }
  TestCall late = make_call("a");
  late.job().deadline = absl::Now() + 5 * kRun;
  const absl::Status refused = executor->Submit(std::move(late.job())).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(refused.message(), HasSubstr("behind 10 calls in the queue"));
  // Another caller's call has its turn after one of those.
  TestCall other = make_call("b");
  other.job().deadline = absl::Now() + 5 * kRun;
  EXPECT_TRUE(executor->Submit(std::move(other.job())).ok());
  for (const JobId id : ids) executor->Cancel(id);
  gate.Open();
  other.outcome();
}

}  // namespace
}  // namespace attn
