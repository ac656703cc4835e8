// Configuration of a real server: what it says about it, and changing it while calls run.
#include <signal.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CheckConfigTest, GoodConfigurationIsOk) {
  const std::string file = std::string(ATTN_SOURCE_DIR) + "/config/server.yaml";
  // Little enough for any machine: a bound above its memory is a warning.
  const ProcessOutput run = RunProgram(
      "attnd", {"--config", file, "--max_admitted_bytes", "100000000", "--max_message_bytes",
                "100000000", "--pool_idle_bytes", "0", "--check_config"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "ok\n");
  EXPECT_EQ(run.err, "");
}

TEST(CheckConfigTest, WarningsLeaveItOk) {
  const ProcessOutput run =
      RunProgram("attnd", {"--check_config"}, {{"ATTN_WORKER", "1"}, {"ATTN_PORT", "tcp://x:1"}});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "ok\n");
  EXPECT_THAT(run.err, AllOf(StartsWith("warning: "), HasSubstr("'ATTN_WORKERS'")));
}

TEST(CheckConfigTest, EveryMistakeOfEverySourceIsNamed) {
  const TemporaryFile file("server.yaml", "wrokers: 3\nmax_running_calls: 0\n");
  const ProcessOutput run =
      RunProgram("attnd", {"--check_config", "--lisen", "a:1", "--drain_limit_ms", "soon"},
                 {{"ATTN_CONFIG", file.path()}, {"ATTN_ADMIN", "maybe"}});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("did you mean '--listen'"));
  EXPECT_THAT(run.err, HasSubstr("server.yaml:1: unknown key 'wrokers'; did you mean 'workers'?"));
  EXPECT_THAT(run.err, HasSubstr("server.yaml:2: max_running_calls: 0 is out of range"));
  EXPECT_THAT(run.err, HasSubstr("ATTN_ADMIN: unknown value 'maybe'"));
  EXPECT_THAT(run.err, HasSubstr("--drain_limit_ms: expected an integer"));
}

TEST(CheckConfigTest, FilesThatAreNamedAreRead) {
  const TemporaryFile presets("p.yaml", "M:\n  default_attention: x\n");
  const TemporaryFile token("token", "\n");
  const ProcessOutput run =
      RunProgram("attnd",
                 {"--check_config", "--presets", presets.path(), "--admin_token_file", token.path(),
                  "--tls_certificate", "/no/c.pem", "--tls_key", "/no/k.pem"},
                 {{"ATTN_BACKEND", "flsh"}});
  EXPECT_EQ(run.exit_code, 2);
  for (const char* mistake : {"p.yaml:2: M.attention_configs: is missing", "admin_token_file: ",
                              "token' is empty", "tls_certificate: '/no/c.pem'",
                              "tls_key: '/no/k.pem'", "ATTN_BACKEND: ", "did you mean 'flash'"}) {
    EXPECT_THAT(run.err, HasSubstr(mistake));
  }
}

