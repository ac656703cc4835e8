// Many threads at once: every admitted call ends exactly once, whatever happens to it.
#include <array>
#include <atomic>
#include <deque>
#include <random>
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

// Submits calls of many shapes, cancels some, gives some a deadline that may pass, and checks that
// copies of calls that succeed are complete.
void SubmitCalls(Executor& executor, const std::array<FakeBackend*, 3>& backends, unsigned seed,
                 std::atomic<int>& succeeded) {
  struct Submitted {
    TestCall call;
    std::vector<std::byte> from;
    std::vector<std::byte> to;
    bool admitted = false;
  };
  std::mt19937 random(seed);
  std::deque<Submitted> calls;
  for (int i = 0; i < kCallsPerThread; ++i) {
    Submitted& submitted =
        calls.emplace_back(TestCall(*backends[random() % 3], std::to_string(random() % 4)));
    Job& job = submitted.call.job();
    job.reserved_bytes = random() % 1000;
    submitted.from.assign(random() % 3000, static_cast<std::byte>(i));
    submitted.to.resize(submitted.from.size());
    job.copies = {{submitted.to.data(), {submitted.from}}};
    if (random() % 4 == 0) job.deadline = absl::Now() + absl::Microseconds(random() % 2000);
    const auto id = executor.Submit(std::move(job));
    submitted.admitted = id.ok();
    if (id.ok() && random() % 4 == 0) executor.Cancel(*id);
    if (id.ok() && i % 50 == 49) submitted.call.outcome();
  }
  for (const Submitted& submitted : calls) {
    if (submitted.admitted) {
      if (submitted.call.outcome().status.ok()) {
        ++succeeded;
        EXPECT_EQ(submitted.to, submitted.from);
      }
      EXPECT_EQ(submitted.call.ends(), 1);
    } else {
      EXPECT_EQ(submitted.call.ends(), 0);
      EXPECT_FALSE(submitted.call.done_alive());
    }
  }
}

TEST(ExecutorStressTest, EveryAdmittedCallEndsExactlyOnce) {
  FakeBackend one_tile({});
  FakeBackend two_phases(
      {.phases = {{Stage::kPlan, 3}, {Stage::kKernel, 0}, {Stage::kKernel, 20}}});
  FakeBackend failing({.phases = {{Stage::kKernel, 8}}, .tile = [](int, int64_t tile) {
                         return tile == 5 ? absl::InternalError("as told") : absl::OkStatus();
                       }});
  const std::array<FakeBackend*, 3> backends = {&one_tile, &two_phases, &failing};
  std::atomic<int> succeeded = 0;
  {
    const auto executor = MakeExecutor({.workers = 4, .max_running = 3});
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < kThreads; ++seed) {
      threads.emplace_back([&, seed] { SubmitCalls(*executor, backends, seed, succeeded); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(executor->Drain(absl::InfiniteDuration()));
    const Executor::Load load = executor->load();
    EXPECT_EQ(load.waiting, 0);
    EXPECT_EQ(load.running, 0);
    EXPECT_EQ(load.admitted_bytes, 0);
  }
  EXPECT_GT(succeeded, 0);
  for (FakeBackend* backend : backends) EXPECT_EQ(backend->executions_alive(), 0);
}

TEST(ExecutorStressTest, DestructionWhileCallsAreInEveryState) {
  const FakeBackend backend({.phases = {{Stage::kPlan, 2}, {Stage::kKernel, 30}}});
  for (unsigned round = 0; round < 50; ++round) {
    std::deque<TestCall> calls;
    auto executor = MakeExecutor({.workers = 3, .max_running = 2});
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
