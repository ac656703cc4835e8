// The command-line client against a real server, on golden cases and real model tensors.
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::string GoldenFolder() {
  const char* folder = std::getenv("ATTN_GOLDEN_DIR");
  return folder != nullptr ? folder : std::string(ATTN_SOURCE_DIR) + "/tests/golden";
}

std::string RealFile() {
  return ATTN_SOURCE_DIR "/tests/golden/real/minilm_two_sentences.safetensors";
}

std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  const size_t begin = text.rfind('\n', end);
  return text.substr(begin + 1, end - begin);
}

class GoldenTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new ServerProcess(); }
  static void TearDownTestSuite() {
    EXPECT_EQ(server_->Stop().exit_code, 0);
    delete server_;
  }
  static ServerProcess* server_;
};

ServerProcess* GoldenTest::server_ = nullptr;

struct Area {
  std::string folder;
  std::string backend;
};

class GoldenAreaTest : public GoldenTest, public ::testing::WithParamInterface<Area> {};

TEST_P(GoldenAreaTest, EveryCasePasses) {
  const ProcessOutput run = server_->Attn(
      {"verify", GoldenFolder() + "/" + GetParam().folder, "--backend", GetParam().backend});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(LastLine(run.out),
              MatchesRegex("[1-9][0-9]* passed, 0 failed, 0 unsupported, [0-9]+ skipped"));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenAreaTest,
                         ::testing::Values(Area{"dense", "eager"}, Area{"dense", "flash"},
                                           Area{"real", "eager"}, Area{"real", "flash"}),
                         [](const auto& test) {
                           return test.param.folder + "_" + test.param.backend;
                         });

// Cases that this version cannot serve are named as such; none that it serves may fail.
class GoldenNoneFailsTest : public GoldenTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(GoldenNoneFailsTest, OfTheCasesThatItServes) {
  const ProcessOutput run = server_->Attn({"verify", GoldenFolder() + "/" + GetParam(), "--json"});
  const auto result = nlohmann::json::parse(run.out, nullptr, false);
  ASSERT_TRUE(result.is_object()) << run.out << run.err;
  EXPECT_EQ(result["failed"], 0) << run.out;
  EXPECT_GT(result["passed"].get<int>(), 0);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenNoneFailsTest, ::testing::Values("modifiers", "layouts"),
                         [](const auto& test) { return test.param; });

// A backend that begins to refuse what it served would be hidden by one that serves it.
TEST_F(GoldenTest, ExactBackendsRefuseNothingButWeights) {
  std::vector<std::string> command = {"verify"};
  for (const char* area : {"dense", "masks", "modifiers", "layouts", "skip"}) {
    command.push_back(GoldenFolder() + "/" + area);
  }
  command.insert(command.end(), {"--backend", "all", "--json"});
  const ProcessOutput run = server_->Attn(command);
  const auto result = nlohmann::json::parse(run.out, nullptr, false);
  ASSERT_TRUE(result.is_object()) << run.out << run.err;
  EXPECT_EQ(result["failed"], 0);
  const auto& backends = result["backends"];
  ASSERT_EQ(backends.size(), 3U) << backends;
  EXPECT_EQ(backends["eager"]["refused"], 0) << backends;
  for (const char* name : {"flash", "flex"}) {
    EXPECT_GT(backends[name]["served"].get<int>(), 30) << backends;
    EXPECT_GT(backends[name]["refused"].get<int>(), 0) << backends;
    ASSERT_EQ(backends[name]["reasons"].size(), 1U) << backends;
    EXPECT_EQ(backends[name]["reasons"].begin().key(), "output weights not supported");
  }
}

TEST_F(GoldenTest, MethodsOfLaterVersionsAreUnsupportedWithTheReason) {
  const ProcessOutput run = server_->Attn({"verify", GoldenFolder() + "/nabla"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, HasSubstr("not in this build"));
}

TEST_F(GoldenTest, RealModelTensorsAgreeWithTheModel) {
  const ProcessOutput run = server_->Attn({"call", RealFile(), "--as_case", "--check", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto calls = nlohmann::json::parse(run.out)["calls"];
  ASSERT_EQ(calls.size(), 6U);
  for (const auto& call : calls) {
    EXPECT_EQ(call["backend"], "flash");
    EXPECT_EQ(call["rule"], "automatic");
    EXPECT_LT(call["check"]["rel_l2"].get<double>(), 5e-3);
    EXPECT_EQ(call["sparsity"].get<double>(), 0.0);
    EXPECT_GT(call["metrics"]["kernel_ns"].get<int64_t>(), 0);
  }
}

TEST_F(GoldenTest, OutputsAreWrittenAsSafetensors) {
  const std::string path = ::testing::TempDir() + "attn-out.safetensors";
  const ProcessOutput run =
      server_->Attn({"call", RealFile(), "--as_case", "--lse", "--out", path});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_GT(std::filesystem::file_size(path), 6U * 2 * 12 * 32 * 2);
  std::filesystem::remove(path);
}

TEST_F(GoldenTest, LoadReportsPercentilesAndNoErrors) {
  const ProcessOutput run = server_->Attn({"load", "--shape", "1x2x64x32", "--concurrency", "4",
                                           "--requests", "200", "--warmup", "8", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err << run.out;
  EXPECT_THAT(run.out, HasSubstr("p99"));
}

TEST_F(GoldenTest, UnreachableServerIsSaidWithTheNextStep) {
  const ProcessOutput run = RunProgram("attn", {"--server", "unix:/no/such.sock", "backends"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("/no/such.sock"));
}

}  // namespace
}  // namespace attn
