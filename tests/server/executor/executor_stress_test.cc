// Many threads at once: every admitted call ends exactly once, whatever happens to it.
#include <atomic>
#include <deque>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

constexpr int kThreads = 6;
constexpr int kCallsPerThread = 250;

// How calls ended, as metrics would count them.
struct Ends {
  std::atomic<int> started = 0;
  std::atomic<int> finished = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> cancelled = 0;
  std::atomic<int> displaced = 0;
  std::atomic<int> succeeded = 0;
};

struct Submitted {
  TestCall call;
  std::vector<std::byte> from;
  std::vector<std::byte> to;
  bool admitted = false;
};

// A call of one of many shapes, some with a deadline that may pass, some that place their memory
// late or fail to.
void Shape(Submitted& submitted, std::mt19937& random) {
  Job& job = submitted.call.job();
  job.priority = random() % 3 == 0 ? Priority::kBatch : Priority::kInteractive;
  job.reserved_bytes = random() % 1000;
  job.dense_flops = random() % 2 == 0 ? 0 : static_cast<double>(random() % 100'000);
  submitted.from.assign(random() % 3000, static_cast<std::byte>(random()));
  submitted.to.resize(submitted.from.size());
  const PayloadCopy copy = {submitted.to.data(), {submitted.from}};
  if (random() % 2 == 0) {
    job.copies = {copy};
  } else {
    job.place = [copy, fails = random() % 16 == 0](AttentionCall&, std::vector<PayloadCopy>& all) {
      all.push_back(copy);
      return fails ? absl::ResourceExhaustedError("as told") : absl::OkStatus();
    };
  }
  if (random() % 4 == 0) job.deadline = absl::Now() + absl::Microseconds(random() % 2000);
}

ExecutorLimits SomeLimits(std::mt19937& random) {
  const auto from_to = [&](int from, int to) {
    return from + static_cast<int>(random() % static_cast<unsigned>(to - from + 1));
  };
  return {.max_waiting = from_to(0, 200),
          .max_waiting_batch = from_to(0, 60),
          .max_running = from_to(1, 6),
          .max_admitted_bytes = from_to(1, 150'000),
          .max_admitted_batch_bytes = from_to(0, 40'000),
          .max_batch_calls = from_to(1, 8),
          .batch_delay = absl::Microseconds(from_to(0, 300))};
}

void Count(const Submitted& submitted, Ends& ends) {
  if (!submitted.admitted) {
    ++ends.refused;
    EXPECT_EQ(submitted.call.ends(), 0);
    EXPECT_FALSE(submitted.call.done_alive());
    return;
  }
  const JobOutcome& outcome = submitted.call.outcome();
  EXPECT_EQ(submitted.call.ends(), 1);
  if (outcome.status.ok()) {
    ++ends.succeeded;
    EXPECT_EQ(submitted.to, submitted.from);
    EXPECT_EQ(outcome.end, CallEnd::kFinished);
  }
  EXPECT_EQ(outcome.batch_calls > 0, outcome.stage == CallStage::kRunning);
  if (outcome.end == CallEnd::kFinished) ++ends.finished;
  if (outcome.end == CallEnd::kRefused) ++ends.refused;
  if (outcome.end == CallEnd::kCancelled) ++ends.cancelled;
  if (RefusalReason(outcome.status) == kRefusedDisplaced) ++ends.displaced;
}

// Submits calls, cancels some and checks that copies of calls that succeed are complete.
void SubmitCalls(Executor& executor, const std::vector<FakeBackend*>& backends, unsigned seed,
                 Ends& ends) {
  std::mt19937 random(seed);
  std::deque<Submitted> calls;
  for (int i = 0; i < kCallsPerThread; ++i) {
    // One caller of five is much heavier than the others.
    const unsigned caller = random() % 2 == 0 ? 0 : random() % 5;
    Submitted& submitted = calls.emplace_back(
        Submitted{.call = TestCall(*backends[random() % backends.size()], std::to_string(caller))});
    Shape(submitted, random);
    ++ends.started;
    const auto id = executor.Submit(std::move(submitted.call.job()));
    submitted.admitted = id.ok();
    if (id.ok() && random() % 4 == 0) executor.Cancel(*id);
    if (id.ok() && i % 50 == 49) submitted.call.outcome();
    if (random() % 20 == 0) {
      EXPECT_TRUE(executor.SetLimits(SomeLimits(random)).ok());
    }
  }
  for (const Submitted& submitted : calls) Count(submitted, ends);
}

TEST(ExecutorStressTest, EveryCallEndsExactlyOnceAndTheCountersAddUp) {
  FakeBackend one_tile({});
  FakeBackend two_phases(
      {.phases = {{Stage::kPlan, 3}, {Stage::kKernel, 0}, {Stage::kKernel, 20}}});
  FakeBackend failing({.phases = {{Stage::kKernel, 8}}, .tile = [](int, int64_t tile) {
                         return tile == 5 ? absl::InternalError("as told") : absl::OkStatus();
                       }});
  FakeBackend launching({.launch = [](std::span<absl::Status> statuses) {
    if (statuses.size() > 2) statuses[1] = absl::InternalError("as told");
  }});
  FakeBackend other_launching(
      {.launch = [](std::span<absl::Status>) { std::this_thread::yield(); }});
  FakeBackend other_device({.launch = [](std::span<absl::Status>) {}, .device = "other"});
  const std::vector<FakeBackend*> backends = {&one_tile,  &two_phases,      &failing,
                                              &launching, &other_launching, &other_device};
  Ends ends;
  {
    const auto executor = MakeExecutor(4, {.max_waiting = 40, .max_running = 3});
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < kThreads; ++seed) {
      threads.emplace_back([&, seed] { SubmitCalls(*executor, backends, seed, ends); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(executor->Drain(absl::InfiniteDuration()));
    const QueueLoad load = executor->load();
    EXPECT_EQ(Waiting(load), 0);
    EXPECT_EQ(Running(load), 0);
    EXPECT_EQ(AdmittedBytes(load), 0);
  }
  EXPECT_EQ(ends.started, kThreads * kCallsPerThread);
  EXPECT_EQ(ends.started, ends.finished + ends.refused + ends.cancelled);
  EXPECT_GT(ends.succeeded, 0);
  EXPECT_GT(ends.displaced, 0);
  for (FakeBackend* backend : backends) EXPECT_EQ(backend->executions_alive(), 0);
}

TEST(ExecutorStressTest, DestructionWhileCallsAreInEveryState) {
  const FakeBackend backend({.phases = {{Stage::kPlan, 2}, {Stage::kKernel, 30}}});
  for (unsigned round = 0; round < 50; ++round) {
    std::deque<TestCall> calls;
    auto executor = MakeExecutor(3, {.max_running = 2});
    for (int i = 0; i < 30; ++i) {
      calls.emplace_back(backend, std::to_string(i % 4));
      ASSERT_TRUE(executor->Submit(std::move(calls.back().job())).ok());
    }
    if (round % 2 == 0) calls[round % 30].outcome();
    executor.reset();
    for (TestCall& call : calls) {
      ASSERT_TRUE(call.ended());
      EXPECT_EQ(call.ends(), 1);
      EXPECT_FALSE(call.done_alive());
    }
  }
  EXPECT_EQ(backend.executions_alive(), 0);
}

}  // namespace
}  // namespace attn
