// `attn load` against a real server.
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The line that the README shows, but for its length.
TEST(LoadTest, AnOpenLoopWritesJsonAndAPage) {
  ServerProcess server;
  const std::string json_out = ::testing::TempDir() + "attn-load.json";
  const std::string html_out = ::testing::TempDir() + "attn-load.html";
  const ProcessOutput run = server.Attn({"load", "--shape", "1x8x128x64", "--rate", "200",
                                         "--arrival", "poisson", "--duration", "1s", "--json_out",
                                         json_out, "--html_out", html_out, "--verify_every", "50"});
  ASSERT_EQ(run.exit_code, 0) << run.err << run.out;
  EXPECT_THAT(run.out, HasSubstr("p99.99"));

  const nlohmann::json load = nlohmann::json::parse(ReadAll(json_out), nullptr, false)["load"];
  EXPECT_EQ(load["mode"], "open");
  EXPECT_EQ(load["failed"], 0);
  // 200 are expected; the standard deviation is 14.
  EXPECT_GT(load["completed"].get<int>(), 120);
  EXPECT_LT(load["completed"].get<int>(), 280);
  for (const char* key : {"p50", "p75", "p90", "p95", "p99", "p999", "p9999", "max", "mean"}) {
    EXPECT_GT(load["latency_ms"][key].get<double>(), 0) << key;
    EXPECT_GT(load["uncorrected_latency_ms"][key].get<double>(), 0) << key;
  }
  EXPECT_GT(load["stages_ms"]["kernel"]["mean"].get<double>(), 0);
  EXPECT_GT(load["effective_gflop_per_s"].get<double>(), 0);
  EXPECT_GE(load["verification"]["checked"].get<int>(), 3);
  EXPECT_EQ(load["verification"]["mismatched"], 0);
  EXPECT_EQ(load["environment"]["servers"][0]["version"], load["environment"]["client_version"]);

  const std::string html = ReadAll(html_out);
  EXPECT_THAT(html, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("</html>"), HasSubstr("<svg"),
                          Not(HasSubstr("http://")), Not(HasSubstr("https://")),
                          Not(HasSubstr("<script")), Not(HasSubstr("<link"))));
  std::filesystem::remove(json_out);
  std::filesystem::remove(html_out);
}

TEST(LoadTest, StepsOfAClosedLoopOverTcpAndAUnixSocket) {
  ServerProcess server;
  const ProcessOutput run =
      RunProgram("attn", {"load", "--shape", "1x2x64x32", "--concurrency", "1,2", "--requests",
                          "60", "--warmup", "4", "--target", server.tcp(), "--target",
                          server.unix_socket(), "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err << run.out;
  const nlohmann::json load = nlohmann::json::parse(run.out, nullptr, false)["load"];
  ASSERT_EQ(load["steps"].size(), 2);
  EXPECT_EQ(load["steps"][0]["completed"], 60);
  EXPECT_EQ(load["steps"][1]["concurrency"], 2);
}

// True once a signal that was sent to `pid` is no longer pending, and has not ended it.
bool HasTaken(pid_t pid, int signal) {
  const std::string status = ReadAll(absl::StrCat("/proc/", pid, "/status"));
  const size_t at = status.find("ShdPnd:\t");
  if (at == std::string::npos || status.find("State:\tZ") != std::string::npos) return false;
  const uint64_t pending =
      std::strtoull(status.c_str() + at + std::strlen("ShdPnd:\t"), nullptr, 16);
  return (pending >> (signal - 1) & 1) == 0;
}

// False if it does not hold after a minute.
bool WaitUntil(const std::function<bool()>& holds) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

bool HasServed(const ServerProcess& server, double calls) {
  return WaitUntil(
      [&] { return MetricsPage::Read(server.metrics()).Sum("attn_calls_total") >= calls; });
}

TEST(LoadTest, ASignalEndsItWithAReport) {
  ServerProcess server;
  for (const int signal : {SIGINT, SIGTERM}) {
    const double before = MetricsPage::Read(server.metrics()).Sum("attn_calls_total");
    Process load("attn", {"--server", server.unix_socket(), "load", "--shape", "1x2x64x32",
                          "--warmup", "0", "--duration", "10m", "--json"});
    ASSERT_TRUE(HasServed(server, before + 20));
    load.Signal(signal);
    const ProcessOutput output = load.Wait();
    EXPECT_EQ(output.exit_code, 1) << output.err;
    EXPECT_THAT(output.err, HasSubstr("interrupted"));
    const nlohmann::json report = nlohmann::json::parse(output.out, nullptr, false)["load"];
    EXPECT_TRUE(report["interrupted"].get<bool>());
    EXPECT_GT(report["completed"].get<int>(), 0);
    EXPECT_EQ(report["failed"], 0);
  }
}

TEST(LoadTest, ASecondSignalEndsItAtOnce) {
  ServerProcess server;
  Process load("attn", {"--server", server.unix_socket(), "load", "--shape", "1x2x64x32",
                        "--warmup", "0", "--duration", "10m", "--json"});
  ASSERT_TRUE(HasServed(server, 20));
  server.process().Signal(SIGSTOP);
  // The next call is under way by then, and gets no answer.
  absl::SleepFor(absl::Milliseconds(500));
  load.Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return HasTaken(load.pid(), SIGTERM); }));
  load.Signal(SIGTERM);
  const ProcessOutput output = load.Wait();
  server.process().Signal(SIGCONT);
  EXPECT_EQ(output.exit_code, 128 + SIGTERM);
  EXPECT_EQ(output.out, "");
}

TEST(LoadTest, AServerThatIsNotThereIsSaidAtOnce) {
  const ProcessOutput run = RunProgram(
      "attn", {"--server", "unix:/no/such.sock", "load", "--shape", "1x1x1x1", "--rate", "5"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.err, HasSubstr("/no/such.sock"));
}

}  // namespace
}  // namespace attn
