// What an executor takes in: options, budgets, the memory of calls, limits that change.
#include <array>
#include <atomic>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

TEST(ExecutorLimitsTest, RefusesOptionsOutOfRange) {
  struct Case {
    std::string field;
    ExecutorOptions options;
  };
  const Case cases[] = {
      {"workers is -1", {.workers = -1}},
      {"workers is 1025", {.workers = 1025}},
      {"max_waiting is -1", {1, {.max_waiting = -1}}},
      {"max_waiting_batch is 1000001", {1, {.max_waiting_batch = 1'000'001}}},
      {"max_running is 0", {1, {.max_running = 0}}},
      {"max_admitted_bytes is 0", {1, {.max_admitted_bytes = 0}}},
      {"max_admitted_batch_bytes is -1", {1, {.max_admitted_batch_bytes = -1}}},
      {"max_batch_calls is 0", {1, {.max_batch_calls = 0}}},
      {"max_batch_calls is 1025", {1, {.max_batch_calls = 1025}}},
      {"batch_delay is -1ns", {1, {.batch_delay = -absl::Nanoseconds(1)}}},
      {"batch_delay is 1.5s, allowed: 0 to 1s", {1, {.batch_delay = absl::Seconds(1.5)}}},
  };
  for (const Case& c : cases) {
    const auto executor = Executor::Create(c.options, nullptr);
    EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument) << c.field;
    EXPECT_THAT(executor.status().message(), HasSubstr(c.field));
  }
}

TEST(ExecutorLimitsTest, ZeroWorkersMeansOneACore) {
  EXPECT_GE(MakeExecutor(0)->workers(), 1);
  EXPECT_EQ(MakeExecutor(3)->workers(), 3);
}

TEST(ExecutorLimitsTest, RefusedJobsAreDestroyedWithoutDone) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const FakeBackend backend({});
  const auto executor =
      MakeExecutor(1, {.max_waiting = 1, .max_running = 1, .max_admitted_bytes = 1000});
  const auto expect_refused = [&](int64_t bytes, const char* text) {
    TestCall call(backend);
    call.job().reserved_bytes = bytes;
    const auto refused = executor->Submit(std::move(call.job()));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(refused.status().message(), HasSubstr(text));
    EXPECT_FALSE(call.done_alive());
    EXPECT_EQ(call.ends(), 0);
  };

  expect_refused(1001, "can never fit");
  TestCall running(blocked);
  running.job().reserved_bytes = 700;
  ASSERT_TRUE(executor->Submit(std::move(running.job())).ok());
  gate.WaitUntilEntered();
  expect_refused(301, "byte budget full");
  TestCall waiting(backend);
  waiting.job().reserved_bytes = 300;
  ASSERT_TRUE(executor->Submit(std::move(waiting.job())).ok());
  expect_refused(0, "queue full: 1 calls waiting and 1 running");
  const QueueLoad load = executor->load();
  EXPECT_EQ(Waiting(load), 1);
  EXPECT_EQ(Running(load), 1);
  EXPECT_EQ(AdmittedBytes(load), 1000);

  gate.Open();
  EXPECT_TRUE(waiting.outcome().status.ok());
  TestCall late(backend);
  late.job().deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(executor->Submit(std::move(late.job())).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(late.done_alive());
}

TEST(ExecutorLimitsTest, BudgetIsFreeAgainWhenDoneIsCalled) {
  const FakeBackend backend({});
  const auto executor =
      MakeExecutor(2, {.max_waiting = 0, .max_running = 1, .max_admitted_bytes = 1000});
  for (int i = 0; i < 1000; ++i) {
    TestCall call(backend);
    call.job().reserved_bytes = 1000;
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok()) << i;
    ASSERT_TRUE(call.outcome().status.ok());
  }
}

class RecordingObserver : public CallObserver {
 public:
  void OnCallStarted() override { ADD_FAILURE() << "the service reports calls"; }
  void OnCallEnded(const CallRecord&) override { ADD_FAILURE() << "the service reports calls"; }
  void OnQueueChanged(const QueueLoad& load) override {
    absl::MutexLock lock(&mutex_);
    seen_.push_back({load.waiting_calls, load.running_calls, load.admitted_bytes});
  }
  using Seen = std::vector<std::array<std::array<int64_t, kPriorities>, 3>>;
  Seen seen() {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }

