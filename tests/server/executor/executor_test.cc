// The life of admitted calls: copies, phases, results, errors and fairness.
#include "server/executor/executor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <new>
#include <set>
#include <stdexcept>
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

TEST(ExecutorTest, RunsEveryTileOnceAndPhasesInOrder) {
  constexpr int64_t kTiles[] = {3, 0, 50, 1, 0};
  absl::Mutex mutex;
  std::multiset<std::pair<int, int64_t>> ran;
  std::vector<int> asked;
  size_t ran_before_finish = 0;
  Script script;
  script.phases.clear();
  for (const int64_t tiles : kTiles) script.phases.push_back({Stage::kPlan, tiles});
  script.phase = [&](int phase) {
    absl::MutexLock lock(&mutex);
    asked.push_back(phase);
    size_t expected = 0;
    for (int i = 0; i < phase; ++i) expected += static_cast<size_t>(kTiles[i]);
    EXPECT_EQ(ran.size(), expected) << "phase " << phase << " asked before the tiles before it ran";
  };
  script.tile = [&](int phase, int64_t tile) {
    absl::MutexLock lock(&mutex);
    ran.emplace(phase, tile);
    return absl::OkStatus();
  };
  script.finish = [&] {
    absl::MutexLock lock(&mutex);
    ran_before_finish = ran.size();
    return absl::OkStatus();
  };
  const FakeBackend backend(script);
  TestCall call(backend);
  {
    const auto executor = MakeExecutor(4);
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
    EXPECT_TRUE(call.outcome().status.ok()) << call.outcome().status;
  }
  EXPECT_EQ(asked, (std::vector<int>{0, 1, 2, 3, 4}));
  std::multiset<std::pair<int, int64_t>> expected;
  for (int phase = 0; phase < 5; ++phase) {
    for (int64_t tile = 0; tile < kTiles[phase]; ++tile) expected.emplace(phase, tile);
  }
  EXPECT_EQ(ran, expected);
  EXPECT_EQ(ran_before_finish, expected.size());
  EXPECT_EQ(call.ends(), 1);
  EXPECT_FALSE(call.done_alive());
  EXPECT_EQ(call.outcome().result.stats.sparsity(), 0.75);
}

TEST(ExecutorTest, CallWithoutPhasesFinishes) {
  const FakeBackend backend({.phases = {}});
  const auto executor = MakeExecutor(1);
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok());
}

TEST(ExecutorTest, GathersThePayloadBeforePrepare) {
  std::vector<std::byte> source(5 * size_t{1 << 20} + 123);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  std::vector<std::byte> target(source.size());
  bool complete = false;
  const FakeBackend backend({.prepare = [&] {
    complete = target == source;
    return absl::OkStatus();
  }});
  TestCall call(backend);
  PayloadCopy& copy = call.job().copies.emplace_back();
  copy.to = target.data();
  for (size_t from = 0; from < source.size(); from += 8191) {
    copy.parts.emplace_back(&source[from], std::min<size_t>(8191, source.size() - from));
  }
  const auto executor = MakeExecutor(4);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok());
  EXPECT_TRUE(complete);
  EXPECT_GT(call.outcome().times.decode_ns, 0);
}

TEST(ExecutorTest, StageTimesFitIntoTheWallTime) {
  const FakeBackend backend({.phases = {{Stage::kPlan, 5}, {Stage::kKernel, 20}}});
  const auto executor = MakeExecutor(2);
  TestCall call(backend);
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  const StageTimes times = call.outcome().times;
  const std::chrono::nanoseconds wall = std::chrono::steady_clock::now() - began;
  EXPECT_GT(times.queue_ns, 0);
  EXPECT_GT(times.plan_ns, 0);
  EXPECT_GT(times.kernel_ns, 0);
  EXPECT_LE(times.queue_ns + times.decode_ns + times.plan_ns + times.kernel_ns, wall.count());
}

// Where a backend may fail, and how.
struct FailureCase {
  std::string name;
  std::function<absl::Status()> fail;
  absl::StatusCode code;
  std::string text;
};

class ExecutorFailureTest : public testing::TestWithParam<FailureCase> {};

