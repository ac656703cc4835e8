#include "server/app/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "kernels/builtin_backends.h"
#include "server/app/part_options.h"
#include "tests/server/app/log_file.h"
#include "tests/server/config/load_server_config.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ReloadTest : public testing::Test {
 protected:
  // The parts of a server that was started with `yaml` and `flags`.
  void Start(const std::string& yaml, std::vector<std::pair<std::string, std::string>> flags = {}) {
    Write(yaml);
    const ConfigSources sources = {file_.path(), {}, std::move(flags)};
    const auto config = LoadServerConfig(sources);
    ASSERT_TRUE(config.ok()) << config.status();
    const std::string& forced = config->options.force_backend;
    if (!forced.empty()) {
      ASSERT_TRUE(policy_->SetForced(forced).ok());
    }
    const ExecutorOptions executor{1, ExecutorLimitsOf(config->options), {}};
    executor_ = Executor::Create(executor, nullptr).value();
    log_.log()->SetLevel(LogOptionsOf(config->options).level);
    reloader_ = std::make_unique<Reloader>(
        sources, *config, Reloader::Parts{&registry_, policy_.get(), executor_.get(), log_.log()});
  }

  void Write(const std::string& yaml) { std::ofstream(file_.path()) << yaml; }
  void Reload(const std::string& yaml) {
    Write(yaml);
    reloader_->Reload();
  }

  std::string forced() const {
    const auto policy = policy_->Snapshot();
    return policy->forced ? policy->forced->requested : "";
  }

  const Registry registry_ = CreateBuiltinRegistry().value();
  const std::unique_ptr<PolicyState> policy_ = PolicyState::Create("", nullptr).value();
  const TemporaryFile file_{"server.yaml", ""};
  LogFile log_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Reloader> reloader_;
};

TEST_F(ReloadTest, AppliesEveryKeyThatMayChange) {
  const TemporaryFile presets("p.yaml",
                              "M:\n  default_attention: a\n  attention_configs:\n"
                              "    a: {type: dense, backend: flash}\n");
  Start("max_running_calls: 2\n");
  Reload(
      "max_running_calls: 3\nmax_waiting_calls: 4\nmax_waiting_batch_calls: 5\n"
      "max_admitted_batch_bytes: 6\nmax_batch_calls: 7\nbatch_delay_us: 8\n"
      "log_level: debug\nforce_backend: eager\nlame_duck_ms: 9\ndrain_limit_ms: 10\npresets: " +
      presets.path() + "\n");
  const ExecutorLimits limits = executor_->limits();
  EXPECT_EQ(limits.max_running, 3);
  EXPECT_EQ(limits.max_waiting, 4);
  EXPECT_EQ(limits.max_waiting_batch, 5);
  EXPECT_EQ(limits.max_admitted_batch_bytes, 6);
  EXPECT_EQ(limits.max_batch_calls, 7);
  EXPECT_EQ(limits.batch_delay, absl::Microseconds(8));
  EXPECT_EQ(log_.log()->level(), LogLevel::kDebug);
  EXPECT_EQ(forced(), "eager");
  EXPECT_EQ(reloader_->options().lame_duck_ms, 9);
  EXPECT_EQ(reloader_->options().drain_limit_ms, 10);
  EXPECT_TRUE(policy_->Snapshot()->presets->models().contains("M"));
  EXPECT_EQ(reloader_->accepted(), 1);
  EXPECT_EQ(reloader_->refused(), 0);
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("max_running_calls=3"), HasSubstr("log_level=debug")));
}

TEST_F(ReloadTest, BadFileChangesNothingAndNamesEveryMistake) {
  Start("max_running_calls: 2\nforce_backend: flash\n");
  Reload("max_running_calls: 3\nworker: 1\nmax_batch_calls: 0\nlog_level: debug\n");
  EXPECT_EQ(executor_->limits().max_running, 2);
  EXPECT_EQ(log_.log()->level(), LogLevel::kInfo);
  EXPECT_EQ(forced(), "flash");
  EXPECT_EQ(reloader_->options().max_running_calls, 2);
  EXPECT_EQ(reloader_->accepted(), 0);
  EXPECT_EQ(reloader_->refused(), 1);
  Reload("max_running_calls: 4\n");
  EXPECT_EQ(executor_->limits().max_running, 4) << "a mended file is taken";
  const std::string log = log_.Close();
  EXPECT_THAT(log, HasSubstr("server.yaml:2: unknown key"));
  EXPECT_THAT(log, HasSubstr("server.yaml:3: max_batch_calls: 0 is out of range"));
}