 private:
  absl::Mutex mutex_;
  Seen seen_;
};

TEST(ExecutorLimitsTest, ObserverSeesEveryChangeOfTheQueueByClass) {
  const FakeBackend backend({});
  RecordingObserver observer;
  const auto executor = MakeExecutor(1, {}, &observer);
  for (const Priority priority : {Priority::kInteractive, Priority::kBatch}) {
    TestCall call(backend);
    call.job().reserved_bytes = 64;
    call.job().priority = priority;
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
    call.outcome();
  }
  const RecordingObserver::Seen expected = {
      {{{1, 0}, {0, 0}, {64, 0}}}, {{{0, 0}, {1, 0}, {64, 0}}}, {{{0, 0}, {0, 0}, {0, 0}}},
      {{{0, 1}, {0, 0}, {0, 64}}}, {{{0, 0}, {0, 1}, {0, 64}}}, {{{0, 0}, {0, 0}, {0, 0}}},
  };
  EXPECT_EQ(observer.seen(), expected);
}

TEST(ExecutorLimitsTest, MemoryIsPlacedOnAWorkerOnceTheCallsTurnHasCome) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const std::vector<std::byte> source(3 * size_t{1 << 20} + 5, std::byte{7});
  std::vector<std::byte> target;
  bool complete = false;
  const FakeBackend backend({.prepare = [&] {
    complete = target == source;
    return absl::OkStatus();
  }});
  const auto executor = MakeExecutor(1);
  TestCall first(blocked);
  ASSERT_TRUE(executor->Submit(std::move(first.job())).ok());
  gate.WaitUntilEntered();
  TestCall call(backend);
  std::atomic<bool> placed = false;
  call.job().place = [&](AttentionCall&, std::vector<PayloadCopy>& copies) {
    placed = true;
    target.resize(source.size());
    copies.push_back({target.data(), {source}});
    return absl::OkStatus();
  };
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_FALSE(placed);
  gate.Open();
  EXPECT_TRUE(call.outcome().status.ok());
  EXPECT_TRUE(complete);
}

TEST(ExecutorLimitsTest, CallWithoutMemoryIsRefusedAndNeverRuns) {
  const FakeBackend backend({});
  const auto executor = MakeExecutor(1);
  const std::function<absl::Status()> failures[] = {
      [] { return absl::ResourceExhaustedError("no memory for q"); },
      []() -> absl::Status { throw std::bad_alloc(); }};
  for (const auto& fail : failures) {
    TestCall call(backend);
    call.job().place = [&](AttentionCall&, std::vector<PayloadCopy>&) { return fail(); };
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
    EXPECT_EQ(call.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(call.outcome().status.message(), HasSubstr("memory"));
    EXPECT_EQ(call.outcome().end, CallEnd::kRefused);
    EXPECT_EQ(call.outcome().stage, CallStage::kQueued);
    EXPECT_EQ(call.outcome().batch_calls, 0);
  }
  EXPECT_EQ(backend.most_alive(), 0);
}

TEST(ExecutorLimitsTest, LimitsChangeWhileCallsRunAndDropNone) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const FakeBackend backend({});
  const auto executor = MakeExecutor(2, {.max_running = 1, .max_admitted_bytes = 1000});
  TestCall running(blocked);
  ASSERT_TRUE(executor->Submit(std::move(running.job())).ok());
  gate.WaitUntilEntered();
  TestCall waiting(backend, "a");
  waiting.job().reserved_bytes = 1000;
  ASSERT_TRUE(executor->Submit(std::move(waiting.job())).ok());
  EXPECT_EQ(Waiting(executor->load()), 1);

  ExecutorLimits limits = executor->limits();
  limits.max_running = 0;
  EXPECT_EQ(executor->SetLimits(limits).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(executor->limits().max_running, 1);
  limits.max_running = 2;
  limits.max_admitted_bytes = 10;
  ASSERT_TRUE(executor->SetLimits(limits).ok());
  EXPECT_EQ(executor->limits().max_admitted_bytes, 10);
  EXPECT_TRUE(waiting.outcome().status.ok());  // Launched by the new slot.
  TestCall large(backend);
  large.job().reserved_bytes = 11;
  EXPECT_EQ(RefusalReason(executor->Submit(std::move(large.job())).status()), kRefusedTooLarge);
  gate.Open();
}

}  // namespace
}  // namespace attn
