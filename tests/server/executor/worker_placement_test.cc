// Workers run where they are placed: read back from the threads themselves.
#include "server/executor/worker_placement.h"

#include <algorithm>
#include <latch>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/executor/cpu_list.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::HasSubstr;

// Where each worker may run, by asking them all at once.
std::multiset<std::vector<int>> CpusOfWorkers(Executor& executor) {
  std::latch all(executor.workers());
  absl::Mutex mutex;
  std::multiset<std::vector<int>> cpus;
  Script script;
  script.phases = {{Stage::kKernel, executor.workers()}};
  script.tile = [&](int /*phase*/, int64_t /*tile*/) {
    {
      absl::MutexLock lock(&mutex);
      cpus.insert(AllowedCpus().value());
    }
    all.arrive_and_wait();  // So that each takes one tile.
    return absl::OkStatus();
  };
  const FakeBackend backend(script);
  TestCall call(backend);
  EXPECT_TRUE(executor.Submit(std::move(call.job())).ok());
  EXPECT_TRUE(call.outcome().status.ok());
  return cpus;
}

std::unique_ptr<Executor> MakePlaced(int workers, std::vector<int> cpus, bool pinned) {
  auto executor = Executor::Create({workers, {}, {std::move(cpus), pinned}}, nullptr);
  EXPECT_TRUE(executor.ok()) << executor.status();
  return *std::move(executor);
}

class WorkerPlacementTest : public testing::Test {
 protected:
  const std::vector<int> allowed_ = AllowedCpus().value();
};

TEST_F(WorkerPlacementTest, WithoutOneWorkersRunWhereTheProcessMay) {
  const auto executor = MakePlaced(0, {}, false);
  EXPECT_EQ(executor->workers(), std::min<int>(static_cast<int>(allowed_.size()), kMaxWorkers));
  for (const std::vector<int>& cpus : CpusOfWorkers(*executor)) EXPECT_EQ(cpus, allowed_);
}

TEST_F(WorkerPlacementTest, PinnedWorkersHaveACpuEachInTheOrderGiven) {
  std::vector<int> order(allowed_.rbegin(), allowed_.rend());
  std::multiset<std::vector<int>> all;
  for (const int cpu : order) all.insert({cpu});
  EXPECT_EQ(CpusOfWorkers(*MakePlaced(0, order, true)), all);
  EXPECT_EQ(CpusOfWorkers(*MakePlaced(1, order, true)),
            (std::multiset<std::vector<int>>{{order.front()}}));
}

TEST_F(WorkerPlacementTest, WorkersThatAreNotPinnedShareTheirCpus) {
  const std::vector<int> last = {allowed_.back()};
  const auto executor = MakePlaced(3, last, false);
  EXPECT_EQ(CpusOfWorkers(*executor), (std::multiset<std::vector<int>>{last, last, last}));
  EXPECT_EQ(MakePlaced(0, last, false)->workers(), 1);
}

TEST_F(WorkerPlacementTest, ThreadsOfTheCallerStayWhereTheyWere) {
  const auto executor = MakePlaced(0, {allowed_.back()}, true);
  EXPECT_EQ(AllowedCpus().value(), allowed_);
}

TEST_F(WorkerPlacementTest, DefaultFollowsTheMaskOfTheThreadThatCreates) {
  std::latch placed(1);
  int workers = 0;
  std::thread one([&] {
    placed.wait();
    workers = MakePlaced(0, {}, false)->workers();
  });
  const std::vector<int> first = {allowed_.front()};
  EXPECT_TRUE(KeepOn(one, first).ok());
  placed.count_down();
  one.join();
  EXPECT_EQ(workers, 1);
}

TEST_F(WorkerPlacementTest, MorePinnedWorkersThanCpusAreRefused) {
  const auto executor = Executor::Create({2, {}, {{allowed_.front()}, true}}, nullptr);
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(executor.status().message(),
              HasSubstr("workers, each on a CPU of its own, is 2, allowed: 0 to 1"));
}

TEST_F(WorkerPlacementTest, PinningToNothingIsRefused) {
  const auto executor = Executor::Create({0, {}, {{}, true}}, nullptr);
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(executor.status().message(), HasSubstr("CPUs to pin to is 0, allowed: 1 to"));
}

// The highest number: no machine that runs tests has as many.
TEST_F(WorkerPlacementTest, CpuThatIsNotThereIsRefusedBySystemAndNamed) {
  const auto executor = Executor::Create({0, {}, {{kMaxCpus - 1}, true}}, nullptr);
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(executor.status().message(), HasSubstr("CPUs 8191"));
}

// Of which the system would hear nothing.
TEST_F(WorkerPlacementTest, CpusThatNoMaskHoldsAreRefused) {
  for (const int cpu : {-1, kMaxCpus}) {
    const auto executor = Executor::Create({0, {}, {{allowed_.front(), cpu}, false}}, nullptr);
    EXPECT_EQ(executor.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(executor.status().message(),
              absl::StrCat("CPU ", cpu, " is out of range, allowed: 0 to 8191"));
  }
}

TEST(PreferMemoryOfNodeTest, NodesThatNoMaskHoldsAreRefused) {
  for (const int node : {-1, kMaxNodes}) {
    const absl::Status status = PreferMemoryOfNode(node);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(),
              absl::StrCat("NUMA node ", node, " is out of range, allowed: 0 to 1023"));
  }
}

}  // namespace
}  // namespace attn