TEST_F(ReloadTest, MissingFileAndBadPresetsChangeNothing) {
  Start("max_running_calls: 2\n");
  Reload("max_running_calls: 3\npresets: no/such/presets.yaml\n");
  EXPECT_EQ(executor_->limits().max_running, 2);
  const TemporaryFile presets("p.yaml",
                              "M:\n  default_attention: a\n  attention_configs:\n"
                              "    a: {type: dense, options: {no_such_option: 1}}\n");
  Reload("max_running_calls: 3\npresets: " + presets.path() + "\n");
  EXPECT_EQ(executor_->limits().max_running, 2);
  std::filesystem::remove(file_.path());
  reloader_->Reload();
  EXPECT_EQ(executor_->limits().max_running, 2);
  EXPECT_EQ(reloader_->refused(), 3);
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("no/such/presets.yaml"), HasSubstr("no_such_option"),
                                  HasSubstr("server.yaml: No such file")));
}

TEST_F(ReloadTest, PresetsAreReadAgainUnderTheSameName) {
  const std::string model = ":\n  default_attention: a\n  attention_configs: {a: {type: dense}}\n";
  const TemporaryFile presets("p.yaml", "A" + model);
  Start("presets: " + presets.path() + "\n");
  reloader_->Reload();
  EXPECT_TRUE(policy_->Snapshot()->presets->models().contains("A"));
  std::ofstream(presets.path()) << "B" << model;
  reloader_->Reload();
  EXPECT_FALSE(policy_->Snapshot()->presets->models().contains("A"));
  EXPECT_TRUE(policy_->Snapshot()->presets->models().contains("B"));
}

TEST_F(ReloadTest, KeysThatCannotChangeAreNamedAndStay) {
  Start("workers: 1\nlisten: ['localhost:0']\n");
  Reload("workers: 2\nlisten: ['localhost:0', 'localhost:1']\nmax_running_calls: 3\n");
  EXPECT_EQ(reloader_->options().workers, 1);
  EXPECT_EQ(reloader_->options().listen.size(), 1u);
  EXPECT_EQ(executor_->limits().max_running, 3) << "the others change";
  EXPECT_EQ(reloader_->accepted(), 1);
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("workers"), HasSubstr("localhost:0,localhost:1"),
                                  Not(HasSubstr("metrics_listen"))));
}

// The receive quota and the bound on unread replies are set with it, once.
TEST_F(ReloadTest, AdmittedBytesStayAndBatchBytesMoveWithinThem) {
  Start("max_admitted_bytes: 2000000000\n");
  Reload("max_admitted_bytes: 8000000000\nmax_running_calls: 3\n");
  EXPECT_EQ(executor_->limits().max_admitted_bytes, 2'000'000'000);
  EXPECT_EQ(executor_->limits().max_admitted_batch_bytes, 1'000'000'000) << "half of what is kept";
  EXPECT_EQ(executor_->limits().max_running, 3);
  Reload("max_admitted_bytes: 8000000000\nmax_admitted_batch_bytes: 2000000000\n");
  EXPECT_EQ(executor_->limits().max_admitted_batch_bytes, 2'000'000'000);
  Reload("max_admitted_bytes: 8000000000\nmax_admitted_batch_bytes: 3000000000\nlog_level: off\n");
  EXPECT_EQ(executor_->limits().max_admitted_batch_bytes, 2'000'000'000)
      << "not above what is kept";
  EXPECT_EQ(log_.log()->level(), LogLevel::kInfo) << "a refused reload changes nothing";
  EXPECT_EQ(reloader_->refused(), 1);
  EXPECT_THAT(log_.Close(),
              AllOf(HasSubstr("key=max_admitted_bytes"), HasSubstr("3000000000 is more than")));
}

TEST_F(ReloadTest, WhatFlagsSetStays) {
  Start("log_level: info\n", {{"max_running_calls", "2"}, {"force_backend", "flash"}});
  Reload("max_running_calls: 3\nforce_backend: eager\nlog_level: error\n");
  EXPECT_EQ(executor_->limits().max_running, 2);
  EXPECT_EQ(forced(), "flash");
  EXPECT_EQ(log_.log()->level(), LogLevel::kError);
}

TEST_F(ReloadTest, WhatOperatorsSetOutlivesAReloadThatDoesNotNameIt) {
  Start("force_backend: flash\nlog_level: info\n");
  ASSERT_TRUE(policy_->SetForced("eager").ok());
  log_.log()->SetLevel(LogLevel::kError);
  Reload("force_backend: flash\nlog_level: info\nmax_running_calls: 3\n");
  EXPECT_EQ(executor_->limits().max_running, 3);
  EXPECT_EQ(forced(), "eager");
  EXPECT_EQ(log_.log()->level(), LogLevel::kError);
  Reload("log_level: warning\n");
  EXPECT_EQ(forced(), "") << "the file has changed its mind";
  EXPECT_EQ(log_.log()->level(), LogLevel::kWarning);
  Reload("force_backend: auto\n");
  EXPECT_EQ(forced(), "auto");
}

TEST_F(ReloadTest, ClearingWhatAnOperatorHasClearedIsNoMistake) {
  Start("force_backend: flash\n");
  ASSERT_TRUE(policy_->ClearForced().ok());
  Reload("");
  EXPECT_EQ(forced(), "");
  EXPECT_EQ(reloader_->accepted(), 1);
}

}  // namespace
}  // namespace attn
