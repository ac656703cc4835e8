#include "server/app/worker_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/executor/cpu_list.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// A folder that stands for `/`; which CPUs the test may run on is not its to say.
class WorkerPlanTest : public testing::Test {
 protected:
  WorkerPlanTest() {
    Write("/sys/devices/system/cpu/online", CpuListText(allowed_) + "\n");
    Write("/sys/devices/system/node/online", "0-2\n");
    Write("/sys/devices/system/node/node0/cpulist", CpuListText(allowed_) + "\n");
    Write("/sys/devices/system/node/node1/cpulist", "8190-8191\n");
    Write("/sys/devices/system/node/node2/cpulist", "\n");  // Memory alone.
  }
  ~WorkerPlanTest() override { std::filesystem::remove_all(root_); }

  static std::string NewFolder() {
    std::string pattern = testing::TempDir() + "attn_workers_XXXXXX";
    return mkdtemp(pattern.data());
  }
  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  const std::string root_ = NewFolder();
  const std::vector<int> allowed_ = AllowedCpus().value();
  const int count_ = static_cast<int>(allowed_.size());
  ServerOptions options_;
};

TEST_F(WorkerPlanTest, UnaskedIsOneForEachCpuOfTheProcessWhereverItIs) {
  const auto plan = PlanWorkers(options_, root_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, count_);
  EXPECT_EQ(plan->cpus, allowed_);
  EXPECT_TRUE(plan->placement.cpus.empty());
  EXPECT_FALSE(plan->placement.pinned);
}

TEST_F(WorkerPlanTest, ListedCpusArePinnedToInTheirOrder) {
  const std::vector<int> backwards(allowed_.rbegin(), allowed_.rend());
  options_.worker_cpus = CpuListText(backwards);
  const auto plan = PlanWorkers(options_, root_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, count_);
  EXPECT_EQ(plan->cpus, backwards);
  EXPECT_EQ(plan->placement.cpus, backwards);
  EXPECT_TRUE(plan->placement.pinned);
  options_.workers = 1;
  EXPECT_EQ(PlanWorkers(options_, root_)->workers, 1);
}

TEST_F(WorkerPlanTest, NodeGivesItsCpusToAllWorkers) {
  options_.numa_node = 0;
  options_.workers = count_ + 1;
  const auto plan = PlanWorkers(options_, root_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, count_ + 1);
  EXPECT_EQ(plan->placement.cpus, allowed_);
  EXPECT_FALSE(plan->placement.pinned);
}

TEST_F(WorkerPlanTest, CpusOfANodeThatTheProcessMayNotUseAreLeftOut) {
  Write("/sys/devices/system/node/node1/cpulist", absl::StrCat(allowed_[0], ",8190-8191\n"));
  options_.numa_node = 1;
  const auto plan = PlanWorkers(options_, root_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->workers, 1);
  EXPECT_EQ(plan->placement.cpus, std::vector<int>{allowed_[0]});
}

TEST_F(WorkerPlanTest, MistakesNameTheKeyTheValueAndWhatIsAllowed) {
  const std::string allowed = CpuListText(allowed_);
  const struct {
    const char* name;
    int64_t workers;
    std::string cpus;
    int64_t node;
    std::string beginning;
    std::string end;
  } kCases[] = {
      {"syntax", 0, "0-", -1, "worker_cpus: '0-' is no CPU", "0-7,16-23 of numbers below 8192"},
      {"not_there", 0, "8000", -1, "worker_cpus: CPU 8000 of 8000 is not there, this machine has ",
       allowed},
      {"more_workers_than_cpus", 2, absl::StrCat(allowed_[0]), -1,
       "workers: 2 threads have no CPU each among the 1 of worker_cpus, ", "0 = one on each"},
      {"no_such_node", 0, "", 7, "numa_node: no node 7, allowed: 0-2", ""},
      {"node_of_others", 0, "", 1,
       "numa_node: this process may run on no CPU of node 1, which has 8190-8191; allowed: ",
       allowed},
      {"node_of_memory", 0, "", 2, "numa_node: ", "which has none; allowed: " + allowed},
  };
  for (const auto& row : kCases) {
    ServerOptions options;
    options.workers = row.workers;
    options.worker_cpus = row.cpus;
    options.numa_node = row.node;
    const absl::Status status = PlanWorkers(options, root_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.name;
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(row.beginning), HasSubstr(row.end)))
        << row.name;
  }
}

