#include "server/executor/cpu_list.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::HasSubstr;

struct ListCase {
  const char* name;
  const char* text;
  std::vector<int> cpus;
  const char* shortest;  // As CpuListText writes it.
};

class CpuListTest : public testing::TestWithParam<ListCase> {};

TEST_P(CpuListTest, IsReadInOrderAndWrittenShortest) {
  const ListCase& row = GetParam();
  const auto cpus = ParseCpuList(row.text);
  ASSERT_TRUE(cpus.ok()) << cpus.status();
  EXPECT_EQ(*cpus, row.cpus);
  EXPECT_EQ(CpuListText(*cpus), row.shortest);
}

INSTANTIATE_TEST_SUITE_P(Texts, CpuListTest,
                         testing::ValuesIn(std::vector<ListCase>{
                             {"one", "3", {3}, "3"},
                             {"range", "0-3", {0, 1, 2, 3}, "0-3"},
                             {"range_of_one", "5-5", {5}, "5"},
                             {"two_ranges", "0-1,16-17", {0, 1, 16, 17}, "0-1,16-17"},
                             {"neighbours", "0,1,2", {0, 1, 2}, "0-2"},
                             {"descending", "2,1,0", {2, 1, 0}, "2,1,0"},
                             {"range_behind", "8,0-1", {8, 0, 1}, "8,0-1"},
                             {"largest", "8191", {8191}, "8191"},
                         }),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ParseCpuListTest, RefusesWhatIsNoListAndNamesThePart) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"", "'' is no CPU"},
      {"0-7,", "'' is no CPU"},
      {"a", "'a' is no CPU and no range of them, expected a list such as 0-7,16-23"},
      {"0,1-x", "'1-x' is no CPU"},
      {"-1", "'-1' is no CPU"},
      {"1-", "'1-' is no CPU"},
      {"3-1", "'3-1' is no CPU"},
      {"0 - 1", "'0 - 1' is no CPU"},
      {" 0", "' 0' is no CPU"},
      {"+1", "'+1' is no CPU"},
      {"0-31:2/4", "'0-31:2/4' is no CPU"},
      {"8192", "of numbers below 8192"},
      {"0-99999999999999999999", "of numbers below 8192"},
      {"0,0", "CPU 0 is listed twice"},
      {"0-3,2", "CPU 2 is listed twice"},
  };
  for (const auto& row : kCases) {
    const absl::Status status = ParseCpuList(row.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.text;
    EXPECT_THAT(status.message(), HasSubstr(row.message)) << row.text;
  }
}

TEST(CpuListTextTest, OfNoCpuIsEmpty) { EXPECT_EQ(CpuListText({}), ""); }

}  // namespace
}  // namespace attn