TEST_P(ExecutorFailureTest, EndsTheCallAndOnlyThatCall) {
  const auto& fail = GetParam().fail;
  const std::pair<std::string, Script> scripts[] = {
      {"prepare", {.prepare = fail}},
      {"phase", {.phase = [&](int) { (void)fail(); }}},
      {"tile", {.phases = {{Stage::kKernel, 100}}, .tile = [&](int, int64_t) { return fail(); }}},
      {"finish", {.finish = fail}},
  };
  const auto executor = MakeExecutor(2);
  for (const auto& [where, script] : scripts) {
    // phase() has no status to return: it can only throw.
    if (where == "phase" && GetParam().name == "status") continue;
    const FakeBackend backend(script);
    TestCall call(backend);
    ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
    EXPECT_EQ(call.code(), GetParam().code) << where;
    EXPECT_THAT(call.outcome().status.message(), HasSubstr(GetParam().text)) << where;
    EXPECT_EQ(backend.executions_alive(), 0) << where;
  }
  const FakeBackend healthy({});
  TestCall call(healthy);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok());
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ExecutorFailureTest,
    testing::Values(FailureCase{"status", [] { return absl::DataLossError("bits fell off"); },
                                absl::StatusCode::kDataLoss, "bits fell off"},
                    FailureCase{"bad_alloc", []() -> absl::Status { throw std::bad_alloc(); },
                                absl::StatusCode::kResourceExhausted, "fake: out of memory"},
                    FailureCase{"exception",
                                []() -> absl::Status { throw std::runtime_error("broken pool"); },
                                absl::StatusCode::kInternal, "fake threw an exception"},
                    FailureCase{"other", []() -> absl::Status { throw 7; },
                                absl::StatusCode::kInternal, "fake threw"}),
    [](const auto& param) { return param.param.name; });

TEST(ExecutorTest, NegativeTileCountIsTheBackendsBug) {
  const FakeBackend backend({.phases = {{Stage::kKernel, -1}}});
  const auto executor = MakeExecutor(1);
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_EQ(call.code(), absl::StatusCode::kInternal);
}

TEST(ExecutorTest, SmallCallFinishesWhileAnotherCallersHugeOneRuns) {
  Gate gate;
  std::atomic<int64_t> huge_tiles = 0;
  int64_t huge_tiles_at_small_end = -1;
  const FakeBackend huge({.phases = {{Stage::kKernel, 10000}}, .tile = [&](int, int64_t tile) {
                            if (tile == 0) gate.Pass();
                            ++huge_tiles;
                            return absl::OkStatus();
                          }});
  const FakeBackend small({.phases = {{Stage::kKernel, 3}}, .finish = [&] {
                             huge_tiles_at_small_end = huge_tiles;
                             return absl::OkStatus();
                           }});
  const auto executor = MakeExecutor(1);
  TestCall huge_call(huge, "batch");
  TestCall small_call(small, "interactive");
  ASSERT_TRUE(executor->Submit(std::move(huge_call.job())).ok());
  gate.WaitUntilEntered();
  ASSERT_TRUE(executor->Submit(std::move(small_call.job())).ok());
  gate.Open();
  EXPECT_TRUE(small_call.outcome().status.ok());
  EXPECT_TRUE(huge_call.outcome().status.ok());
  // The small one has 4 turns (copies, 3 tiles) and the huge one as many between, and the first.
  EXPECT_LE(huge_tiles_at_small_end, 6);
  EXPECT_EQ(huge_tiles, 10000);
}

TEST(ExecutorTest, OneCallersCallsEndInOrder) {
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const auto executor = MakeExecutor(1);
  TestCall first(blocked);
  ASSERT_TRUE(executor->Submit(std::move(first.job())).ok());
  gate.WaitUntilEntered();

  std::vector<int> ends;  // One worker: no lock.
  std::deque<FakeBackend> backends;
  std::deque<TestCall> calls;
  for (int i = 0; i < 5; ++i) {
    backends.emplace_back(Script{.phases = {{Stage::kKernel, 5 - i}}, .finish = [&ends, i] {
                                   ends.push_back(i);
                                   return absl::OkStatus();
                                 }});
    calls.emplace_back(backends.back());
    ASSERT_TRUE(executor->Submit(std::move(calls.back().job())).ok());
  }
  gate.Open();
  for (TestCall& call : calls) EXPECT_TRUE(call.outcome().status.ok());
  EXPECT_EQ(ends, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(ExecutorTest, NoMoreThanMaxRunningExecutionsExist) {
  const FakeBackend backend({.phases = {{Stage::kPlan, 3}, {Stage::kKernel, 10}}});
  const auto executor = MakeExecutor(4, {.max_running = 2});
  std::deque<TestCall> calls;
  for (int i = 0; i < 100; ++i) {
    calls.emplace_back(backend, std::to_string(i % 7));
    ASSERT_TRUE(executor->Submit(std::move(calls.back().job())).ok());
  }
  for (TestCall& call : calls) EXPECT_TRUE(call.outcome().status.ok());
  EXPECT_LE(backend.most_alive(), 2);
}

TEST(ExecutorTest, TilesOfOneCallRunOnSeveralWorkers) {
  absl::Notification second_tile;
  const FakeBackend backend({.phases = {{Stage::kKernel, 2}}, .tile = [&](int, int64_t tile) {
                               // Ends only if the other tile runs meanwhile.
                               if (tile == 0) second_tile.WaitForNotification();
                               if (tile == 1) second_tile.Notify();
                               return absl::OkStatus();
                             }});
  const auto executor = MakeExecutor(2);
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok());
}

}  // namespace
}  // namespace attn