TEST_F(WorkerPlanTest, CpuThatIsThereButNotOursIsToldFromOneThatIsNot) {
  Write("/sys/devices/system/cpu/online", "0-8191\n");
  options_.worker_cpus = "8000";
  EXPECT_THAT(PlanWorkers(options_, root_).status().message(),
              HasSubstr("CPU 8000 of 8000 is none that this process may run on, allowed: " +
                        CpuListText(allowed_)));
}

TEST_F(WorkerPlanTest, SystemWithoutNodesSaysSo) {
  std::filesystem::remove_all(root_ + "/sys/devices/system/node");
  options_.numa_node = 0;
  EXPECT_THAT(PlanWorkers(options_, root_).status().message(), HasSubstr("leave it at -1"));
}

TEST_F(WorkerPlanTest, QuotaIsTheLeastThatAnyGroupSays) {
  const std::string groups2 = "0::/a/b\n";
  const std::string groups1 = "8:memory:/x\n7:cpu,cpuacct:/a\n0::/\n";
  const std::string v2 = "/sys/fs/cgroup";
  const std::string v1 = "/sys/fs/cgroup/cpu";
  const struct {
    const char* name;
    std::map<std::string, std::string> files;
    std::optional<double> quota;
  } kCases[] = {
      {"no_groups", {}, std::nullopt},
      {"unlimited",
       {{"/proc/self/cgroup", groups2}, {v2 + "/a/b/cpu.max", "max 100000\n"}},
       std::nullopt},
      {"group", {{"/proc/self/cgroup", groups2}, {v2 + "/a/b/cpu.max", "150000 100000\n"}}, 1.5},
      {"group_above",
       {{"/proc/self/cgroup", groups2},
        {v2 + "/a/b/cpu.max", "150000 100000\n"},
        {v2 + "/a/cpu.max", "50000 100000\n"}},
       0.5},
      {"container_sees_its_own_group_as_the_root",
       {{"/proc/self/cgroup", "0::/\n"}, {v2 + "/cpu.max", "200000 100000\n"}},
       2},
      {"version_1",
       {{"/proc/self/cgroup", groups1},
        {v1 + "/a/cpu.cfs_quota_us", "250000\n"},
        {v1 + "/a/cpu.cfs_period_us", "100000\n"}},
       2.5},
      {"version_1_without_a_limit",
       {{"/proc/self/cgroup", groups1},
        {v1 + "/a/cpu.cfs_quota_us", "-1\n"},
        {v1 + "/a/cpu.cfs_period_us", "100000\n"}},
       std::nullopt},
      {"nonsense", {{"/proc/self/cgroup", groups2}, {v2 + "/a/b/cpu.max", "0 0\n"}}, std::nullopt},
  };
  for (const auto& one : kCases) {
    std::filesystem::remove_all(root_ + v2);
    std::filesystem::remove_all(root_ + "/proc");
    for (const auto& [path, text] : one.files) Write(path, text);
    EXPECT_EQ(CpuQuota(root_), one.quota) << one.name;
  }
}

TEST_F(WorkerPlanTest, QuotaBoundsTheDefaultRoundedUpAndNotWhatIsAskedFor) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/cpu.max", "10000 100000\n");  // A tenth of a CPU.
  EXPECT_EQ(PlanWorkers(options_, root_)->workers, 1);
  Write("/sys/fs/cgroup/cpu.max", absl::StrCat(100'000 * count_ - 1, " 100000\n"));
  EXPECT_EQ(PlanWorkers(options_, root_)->workers, count_);
  Write("/sys/fs/cgroup/cpu.max", "100000000 100000\n");  // More than there are.
  EXPECT_EQ(PlanWorkers(options_, root_)->workers, count_);
  Write("/sys/fs/cgroup/cpu.max", "10000 100000\n");
  options_.workers = 3;
  EXPECT_EQ(PlanWorkers(options_, root_)->workers, 3);
}

}  // namespace
}  // namespace attn
