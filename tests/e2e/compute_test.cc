// What a real server computes with: instructions, threads, CPUs and the memory of a node.
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/server_process.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// That this process, and so a server of it, may run on. Never empty.
std::vector<int> Cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return {0};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::string SomeCpu() { return absl::StrCat(Cpus().front()); }

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Mistake {
  const char* name;
  const char* line;  // Of the file.
  const char* text;  // Behind the place.
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class ComputeMistakeTest : public ::testing::TestWithParam<Mistake> {};

TEST_P(ComputeMistakeTest, IsFoundWithoutAStartAndNamesItsPlace) {
  const TemporaryFile file("server.yaml", absl::StrCat("log_level: debug\n", GetParam().line));
  const ProcessOutput run = RunProgram("attnd", {"--check_config", "--config", file.path()});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr(absl::StrCat(file.path(), ":2: ", GetParam().text)));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, ComputeMistakeTest,
    ::testing::Values(
        Mistake{"unknown_instructions", "cpu_isa: avx512_bf61\n",
                "cpu_isa: unknown value 'avx512_bf61'; did you mean 'avx512_bf16'?"},
        Mistake{"no_list", "worker_cpus: 0-\n", "worker_cpus: '0-' is no CPU"},
        Mistake{"cpu_not_there", "worker_cpus: '8191'\n", "worker_cpus: CPU 8191 of 8191 is "},
        Mistake{"node_not_there", "numa_node: 1023\n", "numa_node: no node 1023, allowed"},
        Mistake{"node_out_of_range", "numa_node: -2\n",
                "numa_node: -2 is out of range, allowed: -1 to 1023"}),
    [](const auto& test) { return test.param.name; });

TEST(ComputeTest, CpusAndNodeExcludeEachOther) {
  const ProcessOutput run = RunProgram("attnd", {"--check_config", "--worker_cpus", SomeCpu()},
                                       {{"ATTN_NUMA_NODE", "0"}});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("worker_cpus (--worker_cpus), numa_node (ATTN_NUMA_NODE): "));
}

TEST(ComputeTest, MoreWorkersThanCpusToPinToAreRefused) {
  const ProcessOutput run =
      RunProgram("attnd", {"--check_config", "--worker_cpus", SomeCpu(), "--workers", "2"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, StartsWith("--workers: 2 threads have no CPU each among the 1 of "));
}

// Every machine has this one.
TEST(ComputeTest, ForcedInstructionsShowInTheLogTheMetricsAndTheBackends) {
  ServerProcess server({}, {{"ATTN_CPU_ISA", "portable"}});
  EXPECT_EQ(MetricsPage::Read(server.metrics()).Value("attn_cpu_isa{isa=\"portable\"}"), 1);
  const auto backends = nlohmann::json::parse(server.Attn({"--json", "backends", "flash"}).out);
  EXPECT_EQ(backends["backends"][0]["engine"], "cpu");
  EXPECT_EQ(backends["backends"][0]["variant"], "portable");
  EXPECT_THAT(server.Attn({"backends"}).out, AllOf(HasSubstr("variant"), HasSubstr("portable")));
  EXPECT_THAT(server.Stop().err, HasSubstr("msg=compute cpu_isa=portable workers="));
}

TEST(ComputeTest, PinnedWorkersAreCountedByTheirCpus) {
  if (Cpus().size() == 1) GTEST_SKIP() << "every thread is on the one CPU, pinned or not";
  const std::string cpu = SomeCpu();
  ServerProcess server({"--worker_cpus", cpu});
  const std::string tasks = absl::StrCat("/proc/", server.process().pid(), "/task");
  int there = 0;
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    const std::string status = TextOf(task.path().string() + "/status");
    there += absl::StrContains(status, absl::StrCat("Cpus_allowed_list:\t", cpu, "\n")) ? 1 : 0;
  }
  EXPECT_EQ(there, 1) << "the one worker and no other thread";
  EXPECT_THAT(server.Stop().err,
              HasSubstr(absl::StrCat(" workers=1 cpus=", cpu, " pinned=true numa_node=any\n")));
}

TEST(ComputeTest, MemoryOfTheNodeIsPreferredByTheThreadsThatServe) {
  const ProcessOutput check = RunProgram("attnd", {"--check_config", "--numa_node", "0"});
  if (check.exit_code != 0) GTEST_SKIP() << "no node to prefer: " << check.err;
  ServerProcess server({"--numa_node", "0"});
  const std::string tasks = absl::StrCat("/proc/", server.process().pid(), "/task");
  int preferring = 0;
  int others = 0;
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    const bool prefers = absl::StrContains(TextOf(task.path().string() + "/numa_maps"), " prefer");
    ++(prefers ? preferring : others);
  }
  EXPECT_GT(preferring, 2);
  EXPECT_LE(others, 1) << "the one that waits for a second signal is there before";
  EXPECT_THAT(server.Stop().err, HasSubstr(" pinned=false numa_node=0\n"));
}

}  // namespace
}  // namespace attn
