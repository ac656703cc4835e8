// Calls launched together: launches of a device, cancelled and failed members, waits for company.
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <ostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

// An executor whose device is held in the launch of a first call; the one worker left gathers.
class ExecutorBatchingTest : public testing::Test {
 protected:
  void Start(const ExecutorLimits& limits) {
    executor_ = MakeExecutor(2, limits);
    ASSERT_TRUE(executor_->Submit(std::move(first_.job())).ok());
    gate_.WaitUntilEntered();
  }
  void TearDown() override { gate_.Open(); }

  // Submits one call for each caller and returns once they wait for the device alone.
  void Gather(const std::vector<std::string>& callers) {
    absl::BlockingCounter placed(static_cast<int>(callers.size()));
    for (const std::string& caller : callers) {
      TestCall& call = calls_.emplace_back(backend_, caller);
      call.job().place = [&placed](AttentionCall&, std::vector<PayloadCopy>&) {
        placed.DecrementCount();
        return absl::OkStatus();
      };
      const auto id = executor_->Submit(std::move(call.job()));
      ASSERT_TRUE(id.ok());
      ids_.push_back(*id);
    }
    placed.Wait();
    // Runs on the worker that placed the last one, after that.
    TestCall behind(tiles_);
    ASSERT_TRUE(executor_->Submit(std::move(behind.job())).ok());
    behind.outcome();
  }

  absl::Mutex mutex_;
  std::vector<size_t> launches_;                            // Their sizes.
  std::function<void(std::span<absl::Status>)> at_launch_;  // Of all but the first.
  Gate gate_;
  FakeBackend backend_{{.launch = [this](std::span<absl::Status> statuses) {
    bool is_first = false;
    {
      absl::MutexLock lock(&mutex_);
      launches_.push_back(statuses.size());
      is_first = launches_.size() == 1;
    }
    if (is_first) {
      gate_.Pass();
    } else if (at_launch_) {
      at_launch_(statuses);
    }
  }}};
  FakeBackend tiles_{{}};
  TestCall first_{backend_};
  std::deque<TestCall> calls_;
  std::vector<JobId> ids_;
  std::unique_ptr<Executor> executor_;  // Last, after what its threads use.
};

TEST_F(ExecutorBatchingTest, CallsThatGatherWhileTheDeviceIsBusyAreOneLaunch) {
  Start({.max_batch_calls = 4});
  Gather({"a", "a", "b", "c", "d", "a"});
  EXPECT_EQ(Waiting(executor_->load()), 6);
  EXPECT_EQ(Running(executor_->load()), 1);
  EXPECT_EQ(backend_.executions_alive(), 1);  // Prepared when launched, not before.
  gate_.Open();
  std::map<int64_t, int> calls_of_size;
  for (TestCall& call : calls_) {
    EXPECT_TRUE(call.outcome().status.ok());
    EXPECT_EQ(call.outcome().result.stats.sparsity(), 0.75);
    EXPECT_GT(call.outcome().times.queue_ns, 0);
    ++calls_of_size[call.outcome().batch_calls];
  }
  EXPECT_EQ(calls_of_size, (std::map<int64_t, int>{{4, 4}, {2, 2}}));
  EXPECT_EQ(calls_[5].outcome().batch_calls, 2);  // The third of its caller had to wait.
  EXPECT_EQ(first_.outcome().batch_calls, 1);
  EXPECT_EQ(launches_, (std::vector<size_t>{1, 4, 2}));
}

TEST_F(ExecutorBatchingTest, SizeOneLaunchesEachAlone) {
  Start({.max_batch_calls = 1});
  Gather({"a", "b"});
  gate_.Open();
  for (TestCall& call : calls_) EXPECT_EQ(call.outcome().batch_calls, 1);
}

TEST_F(ExecutorBatchingTest, MemberCancelledInTheQueueLeavesAtOnce) {
  Start({});
  Gather({"a", "b", "c"});
  executor_->Cancel(ids_[1]);
  EXPECT_EQ(calls_[1].code(), absl::StatusCode::kCancelled);  // The device is still busy.
  EXPECT_EQ(calls_[1].outcome().end, CallEnd::kCancelled);
  EXPECT_EQ(calls_[1].outcome().stage, CallStage::kQueued);
  gate_.Open();
  EXPECT_TRUE(calls_[0].outcome().status.ok());
  EXPECT_EQ(calls_[0].outcome().batch_calls, 2);
  EXPECT_TRUE(calls_[2].outcome().status.ok());
}

