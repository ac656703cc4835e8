#include "server/telemetry/process_metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace attn {
namespace {

std::map<std::string, double> Read() {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : ProcessMetrics()->Collect()) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(family.metric.size(), 1U) << family.name;
    const bool counter = family.type == prometheus::MetricType::Counter;
    values[family.name] = counter ? family.metric[0].counter.value : family.metric[0].gauge.value;
  }
  return values;
}

TEST(ProcessMetricsTest, HasEveryStandardName) {
  std::map<std::string, double> values = Read();
  for (const char* name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads",
        "process_start_time_seconds", "process_open_fds", "process_max_fds"}) {
    EXPECT_TRUE(values.contains(name)) << name;
  }
  EXPECT_EQ(values.size(), 6U);
}

TEST(ProcessMetricsTest, SeesThreadsAndDescriptorsComeAndGo) {
  std::map<std::string, double> before = Read();
  absl::Notification done;
  std::thread thread([&done] { done.WaitForNotification(); });
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::map<std::string, double> during = Read();
  done.Notify();
  thread.join();
  close(fd);
  EXPECT_EQ(during["process_threads"], before["process_threads"] + 1);
  EXPECT_EQ(during["process_open_fds"], before["process_open_fds"] + 1);
  EXPECT_EQ(Read()["process_open_fds"], before["process_open_fds"]);
}

TEST(ProcessMetricsTest, SeesMemoryThatIsTouched) {
  constexpr size_t kBytes = size_t{64} << 20;
  const double before = Read()["process_resident_memory_bytes"];
  const std::vector<char> memory(kBytes, 1);
  const double after = Read()["process_resident_memory_bytes"];
  EXPECT_GT(after - before, 0.9 * kBytes) << memory.back();
  EXPECT_LT(after - before, 1.5 * kBytes);
}

TEST(ProcessMetricsTest, CpuTimeIsThatOfTheProcess) {
  // 0.1 s of work: ten ticks of the kernel's count.
  const clock_t start = clock();
  while (clock() - start < CLOCKS_PER_SEC / 10) {
  }
  const double expected = static_cast<double>(clock()) / CLOCKS_PER_SEC;
  EXPECT_NEAR(Read()["process_cpu_seconds_total"], expected, 0.05);
}

TEST(ProcessMetricsTest, StartedBeforeNowAndAfterTheMachine) {
  const double now = static_cast<double>(std::time(nullptr));
  const double start = Read()["process_start_time_seconds"];
  EXPECT_LE(start, now + 2);
  EXPECT_GT(start, now - 3600) << "this test takes seconds";
}

}  // namespace
}  // namespace attn