TEST(CheckConfigTest, MoreThanTheMachinesMemoryIsAWarningWithBothNumbers) {
  const ProcessOutput run =
      RunProgram("attnd", {"--check_config", "--pool_idle_bytes", "1000000000000000"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, AllOf(StartsWith("warning: memory: "), HasSubstr("max_admitted_bytes"),
                             HasSubstr(" = 10000")));
}

TEST(CheckConfigTest, TogetherWithPrintConfigPrintsOnlyWhatIsRight) {
  const ProcessOutput good = RunProgram("attnd", {"--check_config", "--print_config"});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_THAT(good.out, HasSubstr("admin: local  # default\n"));
  const ProcessOutput bad = RunProgram(
      "attnd", {"--print_config", "--check_config", "--admin_token_file", "/no/such/token"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_EQ(bad.out, "");
  EXPECT_THAT(bad.err, HasSubstr("--admin_token_file: '/no/such/token' cannot be read"));
}

TEST(PrintConfigTest, IsAFileOfTheSameConfiguration) {
  const TemporaryFile first("server.yaml", "max_batch_calls: 3\npresets: p.yaml\n");
  const ProcessOutput printed =
      RunProgram("attnd",
                 {"--print_config", "--config", first.path(), "--listen", "unix:a.sock", "--listen",
                  "[::]:0", "--log_level", "debug"},
                 {{"ATTN_WORKERS", "4"}});
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  for (const std::string& line :
       {std::string("workers: 4  # ATTN_WORKERS"), std::string("log_level: debug  # --log_level"),
        absl::StrCat("max_batch_calls: 3  # ", first.path(), ":1"),
        absl::StrCat("presets: \"", first.folder(), "/p.yaml\"  # ", first.path(), ":2"),
        std::string("admin: local  # default"), std::string("  - \"[::]:0\"")}) {
    EXPECT_THAT(printed.out, HasSubstr(line + "\n"));
  }
  const TemporaryFile second("server.yaml", printed.out);
  const ProcessOutput again = RunProgram("attnd", {"--print_config", "--config", second.path()});
  const auto values = [](const std::string& text) {
    std::string without_comments;
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      absl::StrAppend(&without_comments, line.substr(0, line.find("  # ")), "\n");
    }
    return without_comments;
  };
  EXPECT_EQ(values(again.out), values(printed.out)) << again.err;
}

TEST(HelpTest, IsAskedForAndGoesToStandardOutput) {
  const ProcessOutput help = RunProgram("attnd", {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("A flag wins over the variable"));
  EXPECT_EQ(help.err, "");
  const ProcessOutput version = RunProgram("attnd", {"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, StartsWith("attnd "));
}

// A server whose file a test changes.
class ReloadTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(file_.path()) << text; }

  double Reloads(const std::string& result) const {
    return MetricsPage::Read(server_.metrics())
        .Value(absl::StrCat("attn_config_reloads_total{result=\"", result, "\"}"));
  }

  // Sends the signal and waits until it has been acted on.
  void Reload(const std::string& result) {
    const double before = Reloads(result);
    server_.process().Signal(SIGHUP);
    for (int i = 0; i < 5000 && Reloads(result) == before; ++i) {
    }
    EXPECT_EQ(Reloads(result), before + 1);
  }

  const TemporaryFile file_{"server.yaml", "max_running_calls: 2\n"};
  ServerProcess server_{{"--config", file_.path()}};
};

TEST_F(ReloadTest, DropsNoCall) {
  std::atomic<bool> stop = false;
  std::atomic<int> calls = 0;
  std::vector<std::string> failures(3);
  std::vector<std::thread> callers;
  for (std::string& failure : failures) {
    callers.emplace_back([&] {
      const auto stub = ConnectPlain(server_.tcp());
      const attention::v1::AttendRequest request = PlainRequest(2, 64);
      while (!stop && failure.empty()) {
        const PlainAnswer answer = Attend(*stub, request);
        if (!answer.status.ok()) failure = answer.status.error_message();
        ++calls;
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    Write(absl::StrCat("max_running_calls: ", 1 + i % 5, "\nmax_batch_calls: ", 1 + i % 3,
                       "\nmax_waiting_calls: ", 64 + i,
                       "\nforce_backend: ", i % 2 == 0 ? "flash" : "eager", "\n"));
    Reload("ok");
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(failures, ::testing::Each(""));
  EXPECT_GT(calls, 100) << "calls and reloads met";
  EXPECT_EQ(server_.Stop().exit_code, 0);
}

TEST_F(ReloadTest, BadFileKeepsTheOldOneAndSaysWhy) {
  Write("max_running_calls: 2\nforce_backend: eager\n");
  Reload("ok");
  Write("force_backend: flash\nmax_runing_calls: 3\nmax_batch_calls: none\n");
  Reload("refused");
  const ProcessOutput policy = server_.Attn({"policy"});
  EXPECT_THAT(policy.out, HasSubstr("eager"));
  Write("force_backend: flash\n");
  Reload("ok");
  const ProcessOutput end = server_.Stop();
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.err, HasSubstr("server.yaml:2: unknown key 'max_runing_calls'; did you mean"));
  EXPECT_THAT(end.err, HasSubstr("server.yaml:3: max_batch_calls: expected an integer"));
}

TEST_F(ReloadTest, ManySignalsAtOnceAreOneReloadOrMore) {
  for (int i = 0; i < 200; ++i) server_.process().Signal(SIGHUP);
  for (int i = 0; i < 5000 && Reloads("ok") == 0; ++i) {
  }
  EXPECT_GE(Reloads("ok"), 1);
  EXPECT_EQ(server_.Attn({"health"}).exit_code, 0);
  EXPECT_EQ(server_.Stop().exit_code, 0);
}

}  // namespace
}  // namespace attn
