// Calls that end before their time: cancellation, deadlines, drain, destruction.
#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

// Soon enough for a test to wait for, late enough to be admitted before.
absl::Time Soon() { return absl::Now() + absl::Milliseconds(100); }

// An executor whose only worker is held in the first of the 10 tiles of a call.
class ExecutorStopTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto id = executor_->Submit(std::move(blocked_call_.job()));
    ASSERT_TRUE(id.ok()) << id.status();
    blocked_id_ = *id;
    gate_.WaitUntilEntered();
  }
  void TearDown() override { gate_.Open(); }

  Gate gate_;
  std::atomic<int> blocked_tiles_ = 0;
  FakeBackend blocked_{{.phases = {{Stage::kKernel, 10}}, .tile = [this](int, int64_t tile) {
                          if (tile == 0) gate_.Pass();
                          ++blocked_tiles_;
                          return absl::OkStatus();
                        }}};
  FakeBackend backend_{{}};
  TestCall blocked_call_{blocked_, "blocked"};
  JobId blocked_id_ = 0;
  // Last, after what its threads use.
  std::unique_ptr<Executor> executor_ = MakeExecutor(1);
};

TEST_F(ExecutorStopTest, CancelInTheQueueEndsTheCallWhileEveryWorkerIsBusy) {
  TestCall call(backend_);
  const auto id = executor_->Submit(std::move(call.job()));
  ASSERT_TRUE(id.ok());
  executor_->Cancel(*id);
  EXPECT_EQ(call.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(call.outcome().status.message(), HasSubstr("in the queue"));
  EXPECT_GT(call.outcome().times.queue_ns, 0);
  EXPECT_EQ(call.outcome().times.kernel_ns, 0);
  EXPECT_EQ(call.outcome().end, CallEnd::kCancelled);
  EXPECT_EQ(call.outcome().stage, CallStage::kQueued);
  EXPECT_EQ(call.outcome().batch_calls, 0);
  EXPECT_EQ(Waiting(executor_->load()), 0);
  EXPECT_FALSE(blocked_call_.ended());
  gate_.Open();
  EXPECT_TRUE(blocked_call_.outcome().status.ok());
  EXPECT_EQ(backend_.most_alive(), 0);  // Never launched.
}

TEST_F(ExecutorStopTest, DeadlineInTheQueueEndsTheCallWhileEveryWorkerIsBusy) {
  TestCall patient(backend_);
  ASSERT_TRUE(executor_->Submit(std::move(patient.job())).ok());
  TestCall call(backend_);  // Behind the patient one: not at the head.
  call.job().deadline = Soon();
  ASSERT_TRUE(executor_->Submit(std::move(call.job())).ok());
  EXPECT_EQ(call.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(call.outcome().status.message(), HasSubstr("in the queue"));
  EXPECT_FALSE(patient.ended());
  EXPECT_FALSE(blocked_call_.ended());
  gate_.Open();
  EXPECT_TRUE(patient.outcome().status.ok());
  EXPECT_EQ(backend_.most_alive(), 1);
}

TEST_F(ExecutorStopTest, EarlierDeadlineThatComesLaterIsKept) {
  TestCall late(backend_);
  late.job().deadline = absl::Now() + absl::Hours(1);
  ASSERT_TRUE(executor_->Submit(std::move(late.job())).ok());
  TestCall early(backend_);
  early.job().deadline = Soon();
  ASSERT_TRUE(executor_->Submit(std::move(early.job())).ok());
  EXPECT_EQ(early.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(late.ended());
  gate_.Open();
  EXPECT_TRUE(late.outcome().status.ok());
}

TEST_F(ExecutorStopTest, CancelBetweenTilesEndsAfterTheTileInFlight) {
  executor_->Cancel(blocked_id_);
  executor_->Cancel(blocked_id_);
  EXPECT_FALSE(blocked_call_.ended());
  EXPECT_EQ(blocked_.executions_alive(), 1);
  gate_.Open();
  EXPECT_EQ(blocked_call_.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(blocked_call_.outcome().status.message(), HasSubstr("while it was running"));
  EXPECT_EQ(blocked_call_.outcome().end, CallEnd::kCancelled);
  EXPECT_EQ(blocked_call_.outcome().stage, CallStage::kRunning);
  EXPECT_EQ(blocked_tiles_, 1);
  EXPECT_EQ(blocked_.executions_alive(), 0);
  executor_->Cancel(blocked_id_);  // Ended: no effect.
  EXPECT_EQ(blocked_call_.ends(), 1);
}

TEST(ExecutorDeadlineTest, BetweenTilesEndsARunningCall) {
  // Without the deadline it would run for ever.
  const FakeBackend endless({.phases = {{Stage::kKernel, int64_t{1} << 60}}});
  const auto executor = MakeExecutor(2);
  TestCall call(endless);
  call.job().deadline = Soon();
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_EQ(call.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(endless.executions_alive(), 0);
}

TEST(ExecutorDeadlineTest, PassedBeforeLaunchIsNeverLaunched) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const FakeBackend backend({});
  const auto executor = MakeExecutor(1, {.max_running = 1});
  TestCall first(blocked, "a");
  ASSERT_TRUE(executor->Submit(std::move(first.job())).ok());
  gate.WaitUntilEntered();
  std::deque<TestCall> calls;
  const absl::Time deadline = Soon();
  for (int i = 0; i < 10; ++i) {
    calls.emplace_back(backend, std::to_string(i));
    calls.back().job().deadline = deadline;
    ASSERT_TRUE(executor->Submit(std::move(calls.back().job())).ok());
  }
  for (TestCall& call : calls) EXPECT_EQ(call.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(backend.most_alive(), 0);
  gate.Open();
}

TEST_F(ExecutorStopTest, CancelDuringPrepareEndsBeforeTheFirstTile) {
  gate_.Open();
  Gate preparing;
  std::atomic<int> tiles = 0;
  const FakeBackend backend({.prepare =
                                 [&] {
                                   preparing.Pass();
                                   return absl::OkStatus();
                                 },
                             .tile =
                                 [&](int, int64_t) {
                                   ++tiles;
                                   return absl::OkStatus();
                                 }});
  TestCall call(backend);
  const auto id = executor_->Submit(std::move(call.job()));
  ASSERT_TRUE(id.ok());
  preparing.WaitUntilEntered();
  executor_->Cancel(*id);
  preparing.Open();
  EXPECT_EQ(call.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(tiles, 0);
}

TEST_F(ExecutorStopTest, CancelAfterTheDeadlineIsTheDeadline) {
  TestCall call(backend_);
  const absl::Time deadline = Soon();
  call.job().deadline = deadline;
  const auto id = executor_->Submit(std::move(call.job()));
  ASSERT_TRUE(id.ok());
  while (absl::Now() <= deadline) std::this_thread::yield();
  executor_->Cancel(*id);
  EXPECT_EQ(call.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(call.ends(), 1);
  gate_.Open();
}

TEST_F(ExecutorStopTest, CancelOfUnknownIdsDoesNothing) {
  executor_->Cancel(0);
  executor_->Cancel(blocked_id_ + 1000);
  gate_.Open();
  EXPECT_TRUE(blocked_call_.outcome().status.ok());
}

TEST_F(ExecutorStopTest, StoppedCallsGiveTheirBudgetsBack) {
  const auto small = MakeExecutor(1, {.max_waiting = 0, .max_running = 1});
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  TestCall call(blocked);
  const auto id = small->Submit(std::move(call.job()));
  gate.WaitUntilEntered();
  small->Cancel(*id);
  TestCall refused(backend_);
  EXPECT_EQ(small->Submit(std::move(refused.job())).status().code(),
            absl::StatusCode::kResourceExhausted);
  gate.Open();
  call.outcome();
  TestCall next(backend_);
  ASSERT_TRUE(small->Submit(std::move(next.job())).ok());
  EXPECT_TRUE(next.outcome().status.ok());
}

TEST_F(ExecutorStopTest, DrainRefusesNewCallsAndFinishesAdmittedOnes) {
  TestCall waiting(backend_);
  ASSERT_TRUE(executor_->Submit(std::move(waiting.job())).ok());
  EXPECT_FALSE(executor_->Drain(absl::Milliseconds(1)));
  EXPECT_TRUE(executor_->draining());

  TestCall refused(backend_);
  const auto status = executor_->Submit(std::move(refused.job())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("draining"));
  EXPECT_EQ(RefusalReason(status), kRefusedDraining);
  EXPECT_FALSE(refused.done_alive());

  gate_.Open();
  EXPECT_TRUE(executor_->Drain(absl::InfiniteDuration()));
  EXPECT_TRUE(blocked_call_.ended());
  EXPECT_TRUE(waiting.ended());
  EXPECT_TRUE(waiting.outcome().status.ok());
  EXPECT_FALSE(waiting.done_alive());
}

TEST_F(ExecutorStopTest, StopAdmittingRefusesNewCallsAndWaitsForNone) {
  executor_->StopAdmitting();
  EXPECT_TRUE(executor_->draining());
  TestCall refused(backend_);
  EXPECT_EQ(RefusalReason(executor_->Submit(std::move(refused.job())).status()), kRefusedDraining);
  EXPECT_FALSE(blocked_call_.ended());
  gate_.Open();
  EXPECT_TRUE(blocked_call_.outcome().status.ok());
}

TEST_F(ExecutorStopTest, DestructionCancelsWhatIsLeft) {
  std::deque<TestCall> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.emplace_back(backend_, std::to_string(i % 3));
    ASSERT_TRUE(executor_->Submit(std::move(waiting.back().job())).ok());
  }
  std::thread destroyer([this] { executor_.reset(); });
  for (TestCall& call : waiting) EXPECT_EQ(call.code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(blocked_call_.ended());
  gate_.Open();
  destroyer.join();
  EXPECT_EQ(blocked_call_.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(blocked_call_.outcome().status.message(), HasSubstr("shutting down"));
  EXPECT_EQ(blocked_tiles_, 1);
  for (TestCall& call : waiting) {
    EXPECT_EQ(call.ends(), 1);
    EXPECT_FALSE(call.done_alive());
  }
}

TEST_F(ExecutorStopTest, DoneMaySubmitAndCancel) {
  gate_.Open();
  TestCall second(backend_);
  TestCall first(backend_);
  first.job().done = [&, done = std::move(first.job().done)](JobOutcome outcome) mutable {
    executor_->Cancel(1);
    EXPECT_TRUE(executor_->Submit(std::move(second.job())).ok());
    done(std::move(outcome));
  };
  ASSERT_TRUE(executor_->Submit(std::move(first.job())).ok());
  EXPECT_TRUE(first.outcome().status.ok());
  EXPECT_TRUE(second.outcome().status.ok());
}

}  // namespace
}  // namespace attn
