#include "server/app/machine_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace attn {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kGib = int64_t{1} << 30;

// A folder that stands for `/`.
class MachineMemoryTest : public testing::Test {
 protected:
  ~MachineMemoryTest() override { std::filesystem::remove_all(root_); }

  static std::string NewFolder() {
    std::string pattern = testing::TempDir() + "attn_memory_XXXXXX";
    return mkdtemp(pattern.data());
  }
  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  const std::string root_ = NewFolder();
};

TEST_F(MachineMemoryTest, IsTheLeastThatAnyFileSays) {
  const std::string groups2 = "0::/a/b\n";
  const std::string groups1 = "8:cpu:/a\n7:memory:/a/b\n0::/x\n";
  const std::string v2 = "/sys/fs/cgroup";
  const std::string v1 = "/sys/fs/cgroup/memory";
  const struct {
    const char* name;
    std::map<std::string, std::string> files;
    int64_t gib;
    std::string source;
  } kCases[] = {
      {"machine_alone", {}, 16, "/proc/meminfo"},
      {"unlimited_group",
       {{"/proc/self/cgroup", groups2}, {v2 + "/a/b/memory.max", "max\n"}},
       16,
       "/proc/meminfo"},
      {"group",
       {{"/proc/self/cgroup", groups2}, {v2 + "/a/b/memory.max", "4294967296\n"}},
       4,
       v2 + "/a/b/memory.max"},
      {"group_above",
       {{"/proc/self/cgroup", groups2},
        {v2 + "/a/b/memory.max", "4294967296\n"},
        {v2 + "/a/memory.max", "2147483648\n"}},
       2,
       v2 + "/a/memory.max"},
      {"container_sees_its_own_group_as_the_root",
       {{"/proc/self/cgroup", "0::/\n"}, {v2 + "/memory.max", "2147483648\n"}},
       2,
       v2 + "/memory.max"},
      {"version_1",
       {{"/proc/self/cgroup", groups1}, {v1 + "/a/b/memory.limit_in_bytes", "2147483648\n"}},
       2,
       v1 + "/a/b/memory.limit_in_bytes"},
      {"version_1_without_a_limit",
       {{"/proc/self/cgroup", groups1},
        {v1 + "/a/b/memory.limit_in_bytes", "9223372036854771712\n"}},
       16,
       "/proc/meminfo"},
  };
  for (const auto& one : kCases) {
    std::filesystem::remove_all(root_ + "/sys");
    std::filesystem::remove_all(root_ + "/proc");
    Write("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");
    for (const auto& [path, text] : one.files) Write(path, text);
    const auto memory = MachineMemory(root_);
    ASSERT_TRUE(memory.has_value()) << one.name;
    EXPECT_EQ(memory->bytes, one.gib * kGib) << one.name;
    EXPECT_EQ(memory->source, one.source) << one.name;
  }
}

TEST_F(MachineMemoryTest, IsUnknownWithoutAnyFile) { EXPECT_FALSE(MachineMemory(root_)); }

TEST(MemoryWarningTest, ComparesTheBoundWithTheMachine) {
  ServerOptions options;
  options.max_message_bytes = kGib;
  options.max_admitted_bytes = 2 * kGib;  // Receives 4 GiB: 5 + 4 + 1 in all.
  options.pool_idle_bytes = kGib;
  EXPECT_EQ(MemoryWarning(options, MemoryLimit{10 * kGib, "f"}), "");
  EXPECT_EQ(MemoryWarning(options, std::nullopt), "");
  EXPECT_THAT(
      MemoryWarning(options, MemoryLimit{10 * kGib - 1, "/proc/meminfo"}),
      AllOf(HasSubstr("10737418240 bytes"), HasSubstr("10737418239 of /proc/meminfo"),
            HasSubstr("max_admitted_bytes"), HasSubstr("max_message_bytes"), Not(HasSubstr("\n"))));
  options.max_receive_bytes = 8 * kGib;
  EXPECT_THAT(MemoryWarning(options, MemoryLimit{10 * kGib, "f"}), HasSubstr("max_receive_bytes"));
}

}  // namespace
}  // namespace attn