TEST_F(ExecutorBatchingTest, MemberCancelledDuringTheLaunchEndsWithIt) {
  Start({});
  Gather({"a", "b", "c"});
  at_launch_ = [this](std::span<absl::Status>) {
    executor_->Cancel(ids_[1]);
    EXPECT_FALSE(calls_[1].ended());
  };
  gate_.Open();
  EXPECT_EQ(calls_[1].code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(calls_[1].outcome().stage, CallStage::kRunning);
  EXPECT_EQ(calls_[1].outcome().batch_calls, 3);
  EXPECT_TRUE(calls_[0].outcome().status.ok());
  EXPECT_TRUE(calls_[2].outcome().status.ok());
}

TEST_F(ExecutorBatchingTest, ErrorOfAMemberIsItsOwn) {
  Start({});
  Gather({"a", "b", "c"});
  at_launch_ = [](std::span<absl::Status> statuses) { statuses[2] = absl::DataLossError("bits"); };
  gate_.Open();
  EXPECT_TRUE(calls_[0].outcome().status.ok());
  EXPECT_TRUE(calls_[1].outcome().status.ok());
  EXPECT_EQ(calls_[2].code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(calls_[2].outcome().end, CallEnd::kFinished);
}

// A launch that fails as a whole says not which of its calls is to blame.
struct BadLaunch {
  std::string name;
  std::function<void(std::span<absl::Status>)> fail;
};

void PrintTo(const BadLaunch& bad, std::ostream* out) { *out << bad.name; }

class ExecutorBadLaunchTest : public ExecutorBatchingTest,
                              public testing::WithParamInterface<BadLaunch> {};

TEST_P(ExecutorBadLaunchTest, OneCallersBadCallHarmsNobodyElse) {
  Start({});
  Gather({"a", "bad", "c"});
  at_launch_ = [this](std::span<absl::Status> statuses) {
    absl::MutexLock lock(&mutex_);
    const bool bad_alone = launches_.size() == 4;  // After the first, all three, and a's.
    if (statuses.size() > 1 || bad_alone) GetParam().fail(statuses);
  };
  gate_.Open();
  EXPECT_TRUE(calls_[0].outcome().status.ok()) << calls_[0].outcome().status;
  EXPECT_FALSE(calls_[1].outcome().status.ok());
  EXPECT_TRUE(calls_[2].outcome().status.ok()) << calls_[2].outcome().status;
  for (TestCall& call : calls_) {
    EXPECT_EQ(call.outcome().end, CallEnd::kFinished);
    EXPECT_EQ(call.outcome().batch_calls, 1);
  }
  EXPECT_EQ(launches_, (std::vector<size_t>{1, 3, 1, 1, 1}));
  first_.outcome();
  EXPECT_EQ(backend_.executions_alive(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, ExecutorBadLaunchTest,
    testing::Values(
        BadLaunch{"throws", [](std::span<absl::Status>) { throw std::runtime_error("poison"); }},
        BadLaunch{"has_no_memory", [](std::span<absl::Status>) { throw std::bad_alloc(); }},
        BadLaunch{"is_internal_for_all",
                  [](std::span<absl::Status> statuses) {
                    for (absl::Status& status : statuses) status = absl::InternalError("poison");
                  }}),
    [](const auto& test) { return test.param.name; });

TEST_F(ExecutorBatchingTest, LaunchThatThrowsEndsItsCallsAndNoOther) {
  Start({});
  Gather({"a", "b"});
  at_launch_ = [](std::span<absl::Status>) { throw std::runtime_error("no device"); };
  gate_.Open();
  for (TestCall& call : calls_) {
    EXPECT_EQ(call.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(call.outcome().status.message(), HasSubstr("fake threw an exception"));
    EXPECT_EQ(LogDetail(call.outcome().status), "no device");
  }
  at_launch_ = nullptr;
  TestCall next(backend_);
  ASSERT_TRUE(executor_->Submit(std::move(next.job())).ok());
  EXPECT_TRUE(next.outcome().status.ok());
  EXPECT_EQ(backend_.executions_alive(), 0);
}

TEST_F(ExecutorBatchingTest, DestructionEndsWhatGathers) {
  Start({});
  Gather({"a", "b"});
  std::thread destroyer([this] { executor_.reset(); });
  for (TestCall& call : calls_) EXPECT_EQ(call.code(), absl::StatusCode::kCancelled);
  gate_.Open();
  destroyer.join();
  EXPECT_EQ(first_.code(), absl::StatusCode::kCancelled);
}

TEST(ExecutorBatchDelayTest, FullBatchIsLaunchedAtOnce) {
  const FakeBackend backend({.launch = [](std::span<absl::Status>) {}});
  const auto executor = MakeExecutor(2, {.max_batch_calls = 3, .batch_delay = kMaxBatchDelay});
  std::deque<TestCall> calls;
  for (int i = 0; i < 3; ++i) {
    calls.emplace_back(backend, std::to_string(i));
    ASSERT_TRUE(executor->Submit(std::move(calls.back().job())).ok());
  }
  for (TestCall& call : calls) {
    EXPECT_EQ(call.outcome().batch_calls, 3);
    EXPECT_LT(call.outcome().times.queue_ns, absl::ToInt64Nanoseconds(kMaxBatchDelay));
  }
}

TEST(ExecutorBatchDelayTest, CallWithoutCompanyGoesAlone) {
  const FakeBackend backend({.launch = [](std::span<absl::Status>) {}});
  const auto executor = MakeExecutor(2, {.batch_delay = absl::Milliseconds(1)});
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_EQ(call.outcome().batch_calls, 1);
  EXPECT_GE(call.outcome().times.queue_ns, 1'000'000);
}

TEST(ExecutorBatchDelayTest, CompanyIsWorthNoDeadline) {
  const FakeBackend backend({.launch = [](std::span<absl::Status>) {}});
  const auto executor = MakeExecutor(2, {.batch_delay = kMaxBatchDelay});
  TestCall call(backend);
  call.job().deadline = absl::Now() + absl::Milliseconds(500);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok()) << call.outcome().status;
}

TEST(ExecutorBatchDelayTest, NothingWaitsForCompanyWhileDraining) {
  const FakeBackend backend({.launch = [](std::span<absl::Status>) {}});
  const auto executor = MakeExecutor(1, {.batch_delay = kMaxBatchDelay});
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_TRUE(executor->Drain(kMaxBatchDelay / 2));
  EXPECT_TRUE(call.outcome().status.ok());
}

TEST(ExecutorBatchDelayTest, TilesNeverWaitForCompany) {
  const FakeBackend backend({});
  const auto executor = MakeExecutor(1, {.batch_delay = kMaxBatchDelay});
  TestCall call(backend);
  ASSERT_TRUE(executor->Submit(std::move(call.job())).ok());
  EXPECT_LT(call.outcome().times.queue_ns, absl::ToInt64Nanoseconds(kMaxBatchDelay));
}

// Attention on random tensors, the results in memory of its own.
class FlashCall {
 public:
  FlashCall(const Backend& backend, unsigned seed, const std::string& caller)
      : out_(kElements), call_(backend, caller) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto& tensor : inputs_) {
      tensor.resize(kElements);
      for (float& value : tensor) value = normal(random);
    }
    AttentionCall& call = call_.job().call;
    AttentionProblem& problem = call.problem;
    problem.batch = 1;
    problem.heads = problem.kv_heads = kHeads;
    problem.query_len = problem.key_len = kLength;
    problem.head_dim = problem.value_dim = kDim;
    problem.scale = 0.125;
    problem.mask = *IntervalMask::Create({}, 1, kLength, kLength);
    constexpr int64_t kDims[] = {1, kHeads, kLength, kDim};
    const TensorLayout layout = TensorLayout::Contiguous(kDims);
    call.q = {Bytes(inputs_[0]), DType::kFloat32, layout};
    call.k = {Bytes(inputs_[1]), DType::kFloat32, layout};
    call.v = {Bytes(inputs_[2]), DType::kFloat32, layout};
    call.out = {reinterpret_cast<std::byte*>(out_.data()), DType::kFloat32, layout};
  }

  TestCall& call() { return call_; }
  const std::vector<float>& out() const { return out_; }

 private:
  static constexpr int64_t kHeads = 3;
  static constexpr int64_t kLength = 257;
  static constexpr int64_t kDim = 64;
  static constexpr size_t kElements = kHeads * kLength * kDim;

  static const std::byte* Bytes(const std::vector<float>& values) {
    return reinterpret_cast<const std::byte*>(values.data());
  }

  std::vector<float> inputs_[3];
  std::vector<float> out_;
  TestCall call_;
};

TEST(ExecutorBatchTest, ResultsInABatchAreBitIdenticalToThoseAlone) {
  constexpr unsigned kCalls = 6;
  const auto flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  std::vector<std::vector<float>> alone;
  for (unsigned seed = 0; seed < kCalls; ++seed) {
    const auto executor = MakeExecutor(1, {.max_batch_calls = 1});
    FlashCall call(*flash, seed, "");
    ASSERT_TRUE(executor->Submit(std::move(call.call().job())).ok());
    ASSERT_TRUE(call.call().outcome().status.ok()) << call.call().outcome().status;
    alone.push_back(call.out());
  }
  Gate gate;
  const FakeBackend blocked({.tile = [&](int, int64_t) {
    gate.Pass();
    return absl::OkStatus();
  }});
  const auto executor = MakeExecutor(1);
  TestCall first(blocked);
  ASSERT_TRUE(executor->Submit(std::move(first.job())).ok());
  gate.WaitUntilEntered();
  std::deque<FlashCall> together;
  for (unsigned seed = 0; seed < kCalls; ++seed) {
    together.emplace_back(*flash, seed, std::to_string(seed));
    ASSERT_TRUE(executor->Submit(std::move(together.back().call().job())).ok());
  }
  gate.Open();
  for (unsigned seed = 0; seed < kCalls; ++seed) {
    const JobOutcome& outcome = together[seed].call().outcome();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.batch_calls, int64_t{kCalls});
    const std::vector<float>& out = together[seed].out();
    EXPECT_EQ(std::memcmp(out.data(), alone[seed].data(), out.size() * sizeof(float)), 0) << seed;
  }
}

}  // namespace
}  // namespace attn
