#include "server/app/part_options.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "server/config/config_keys.h"
#include "server/config/server_config.h"
#include "server/executor/worker_placement.h"
#include "tests/server/config/load_server_config.h"

namespace attn {
namespace {

// Configuration may not include the executor, so that each states the bounds.
struct Bounds {
  const char* key;
  int64_t ServerOptions::*member;
  int64_t least;
  int64_t most;
};

class ExecutorBoundsTest : public testing::TestWithParam<Bounds> {};

TEST_P(ExecutorBoundsTest, AreThoseOfTheConfiguration) {
  const auto& [key, member, least, most] = GetParam();
  for (const int64_t value : {least - 1, least, most, most + 1}) {
    SCOPED_TRACE(value);
    const bool allowed = value >= least && value <= most;
    const std::vector<std::pair<std::string, std::string>> flags = {{key, absl::StrCat(value)}};
    EXPECT_EQ(LoadServerConfig({"", {}, flags}).ok(), allowed);
    ServerOptions options;
    options.workers = 1;
    options.*member = value;
    if (options.workers == kMaxWorkers) continue;  // Allowed; as many threads are no use to a test.
    const ExecutorOptions executor{
        static_cast<int>(options.workers), ExecutorLimitsOf(options), {}};
    EXPECT_EQ(Executor::Create(executor, nullptr).ok(), allowed);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Keys, ExecutorBoundsTest,
    testing::Values(
        Bounds{"workers", &ServerOptions::workers, 0, kMaxWorkers},
        Bounds{"max_waiting_calls", &ServerOptions::max_waiting_calls, 0, kMaxWaiting},
        Bounds{"max_waiting_batch_calls", &ServerOptions::max_waiting_batch_calls, 0, kMaxWaiting},
        Bounds{"max_running_calls", &ServerOptions::max_running_calls, 1, kMaxRunning},
        Bounds{"max_admitted_bytes", &ServerOptions::max_admitted_bytes, 1, kMaxAdmittedBytes},
        Bounds{"max_batch_calls", &ServerOptions::max_batch_calls, 1, kMaxBatchCalls},
        Bounds{"batch_delay_us", &ServerOptions::batch_delay_us, 0,
               kMaxBatchDelay / absl::Microseconds(1)}),
    [](const auto& test) { return std::string(test.param.key); });

TEST(PartOptionsTest, EveryNodeOfTheConfigurationIsOneThatMemoryMayBePreferredOf) {
  EXPECT_EQ(FindConfigKey("numa_node")->max, kMaxNodes - 1);
}

TEST(PartDefaultsTest, AreThoseOfTheConfiguration) {
  const ExecutorLimits limits = ExecutorLimitsOf({});
  const ExecutorLimits defaults;
  EXPECT_EQ(limits.max_waiting, defaults.max_waiting);
  EXPECT_EQ(limits.max_waiting_batch, defaults.max_waiting_batch);
  EXPECT_EQ(limits.max_running, defaults.max_running);
  EXPECT_EQ(limits.max_admitted_bytes, defaults.max_admitted_bytes);
  EXPECT_EQ(limits.max_admitted_batch_bytes, defaults.max_admitted_batch_bytes);
  EXPECT_EQ(limits.max_batch_calls, defaults.max_batch_calls);
  EXPECT_EQ(limits.batch_delay, defaults.batch_delay);

  const LogOptions log = LogOptionsOf({});
  EXPECT_EQ(log.format, LogOptions().format);
  EXPECT_EQ(log.level, LogOptions().level);
  EXPECT_EQ(log.slow_call, LogOptions().slow_call);

  const ListenOptions listen = ListenOptionsOf({}, "", nullptr);
  EXPECT_EQ(listen.max_message_bytes, ListenOptions().max_message_bytes);
  EXPECT_EQ(listen.max_concurrent_streams, ListenOptions().max_concurrent_streams);
  EXPECT_EQ(listen.max_receive_bytes, (int64_t{4} << 30) + 2 * (int64_t{1} << 30));
  EXPECT_EQ(listen.unix_mode, ListenOptions().unix_mode);
  EXPECT_EQ(listen.admin, ListenOptions().admin);
  EXPECT_EQ(listen.max_connection_age, ListenOptions().max_connection_age);
  EXPECT_TRUE(listen.tls.empty());
}

TEST(PartOptionsTest, EveryNameOfALevelIsTheLogsOwn) {
  for (const char* name : kLogLevelNames) {
    ServerOptions options;
    options.log_level = name;
    EXPECT_EQ(kLogLevelNames[static_cast<int>(LogOptionsOf(options).level)], std::string(name));
    EXPECT_TRUE(LoadServerConfig({"", {}, {{"log_level", name}}}).ok());
  }
}

// Configuration may not include the engine either.
TEST(PartOptionsTest, EveryInstructionSetOfTheCpuEngineIsAChoiceAndNoOther) {
  std::string choices = "auto";
  for (const CpuIsa isa : kAllCpuIsas) absl::StrAppend(&choices, "|", Name(isa));
  EXPECT_EQ(FindConfigKey("cpu_isa")->value, choices);
  EXPECT_TRUE(ParseCpuIsa(ServerOptions().cpu_isa).ok());
}

TEST(PartOptionsTest, OtherValuesReachTheParts) {
  ServerOptions options;
  options.slow_call_ms = 5;
  options.log_format = "json";
  options.admin = "all";
  options.unix_mode = 0660;
  options.max_connection_age_ms = 7000;
  options.max_admitted_batch_bytes = 3;
  EXPECT_EQ(LogOptionsOf(options).slow_call, absl::Milliseconds(5));
  EXPECT_EQ(LogOptionsOf(options).format, LogFormat::kJson);
  const ListenOptions listen = ListenOptionsOf(options, "token", nullptr);
  EXPECT_EQ(listen.admin, AdminAccess::kAll);
  EXPECT_EQ(listen.admin_token, "token");
  EXPECT_EQ(listen.unix_mode, mode_t{0660});
  EXPECT_EQ(listen.max_connection_age, absl::Seconds(7));
  EXPECT_EQ(ExecutorLimitsOf(options).max_admitted_batch_bytes, 3);
}

}  // namespace
}  // namespace attn
